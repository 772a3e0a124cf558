/* SPDX-License-Identifier: ISC */
#include "mta-relay/serve/serve_change.h"

#include "base/limits.h"
#include "base/log.h"
#include "io/trace.h"
#include "mta-relay/hop/next_hop.h"
#include "mta-relay/serve/serve.h"
#include "smtp/param.h"

static void tell(
    const struct relay_session *s, const struct smtp_session *x, const char *what, const char *by, struct span why)
{
	log_info("%s qid=%s by=%s from=%s why=%s", what, s->id, log_quote(span_str(by)), log_quote(x->env.from),
	    log_quote(why));
	trace_why(what, "ok", NULL, "%s: %.*s", by, SPAN_FMT(span_slice(why, 0, 200)));
}

void change_hold(struct relay_session *s, const struct smtp_session *x, const char *by, struct span why)
{
	if (!s->change.hold)
		tell(s, x, "hold", by, why);
	s->change.hold = true;
}

void change_discard(struct relay_session *s, const struct smtp_session *x, const char *by, struct span why)
{
	if (!s->change.discard)
		tell(s, x, "discard", by, why);
	s->change.discard = true;
}

int change_next_hop(
    struct relay_session *s, const struct smtp_session *x, const char *by, struct span hop, struct err *err)
{
	struct buf target;
	buf_init(&target, LIMIT_SMTP_PATH);
	bool good = next_hop_parse(hop, &target);
	if (good) {
		s->change.next_hop = arena_span(x->env.arena, buf_span(&target));
		tell(s, x, "next-hop", by, s->change.next_hop);
	}
	buf_free(&target);
	return good ? 0 : err_set(err, ERR_DATA, "that is no next hop");
}

/* "<a@b>" from a@b or <a@b>. */
static bool parse_args(struct arena *a, struct span address, struct span args, struct smtp_args *out, struct err *err)
{
	bool bare = !span_starts(address, "<");
	const char *text =
	    arena_printf(a, "%s%.*s%s %.*s", bare ? "<" : "", SPAN_FMT(address), bare ? ">" : "", SPAN_FMT(args));
	if (address.n > LIMIT_SMTP_PATH || args.n > LIMIT_SMTP_COMMAND || span_has_ctl(address) || span_has_ctl(args)) {
		err_set(err, ERR_DATA, "that is no address");
		return false;
	}
	return smtp_args_parse(span_trim(span_str(text)), out, err) == 0;
}

static bool parse_address(struct smtp_session *x, struct span path, struct addr *out, struct err *err)
{
	/* An address in UTF-8 makes it a message that needs SMTPUTF8 on its way. */
	bool utf8 = x->env.utf8 || addr_needs_utf8(path);
	if (!addr_parse_mailbox(path, utf8, true, out, x->env.arena)) {
		err_set(err, ERR_DATA, "'%.*s' is no address", SPAN_FMT(span_slice(path, 0, 200)));
		return false;
	}
	x->env.utf8 = utf8;
	return true;
}

int change_sender(
    struct relay_session *s, struct smtp_session *x, struct span address, struct span args, struct err *err)
{
	struct smtp_args parsed;
	struct smtp_mail_params p;
	struct addr addr = { SPAN(""), SPAN(""), SPAN(""), SPAN("") };
	struct smtp_env *env = &x->env;
	(void)s;
	if (!parse_args(env->arena, address, args, &parsed, err) || smtp_mail_params(&parsed, &p, err) < 0)
		return -1;
	if (parsed.path.n && !parse_address(x, parsed.path, &addr, err))
		return -1;
	env->from = arena_span(env->arena, parsed.path);
	env->from_addr = addr;
	env->utf8 |= p.utf8;
	env->eightbit |= p.eightbit;
	if (p.ret.n)
		env->ret = p.ret;
	if (p.envid.n)
		env->envid = arena_span(env->arena, p.envid);
	return 0;
}

