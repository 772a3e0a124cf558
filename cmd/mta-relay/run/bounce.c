/* SPDX-License-Identifier: ISC */
#include "mta-relay/run/bounce.h"

#include <stdio.h>

#include "io/trace.h"
#include "msg/addr.h"
#include "msg/header.h"
#include "mta-relay/events/events.h"

enum {
	RETURN_HEADER = 262144, /* at most of a header */
	TEXT_MAX = 64 * 1024 * 1024,
	COPY = 65536,
};

/* RFC 3461 4.1 */
static bool notify_has(struct span notify, const char *what)
{
	while (notify.n)
		if (span_ieqs(span_trim(span_cut(&notify, ',')), what))
			return true;
	return false;
}

bool bounce_wants_success(struct span notify)
{
	return notify_has(notify, "SUCCESS");
}

/* Is it time to tell of a delay? RFC 2852 4.1.3: at the time that the sender gave, too. */
static bool late(const struct spool_envelope *env, const struct bounce_config *c, int64_t now)
{
	return (env->by_mode == 'N' && now >= env->by_time) ||
	       (c->warn_after && now - spool_began(env) >= c->warn_after);
}

static enum bounce_kind kind_of(const struct spool_msg *m, size_t rcpt, const struct bounce_config *c, int64_t now)
{
	const struct spool_rcpt_state *st = &m->file.state[rcpt];
	struct span notify = m->file.env.rcpt[rcpt].notify;
	switch (st->last.state) {
	case SPOOL_FAILED:
		return !notify.n || notify_has(notify, "FAILURE") ? BOUNCE_FAILED : BOUNCE_NOTHING;
	case SPOOL_DEFERRED:
		if (st->warned || !late(&m->file.env, c, now))
			return BOUNCE_NOTHING;
		return !notify.n || notify_has(notify, "DELAY") ? BOUNCE_DELAYED : BOUNCE_NOTHING;
	case SPOOL_DELIVERED:
		return notify_has(notify, "SUCCESS") ? BOUNCE_DELIVERED : BOUNCE_NOTHING;
	case SPOOL_RELAYED:
		return notify_has(notify, "SUCCESS") || (m->file.env.by_mode && !notify_has(notify, "NEVER"))
			   ? BOUNCE_RELAYED
			   : BOUNCE_NOTHING;
	case SPOOL_EXPANDED:
		return notify_has(notify, "SUCCESS") ? BOUNCE_EXPANDED : BOUNCE_NOTHING;
	default:
		return BOUNCE_NOTHING;
	}
}

/* RFC 5321 6.1: nothing answers the null reverse-path, except that our own postmaster may want to know of failures. */
static struct span told(const struct spool_msg *m, const struct bounce_config *c)
{
	const struct spool_envelope *env = &m->file.env;
	if (env->from.n)
		return env->from;
	for (size_t i = 0; i < env->n_rcpt; i++)
		if (span_ieqs(env->rcpt[i].addr, c->postmaster ? c->postmaster : ""))
			return span_of(NULL, 0);
	return span_str(c->postmaster);
}

enum bounce_kind bounce_due(const struct spool_msg *m, size_t rcpt, const struct bounce_config *c, int64_t now)
{
	const struct spool_rcpt_state *st = &m->file.state[rcpt];
	if (st->reported)
		return BOUNCE_NOTHING;
	/* NOTIFY is the sender's wish; the postmaster's is in our configuration. */
	if (!m->file.env.from.n)
		return st->last.state == SPOOL_FAILED && told(m, c).n ? BOUNCE_FAILED : BOUNCE_NOTHING;
	return kind_of(m, rcpt, c, now);
}

static bool needs_utf8(const struct bounce_text *t)
{
	const struct spool_envelope *env = &t->m->file.env;
	bool yes = addr_needs_utf8(t->to);
	for (size_t i = 0; i < env->n_rcpt && !yes; i++)
		yes = t->kind[i] && (addr_needs_utf8(env->rcpt[i].addr) || addr_needs_utf8(env->rcpt[i].original));
	return yes;
}

/* RFC 3461 4.3: FULL is about failures; without RET the choice is ours, and the header alone makes little backscatter.
 * What is large is better not sent twice over the net (RFC 3464 2 leaves it to us), and binary MIME may have failed
 * because it can't go everywhere: its report can (RFC 3030 3). */
static bool wants_full(const struct spool_msg *m, const struct bounce_config *c, const enum bounce_kind *kind)
{
	bool failed = false;
	/* RFC 8689 5: a report that may go in the clear does not show what must not. */
	if (m->file.env.binary || m->file.env.requiretls || (c->return_max && m->file.size > c->return_max))
		return false;
	for (size_t i = 0; i < m->file.env.n_rcpt; i++)
		failed |= kind[i] == BOUNCE_FAILED;
	return failed && span_ieqs(m->file.env.ret, "FULL");
}

static int copy_content(struct spool_msg *m, struct spool_writer *w, struct err *err)
{
	char piece[COPY];
	uint64_t at = 0;
	ssize_t n;
	while ((n = spool_read(m, at, piece, sizeof piece, err)) > 0) {
		spool_write(w, span_of(piece, (size_t)n));
		at += (uint64_t)n;
	}
	return n < 0 ? -1 : 0;
}

