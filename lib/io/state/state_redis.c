/* SPDX-License-Identifier: ISC
 *
 * State in a Redis or Valkey server. Keys begin with "waypost:". A request is one batch of commands, so that it costs
 * one way there and back; each command is atomic, and those of one request may stand apart without harm.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/pid.h"
#include "base/xalloc.h"
#include "io/net.h"
#include "io/state/resp.h"
#include "io/state/state_int.h"
#include "io/stream.h"

enum {
	PORT = 6379,
	DB_MAX = 65535,
	IN_MAX = RESP_BULK_MAX + 2 * RESP_LINE_MAX,
	OUT_MAX = 16384,
	REPLIES = 4, /* of one request at most */
};
#define PREFIX "waypost:"

/* ---- redis[s]://[[USER]:PASSWORD@]HOST[:PORT][/DB] ---- */

static char *decoded(struct span text)
{
	char *out = xmalloc(text.n + 1);
	size_t n = 0;
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];
		if (c == '%' && i + 2 < text.n && ascii_hex(text.p[i + 1]) >= 0 && ascii_hex(text.p[i + 2]) >= 0) {
			c = (char)(ascii_hex(text.p[i + 1]) * 16 + ascii_hex(text.p[i + 2]));
			i += 2;
		}
		out[n++] = c;
	}
	out[n] = '\0';
	return out;
}

static int place_of(struct span rest, struct state_url *out, struct err *err)
{
	char host[256];
	uint64_t db = 0;
	ptrdiff_t at = span_rchr(rest, '@');
	if (at >= 0) {
		struct span who = span_slice(rest, 0, (size_t)at), user = span_cut(&who, ':');
		out->user = decoded(user);
		out->password = decoded(who);
		rest = span_from(rest, (size_t)at + 1);
	}
	struct span where = span_cut(&rest, '/');
	if (rest.n && !span_u64(rest, DB_MAX, &db))
		return err_set(err, ERR_USAGE, "the database of a redis:// URL is a number");
	out->db = (unsigned)db;
	char *text = xstrndup(where.p, where.n);
	int rc = *text ? net_split_port(text, PORT, host, &out->port, err)
		       : err_set(err, ERR_USAGE, "a redis:// URL names a host");
	free(text);
	if (rc == 0)
		out->host = xstrdup(host);
	return rc;
}

int state_url_parse(const char *text, struct state_url *out, struct err *err)
{
	struct span all = span_str(text);
	int rc = 0;
	*out = (struct state_url){ 0 };
	if (span_starts(all, "redis+unix:") && all.n > strlen("redis+unix:"))
		out->path = xstrdup(text + strlen("redis+unix:"));
	else if (span_starts(all, "redis://"))
		rc = place_of(span_from(all, strlen("redis://")), out, err);
	else if ((out->tls = span_starts(all, "rediss://")))
		rc = place_of(span_from(all, strlen("rediss://")), out, err);
	else
		rc = err_set(
		    err, ERR_USAGE, "shared state is redis://HOST[:PORT][/DB], rediss://... or redis+unix:PATH");
	char **texts[] = { &out->host, &out->path, &out->user, &out->password };
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (!*texts[i])
			*texts[i] = xstrdup("");
	if (rc < 0)
		state_url_free(out);
	return rc;
}

void state_url_free(struct state_url *u)
{
	if (u->password)
		explicit_bzero(u->password, strlen(u->password));
	free(u->host);
	free(u->path);
	free(u->user);
	free(u->password);
	*u = (struct state_url){ 0 };
}

/* ---- one batch ---- */

struct batch {
	struct buf out;
	size_t n; /* replies to come */
};

static void add(struct batch *b, size_t n, const struct span *args)
{
	resp_command(&b->out, args, n);
	b->n++;
}
#define COMMAND(b, ...)                                                                                                \
	add(b, sizeof((struct span[]){ __VA_ARGS__ }) / sizeof(struct span), (struct span[]){ __VA_ARGS__ })

void state_redis_close(struct state_redis *r)
{
	if (r->s && r->owner == own_pid())
		stream_close(r->s);
	else
		stream_abandon(r->s);
	r->s = NULL;
	buf_free(&r->in);
	r->at = 0;
}

/* The next reply; its text is valid until the one after it. */
static int reply(struct state_redis *r, struct resp *out, struct err *err)
{
	for (;;) {
		struct span in = span_from(buf_span(&r->in), r->at);
		size_t before = in.n;
		enum resp_type t = resp_next(&in, out);
		r->at += before - in.n;
		if (t == RESP_BAD)
			return err_set(err, ERR_PROTO, "the state server does not speak Redis' protocol");
		if (t == RESP_ERROR)
			return err_set(err, ERR_TEMP, "the state server says: %.*s",
			    (int)(out->text.n > 100 ? 100 : out->text.n), out->text.p);
		if (t != RESP_MORE)
			return 0;
		buf_drop(&r->in, r->at);
		r->at = 0;
		char *room = buf_room(&r->in, 4096);
		ssize_t n = room ? stream_read(r->s, room, 4096) : -1;
		if (n <= 0)
			return err_set(err, ERR_TEMP, "the state server %s", n ? "did not answer" : "hung up");
		buf_grew(&r->in, (size_t)n);
	}
}

