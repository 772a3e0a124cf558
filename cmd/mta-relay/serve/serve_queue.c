/* SPDX-License-Identifier: ISC
 *
 * A message that goes into the queue, whole or with what the MDA has said of some of its recipients.
 */
#include <errno.h>
#include <stdio.h>

#include "base/log.h"
#include "io/trace.h"
#include "mta-relay/serve/serve_load.h"
#include "mta-relay/spool/spool_dir.h"
#include "mta-relay/spool/spool_format.h"

/* The MDA's words without the codes before them, which are kept apart. */
struct span load_words(struct span text, const char *enh)
{
	if (text.n > 4 && ascii_isdigit(text.p[0]) && ascii_isdigit(text.p[2]) && text.p[3] == ' ')
		text = span_from(text, 4);
	if (enh[0] && span_starts(text, enh))
		text = span_trim(span_from(text, strlen(enh)));
	return text;
}

static void fill_outcome(const struct load *l, size_t i, struct spool_outcome *o)
{
	const struct smtp_rcpt *m = &l->mda[i];
	const struct err *r = &m->result;
	bool ok = r->class == ERR_NONE;
	*o = (struct spool_outcome){ .state = ok               ? SPOOL_DELIVERED
					      : r->code >= 500 ? SPOOL_FAILED
							       : SPOOL_DEFERRED,
		.when = l->now,
		.code = ok ? 250 : r->code,
		.relay = span_str(mda_name(l->s->rs->mda)) };
	snprintf(o->enh, sizeof o->enh, "%s", ok ? "2.0.0" : r->enh);
	o->text = load_words(span_str(m->reply[0] ? m->reply : r->text), o->enh);
}

/* A 421 is about the MDA itself. */
bool load_answered(const struct smtp_rcpt *m)
{
	return m->result.class == ERR_NONE || (m->result.code && m->result.code != 421);
}

/* An alias whose own fate is known: run reports it. */
static void record_report(const struct relay_target *t, int64_t now, struct spool_writer *w, size_t row)
{
	bool list = t->report == REPORT_DELIVERED;
	struct spool_outcome o = { .state = list ? SPOOL_DELIVERED : SPOOL_EXPANDED,
		.when = now,
		.code = 250,
		.enh = "2.1.5",
		.relay = SPAN(""),
		.text = list ? SPAN("taken by a list, which sends it on to its members")
			     : SPAN("sent on to several addresses") };
	if (t->report != REPORT_NONE)
		spool_outcome(w, row, &o);
}

/* The MDA's answers, so that nothing is delivered twice. */
static void record_outcomes(const struct load *l, struct spool_writer *w, const size_t *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		record_report(l->v[rows[i]], l->now, w, i);
	for (size_t i = 0; l->mda && i < n; i++) {
		struct spool_outcome o;
		fill_outcome(l, rows[i], &o);
		if (load_answered(&l->mda[rows[i]]))
			spool_outcome(w, i, &o);
	}
}

/* first: one of the targets that have this sender. */
static void fill_envelope(const struct load *l, const struct relay_target *first, struct spool_envelope *env)
{
	const struct smtp_env *e = &l->x->env;
	bool other = first->owner.n && e->from.n;
	/* RFC 3461 5.2.7.1: what is sent on to a list is another message. */
	*env = (struct spool_envelope){ .held = l->s->change.hold,
		.from = other ? first->owner : e->from,
		.ret = first->list ? SPAN("") : e->ret,
		.envid = first->list ? SPAN("") : e->envid,
		.auth = first->list ? SPAN("") : e->auth,
		.utf8 = e->utf8,
		.eightbit = e->eightbit,
		.binary = e->binary,
		.next_hop = l->s->change.next_hop,
		.requiretls = e->requiretls,
		.tls_optional = !e->requiretls && l->facts.tls_optional,
		.has_priority = e->has_priority,
		.priority = e->priority,
		.hold_until = e->hold_until,
		.hold = e->hold ? span_str(e->hold) : SPAN(""),
		.by_time = e->by_time,
		.by_mode = e->by.mode,
		.by_trace = e->by.trace,
		.client = span_str(l->x->peer_ip),
		.helo = l->x->helo,
		.user = l->x->user };
}

