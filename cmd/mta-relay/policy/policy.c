/* SPDX-License-Identifier: ISC */
#include "mta-relay/policy/policy.h"

#include <time.h>

#include "base/limits.h"
#include "base/log.h"
#include "mta-relay/policy/policy_int.h"
#include "smtp/orcpt.h"

bool judge_domain(struct judge *j, const struct domains *d, struct span domain)
{
	struct err err = { 0 };
	int found = domains_find(d, domain, &err);
	if (found < 0 && j->trouble.class == ERR_NONE)
		j->trouble = err;
	return found > 0;
}

const char *judge_address(struct arena *a, struct span local, struct span domain)
{
	struct buf b;
	struct addr addr = { .local = local, .domain = domain };
	buf_init(&b, 2 * LIMIT_SMTP_PATH);
	addr_format(&addr, &b);
	const char *text = arena_str(a, buf_span(&b));
	buf_free(&b);
	return text;
}

enum alias_place judge_place(void *judge, struct span local, struct span domain)
{
	struct judge *j = judge;
	struct user user;
	struct err err = { 0 };
	if (!judge_domain(j, j->p->domains, domain))
		return ALIAS_REMOTE;
	if (!j->p->users)
		return ALIAS_LOCAL_UNKNOWN;
	const char *name = judge_address(j->arena, local, domain);
	enum users_result rc = users_lookup(j->p->users, j->arena, span_str(name), j->p->delimiters, &user, &err);
	return rc == USERS_UNKNOWN ? ALIAS_LOCAL_UNKNOWN : ALIAS_LOCAL_USER;
}

/* Old ways to say "send it on from there": user%far@here, far!user@here, "user@far"@here. */
static bool has_route(struct span local)
{
	return span_chr(local, '%') >= 0 || span_chr(local, '!') >= 0 || span_chr(local, '@') >= 0;
}

static void refuse(
    struct smtp_answer *answer, int code, const char *enh, const struct smtp_env_rcpt *r, const char *why)
{
	smtp_answer(answer, code, enh, "<%.*s>: %s", (int)(r->text.n > 200 ? 200 : r->text.n), r->text.p, why);
}

static void denied(struct smtp_answer *answer, const struct smtp_env_rcpt *r, const char *why)
{
	refuse(answer, 550, "5.7.1", r, why);
}

static void unknown(struct smtp_answer *answer, const struct smtp_env_rcpt *r)
{
	refuse(answer, 550, "5.1.1", r, "no such user here");
}

static void one_target(
    struct judge *j, const struct smtp_env_rcpt *r, const struct addr *to, bool local, struct relay_targets *out)
{
	out->v = arena_alloc(j->arena, sizeof *out->v);
	out->n = 1;
	*out->v = (struct relay_target){ .addr = judge_address(j->arena, to->local, to->domain),
		.local = local,
		.owner = SPAN(""),
		.notify = r->notify,
		.orcpt = r->orcpt,
		.original = SPAN("") };
}