static int send_batch(struct state_redis *r, struct batch *b, struct err *err)
{
	buf_reset(&r->in);
	r->at = 0;
	stream_set_deadline(r->s, r->wait_ms);
	bool failed = b->out.bad || stream_span(r->s, buf_span(&b->out)) < 0 || stream_flush(r->s) < 0;
	explicit_bzero(b->out.p, b->out.len);
	buf_free(&b->out);
	return failed ? err_set(err, ERR_TEMP, "the state server can't be written to") : 0;
}

static int login(struct state_redis *r, struct err *err)
{
	struct batch b = { .n = 0 };
	char db[16];
	struct resp out;
	buf_init(&b.out, OUT_MAX);
	if (*r->url.user)
		COMMAND(&b, SPAN("AUTH"), span_str(r->url.user), span_str(r->url.password));
	else if (*r->url.password)
		COMMAND(&b, SPAN("AUTH"), span_str(r->url.password));
	snprintf(db, sizeof db, "%u", r->url.db);
	COMMAND(&b, SPAN("SELECT"), span_str(db));
	int rc = send_batch(r, &b, err);
	while (rc == 0 && b.n-- > 0)
		rc = reply(r, &out, err);
	return rc;
}

static int connect_to(struct state_redis *r, struct err *err)
{
	const struct state_url *u = &r->url;
	int fd = *u->path ? net_connect_unix(u->path, r->wait_ms, err)
			  : net_connect_host(u->host, u->port, r->wait_ms, NULL, err);
	if (fd < 0)
		return err_prefix(err, "the state server");
	r->s = stream_from_fds(fd, fd);
	r->owner = own_pid();
	stream_set_stoppable(r->s, false);
	buf_init(&r->in, IN_MAX);
	stream_set_deadline(r->s, r->wait_ms);
	if (u->tls && tls_connect(r->s, r->tls, u->host, err) < 0)
		return err_prefix(err, "the state server");
	return login(r, err);
}

/* Every request ends by asking what is left of the key's time. */
static void compose(const struct state_request *q, struct batch *b)
{
	char name[STATE_KEY_MAX + sizeof PREFIX], n[32], life[32];
	snprintf(name, sizeof name, PREFIX "%.*s", (int)q->key.n, q->key.p);
	snprintf(n, sizeof n, "%llu", (unsigned long long)q->n);
	snprintf(life, sizeof life, "%lld", (long long)(q->life > 0 ? q->life : 1));
	struct span key = span_str(name), value = span_str(n), ex = span_str(life);
	buf_init(&b->out, OUT_MAX);
	b->n = 0;
	switch (q->op) {
	case STATE_GET:
		COMMAND(b, SPAN("GET"), key);
		break;
	case STATE_ADD:
		COMMAND(b, SPAN("SET"), key, SPAN("0"), SPAN("EX"), ex, SPAN("NX"));
		COMMAND(b, SPAN("INCRBY"), key, value);
		break;
	case STATE_PUT:
		COMMAND(b, SPAN("SET"), key, value, SPAN("EX"), ex);
		break;
	case STATE_FIRST:
		COMMAND(b, SPAN("GET"), key);
		COMMAND(b, SPAN("TTL"), key);
		COMMAND(b, SPAN("SET"), key, value, SPAN("EX"), ex, SPAN("NX"));
		return;
	case STATE_DROP:
		COMMAND(b, SPAN("DEL"), key);
		break;
	}
	COMMAND(b, SPAN("TTL"), key);
}

struct got {
	enum resp_type type;
	uint64_t n;
};

/* A number, as an integer or as the text that SET stored. */
static void keep(const struct resp *in, struct got *out)
{
	*out = (struct got){ in->type, 0 };
	if (!span_u64(in->text, UINT64_MAX, &out->n) && in->type == RESP_BULK)
		out->type = RESP_NIL; /* it is not ours */
}

static int ask(struct state_redis *r, const struct state_request *q, struct got got[REPLIES], struct err *err)
{
	struct batch b;
	struct resp in;
	compose(q, &b);
	size_t n = b.n;
	if (send_batch(r, &b, err) < 0)
		return -1;
	for (size_t i = 0; i < n && i < REPLIES; i++) {
		if (reply(r, &in, err) < 0)
			return -1;
		keep(&in, &got[i]);
	}
	return 0;
}

