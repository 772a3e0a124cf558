/* SPDX-License-Identifier: ISC */
#include "mta-relay/policy.h"

#include "base/limits.h"
#include "smtp/orcpt.h"

struct judge {
	const struct relay_policy *p;
	struct arena *arena;
};

/* local@domain as it stands in an address, quoted where needed. */
static const char *address(struct arena *a, struct span local, struct span domain)
{
	struct buf b;
	struct addr addr = { .local = local, .domain = domain };
	buf_init(&b, 2 * LIMIT_SMTP_PATH);
	addr_format(&addr, &b);
	const char *text = arena_str(a, buf_span(&b));
	buf_free(&b);
	return text;
}

static enum alias_place place(void *arg, struct span local, struct span domain)
{
	struct judge *j = arg;
	struct user user;
	struct err err = { 0 };
	if (!domains_match(j->p->domains, domain))
		return ALIAS_REMOTE;
	if (!j->p->users)
		return ALIAS_LOCAL_UNKNOWN;
	const char *name = address(j->arena, local, domain);
	enum users_result rc = users_lookup(j->p->users, j->arena, span_str(name), j->p->delimiters, &user, &err);
	return rc == USERS_UNKNOWN ? ALIAS_LOCAL_UNKNOWN : ALIAS_LOCAL_USER;
}

/* Old ways to say "send it on from there": user%far@here, far!user@here, "user@far"@here. */
static bool has_route(struct span local)
{
	return span_chr(local, '%') >= 0 || span_chr(local, '!') >= 0 || span_chr(local, '@') >= 0;
}

static void denied(struct smtp_answer *answer, const struct smtp_env_rcpt *r, const char *why)
{
	smtp_answer(answer, 550, "5.7.1", "<%.*s>: %s", (int)(r->text.n > 200 ? 200 : r->text.n), r->text.p, why);
}

static void unknown(struct smtp_answer *answer, const struct smtp_env_rcpt *r)
{
	smtp_answer(
	    answer, 550, "5.1.1", "<%.*s>: no such user here", (int)(r->text.n > 200 ? 200 : r->text.n), r->text.p);
}

static void one_target(
    struct judge *j, const struct smtp_env_rcpt *r, struct span domain, bool local, struct relay_targets *out)
{
	out->v = arena_alloc(j->arena, sizeof *out->v);
	out->n = 1;
	*out->v = (struct relay_target){ .addr = address(j->arena, r->addr.local, domain),
		.local = local,
		.owner = SPAN(""),
		.notify = r->notify,
		.orcpt = r->orcpt,
		.original = SPAN("") };
}

/* RFC 3461 4.1: NOTIFY without SUCCESS, which is answered for already. */
static struct span without_success(struct arena *a, struct span notify)
{
	struct buf b;
	buf_init(&b, LIMIT_SMTP_PATH);
	while (notify.n) {
		struct span word = span_cut(&notify, ',');
		if (!span_ieqs(word, "SUCCESS"))
			buf_addf(&b, "%s%.*s", b.len ? "," : "", SPAN_FMT(word));
	}
	struct span rest = b.len ? arena_span(a, buf_span(&b)) : SPAN("NEVER");
	buf_free(&b);
	return rest;
}

static bool asks_success(struct span notify)
{
	return span_ifind(notify, SPAN("SUCCESS")) >= 0;
}

/* RFC 3461 5.2.7.1: a list's members know nothing of the wishes of who wrote to it. ORCPT is their own. */
static void as_member(struct judge *j, struct relay_target *t)
{
	struct buf b;
	buf_init(&b, 8 * LIMIT_SMTP_PATH);
	if (orcpt_from_address(span_str(t->addr), &b))
		t->orcpt = arena_span(j->arena, buf_span(&b));
	buf_free(&b);
}

static void as_forwarded(struct judge *j, const struct smtp_env_rcpt *r, bool alone, struct relay_target *t)
{
	t->orcpt = r->orcpt;
	t->notify = alone || !asks_success(r->notify) ? r->notify : without_success(j->arena, r->notify);
}

