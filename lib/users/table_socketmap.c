/* SPDX-License-Identifier: ISC
 *
 * socketmap: "NAME KEY" as a netstring to a server, a netstring back: "OK value", "NOTFOUND ", "TEMP why",
 * "TIMEOUT why", "PERM why". One connection for many look-ups; one that went stale is made anew once. Whatever
 * is not a clear answer is TABLE_ERROR: for now nobody knows. A server that was silent is left alone for a while.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/pid.h"
#include "base/xalloc.h"
#include "io/confine/confine.h"
#include "io/net.h"
#include "users/table_int.h"

enum {
	SOCKETMAP_TIME = 10 * 1000,  /* for one look-up, connecting included */
	SOCKETMAP_PAUSE = 10 * 1000, /* after one that ended so */
	LENGTH_DIGITS = 6
};

struct socketmap {
	char *where; /* for errors: "unix:PATH", "inet:HOST:PORT" */
	char *path;  /* NULL: host and port */
	char host[256];
	uint16_t port;
	char *name;
	struct stream *s; /* NULL: none */
	pid_t owner;      /* the process whose connection it is */
	int64_t until;    /* no call before */
	struct buf reply;
};

static void socketmap_close(void *state)
{
	struct socketmap *m = state;
	stream_abandon(m->s);
	buf_free(&m->reply);
	free(m->where);
	free(m->path);
	free(m->name);
	free(m);
}

static bool parse_where(struct socketmap *m, struct span where)
{
	if (span_starts(where, "unix:")) {
		m->path = xstrndup(where.p + 5, where.n - 5);
		return m->path[0] == '/' && strlen(m->path) == where.n - 5;
	}
	if (!span_starts(where, "inet:"))
		return false;
	char *text = xstrndup(where.p + 5, where.n - 5);
	bool ok = net_split_port(text, 0, m->host, &m->port, NULL) == 0 && m->port && m->host[0];
	free(text);
	return ok;
}

static void *socketmap_open(struct span rest, struct err *err)
{
	struct socketmap *m = xcalloc(1, sizeof *m);
	ptrdiff_t colon = span_rchr(rest, ':');
	struct span where = colon > 0 ? span_slice(rest, 0, (size_t)colon) : SPAN("");
	struct span name = colon > 0 ? span_from(rest, (size_t)colon + 1) : SPAN("");
	buf_init(&m->reply, SOCKETMAP_REPLY);
	m->where = xstrndup(where.p, where.n);
	m->name = xstrndup(name.p, name.n);
	if (name.n && span_chr(name, ' ') < 0 && parse_where(m, where))
		return m;
	err_set(err, ERR_USAGE, "'%.*s' is none of unix:/PATH:NAME, inet:HOST:PORT:NAME",
	    (int)(rest.n > 100 ? 100 : rest.n), rest.p);
	socketmap_close(m);
	return NULL;
}

static int malformed(struct err *err)
{
	return err_set(err, ERR_TEMP, "the reply is no netstring");
}

int socketmap_read(struct stream *s, struct buf *out, struct err *err)
{
	char c = 0;
	size_t n = 0, digits = 0;
	buf_reset(out);
	for (;; digits++) {
		if (stream_read_full(s, &c, 1) < 0)
			break;
		if (c == ':' && digits)
			break;
		if (!ascii_isdigit(c) || digits == LENGTH_DIGITS || (digits && !n))
			return malformed(err);
		n = n * 10 + (size_t)(c - '0');
	}
	char *room = c == ':' && n <= SOCKETMAP_REPLY ? buf_room(out, n) : NULL;
	if (stream_err(s)->class == ERR_NONE && !room)
		return malformed(err);
	if (room && stream_read_full(s, room, n) == 0 && stream_read_full(s, &c, 1) == 0) {
		buf_grew(out, n);
		return c == ',' ? 0 : malformed(err);
	}
	*err = *stream_err(s);
	if (err->class == ERR_NONE)
		err_set(err, ERR_TEMP, "it hung up");
	return -1;
}