/* Rows of the envelope: the targets of one sender, from l->v[first] on; *rows tells which. Marks are in `done`. */
static size_t pick_rows(const struct load *l, size_t first, bool *done, struct spool_rcpt *rcpt, size_t *rows)
{
	size_t n = 0;
	for (size_t i = first; i < l->n; i++) {
		const struct relay_target *t = l->v[i];
		if (done[i] || !span_eq(t->owner, l->v[first]->owner))
			continue;
		done[i] = true;
		rows[n] = i;
		rcpt[n++] = (struct spool_rcpt){ span_str(t->addr), t->notify, t->orcpt, t->original };
	}
	return n;
}

/* 1: the queue file failed, and commit tells why. */
static int write_content(struct content *c, struct spool_writer *w, struct err *err)
{
	struct span piece;
	int rc;
	while ((rc = content_read(c, &piece, err)) > 0)
		if (spool_write(w, piece) < 0)
			return 1;
	return rc;
}

void load_log_taken(const struct load *l, const char *id, struct span from, size_t rcpts, const char *how)
{
	struct event e = { .kind = EVENT_ACCEPT,
		.qid = id,
		.from = from,
		.rcpts = rcpts,
		.size = content_size(&l->s->rs->content),
		.mid = l->facts.mid,
		.how = how };
	talk_fill(l->x, &l->s->talk, &e);
	event(&e);
}

/* What the MDA said of these recipients, as of a message with this id. */
void load_log_outcomes(const struct load *l, const char *id, const size_t *rows, size_t n)
{
	for (size_t i = 0; l->mda && i < n; i++) {
		struct spool_outcome o;
		const struct relay_target *t = l->v[rows[i]];
		fill_outcome(l, rows[i], &o);
		struct event e = { .kind = EVENT_DELIVER,
			.qid = id,
			.client = l->x->peer_ip,
			.to = span_str(t->addr),
			.orig_to = t->original,
			.relay = o.relay,
			.status = spool_state_name(o.state),
			.code = o.code,
			.enh = o.enh,
			.text = o.text,
			.delay = spool_now() - l->asked,
			.tried = spool_now() - l->asked };
		event(&e);
	}
}

/* All of it, when it is on disk. */
static void log_queued(const struct load *l, const char *id, const struct spool_envelope *env, const size_t *rows)
{
	load_log_taken(l, id, env->from, env->n_rcpt, "queued");
	load_log_outcomes(l, id, rows, env->n_rcpt);
}

/* now: a full disk is to be met at once. */
static struct spool_writer *write_message(
    const struct load *l, const struct spool_envelope *env, bool now, struct err *err)
{
	struct relay_server *rs = l->s->rs;
	struct spool_writer *w = spool_begin(rs->spool, env, err);
	if (!w)
		return NULL;
	load_prefix(l, spool_writer_id(w));
	int rc = write_content(&rs->content, w, err);
	if (rc == 0 && !(now && spool_push(w) < 0))
		return w;
	if (rc < 0)
		spool_abort(w);
	else
		spool_commit(w, NULL, err);
	return NULL;
}

/* One queue file for each sender: a list's owner gets its errors. */
struct sheet {
	struct spool_envelope env;
	size_t *rows; /* in l->v, of the envelope's recipients */
};

/* All of them, none promised yet; *n counts those that are open. */
static int write_sheets(
    const struct load *l, struct sheet *sheets, struct spool_writer **writers, size_t *n, struct err *err)
{
	struct arena *a = l->x->env.arena;
	bool *done = arena_alloc(a, l->n);
	size_t *rows = arena_alloc(a, l->n * sizeof *rows);
	struct spool_rcpt *rcpt = arena_alloc(a, l->n * sizeof *rcpt);
	if (l->out)
		memcpy(done, l->out, l->n * sizeof *done);
	for (size_t first = 0; first < l->n; first++) {
		struct sheet *sheet = &sheets[*n];
		if (done[first])
			continue;
		fill_envelope(l, l->v[first], &sheet->env);
		/* With a part that is delivered already that one has the id. */
		sheet->env.id = *n || l->mda ? NULL : l->s->id;
		sheet->env.rcpt = rcpt;
		sheet->rows = rows;
		sheet->env.n_rcpt = pick_rows(l, first, done, rcpt, rows);
		rcpt += sheet->env.n_rcpt;
		rows += sheet->env.n_rcpt;
		struct spool_writer *w = write_message(l, &sheet->env, false, err);
		if (!w)
			return -1;
		record_outcomes(l, w, sheet->rows, sheet->env.n_rcpt);
		writers[(*n)++] = w;
	}
	return 0;
}

