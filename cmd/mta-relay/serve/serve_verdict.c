/* SPDX-License-Identifier: ISC
 *
 * The MDA is asked, and what it says of each recipient becomes the client's answer: docs/ARCHITECTURE.md has the table.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "io/trace.h"
#include "mta-relay/serve/serve_load.h"
#include "mta-relay/spool/spool_dir.h"
#include "smtp/reply.h"

static int ask_mda(struct load *l, struct err *err)
{
	struct relay_server *rs = l->s->rs;
	const struct smtp_env *env = &l->x->env;
	l->mda = arena_alloc(env->arena, l->n * sizeof *l->mda);
	for (size_t i = 0; i < l->n; i++)
		l->mda[i].address = l->v[i]->addr;
	struct smtp_message m = { .from = arena_str(env->arena, env->from),
		.rcpt = l->mda,
		.n_rcpt = l->n,
		.utf8 = env->utf8,
		.eightbit = env->eightbit,
		.binary = env->binary,
		.size = content_size(&rs->content),
		.exact = true, /* as the decoder gave it, and the prefix is ours */
		.read = content_read,
		.arg = &rs->content };
	return mda_send(rs->mda, &m, content_rewind, err);
}

/* What the MDA said about some of l->v. */
struct tally {
	size_t n, ok, temp, perm, silent; /* silent: never answered */
	size_t first_temp, first_perm;    /* rows */
};

static void count(const struct load *l, size_t i, struct tally *t)
{
	const struct err *r = &l->mda[i].result;
	t->n++;
	if (r->class == ERR_NONE) {
		t->ok++;
	} else if (!load_answered(&l->mda[i])) {
		t->silent++;
	} else if (r->code >= 500) {
		if (!t->perm++)
			t->first_perm = i;
	} else if (!t->temp++) {
		t->first_temp = i;
	}
}

static size_t row_of(const struct load *l, const struct relay_target *t)
{
	struct relay_target **at = bsearch(&t, l->v, l->n, sizeof *l->v, load_compare);
	return (size_t)(at - l->v);
}

/* What became of the addresses that a RCPT led to, added to *t: in the client's order, so that the first is his. */
static void tally_rcpt(const struct load *l, size_t rcpt, struct tally *t)
{
	const struct relay_targets *to = targets_of(&l->x->env.rcpt[rcpt]);
	for (size_t k = 0; k < to->n; k++)
		count(l, row_of(l, &to->v[k]), t);
}

/* The MDA's own words: the first temporary refusal's while there is one, for then it may be tried again. Nobody has the
 * message and nobody may have it, so that the client may keep it for all. */
static void pass_refusal(const struct load *l, const struct tally *t, struct smtp_answer *a)
{
	size_t i = t->temp ? t->first_temp : t->first_perm;
	const struct err *r = &l->mda[i].result;
	const struct relay_target *to = l->v[i];
	struct span words = load_words(span_str(r->text), r->enh);
	char text[sizeof a->text];
	if (t->n > 1)
		smtp_about(to->original.n ? to->original : span_str(to->addr), words, text, sizeof text);
	else
		snprintf(text, sizeof text, "%.*s", SPAN_FMT(words));
	smtp_answer(a, r->code, r->enh[0] ? r->enh : r->code >= 500 ? "5.0.0" : "4.0.0", "%s", text);
}

static bool refused_by_all(const struct tally *t)
{
	return t->temp + t->perm == t->n;
}

/* The whole life of a message, or of a part of it, that never sees the queue: those whose addresses the MDA took. */
static void log_delivered(const struct load *l, const char *id)
{
	struct event gone = { .kind = EVENT_REMOVE, .qid = id, .client = l->x->peer_ip };
	size_t *rows = arena_alloc(l->x->env.arena, l->n * sizeof *rows), n = 0;
	for (size_t i = 0; i < l->n; i++)
		if (l->mda[i].result.class == ERR_NONE && (!l->out || l->out[i]))
			rows[n++] = i;
	log_hold();
	load_log_taken(l, id, l->x->env.from, n, "delivered");
	load_log_outcomes(l, id, rows, n);
	event(&gone);
	log_release();
}

/* One answer for all recipients. */
static void answer_all(const struct load *l, const char *id, struct spool_writer *room, struct smtp_answer *a)
{
	struct tally t = { 0 };
	for (size_t i = 0; i < l->x->env.n_rcpt; i++)
		tally_rcpt(l, i, &t);
	for (size_t i = 0; i < l->s->change.n_extra; i++)
		count(l, row_of(l, &l->s->change.extra[i]), &t);
	if (t.ok != t.n && !refused_by_all(&t)) {
		/* Some are done and some are not, or nobody is there: who is left is tried again, or told, by the
		 * queue. */
		if (room)
			load_queue_rest(l, room, a);
		else
			load_into_queue(l, "the MDA did not answer", a);
		return;
	}
	spool_abort(room);
	if (t.ok == t.n) {
		log_delivered(l, id);
		smtp_answer(a, 250, "2.0.0", "Ok: delivered as %s", id);
	} else {
		pass_refusal(l, &t, a);
	}
}

/* PRDR: an answer for each RCPT, by what became of the addresses that it led to. */

/* Is a RCPT's verdict neither yes nor no? What its addresses lack is the queue's, and theirs only. */
static bool mark_for_queue(const struct load *l, size_t rcpt)
{
	const struct relay_targets *to = targets_of(&l->x->env.rcpt[rcpt]);
	struct tally t = { 0 };
	tally_rcpt(l, rcpt, &t);
	if (t.ok == t.n || refused_by_all(&t))
		return false;
	for (size_t k = 0; k < to->n; k++) {
		size_t row = row_of(l, &to->v[k]);
		if (l->mda[row].result.class != ERR_NONE)
			l->out[row] = false;
	}
	return true;
}

static void answer_each(struct load *l, const char *id, struct smtp_answer *answers, size_t n)
{
	struct smtp_answer rest = { 0 };
	bool any = false;
	l->out = arena_alloc(l->x->env.arena, l->n * sizeof *l->out);
	memset(l->out, true, l->n * sizeof *l->out);
	for (size_t i = 0; i < n; i++)
		any |= mark_for_queue(l, i);
	if (any)
		load_into_queue(l, "the MDA did not take it for all", &rest);
	size_t taken = 0;
	for (size_t i = 0; i < n; i++) {
		struct tally t = { 0 };
		tally_rcpt(l, i, &t);
		taken += t.ok == t.n;
		if (t.ok == t.n)
			continue;
		if (refused_by_all(&t))
			pass_refusal(l, &t, &answers[i]);
		else
			answers[i] = rest;
	}
	if (taken)
		log_delivered(l, id);
	if (taken == n)
		smtp_answer(&answers[n], 250, "2.0.0", "Ok: delivered as %s", id);
}

void load_to_mda(struct load *l, struct smtp_answer *answers, size_t n)
{
	struct err err = { 0 };
	const char *id = l->s->id;
	/* Nobody answers a RCPT for who was added. */
	bool each = l->x->env.prdr && !l->s->change.n_extra;
	struct spool_writer *room = NULL;
	if (l->n > 1 && !each && !(room = load_reserve(l, &err))) {
		load_queue_failed(&err, &answers[0]);
		return;
	}
	trace_qid(id);
	load_prefix(l, id);
	l->asked = spool_now();
	if (ask_mda(l, &err) < 0)
		log_warn("mda error=%s", log_quote(span_str(err.text)));
	answers[0].whole = !each;
	if (each)
		answer_each(l, id, answers, n);
	else
		answer_all(l, id, room, &answers[0]);
}