enum table_result socketmap_reply(struct span reply, struct span *value, struct err *err)
{
	struct span text = reply, status = span_cut(&text, ' ');
	*value = text;
	if (span_eqs(status, "OK") && !span_has_ctl(text))
		return TABLE_FOUND;
	if (span_eqs(status, "NOTFOUND"))
		return TABLE_NONE;
	bool known = span_eqs(status, "TEMP") || span_eqs(status, "TIMEOUT") || span_eqs(status, "PERM");
	text = span_slice(text, 0, 200);
	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)text.p[i] < ' ')
			text.n = i;
	if (known)
		err_set(err, ERR_TEMP, "it says %.*s %.*s", SPAN_FMT(status), SPAN_FMT(text));
	else
		err_set(err, ERR_TEMP, "it says what is no reply");
	return TABLE_ERROR;
}

static int connect_to(struct socketmap *m, int64_t end, struct err *err)
{
	int64_t left = end - clock_coarse_ms();
	struct net_addr got;
	left = left > 1 ? left : 1;
	int fd = m->path ? net_connect_unix(m->path, left, err) : net_connect_host(m->host, m->port, left, &got, err);
	if (fd < 0)
		return -1;
	m->s = stream_from_fds(fd, fd);
	m->owner = own_pid();
	/* An answer is waited for though the process is to stop. */
	stream_set_stoppable(m->s, false);
	return 0;
}

static int ask_once(struct socketmap *m, struct span key, int64_t end, struct err *err)
{
	if (!m->s && connect_to(m, end, err) < 0)
		return -1;
	int64_t left = end - clock_coarse_ms();
	stream_set_deadline(m->s, left > 1 ? left : 1);
	stream_printf(m->s, "%zu:%s ", strlen(m->name) + 1 + key.n, m->name);
	stream_span(m->s, key);
	stream_puts(m->s, ",");
	if (socketmap_read(m->s, &m->reply, err) == 0 && !stream_has_input(m->s))
		return 0;
	if (err->class == ERR_NONE)
		malformed(err);
	stream_abandon(m->s);
	m->s = NULL;
	return -1;
}

static int ask(struct socketmap *m, struct span key, struct err *err)
{
	int64_t now = clock_coarse_ms();
	if (now < m->until)
		return err_set(err, ERR_TEMP, "no answer a moment ago");
	if (m->s && m->owner != own_pid()) {
		stream_abandon(m->s);
		m->s = NULL;
	}
	bool kept = m->s != NULL;
	int rc = ask_once(m, key, now + SOCKETMAP_TIME, err);
	if (rc < 0 && kept && err->sys != ETIMEDOUT) {
		err_clear(err);
		rc = ask_once(m, key, now + SOCKETMAP_TIME, err);
	}
	if (rc < 0 && err->sys == ETIMEDOUT)
		m->until = clock_coarse_ms() + SOCKETMAP_PAUSE;
	return rc;
}

static enum table_result socketmap_get(
    void *state, struct arena *a, struct span key, struct span *value, struct err *err)
{
	struct socketmap *m = state;
	struct err why = { 0 };
	enum table_result r = ask(m, key, &why) < 0 ? TABLE_ERROR : socketmap_reply(buf_span(&m->reply), value, &why);
	if (r == TABLE_FOUND)
		*value = arena_span(a, *value);
	if (r == TABLE_ERROR)
		err_set(err, ERR_TEMP, "socketmap:%s:%s: %.300s", m->where, m->name, why.text);
	return r;
}

static void socketmap_rules(struct span rest, struct confine_rules *r)
{
	struct socketmap *m = socketmap_open(rest, NULL);
	if (m && !m->path) {
		confine_allow_names(r);
		confine_allow_connect(r, m->port);
	}
	if (m)
		socketmap_close(m);
}

const struct table_kind table_kind_socketmap = { .name = "socketmap",
	.open = socketmap_open,
	.get = socketmap_get,
	.rules = socketmap_rules,
	.close = socketmap_close };