/* RFC 3461 5.2.7: a list, an alias with one address, an alias with several. */
static void fill(struct judge *j, const struct smtp_env_rcpt *r, const struct alias_list *l, struct relay_targets *out)
{
	size_t members = 0;
	out->v = arena_alloc(j->arena, (l->n + 1) * sizeof *out->v);
	for (size_t i = 0; i < l->n; i++) {
		struct relay_target *t = &out->v[i];
		*t = (struct relay_target){ .addr = address(j->arena, l->v[i].local, l->v[i].domain),
			.local = domains_match(j->p->domains, l->v[i].domain),
			.owner = l->v[i].owner,
			.notify = SPAN(""),
			.orcpt = SPAN(""),
			.original = r->text };
		members += t->owner.n > 0;
		if (t->owner.n)
			as_member(j, t);
		else
			as_forwarded(j, r, l->n == 1, t);
	}
	out->n = l->n;
	if (!asks_success(r->notify) || (l->n == 1 && !members))
		return;
	out->v[out->n++] = (struct relay_target){ .report = members == l->n ? REPORT_DELIVERED : REPORT_EXPANDED,
		.addr = arena_str(j->arena, r->text),
		.local = true,
		.owner = SPAN(""),
		.notify = r->notify,
		.orcpt = r->orcpt,
		.original = SPAN("") };
}

static void local_rcpt(struct judge *j, const struct smtp_env_rcpt *r, struct span domain, struct relay_targets *out,
    struct smtp_answer *answer)
{
	struct alias_context c = { j->p->delimiters, place, j };
	struct alias_list l;
	struct err err = { 0 };
	switch (aliases_expand(j->p->aliases, j->arena, &c, r->addr.local, domain, &l, &err)) {
	case ALIASES_ERROR:
		smtp_answer(answer, err.code, err.enh, "%s", err.text);
		break;
	case ALIASES_FOUND:
		fill(j, r, &l, out);
		break;
	case ALIASES_NONE:
		if (j->p->users && place(j, r->addr.local, domain) == ALIAS_LOCAL_UNKNOWN)
			unknown(answer, r);
		else
			one_target(j, r, domain, true, out);
		break;
	}
}

void policy_rcpt(const struct relay_policy *p, struct arena *a, bool may_relay, const struct smtp_env_rcpt *r,
    struct relay_targets *out, struct smtp_answer *answer)
{
	struct judge j = { p, a };
	/* RFC 5321 4.5.1: Postmaster without domain is ours. */
	struct span domain = r->addr.domain.n ? r->addr.domain : domains_first(p->domains);
	bool ours = domains_match(p->domains, domain), passed_on = !ours && domains_match(p->relay_to, domain);
	bool user_known = ours && p->users && place(&j, r->addr.local, domain) == ALIAS_LOCAL_USER;
	if (!r->addr.domain.n && !ours)
		unknown(answer, r);
	else if (!ours && !passed_on && !may_relay)
		denied(answer, r, "relaying denied");
	else if (!may_relay && has_route(r->addr.local) && !user_known)
		denied(answer, r, "relaying denied: the local part is a route");
	else if (ours)
		local_rcpt(&j, r, domain, out, answer);
	else
		one_target(&j, r, domain, false, out);
}

static bool is_row_of(struct judge *j, struct span user, struct span local, struct span domain)
{
	struct user row;
	struct err err = { 0 };
	struct span name = span_str(address(j->arena, local, domain));
	return users_lookup(j->p->users, j->arena, name, j->p->delimiters, &row, &err) == USERS_OK &&
	       span_ieq(row.name, user);
}

bool policy_owns(const struct relay_policy *p, struct arena *a, struct span user, const struct addr *sender)
{
	struct judge j = { p, a };
	struct alias_context c = { p->delimiters, place, &j };
	struct alias_list l;
	struct err err = { 0 };
	if (!p->users || !domains_match(p->domains, sender->domain))
		return false;
	if (is_row_of(&j, user, sender->local, sender->domain))
		return true;
	if (aliases_expand(p->aliases, a, &c, sender->local, sender->domain, &l, &err) != ALIASES_FOUND)
		return false;
	for (size_t i = 0; i < l.n; i++)
		if (is_row_of(&j, user, l.v[i].local, l.v[i].domain))
			return true;
	return false;
}
