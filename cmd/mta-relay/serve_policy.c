/* SPDX-License-Identifier: ISC
 *
 * Who may send what, and to whom: the check that finds where a recipient's mail goes.
 */
#include "base/limits.h"
#include "mta-relay/serve_check.h"

static bool may_relay(const struct relay_session *s, const struct smtp_session *x)
{
	return s->trusted || x->user.n > 0;
}

/* May the authenticated user call himself so? True where nobody asks. */
static bool sender_allowed(const struct relay_session *s, const struct smtp_session *x, const struct addr *sender)
{
	return !s->rs->o.own_sender || !x->user.n || policy_owns(&s->rs->policy, x->env.arena, x->user, sender);
}

static void policy_mail(struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	/* The null sender is nobody's: reports need it. */
	if (x->env.from.n && !sender_allowed(s, x, &x->env.from_addr))
		smtp_answer(a, 550, "5.7.1", "This address is not yours");
}

static void policy_to(struct relay_session *s, struct smtp_session *x, struct smtp_env_rcpt *r, struct smtp_answer *a)
{
	struct relay_targets *t = arena_alloc(x->env.arena, sizeof *t);
	const struct relay_client who = { may_relay(s, x), x->env.from.n ? &x->env.from_addr : NULL };
	policy_rcpt(&s->rs->policy, x->env.arena, &who, r, t, a);
	if (!a->code)
		r->op = t;
}

static bool loops(const struct relay_session *s, struct smtp_answer *a)
{
	if (s->facts.received < LIMIT_RECEIVED_HOPS)
		return false;
	/* RFC 5321 6.3 */
	smtp_answer(a, 554, "5.4.6", "Too many hops: the message loops");
	return true;
}

/* RFC 6409 6.1: the From field names who is logged in, too: one field, each of its addresses. */
static void from_is_own(const struct relay_session *s, const struct smtp_session *x, struct smtp_answer *a)
{
	struct addr_list list;
	bool asked = s->rs->o.own_sender && x->user.n && s->facts.froms;
	if (!asked)
		return;
	addr_parse_list(x->env.arena, s->facts.from_value, &list);
	bool good = s->facts.froms == 1 && list.n && !list.skipped;
	for (size_t i = 0; i < list.n && good; i++)
		good = sender_allowed(s, x, &list.v[i]);
	if (!good)
		smtp_answer(a, 550, "5.7.1", "The address in From is not yours");
}

static void policy_message(struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	if (!loops(s, a))
		from_is_own(s, x, a);
}

const struct serve_check policy_check = {
	.name = "policy",
	.mail = policy_mail,
	.rcpt = policy_to,
	.message = policy_message,
};
