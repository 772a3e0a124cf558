/* SPDX-License-Identifier: ISC
 *
 * The end of a message. Deliver before you promise: when every recipient is local the MDA has the message before the
 * client gets its reply; only what must travel on, or what the MDA cannot take now, is queued. docs/ARCHITECTURE.md has
 * the table of verdicts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "msg/addr.h"
#include "mta-relay/serve/received.h"
#include "mta-relay/serve/serve_load.h"

static bool wants_success_report(const struct smtp_env_rcpt *r)
{
	return span_ifind(r->notify, SPAN("SUCCESS")) >= 0;
}

static bool any_travels(const struct relay_target *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!v[i].local || v[i].owner.n)
			return true;
	return false;
}

/* Must it go through the queue? A report of success is the queue's work too. */
static bool must_queue(const struct relay_session *s, const struct smtp_session *x)
{
	if (!s->rs->mda || s->change.hold || s->change.next_hop.n || x->env.hold_until)
		return true;
	for (size_t i = 0; i < x->env.n_rcpt; i++) {
		const struct relay_targets *t = targets_of(&x->env.rcpt[i]);
		if (wants_success_report(&x->env.rcpt[i]))
			return true;
		if (any_travels(t->v, t->n))
			return true;
	}
	return any_travels(s->change.extra, s->change.n_extra);
}

/* What is on hold stays here, and what has a next hop of its own goes there; the filter has all else. */
static bool by_proxy(const struct relay_session *s)
{
	return s->rs->hooks.proxy && !s->change.hold && !s->change.next_hop.n;
}

bool load_open_queue(struct relay_server *rs, struct err *err)
{
	if (!rs->spool)
		rs->spool = spool_open(rs->o.queue, err);
	return rs->spool != NULL;
}

void deliver_prepare(struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	struct err err = { 0 };
	if (by_proxy(s) || !must_queue(s, x) || load_open_queue(s->rs, &err))
		return;
	log_err("queue error=%s", log_quote(span_str(err.text)));
	smtp_answer(a, 451, "4.3.0", "The queue is not usable now");
}

int load_compare(const void *a, const void *b)
{
	const struct relay_target *x = *(struct relay_target *const *)a, *y = *(struct relay_target *const *)b;
	int order = (int)x->local - (int)y->local;
	/* Of ours upper and lower case are one mailbox; of others only in the domain (RFC 5321 2.4). */
	if (!order)
		order = x->local ? strcasecmp(x->addr, y->addr) : addr_order(span_str(x->addr), span_str(y->addr));
	if (!order)
		order = (int)x->report - (int)y->report;
	return order ? order : span_cmp(x->owner, y->owner);
}

/* All targets, sorted by address, without repetitions. */
static void collect(struct load *l)
{
	const struct smtp_env *env = &l->x->env;
	const struct serve_change *c = &l->s->change;
	size_t total = c->n_extra, kept = 0;
	for (size_t i = 0; i < env->n_rcpt; i++)
		total += targets_of(&env->rcpt[i])->n;
	l->v = arena_alloc(env->arena, total * sizeof(struct relay_target *));
	for (size_t i = 0; i < env->n_rcpt; i++)
		for (size_t k = 0; k < targets_of(&env->rcpt[i])->n; k++)
			l->v[l->n++] = &targets_of(&env->rcpt[i])->v[k];
	for (size_t i = 0; i < c->n_extra; i++)
		l->v[l->n++] = &c->extra[i];
	if (l->n < 2)
		return;
	qsort(l->v, l->n, sizeof *l->v, load_compare);
	for (size_t i = 0; i < l->n; i++)
		if (!i || load_compare(&l->v[i], &l->v[i - 1]) != 0)
			l->v[kept++] = l->v[i];
	l->n = kept;
}

/* What is put before the content when it goes on as `id`. */
void load_prefix(const struct load *l, const char *id)
{
	struct relay_server *rs = l->s->rs;
	buf_reset(&rs->content.prefix);
	bool hidden = rs->o.hide_client && l->x->user.n;
	buf_addspan(&rs->content.prefix, buf_span(&rs->content.above));
	received_field(l->x, rs->hostname, id, l->now, hidden, &rs->content.prefix);
	if (l->facts.headless)
		buf_adds(&rs->content.prefix, "\r\n");
	content_rewind(&rs->content);
}

static void dropped(struct relay_session *s, const struct smtp_session *x, struct smtp_answer *a)
{
	if (!s->change.discard)
		change_discard(s, x, "hooks", SPAN("no recipient was left"));
	smtp_answer(a, 250, "2.0.0", "Ok: taken as %s", s->id);
}

void deliver_message(struct relay_session *s, struct smtp_session *x, struct smtp_answer *answers, size_t n)
{
	struct load l = { .s = s, .x = x, .now = time(NULL), .facts = s->facts };
	/* Those who deleted all recipients, too, want it dropped. */
	if (s->change.discard || change_nobody_left(s, x)) {
		dropped(s, x, &answers[0]);
		return;
	}
	collect(&l);
	if (by_proxy(s)) {
		proxy_deliver(&l, &answers[0]);
	} else if (must_queue(s, x)) {
		load_into_queue(&l, "", &answers[0]);
	} else if (!mda_worth_a_try(s->rs->mda)) {
		load_into_queue(&l, "the MDA failed a moment ago", &answers[0]);
	} else {
		answers[0].whole = false;
		load_to_mda(&l, answers, n);
	}
}