/* A counter that expired between its two commands was begun anew without an end. */
static int give_end(struct state_redis *r, const struct state_request *q, struct err *err)
{
	struct batch b = { .n = 0 };
	struct resp in;
	char name[STATE_KEY_MAX + sizeof PREFIX], life[32];
	snprintf(name, sizeof name, PREFIX "%.*s", (int)q->key.n, q->key.p);
	snprintf(life, sizeof life, "%lld", (long long)(q->life > 0 ? q->life : 1));
	buf_init(&b.out, OUT_MAX);
	COMMAND(&b, SPAN("EXPIRE"), span_str(name), span_str(life));
	return send_batch(r, &b, err) < 0 ? -1 : reply(r, &in, err);
}

static int judge(struct state_redis *r, const struct state_request *q, const struct got *got, struct state_value *out,
    struct err *err)
{
	if (q->op == STATE_PUT || q->op == STATE_DROP)
		return 0;
	/* ADD: what INCRBY says, and what TTL says; the others: GET and TTL. */
	const struct got *value = q->op == STATE_ADD ? &got[1] : &got[0], *left = value + 1;
	if (value->type == RESP_NIL)
		return 0;
	*out = (struct state_value){ true, value->n, (int64_t)left->n };
	if (q->op == STATE_ADD && !left->n) {
		out->left = q->life;
		return give_end(r, q, err);
	}
	return 0;
}

static int once(struct state_redis *r, const struct state_request *q, struct state_value *out, struct err *err)
{
	struct got got[REPLIES] = { 0 };
	*out = (struct state_value){ 0 };
	if (!r->s && connect_to(r, err) < 0)
		return -1;
	return ask(r, q, got, err) < 0 ? -1 : judge(r, q, got, out, err);
}

int state_redis_do(struct state_redis *r, const struct state_request *q, struct state_value *out, struct err *err)
{
	if (r->s && r->owner != own_pid())
		state_redis_close(r); /* our parent's */
	bool kept = r->s != NULL;
	if (once(r, q, out, err) == 0)
		return 0;
	state_redis_close(r);
	if (!kept)
		return -1;
	/* The server may have closed a connection that was idle, or was restarted. */
	err_clear(err);
	if (once(r, q, out, err) == 0)
		return 0;
	state_redis_close(r);
	return -1;
}

/* ---- all keys ---- */

struct listing {
	struct state_redis *r; /* that is asked about each key, beside the one that scans */
	state_fn *fn;
	void *arg;
};

static int one_key(struct listing *l, struct span name, struct err *err)
{
	struct state_value v;
	struct span key = span_from(name, strlen(PREFIX));
	struct state_request q = { .op = STATE_GET, .key = key };
	if (key.n > STATE_KEY_MAX || !span_starts(name, PREFIX))
		return 0;
	if (state_redis_do(l->r, &q, &v, err) < 0)
		return -1;
	return v.there ? l->fn(l->arg, key, &v) : 0;
}

/* One SCAN: its next cursor, and the keys. */
static int scan(struct state_redis *r, struct listing *l, const char *pattern, char cursor[32], struct err *err)
{
	struct batch b = { .n = 0 };
	struct resp in;
	buf_init(&b.out, OUT_MAX);
	COMMAND(&b, SPAN("SCAN"), span_str(cursor), SPAN("MATCH"), span_str(pattern), SPAN("COUNT"), SPAN("100"));
	if (send_batch(r, &b, err) < 0 || reply(r, &in, err) < 0 || reply(r, &in, err) < 0)
		return -1;
	snprintf(cursor, 32, "%.*s", (int)(in.text.n > 31 ? 31 : in.text.n), in.text.p);
	if (in.type != RESP_BULK || reply(r, &in, err) < 0 || in.type != RESP_ARRAY)
		return err_set(err, ERR_PROTO, "the state server's answer to SCAN is none");
	int rc = 0;
	for (int64_t n = in.n; n > 0; n--) {
		if (reply(r, &in, err) < 0)
			return -1;
		if (rc == 0)
			rc = one_key(l, in.text, err);
	}
	return rc;
}

static void escape(const char *prefix, char *out, size_t size)
{
	size_t n = (size_t)snprintf(out, size, PREFIX);
	for (; *prefix && n + 3 < size; prefix++) {
		if (strchr("*?[]\\", *prefix))
			out[n++] = '\\';
		out[n++] = *prefix;
	}
	out[n++] = '*';
	out[n] = '\0';
}

int state_redis_list(struct state_redis *r, const char *prefix, state_fn *fn, void *arg, struct err *err)
{
	struct state_redis scanner = { .url = r->url, .tls = r->tls };
	struct listing l = { r, fn, arg };
	char cursor[32] = "0", pattern[256];
	escape(prefix, pattern, sizeof pattern);
	int rc = connect_to(&scanner, err);
	do
		rc = rc == 0 ? scan(&scanner, &l, pattern, cursor, err) : rc;
	while (rc == 0 && strcmp(cursor, "0") != 0);
	state_redis_close(&scanner);
	return rc;
}
