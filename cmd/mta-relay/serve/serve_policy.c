/* SPDX-License-Identifier: ISC
 *
 * Who may send to whom: the check that finds where a recipient's mail goes.
 */
#include "base/limits.h"
#include "mta-relay/serve/serve_check.h"

static bool may_relay(const struct relay_session *s, const struct smtp_session *x)
{
	return s->trusted || x->user.n > 0;
}

static void policy_to(struct relay_session *s, struct smtp_session *x, struct smtp_env_rcpt *r, struct smtp_answer *a)
{
	struct relay_targets *t = arena_alloc(x->env.arena, sizeof *t);
	const struct relay_client who = { may_relay(s, x), x->env.from.n ? &x->env.from_addr : NULL };
	/* The same list a thousand times is a thousand times its members, until the message is there. */
	if (s->targets >= LIMIT_SMTP_TARGETS) {
		smtp_answer(a, 452, "4.5.3", "Too many recipients: those so far lead to %zu", s->targets);
		return;
	}
	policy_rcpt(&s->rs->policy, x->env.arena, &who, r, t, a);
	if (a->code)
		return;
	r->op = t;
	s->targets += t->n;
	/* It may have been written otherwise on the way here. */
	for (size_t i = 0; s->rs->tables.rewrites && i < t->n; i++)
		if (!t->v[i].original.n && t->v[i].report == REPORT_NONE && !span_ieqs(r->text, t->v[i].addr) &&
		    r->addr.domain.n)
			t->v[i].original = r->text;
}

static void policy_message(struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	(void)x;
	/* RFC 5321 6.3 */
	if (s->facts.received >= LIMIT_RECEIVED_HOPS)
		smtp_answer(a, 554, "5.4.6", "Too many hops: the message loops");
}

static void policy_reset(struct relay_session *s, struct smtp_session *x)
{
	(void)x;
	s->targets = 0;
}

const struct serve_check policy_check = {
	.name = "policy",
	.rcpt = policy_to,
	.message = policy_message,
	.reset = policy_reset,
};
