/* SPDX-License-Identifier: ISC
 *
 * What the IMAP client does in a session: SELECT, listing, FETCH, deleting, IDLE.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "base/xalloc.h"
#include "imap/client_int.h"
#include "imap/format.h"

enum {
	SKIP_DEPTH = 20
};

int imap_client_select(
    struct imap_client *c, struct span mailbox, bool read_only, struct imap_mailbox *out, struct err *err)
{
	struct buf line;
	if (!imap_is_quotable(mailbox))
		return err_set(err, ERR_USAGE, "a mailbox name that cannot be quoted");
	buf_init(&line, LIMIT_IMAP_LINE);
	buf_adds(&line, read_only ? "EXAMINE " : "SELECT ");
	imap_add_string(&line, mailbox, true);
	c->box = (struct imap_mailbox){ 0 };
	int rc = imap_command(c, buf_span(&line), err);
	buf_free(&line);
	if (rc == 0 && c->box.uidvalidity == 0)
		return err_set(err, ERR_PROTO, "the server tells no UIDVALIDITY");
	*out = c->box;
	return rc;
}

/* ---- FETCH responses ---- */

struct fetch_data {
	struct imap_fetched m;
	uint64_t size;
	bool has_uid, has_size, has_body;
	struct span body; /* one that came as a string: short ones may */
};

static bool skip_value(struct imap_in *in)
{
	struct span ignored;
	bool nil;
	unsigned depth = 0;
	do {
		if (imap_eat(in, '(')) {
			if (++depth > SKIP_DEPTH)
				return imap_fail(in, "a list less deep");
			continue;
		}
		if (depth && imap_eat(in, ')')) {
			depth--;
		} else if (imap_peek(in) == '"' || imap_peek(in) == '{') {
			if (!imap_nstring(in, &ignored, &nil))
				return false;
		} else if (imap_peek(in) == '\\') {
			if (!imap_flag(in, &ignored))
				return false;
		} else if (!imap_atom(in, &ignored)) {
			return false;
		}
		while (depth && imap_eat(in, ')'))
			depth--;
		if (depth && !imap_sp(in))
			return false;
	} while (depth);
	return true;
}

static bool flags(struct imap_in *in, unsigned *out)
{
	static const char *const names[] = { "\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft" };
	struct imap_words words;
	if (!imap_flag_list(in, &words))
		return false;
	*out = 0;
	for (size_t i = 0; i < words.n; i++)
		for (unsigned k = 0; k < 5; k++)
			if (span_ieqs(words.v[i], names[k]))
				*out |= 1U << k;
	return true;
}

/* A name up to the blank before its value; BODY[...] and MODSEQ are no atoms. */
static struct span item_name(struct imap_in *in)
{
	struct span rest = span_from(in->text, in->at), name = span_cut(&rest, ' ');
	in->at += name.n;
	return name;
}

static bool fetch_item(struct imap_in *in, struct fetch_data *d)
{
	struct span name = item_name(in);
	bool nil;
	if (!name.n || !imap_sp(in))
		return imap_fail(in, "a FETCH item");
	if (span_ieqs(name, "UID"))
		return d->has_uid = imap_nz_number(in, &d->m.uid);
	if (span_ieqs(name, "FLAGS"))
		return flags(in, &d->m.flags);
	if (span_ieqs(name, "RFC822.SIZE"))
		return d->has_size = imap_number64(in, &d->size);
	if (span_ieqs(name, "INTERNALDATE"))
		return imap_date_time(in, &d->m.date);
	if (span_ieqs(name, "BODY[]"))
		return d->has_body = imap_nstring(in, &d->body, &nil);
	return skip_value(in);
}

/* "12 FETCH (...)": false when it is another response, or malformed (in->bad). */
static bool fetch_response(struct imap_in *in, struct fetch_data *d)
{
	struct span text = in->text, word = span_cut(&text, ' ');
	uint64_t n;
	*d = (struct fetch_data){ 0 };
	if (!span_u64(word, UINT32_MAX, &n) || !span_istarts(text, "FETCH "))
		return false;
	in->at = word.n + 7;
	if (!imap_expect(in, '('))
		return false;
	if (!imap_eat(in, ')')) {
		do {
			if (!fetch_item(in, d))
				return false;
		} while (imap_eat(in, ' '));
		if (!imap_expect(in, ')'))
			return false;
	}
	return imap_end(in);
}

