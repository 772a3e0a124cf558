/* SPDX-License-Identifier: ISC
 *
 * RFC 7505 4.2: a domain that takes no mail, told at RCPT. Whatever else the DNS says, routes may know better.
 */
#include "mta-relay/hop/route.h"
#include "mta-relay/serve/serve_check.h"

static void null_mx_rcpt(
    struct relay_session *s, struct smtp_session *x, struct smtp_env_rcpt *r, struct smtp_answer *a)
{
	const struct relay_targets *t = r->op;
	struct mx_result mx;
	/* Where an alias leads is no affair of who writes to it. */
	if (!s->rs->o.address.refuse_null_mx || !t || t->n != 1 || t->v->local)
		return;
	struct span domain = route_domain(span_str(t->v->addr));
	if (!domain.n || domain.p[0] == '[')
		return;
	mx_lookup(s->rs->dns, x->env.arena, domain, MX_ANY, &mx);
	if (mx.kind == MX_NULL)
		smtp_answer(
		    a, 556, "5.1.10", "<%.*s>: the domain takes no mail", SPAN_FMT(span_slice(r->text, 0, 200)));
}

const struct serve_check null_mx_check = {
	.name = "null MX",
	.rcpt = null_mx_rcpt,
};