/* The sender of mail that goes on from here to another domain, where it must be one of ours (srs.h); "": as it is. */
static struct span new_sender(struct judge *j)
{
	const struct srs *srs = j->p->tables ? j->p->tables->srs : NULL;
	struct buf local;
	struct span sender = SPAN("");
	if (!srs || !j->who->sender || !j->who->sender->domain.n ||
	    judge_domain(j, j->p->domains, j->who->sender->domain) || span_ieq(j->who->sender->domain, srs_domain(srs)))
		return sender;
	buf_init(&local, LIMIT_SMTP_PATH);
	if (srs_forward(srs, j->who->sender->local, j->who->sender->domain, time(NULL), &local))
		sender = span_str(judge_address(j->arena, buf_span(&local), srs_domain(srs)));
	buf_free(&local);
	return sender;
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

static void one_of_them(
    struct judge *j, const struct smtp_env_rcpt *r, const struct alias_dest *d, struct relay_target *t)
{
	bool local = judge_domain(j, j->p->domains, d->domain);
	bool same = span_ieq(d->local, r->addr.local) && span_ieq(d->domain, r->addr.domain);
	*t = (struct relay_target){ .addr = judge_address(j->arena, d->local, d->domain),
		.local = local,
		.list = d->owner.n > 0,
		.owner = d->owner.n || local || same ? d->owner : new_sender(j),
		.notify = SPAN(""),
		.orcpt = SPAN(""),
		.original = r->text };
}

/* RFC 3461 5.2.7: a list, an alias with one address, an alias with several. */
static void fill(struct judge *j, const struct smtp_env_rcpt *r, const struct alias_list *f, struct relay_targets *out)
{
	size_t members = 0;
	out->v = arena_alloc(j->arena, (f->n + 1) * sizeof *out->v);
	for (size_t i = 0; i < f->n; i++) {
		struct relay_target *t = &out->v[i];
		one_of_them(j, r, &f->v[i], t);
		members += t->list;
		if (t->list)
			as_member(j, t);
		else
			as_forwarded(j, r, f->n == 1, t);
	}
	out->n = f->n;
	if (!asks_success(r->notify) || (f->n == 1 && !members))
		return;
	out->v[out->n++] = (struct relay_target){ .report = members == f->n ? REPORT_DELIVERED : REPORT_EXPANDED,
		.addr = arena_str(j->arena, r->text),
		.local = true,
		.owner = SPAN(""),
		.notify = r->notify,
		.orcpt = r->orcpt,
		.original = SPAN("") };
}

/* It leads to nobody but users who don't exist: told now, not in a report to a sender who may be forged. */
static bool nobody_there(struct judge *j, const struct alias_list *f)
{
	for (size_t i = 0; i < f->n; i++)
		if (!j->p->users || f->v[i].kind != ALIAS_TO_ADDRESS ||
		    judge_place(j, f->v[i].local, f->v[i].domain) != ALIAS_LOCAL_UNKNOWN)
			return false;
	return true;
}

/* How a domain comes to be taken. */
enum standing {
	FOREIGN,
	OURS,
	VIRTUAL, /* every address of it is in the virtual table */
	PASSED_ON
};

static enum standing standing_of(struct judge *j, struct span domain)
{
	if (judge_domain(j, j->p->domains, domain))
		return OURS;
	if (judge_domain(j, j->p->relay_to, domain))
		return PASSED_ON;
	if (j->p->tables && judge_row_of_domain(j, j->p->tables->virtual, domain))
		return VIRTUAL;
	return FOREIGN;
}

/* Has the domain that we relay to such a user? Who does not ask takes what bounces later. */
static bool relay_recipient(struct judge *j, const struct smtp_env_rcpt *r, struct smtp_answer *answer)
{
	struct table *t = j->p->tables ? j->p->tables->relay_recipients : NULL;
	struct span value = SPAN("");
	if (!t)
		return true;
	if (judge_row(j, t, r->addr.local, r->addr.domain, &value) == ROW_NONE)
		refuse(answer, 550, "5.1.1", r, "no such user in that domain");
	else
		judge_error(value, answer);
	return !answer->code;
}

/* RFC 5321 4.5.1: every domain of ours has a postmaster. True when --postmaster says who. */
static bool to_postmaster(
    struct judge *j, const struct smtp_env_rcpt *r, struct relay_targets *out, struct smtp_answer *answer)
{
	if (!j->p->tables || !j->p->tables->postmaster.local.n || !span_ieqs(r->addr.local, "postmaster"))
		return false;
	const struct addr *to = &j->p->tables->postmaster;
	struct alias_dest d = { .kind = ALIAS_TO_ADDRESS,
		.local = to->local,
		.domain = to->domain.n ? to->domain : domains_first(j->p->domains),
		.owner = SPAN("") };
	struct alias_list found;
	if (!judge_expand(j, d.local, d.domain, &found, answer))
		found = (struct alias_list){ .v = &d, .n = 1 };
	if (!answer->code && nobody_there(j, &found))
		return false;
	if (!answer->code)
		fill(j, r, &found, out);
	return true;
}

static void not_expanded(struct judge *j, const struct smtp_env_rcpt *r, const struct addr *to, enum standing standing,
    struct relay_targets *out, struct smtp_answer *answer)
{
	bool no_user = standing == OURS && j->p->users && judge_place(j, to->local, to->domain) == ALIAS_LOCAL_UNKNOWN;
	if (no_user || standing == VIRTUAL) {
		if (!to_postmaster(j, r, out, answer))
			unknown(answer, r);
	} else if (standing != PASSED_ON || relay_recipient(j, r, answer))
		one_target(j, r, to, standing == OURS, out);
}

/* An error report on its way back to the sender of mail that was sent on from here. */
static void rewritten_sender(
    struct judge *j, const struct smtp_env_rcpt *r, struct relay_targets *out, struct smtp_answer *answer)
{
	struct buf text;
	struct err err = { 0 };
	struct addr to;
	buf_init(&text, LIMIT_SMTP_PATH);
	if (srs_reverse(j->p->tables->srs, r->addr.local, time(NULL), &text, &err) < 0)
		refuse(answer, err.code, err.enh, r, err.text);
	else if (!addr_parse_mailbox(arena_span(j->arena, buf_span(&text)), true, false, &to, j->arena))
		denied(answer, r, "not an address that was made here");
	else if (has_route(to.local))
		denied(answer, r, "relaying denied: the local part is a route");
	else {
		one_target(j, r, &to, judge_domain(j, j->p->domains, to.domain), out);
		out->v->original = r->text;
	}
	buf_free(&text);
}

static bool is_rewritten(const struct relay_policy *p, const struct addr *a)
{
	return p->tables && p->tables->srs && srs_is(a->local) && span_ieq(a->domain, srs_domain(p->tables->srs));
}

static void judge_rcpt(
    struct judge *j, const struct smtp_env_rcpt *r, struct relay_targets *out, struct smtp_answer *answer)
{
	const struct relay_policy *p = j->p;
	/* RFC 5321 4.5.1: Postmaster without domain is ours. */
	const struct addr to = { .local = r->addr.local,
		.domain = r->addr.domain.n ? r->addr.domain : domains_first(p->domains) };
	enum standing standing = standing_of(j, to.domain);
	bool user_known = standing == OURS && p->users && judge_place(j, to.local, to.domain) == ALIAS_LOCAL_USER;
	struct alias_list found;
	if (is_rewritten(p, &to))
		rewritten_sender(j, r, out, answer);
	else if (!r->addr.domain.n && standing == FOREIGN)
		unknown(answer, r);
	else if (standing == FOREIGN && !j->who->may_relay)
		denied(answer, r, "relaying denied");
	else if (standing == FOREIGN && span_chr(to.domain, '_') >= 0)
		refuse(answer, 550, "5.1.2", r, "no mail can go to such a domain");
	else if (!j->who->may_relay && has_route(to.local) && !user_known)
		denied(answer, r, "relaying denied: the local part is a route");
	else if (standing != FOREIGN && aliases_is_action(to.local))
		unknown(answer, r); /* what aliases lead to is reached through them */
	else if (!judge_expand(j, to.local, to.domain, &found, answer))
		not_expanded(j, r, &to, standing, out, answer);
	else if (!answer->code && nobody_there(j, &found))
		unknown(answer, r);
	else if (!answer->code)
		fill(j, r, &found, out);
}

/* A worker that is confined can't read what takes the place of its files, until the next one takes its own. */
static bool out_of_reach(const struct relay_policy *p)
{
	return (p->users && users_out_of_reach(p->users)) || (p->aliases && aliases_out_of_reach(p->aliases)) ||
	       domains_out_of_reach(p->domains) || domains_out_of_reach(p->relay_to) ||
	       (p->tables && address_tables_out_of_reach(p->tables));
}

/* What was replaced may say yes where the old one says no. */
static void doubt(struct judge *j)
{
	if (j->trouble.class == ERR_NONE && out_of_reach(j->p))
		err_set(&j->trouble, ERR_TEMP, "replaced by a file that this worker can't read: the next one will");
}

void policy_rcpt(const struct relay_policy *p, struct arena *a, const struct relay_client *who,
    const struct smtp_env_rcpt *r, struct relay_targets *out, struct smtp_answer *answer)
{
	struct judge j = { .p = p, .arena = a, .who = who };
	judge_rcpt(&j, r, out, answer);
	if (answer->code >= 500)
		doubt(&j);
	if (j.trouble.class == ERR_NONE)
		return;
	log_err("table rcpt=%s error=%s", log_quote(r->text), log_quote(span_str(j.trouble.text)));
	*answer = (struct smtp_answer){ 0 };
	refuse(answer, 451, j.trouble.class == ERR_CONFIG ? "4.3.5" : "4.3.0", r, "cannot be looked up now");
}

const char *policy_standing(const struct relay_policy *p, struct arena *a, const struct smtp_env_rcpt *r)
{
	static const char *const words[] = { [FOREIGN] = "its domain is foreign",
		[OURS] = "its domain is ours",
		[VIRTUAL] = "its domain is in --virtual",
		[PASSED_ON] = "we relay to its domain" };
	struct judge j = { .p = p, .arena = a };
	struct span domain = r->addr.domain.n ? r->addr.domain : domains_first(p->domains);
	return is_rewritten(p, &r->addr) ? "it is a sender that was rewritten here (SRS)"
					 : words[standing_of(&j, domain)];
}

static bool is_row_of(struct judge *j, struct span user, struct span local, struct span domain)
{
	struct user row;
	struct err err = { 0 };
	struct span name = span_str(judge_address(j->arena, local, domain));
	return users_lookup(j->p->users, j->arena, name, j->p->delimiters, &row, &err) == USERS_OK &&
	       span_ieq(row.name, user);
}

/* Login names, separated by commas or blanks. */
static bool names_user(struct span list, struct span user)
{
	while (list.n) {
		struct span part = span_cut(&list, ',');
		for (struct span name; (name = span_word(&part)).n;)
			if (span_ieq(name, user))
				return true;
	}
	return false;
}

static bool owns(struct judge *j, struct span user, const struct addr *sender)
{
	const struct relay_policy *p = j->p;
	struct alias_list l;
	struct smtp_answer answer = { 0 };
	struct span owners;
	if (p->tables && judge_row(j, p->tables->sender_owners, sender->local, sender->domain, &owners) != ROW_NONE)
		return names_user(owners, user);
	if (!p->users || !judge_domain(j, p->domains, sender->domain))
		return false;
	if (is_row_of(j, user, sender->local, sender->domain))
		return true;
	if (!judge_expand(j, sender->local, sender->domain, &l, &answer) || answer.code)
		return false;
	for (size_t i = 0; i < l.n; i++)
		if (is_row_of(j, user, l.v[i].local, l.v[i].domain))
			return true;
	return false;
}

enum policy_owner policy_owns(
    const struct relay_policy *p, struct arena *a, struct span user, const struct addr *sender)
{
	struct judge j = { .p = p, .arena = a };
	bool yes = owns(&j, user, sender);
	if (!yes)
		doubt(&j);
	if (j.trouble.class == ERR_NONE)
		return yes ? OWNER_YES : OWNER_NO;
	log_err("table sender=%s error=%s", log_quote(span_str(judge_address(a, sender->local, sender->domain))),
	    log_quote(span_str(j.trouble.text)));
	return OWNER_UNKNOWN;
}