static int write_text(struct bounce_text *t, struct spool_msg *m, struct spool_writer *w, struct err *err)
{
	struct buf text;
	struct span head, body;
	buf_init(&text, TEXT_MAX);
	bounce_text_before(t, &text);
	spool_write(w, buf_span(&text));
	t->size = text.len;
	buf_reset(&text);
	int rc;
	if (t->full) {
		rc = copy_content(m, w, err);
		t->size += m->file.size;
	} else if ((rc = spool_read_head(m, RETURN_HEADER, &head, err)) == 0) {
		head = header_of(head, &body);
		spool_write(w, head);
		t->size += head.n;
	}
	bounce_text_after(t, &text);
	spool_write(w, buf_span(&text));
	t->size += text.len;
	rc = text.bad ? err_set(err, ERR_LIMIT, "the notification is too long") : rc;
	buf_free(&text);
	return rc;
}

static int queue_it(struct bounce_text *t, struct spool_msg *m, char id[SPOOL_ID_SIZE], struct err *err)
{
	struct span none = span_of(NULL, 0);
	/* RFC 3461 6.2: a notification about a notification is not wanted. */
	struct spool_rcpt rcpt = { .addr = t->to, .notify = SPAN("NEVER"), .orcpt = none, .original = none };
	struct spool_envelope env = { .from = none,
		.ret = none,
		.envid = none,
		.auth = none,
		.next_hop = none,
		.requiretls = m->file.env.requiretls,
		.has_priority = m->file.env.has_priority, /* RFC 6710 4.6 */
		.priority = m->file.env.priority,
		.hold = none,
		.client = SPAN("local"),
		.helo = none,
		.user = none,
		.rcpt = &rcpt,
		.n_rcpt = 1 };
	t->utf8 = needs_utf8(t);
	env.utf8 = t->utf8 || m->file.env.utf8;
	env.eightbit = env.utf8 || m->file.env.eightbit || m->file.env.binary;
	struct spool_writer *w = spool_begin(m->s, &env, err);
	if (!w)
		return -1;
	t->id = spool_writer_id(w);
	if (write_text(t, m, w, err) == 0)
		return spool_commit(w, id, err);
	spool_abort(w);
	return -1;
}

static int record_told(struct spool_msg *m, const enum bounce_kind *kind, int64_t now, const char *id, struct err *err)
{
	struct buf lines;
	buf_init(&lines, TEXT_MAX);
	for (size_t i = 0; i < m->file.env.n_rcpt; i++)
		if (kind[i])
			spool_format_note(
			    i, kind[i] == BOUNCE_DELAYED ? SPOOL_WARNED : SPOOL_REPORTED, now, id, &lines);
	int rc = spool_record(m, buf_span(&lines), err);
	buf_free(&lines);
	return rc;
}

/* What the report is about: failure, if there is any. */
static const char *report_of(const struct bounce_text *t)
{
	bool failed = false, delayed = false;
	for (size_t i = 0; i < t->m->file.env.n_rcpt; i++) {
		failed |= t->kind[i] == BOUNCE_FAILED;
		delayed |= t->kind[i] == BOUNCE_DELAYED;
	}
	return failed ? "failed" : delayed ? "delayed" : "delivered";
}

static void log_report(const struct bounce_text *t, const char *id, size_t due)
{
	struct event report = {
		.kind = EVENT_REPORT, .qid = t->m->id, .as = id, .to = t->to, .rcpts = due, .status = report_of(t)
	};
	char mid[300];
	snprintf(mid, sizeof mid, "<%s@%s>", id, t->c->hostname);
	struct event taken = {
		.kind = EVENT_ACCEPT, .qid = id, .rcpts = 1, .size = t->size, .mid = span_str(mid), .how = "report"
	};
	event(&report);
	event(&taken);
}

int bounce_report(struct spool_msg *m, const struct bounce_config *c, int64_t now, size_t *untold, struct err *err)
{
	char id[SPOOL_ID_SIZE];
	size_t n = m->file.env.n_rcpt, due = 0;
	enum bounce_kind *kind = arena_alloc(m->arena, n * sizeof *kind);
	*untold = 0;
	for (size_t i = 0; i < n; i++) {
		kind[i] = bounce_due(m, i, c, now);
		due += kind[i] != BOUNCE_NOTHING;
		*untold += !kind[i] && !m->file.env.from.n && !m->file.state[i].reported &&
			   m->file.state[i].last.state == SPOOL_FAILED;
	}
	if (!due)
		return 0;
	struct bounce_text t = {
		.m = m, .c = c, .kind = kind, .to = told(m, c), .now = now, .full = wants_full(m, c, kind)
	};
	if (queue_it(&t, m, id, err) < 0)
		return -1;
	trace_why("queue", "ok", "3461#6", "a notification about %zu recipient%s was put into the queue as %s", due,
	    due == 1 ? "" : "s", id);
	log_report(&t, id, due);
	return record_told(m, kind, now, id, err);
}