static struct relay_target *new_target(struct serve_change *c, struct arena *a)
{
	if (c->n_extra == c->cap) {
		size_t cap = c->cap ? 2 * c->cap : 8;
		struct relay_target *v = arena_alloc(a, cap * sizeof *v);
		if (c->n_extra)
			memcpy(v, c->extra, c->n_extra * sizeof *v);
		c->extra = v;
		c->cap = cap;
	}
	return &c->extra[c->n_extra++];
}

/* Where mail for the address goes. Who takes part in our decisions may send anywhere. */
static int resolve(struct relay_session *s, struct smtp_session *x, struct span address, struct span args,
    struct relay_targets *to, struct err *err)
{
	struct arena *a = x->env.arena;
	struct smtp_args parsed;
	struct smtp_rcpt_params p;
	struct smtp_env_rcpt r = { 0 };
	struct smtp_answer answer = { 0 };
	const struct relay_client who = { .may_relay = true, .sender = x->env.from.n ? &x->env.from_addr : NULL };
	if (!parse_args(a, address, args, &parsed, err) || smtp_rcpt_params(&parsed, x->env.utf8, &p, err) < 0 ||
	    !parse_address(x, parsed.path, &r.addr, err))
		return -1;
	r.text = arena_span(a, parsed.path);
	r.notify = arena_span(a, p.notify);
	r.orcpt = arena_span(a, p.orcpt);
	policy_rcpt(&s->rs->policy, a, &who, &r, to, &answer);
	return answer.code ? err_reply(err, answer.code, answer.enh, "%s", answer.text) : 0;
}

int change_add_rcpt(
    struct relay_session *s, struct smtp_session *x, struct span address, struct span args, struct err *err)
{
	struct relay_targets to = { 0 };
	if (s->change.n_extra >= LIMIT_SMTP_RCPT)
		return err_set(err, ERR_LIMIT, "too many recipients are added");
	if (resolve(s, x, address, args, &to, err) < 0)
		return -1;
	for (size_t i = 0; i < to.n; i++)
		*new_target(&s->change, x->env.arena) = to.v[i];
	return 0;
}

int change_redirect(struct relay_session *s, struct smtp_session *x, struct span address, struct err *err)
{
	struct relay_targets *to = arena_alloc(x->env.arena, sizeof *to);
	if (resolve(s, x, address, SPAN(""), to, err) < 0)
		return -1;
	s->change.redirect = to;
	return 0;
}

void change_begin_end(struct relay_session *s, struct smtp_session *x)
{
	const struct relay_targets *to = s->change.redirect;
	if (!to)
		return;
	for (size_t i = 0; i < x->env.n_rcpt; i++)
		((struct relay_targets *)x->env.rcpt[i].op)->n = 0;
	s->change.n_extra = 0;
	for (size_t i = 0; i < to->n; i++)
		*new_target(&s->change, x->env.arena) = to->v[i];
	s->change.redirect = NULL;
}

static bool drop_target(struct relay_target *v, size_t *n, struct span address)
{
	size_t kept = 0;
	for (size_t i = 0; i < *n; i++)
		if (!span_ieqs(address, v[i].addr) && !(v[i].original.n && span_ieq(address, v[i].original)))
			v[kept++] = v[i];
	bool found = kept < *n;
	*n = kept;
	return found;
}

bool change_delete_rcpt(struct relay_session *s, struct smtp_session *x, struct span address)
{
	bool found = false;
	if (span_starts(address, "<") && span_ends(address, ">"))
		address = span_slice(address, 1, address.n - 1);
	for (size_t i = 0; i < x->env.n_rcpt; i++) {
		struct smtp_env_rcpt *r = &x->env.rcpt[i];
		struct relay_targets *t = r->op;
		bool whole = span_ieq(address, r->text);
		found |= whole && t->n;
		if (whole)
			t->n = 0;
		else
			found |= drop_target(t->v, &t->n, address);
	}
	return drop_target(s->change.extra, &s->change.n_extra, address) || found;
}

bool change_nobody_left(const struct relay_session *s, const struct smtp_session *x)
{
	size_t n = s->change.n_extra;
	for (size_t i = 0; i < x->env.n_rcpt; i++)
		n += ((const struct relay_targets *)x->env.rcpt[i].op)->n;
	return n == 0;
}