static int queue_message(const struct load *l, char *id, struct err *err)
{
	struct arena *a = l->x->env.arena;
	struct sheet *sheets = arena_alloc(a, l->n * sizeof *sheets);
	struct spool_writer **writers = arena_alloc(a, l->n * sizeof(struct spool_writer *));
	char(*ids)[SPOOL_ID_SIZE] = arena_alloc(a, l->n * sizeof *ids);
	size_t n = 0;
	if (!load_open_queue(l->s->rs, err))
		return -1;
	if (write_sheets(l, sheets, writers, &n, err) < 0) {
		while (n > 0)
			spool_abort(writers[--n]);
		return -1;
	}
	if (n > 0 && spool_commit_all(writers, n, ids, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		memcpy(id, ids[i], SPOOL_ID_SIZE);
		log_queued(l, id, &sheets[i].env, sheets[i].rows);
	}
	return 0;
}

void load_queue_failed(const struct err *err, struct smtp_answer *a)
{
	log_err("queue error=%s", log_quote(span_str(err->text)));
	if (err->sys == ENOSPC || err->sys == EDQUOT)
		smtp_answer(a, 452, "4.3.1", "There is not enough space for the message now");
	else
		smtp_answer(a, 451, "4.3.0", "The message could not be queued");
}

static void queued(const struct load *l, const char *id, const char *why, struct smtp_answer *a)
{
	trace_qid(id);
	trace_why("queue", "ok", "5321#4.2.5", "on disk for %zu recipient%s%s%s", l->n, l->n == 1 ? "" : "s",
	    *why ? ": " : "", why);
	smtp_answer(a, 250, "2.0.0", "Ok: queued as %s", id);
}

void load_into_queue(const struct load *l, const char *why, struct smtp_answer *a)
{
	char id[SPOOL_ID_SIZE] = "";
	struct err err = { 0 };
	if (queue_message(l, id, &err) < 0)
		load_queue_failed(&err, a);
	else
		queued(l, id, why, a);
}

/* With several recipients the MDA may take the message for some only, and then the rest must find room: the queue file
 * is begun before the MDA is asked, so that a full disk is met while nobody has the message and nothing comes twice. It
 * costs no sync unless it is needed. */
struct spool_writer *load_reserve(const struct load *l, struct err *err)
{
	struct arena *a = l->x->env.arena;
	struct spool_envelope env;
	if (!load_open_queue(l->s->rs, err))
		return NULL;
	fill_envelope(l, &(struct relay_target){ .owner = SPAN("") }, &env);
	env.id = l->s->id;
	env.rcpt = arena_alloc(a, l->n * sizeof *env.rcpt);
	env.n_rcpt = pick_rows(l, 0, arena_alloc(a, l->n), env.rcpt, arena_alloc(a, l->n * sizeof(size_t)));
	return write_message(l, &env, true, err);
}

/* The rest goes on from the file that was begun; the rows are l->v's. */
void load_queue_rest(const struct load *l, struct spool_writer *w, struct smtp_answer *a)
{
	char id[SPOOL_ID_SIZE] = "";
	struct err err = { 0 };
	size_t *rows = arena_alloc(l->x->env.arena, l->n * sizeof *rows);
	for (size_t i = 0; i < l->n; i++)
		rows[i] = i;
	record_outcomes(l, w, rows, l->n);
	struct spool_envelope env = { .from = l->x->env.from, .n_rcpt = l->n };
	if (spool_commit(w, id, &err) < 0) {
		load_queue_failed(&err, a);
		return;
	}
	log_queued(l, id, &env, rows);
	queued(l, id, "the MDA did not take it for all", a);
}
