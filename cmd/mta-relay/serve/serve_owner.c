/* SPDX-License-Identifier: ISC
 *
 * --own-sender: an authenticated user speaks as himself, in the envelope and in every field of the header that names
 * who speaks (RFC 6409 6.1). Who is refused otherwise is made to speak as himself with --rewrite-sender.
 */
#include <stdio.h>

#include "base/limits.h"
#include "io/trace.h"
#include "mta-relay/content/content_edit.h"
#include "mta-relay/serve/serve_check.h"

/* The fields that say who speaks. */
static const struct speaker {
	const char *name;
	bool once; /* RFC 5322 3.6: it may stand there once */
} speakers[] = {
	{ "From", true },
	{ "Sender", true },
	{ "Resent-From", false },
	{ "Resent-Sender", false },
};
enum {
	SPEAKERS = sizeof speakers / sizeof *speakers
};

static enum policy_owner allowed(const struct relay_session *s, const struct smtp_session *x, const struct addr *sender)
{
	return policy_owns(&s->rs->policy, x->env.arena, x->user, sender);
}

static void cannot_say(struct smtp_answer *a)
{
	smtp_answer(a, 451, "4.3.0", "Whose address that is can't be looked up now");
}

/* The address that the user speaks by when he used another: his row's, in our first domain when it has none. "" when
 * there is none. */
static struct span own_address(const struct relay_session *s, const struct smtp_session *x)
{
	struct addr a;
	const char *text = arena_str(x->env.arena, x->user);
	struct span domain = domains_first(s->rs->domains);
	if (span_chr(x->user, '@') < 0)
		text = arena_printf(x->env.arena, "%.*s@%.*s", SPAN_FMT(x->user), SPAN_FMT(domain));
	return addr_parse_mailbox(span_str(text), true, false, &a, x->env.arena) ? span_str(text) : SPAN("");
}

static void owner_mail(struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	struct err err = { 0 };
	/* The null sender is nobody's: reports need it. */
	if (!s->rs->o.own_sender || !x->user.n || !x->env.from.n)
		return;
	enum policy_owner owner = allowed(s, x, &x->env.from_addr);
	if (owner == OWNER_UNKNOWN)
		cannot_say(a);
	if (owner != OWNER_NO)
		return;
	struct span own = s->rs->o.address.rewrite_sender ? own_address(s, x) : SPAN("");
	if (!own.n || change_sender(s, x, own, SPAN(""), &err) < 0)
		smtp_answer(a, 550, "5.7.1", "This address is not yours");
	else
		trace_why("policy", "ok", "6409#6.1", "the sender becomes %.*s, who is logged in", SPAN_FMT(own));
}

/* What is wrong with a field: OWNER_NO when any of its addresses is another's, or it has none. */
static enum policy_owner judge_field(
    const struct relay_session *s, const struct smtp_session *x, struct span value, struct addr *first)
{
	struct addr_list list;
	enum policy_owner owner = OWNER_YES;
	addr_parse_list(x->env.arena, value, &list);
	*first = list.n ? list.v[0] : (struct addr){ SPAN(""), SPAN(""), SPAN(""), SPAN("") };
	if (!list.n || list.skipped)
		return OWNER_NO;
	for (size_t i = 0; i < list.n && owner == OWNER_YES; i++)
		owner = allowed(s, x, &list.v[i]);
	return owner;
}

/* The field with the user's own address in it; the name beside it stays. Sender says nothing then that From does not.
 */
static int correct(struct relay_session *s, struct smtp_session *x, struct content_edit *e, size_t i,
    const struct addr *was, struct err *err)
{
	struct header_field f;
	struct buf value;
	struct span own = own_address(s, x);
	content_edit_field(e, i, &f);
	trace_why("policy", "ok", "6409#6.1", "%.*s was not %.*s", SPAN_FMT(f.name), SPAN_FMT(own));
	if (!span_ieqs(f.name, "From") && !span_ieqs(f.name, "Resent-From")) {
		content_edit_delete(e, i);
		return 1;
	}
	buf_init(&value, LIMIT_SMTP_COMMAND);
	bool plain = was->name.n && was->name.n < 200 && !span_has_ctl(was->name) && span_chr(was->name, '@') < 0 &&
		     span_chr(was->name, '"') < 0 && span_chr(was->name, '\\') < 0;
	if (plain && span_starts(was->name, "=?"))
		buf_addf(&value, "%.*s ", SPAN_FMT(was->name));
	else if (plain)
		buf_addf(&value, "\"%.*s\" ", SPAN_FMT(was->name));
	buf_addf(&value, "<%.*s>", SPAN_FMT(own));
	int rc = content_edit_change(e, i, f.name, buf_span(&value), false, err);
	buf_free(&value);
	return rc;
}

/* Each field of one name. 1: something was changed. */
static int judge_speaker(struct relay_session *s, struct smtp_session *x, struct content_edit *e,
    const struct speaker *sp, struct smtp_answer *a)
{
	bool rewrite = s->rs->o.address.rewrite_sender && own_address(s, x).n;
	int changed = 0;
	size_t seen = 0;
	struct err err = { 0 };
	for (size_t i = 0; i < e->n && !a->code; i++) {
		struct header_field f;
		struct addr first;
		content_edit_field(e, i, &f);
		if (!span_ieqs(f.name, sp->name))
			continue;
		enum policy_owner owner = judge_field(s, x, f.value, &first);
		if (owner == OWNER_UNKNOWN)
			cannot_say(a);
		else if ((owner == OWNER_NO && !rewrite) || (seen++ && sp->once))
			smtp_answer(a, 550, "5.7.1", "The address in %s is not yours", sp->name);
		if (owner != OWNER_NO || a->code)
			continue;
		int rc = correct(s, x, e, i, &first, &err);
		if (rc < 0)
			smtp_answer(a, 552, "5.3.4", "%s", err.text);
		i -= rc > 0; /* it is gone */
		changed = 1;
	}
	return changed;
}

static void owner_message(struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	struct content_edit e;
	struct err err = { 0 };
	int changed = 0;
	if (!s->rs->o.own_sender || !x->user.n)
		return;
	if (content_edit_begin(&e, &s->rs->content, x->env.arena, &err) < 0) {
		smtp_answer(a, 552, "5.3.4", "%s", err.text);
		return;
	}
	for (size_t i = 0; i < SPEAKERS && !a->code; i++)
		changed |= judge_speaker(s, x, &e, &speakers[i], a);
	if (a->code || !changed) {
		content_edit_end(&e);
		return;
	}
	if (content_edit_commit(&e, &err) < 0)
		smtp_answer(a, 451, "4.3.0", "The message could not be changed");
	content_look(&s->rs->content, &s->facts);
}

static int owner_set_up(struct relay_server *rs, struct err *err)
{
	const struct serve_settings *o = &rs->o;
	if ((o->address.rewrite_sender || o->addresses.sender_owners) && !o->own_sender)
		return err_set(err, ERR_USAGE, "--rewrite-sender and --sender-owners are for --own-sender");
	return 0;
}

const struct serve_check owner_check = {
	.name = "sender",
	.set_up = owner_set_up,
	.mail = owner_mail,
	.message = owner_message,
};