static int malformed(const struct imap_in *in, struct err *err)
{
	return err_set(
	    err, ERR_PROTO, "the server broke the protocol: a malformed FETCH response, %s expected", in->bad);
}

/* ---- listing ---- */

struct listing {
	uint32_t from;
	struct imap_items *out;
	size_t cap;
};

static int list_untagged(struct imap_client *c, struct imap_in *in, struct err *err)
{
	struct listing *l = c->arg;
	struct fetch_data d;
	if (!fetch_response(in, &d))
		return in->bad ? malformed(in, err) : 0;
	/* "n:*" also names the last message when n is beyond it (RFC 3501 6.4.8). */
	if (!d.has_uid || !d.has_size || d.m.uid < l->from)
		return 0;
	if (l->out->n == IMAP_ITEMS_MAX)
		return err_set(err, ERR_LIMIT, "more than %d messages in the mailbox", IMAP_ITEMS_MAX);
	if (l->out->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 64;
		l->out->v = xreallocarray(l->out->v, l->cap, sizeof *l->out->v);
	}
	l->out->v[l->out->n++] = (struct imap_item){ d.m.uid, d.size };
	return 0;
}

static int by_uid(const void *a, const void *b)
{
	uint32_t x = ((const struct imap_item *)a)->uid, y = ((const struct imap_item *)b)->uid;
	return x < y ? -1 : x > y;
}

static void drop_doubles(struct imap_items *l)
{
	size_t kept = 0;
	for (size_t i = 0; i < l->n; i++)
		if (kept == 0 || l->v[kept - 1].uid != l->v[i].uid)
			l->v[kept++] = l->v[i];
	l->n = kept;
}

int imap_client_list(struct imap_client *c, uint32_t from, struct imap_items *out, struct err *err)
{
	struct buf line;
	struct listing l = { from, out, 0 };
	*out = (struct imap_items){ 0 };
	if (c->box.exists == 0) /* "1:*" of nothing is an error to some servers */
		return 0;
	buf_init(&line, LIMIT_IMAP_LINE);
	buf_addf(&line, "UID FETCH %u:* (UID RFC822.SIZE)", (unsigned)from);
	c->untagged = list_untagged;
	c->arg = &l;
	int rc = imap_command(c, buf_span(&line), err);
	c->untagged = NULL;
	c->arg = NULL;
	buf_free(&line);
	if (rc) {
		free(out->v);
		*out = (struct imap_items){ 0 };
		return -1;
	}
	if (out->n)
		qsort(out->v, out->n, sizeof *out->v, by_uid);
	drop_doubles(out);
	return 0;
}

/* ---- fetching ---- */

struct fetching {
	const uint32_t *uids;
	size_t n;
	bool *got;
};

