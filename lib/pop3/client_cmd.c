/* SPDX-License-Identifier: ISC
 *
 * What the POP3 client does after login.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "base/xalloc.h"
#include "pop3/client_int.h"
#include "smtp/dot_decode.h"

/* ---- listing ---- */

/* A UIDL is 1 to 70 visible characters (RFC 1939 7). */
static bool is_uidl(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return false;
	return s.n > 0 && s.n <= POP3_UIDL_MAX;
}

/* "NUMBER rest". Numbers rise, or the server is not to be believed. */
static bool numbered(struct span line, uint32_t *number, struct span *rest)
{
	uint64_t n;
	struct span word = span_word(&line);
	*rest = span_word(&line);
	if (!span_u64(word, UINT32_MAX, &n) || n == 0)
		return false;
	*number = (uint32_t)n;
	return true;
}

static struct pop3_item *find(const struct pop3_items *l, uint32_t number)
{
	size_t lo = 0, hi = l->n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (l->v[mid].number == number)
			return &l->v[mid];
		if (l->v[mid].number < number)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static int read_sizes(struct pop3_client *c, struct pop3_items *out, struct err *err)
{
	struct span line, rest;
	size_t cap = 0;
	int r;
	if (pop3_command(c, "LIST", err))
		return -1;
	while ((r = pop3_listed(c, &line, err)) > 0) {
		struct pop3_item item = { 0 };
		if (!numbered(line, &item.number, &rest) || !span_u64(rest, INT64_MAX, &item.size) ||
		    (out->n && item.number <= out->v[out->n - 1].number))
			return pop3_broken(c, err, "a malformed LIST");
		if (out->n == POP3_ITEMS_MAX)
			return pop3_broken(c, err, "too many messages");
		if (out->n == cap) {
			cap = cap ? 2 * cap : 64;
			out->v = xreallocarray(out->v, cap, sizeof *out->v);
		}
		out->v[out->n++] = item;
	}
	return r;
}

static int read_uidls(struct pop3_client *c, struct pop3_items *out, struct err *err)
{
	struct span line, uidl;
	uint32_t number;
	int r;
	if (pop3_command(c, "UIDL", err))
		return pop3_tolerate(c, err);
	out->has_uidl = true;
	while ((r = pop3_listed(c, &line, err)) > 0) {
		if (!numbered(line, &number, &uidl) || !is_uidl(uidl))
			return pop3_broken(c, err, "a malformed UIDL");
		struct pop3_item *item = find(out, number);
		if (item)
			memcpy(item->uidl, uidl.p, uidl.n);
	}
	for (size_t i = 0; i < out->n && r == 0; i++)
		if (!out->v[i].uidl[0])
			return pop3_broken(c, err, "a message without UIDL");
	return r;
}

int pop3_client_list(struct pop3_client *c, struct pop3_items *out, struct err *err)
{
	*out = (struct pop3_items){ 0 };
	if (read_sizes(c, out, err) == 0 && read_uidls(c, out, err) == 0)
		return 0;
	free(out->v);
	*out = (struct pop3_items){ 0 };
	return -1;
}

/* ---- retrieving ---- */

struct content {
	const struct pop3_sink *sink;
	struct err *err;
	int rc;
};

static void give_piece(void *arg, struct span piece)
{
	struct content *x = arg;
	if (x->rc == 0)
		x->rc = x->sink->data(x->sink->arg, piece, x->err);
}

/* RFC 1939 3: dot-stuffed as SMTP's DATA is. */
static int read_content(struct pop3_client *c, const struct pop3_sink *sink, struct err *err)
{
	struct dot_decoder d;
	struct content x = { sink, err, 0 };
	dot_init(&d, stream_is_local(c->s) ? DOT_LF : DOT_DATA);
	while (!d.ended) {
		struct span got;
		int r = stream_peek(c->s, &got);
		if (r < 0)
			return pop3_stream_broken(c, err);
		if (r == 0) {
			err_set(err, ERR_TEMP, "the server closed the connection in the middle of a message");
			return pop3_broken(c, err, NULL);
		}
		stream_consume(c->s, dot_decode(&d, got, give_piece, &x));
		if (x.rc)
			return pop3_broken(c, err, NULL);
	}
	return 0;
}

static int retrieve(struct pop3_client *c, const struct pop3_item *item, const struct pop3_sink *sink, struct err *err)
{
	struct span text;
	struct err why = { 0 };
	if (pop3_reply(c, &text, &why)) {
		if (c->alive)
			sink->gone(sink->arg, item, &why);
		else
			*err = why;
		return c->alive ? 0 : -1;
	}
	if (sink->begin(sink->arg, item, err))
		return pop3_broken(c, err, NULL);
	if (read_content(c, sink, err)) {
		sink->abort(sink->arg);
		return -1;
	}
	return sink->end(sink->arg, item, err) ? pop3_broken(c, err, NULL) : 0;
}

int pop3_client_retr(struct pop3_client *c, const struct pop3_item *const *items, size_t n,
    const struct pop3_sink *sink, struct err *err)
{
	size_t window = c->pipelining ? POP3_WINDOW : 1, said = 0;
	for (size_t i = 0; i < n; i++) {
		for (; said < n && said < i + window; said++)
			pop3_say(c, false, "RETR %u", (unsigned)items[said]->number);
		if (retrieve(c, items[i], sink, err))
			return -1;
	}
	return 0;
}

int pop3_client_dele(struct pop3_client *c, uint32_t number, struct err *err)
{
	struct span text;
	pop3_say(c, false, "DELE %u", (unsigned)number);
	return pop3_reply(c, &text, err);
}