static bool *wanted(const struct fetching *f, uint32_t uid)
{
	size_t lo = 0, hi = f->n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (f->uids[mid] == uid)
			return &f->got[mid];
		if (f->uids[mid] < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/* A short body that came as a quoted string was not streamed. */
static int give_string(struct imap_client *c, struct span body, struct err *err)
{
	const struct imap_sink *sink = c->sink;
	c->body_begun = true;
	if (sink->begin(sink->arg, body.n, err))
		return -1;
	return body.n ? sink->data(sink->arg, body, err) : 0;
}

static int fetch_untagged(struct imap_client *c, struct imap_in *in, struct err *err)
{
	const struct fetching *f = c->arg;
	struct fetch_data d;
	if (!fetch_response(in, &d))
		return in->bad ? malformed(in, err) : 0;
	if (!d.has_body)
		return 0; /* somebody changed flags */
	bool *got = d.has_uid ? wanted(f, d.m.uid) : NULL;
	if (!got || *got)
		return err_set(err, ERR_PROTO, "the server broke the protocol: a message that was not asked for");
	if (!c->body_begun && give_string(c, d.body, err))
		return -1;
	c->body_begun = false;
	*got = true;
	return c->sink->end(c->sink->arg, &d.m, err);
}

static void add_set(struct buf *line, const uint32_t *uids, size_t n)
{
	for (size_t i = 0, k; i < n; i = k) {
		for (k = i + 1; k < n && uids[k] == uids[k - 1] + 1; k++)
			;
		buf_addf(line, i ? ",%u" : "%u", (unsigned)uids[i]);
		if (k - i > 1)
			buf_addf(line, ":%u", (unsigned)uids[k - 1]);
	}
}

int imap_client_fetch(
    struct imap_client *c, const uint32_t *uids, size_t n, const struct imap_sink *sink, struct err *err)
{
	struct buf line;
	struct fetching f = { uids, n, xcalloc(n + 1, sizeof(bool)) };
	buf_init(&line, LIMIT_IMAP_LINE);
	buf_adds(&line, "UID FETCH ");
	add_set(&line, uids, n);
	buf_adds(&line, " (UID FLAGS INTERNALDATE BODY.PEEK[])");
	c->untagged = fetch_untagged;
	c->arg = &f;
	c->sink = sink;
	int rc = line.bad ? err_set(err, ERR_BUG, "too many messages at once") : imap_command(c, buf_span(&line), err);
	c->untagged = NULL;
	c->arg = NULL;
	c->sink = NULL;
	buf_free(&line);
	free(f.got);
	return rc;
}

/* ---- deleting ---- */

int imap_client_delete(struct imap_client *c, const uint32_t *uids, size_t n, bool *expunged, struct err *err)
{
	struct buf line;
	buf_init(&line, LIMIT_IMAP_LINE);
	*expunged = false;
	buf_adds(&line, "UID STORE ");
	add_set(&line, uids, n);
	buf_adds(&line, " +FLAGS.SILENT (\\Deleted)");
	int rc = line.bad ? err_set(err, ERR_BUG, "too many messages at once") : imap_command(c, buf_span(&line), err);
	/* A plain EXPUNGE would also remove what somebody else has marked. */
	if (rc == 0 && (imap_client_has(c, "UIDPLUS") || imap_client_has(c, "IMAP4REV2"))) {
		buf_reset(&line);
		buf_adds(&line, "UID EXPUNGE ");
		add_set(&line, uids, n);
		rc = imap_command(c, buf_span(&line), err);
		*expunged = rc == 0;
	}
	buf_free(&line);
	return rc;
}

/* ---- waiting ---- */

static int idle_broken(struct imap_client *c, struct err *err)
{
	if (err)
		*err = *stream_err(c->s);
	return imap_broken(c);
}

/* Waits for the server's go-ahead. */
static int idle_begin(struct imap_client *c, struct err *err)
{
	enum imap_status status;
	struct span rest;
	imap_say(c, SPAN("IDLE"));
	for (;;) {
		enum imap_kind kind = imap_hear(c, &status, &rest, err);
		if (kind == IMAP_CONTINUE)
			return 0;
		if (kind == IMAP_TAGGED && status == IMAP_OK)
			return err_set(err, ERR_PROTO, "IDLE ended at once");
		if (kind != IMAP_UNTAGGED)
			return -1;
	}
}

static int idle(struct imap_client *c, int64_t ms, struct err *err)
{
	enum imap_status status;
	struct span rest;
	uint32_t before = c->box.exists;
	if (idle_begin(c, err))
		return -1;
	int got = STREAM_READY;
	while (c->box.exists <= before && (got = stream_wait(c->s, -1, ms)) > 0) {
		enum imap_kind kind = imap_hear(c, &status, &rest, err);
		if (kind != IMAP_UNTAGGED)
			return kind == IMAP_BROKEN ? -1 : err_set(err, ERR_PROTO, "IDLE ended by itself");
		if (c->box.exists < before)
			before = c->box.exists; /* some were expunged */
	}
	if (got < 0)
		return idle_broken(c, err);
	imap_say_line(c, SPAN("DONE"), false);
	return imap_finish(c, err) ? -1 : c->box.exists > before;
}

int imap_client_idle(struct imap_client *c, int64_t ms, int64_t poll_ms, struct err *err)
{
	if (imap_client_has(c, "IDLE"))
		return idle(c, ms, err);
	uint32_t before = c->box.exists;
	int got = stream_wait(c->s, -1, poll_ms < ms ? poll_ms : ms);
	if (got < 0)
		return idle_broken(c, err);
	return imap_command(c, SPAN("NOOP"), err) ? -1 : c->box.exists > before;
}
