/* SPDX-License-Identifier: ISC */
#include <time.h>

#include "base/limits.h"
#include "io/trace.h"
#include "smtp/param.h"
#include "smtp/server_int.h"

/* Path and parameters of MAIL; false after a reply. */
static bool mail_args(struct server *sv, struct span arg, struct smtp_args *args, struct smtp_mail_params *p)
{
	struct err err = { 0 };
	if (smtp_args_parse(arg, args, &err) == 0 && smtp_mail_params(args, p, &err) == 0)
		return true;
	server_err(sv, &err);
	return false;
}

static bool address_ok(struct server *sv, struct span path, bool bare, struct addr *out)
{
	struct smtp_env *env = &sv->x->env;
	if (path.n > LIMIT_SMTP_PATH)
		server_reply(sv, 501, "5.1.7", "Path too long");
	else if (!env->utf8 && addr_needs_utf8(path))
		/* RFC 6531 3.5 */
		server_reply(sv, 553, "5.6.7", "An address in UTF-8 needs SMTPUTF8");
	else if (!addr_parse_mailbox(path, env->utf8, bare, out, env->arena))
		server_reply(sv, 501, sv->state == ST_READY ? "5.1.7" : "5.1.3", "That is no mail address");
	else
		return true;
	return false;
}

/* What was not offered is not taken. */
static const char *not_offered(const struct server *sv, const struct smtp_mail_params *p)
{
	const struct smtp_server_config *c = sv->c;
	return p->binary && !c->binary                            ? "BINARYMIME"
	       : p->prdr && (!c->prdr || c->lmtp)                 ? "PRDR"
	       : p->requiretls && (!c->requiretls || !sv->x->tls) ? "REQUIRETLS"
	       : p->by.mode && !c->deliver_by                     ? "DELIVERBY"
	       : p->has_priority && !c->priority                  ? "MT-PRIORITY"
	       : p->hold.n && !c->hold_max                        ? "FUTURERELEASE"
								  : NULL;
}

/* RFC 4865 4.2, 5.2.2 */
static bool times_ok(struct server *sv, const struct smtp_mail_params *p)
{
	int64_t now = time(NULL), hold = p->hold_for ? p->hold_for : p->hold_until ? p->hold_until - now : 0;
	if (hold > sv->c->hold_max)
		server_reply(
		    sv, 501, "5.5.4", "A message is held for %lld seconds at most", (long long)sv->c->hold_max);
	else if (hold > 0 && p->by.mode && hold > p->by.seconds)
		server_reply(sv, 501, "5.5.4", "It would be held longer than until it is to be delivered");
	else
		return true;
	return false;
}

static bool params_ok(struct server *sv, const struct smtp_mail_params *p)
{
	const char *what = not_offered(sv, p);
	if (what)
		server_reply(sv, p->binary ? 501 : 555, "5.5.4", "%s is not offered", what);
	else if (sv->c->max_size && p->size > sv->c->max_size)
		/* RFC 1870 6.1 */
		server_reply(sv, 552, "5.3.4", "A message may have %llu bytes", (unsigned long long)sv->c->max_size);
	else
		return times_ok(sv, p);
	return false;
}

static void take_times(struct smtp_env *env, const struct smtp_mail_params *p)
{
	int64_t now = time(NULL);
	env->by = p->by;
	env->by_time = p->by.mode ? now + p->by.seconds : 0;
	env->hold_until = p->hold_for ? now + p->hold_for : p->hold_until;
	if (p->hold.n)
		env->hold = arena_printf(env->arena, "%s;%.*s", p->hold_for ? "for" : "until", SPAN_FMT(p->hold));
}

/* RFC 6710 4.1: only who is known may go before others; anybody may step back. */
static void take_priority(const struct server *sv, const struct smtp_mail_params *p)
{
	struct smtp_env *env = &sv->x->env;
	bool may = sv->c->priority_trusted || sv->x->user.n || p->priority < 0;
	env->has_priority = p->has_priority;
	env->priority = may ? p->priority : 0;
}

static void take_submitter(struct smtp_env *env, struct span xtext)
{
	struct addr parsed;
	struct buf text;
	buf_init(&text, LIMIT_SMTP_PATH);
	if (xtext_decode(xtext, &text) && !text.bad &&
	    addr_parse_mailbox(buf_span(&text), true, false, &parsed, env->arena))
		env->auth = arena_span(env->arena, buf_span(&text));
	buf_free(&text);
}

static bool take_sender(struct server *sv, struct span path, const struct smtp_mail_params *p)
{
	struct smtp_env *env = &sv->x->env;
	env->utf8 = p->utf8;
	env->eightbit = p->eightbit;
	env->binary = p->binary;
	env->size = p->size;
	env->requiretls = p->requiretls;
	sv->prdr = p->prdr;
	take_times(env, p);
	take_priority(sv, p);
	take_submitter(env, p->auth);
	/* The copy is what the parts point into: the line's bytes go with the next read. */
	env->from = arena_span(env->arena, path);
	if (path.n && !address_ok(sv, env->from, false, &env->from_addr))
		return false;
	env->ret = p->ret; /* static text */
	env->envid = arena_span(env->arena, p->envid);
	if (env->envid.n)
		trace_env(env->envid);
	return true;
}

void cmd_mail(struct server *sv, struct span arg)
{
	struct smtp_args args;
	struct smtp_mail_params p;
	struct smtp_answer a = { 0 };
	if (!mail_args(sv, arg, &args, &p) || !params_ok(sv, &p))
		return;
	if (!take_sender(sv, args.path, &p)) {
		server_reset(sv);
		return;
	}
	if (sv->ops->mail)
		sv->ops->mail(sv->x, &a);
	server_event_about("smtp.mail", a.code ? a.code : 250, sv->x->env.from, a.code ? a.text : "sender accepted");
	if (a.code) {
		server_answer(sv, &a);
		server_reset(sv);
		return;
	}
	server_enter(sv, ST_MAIL);
	server_clock_transaction(sv);
	if (p.priority != sv->x->env.priority)
		server_reply(sv, 250, "2.3.6", "%d is the priority of this message", sv->x->env.priority);
	else
		server_reply(sv, 250, "2.1.0", "Ok");
}

/* A row for the recipient, not yet counted. */
static struct smtp_env_rcpt *new_row(struct server *sv)
{
	struct smtp_env *env = &sv->x->env;
	if (env->n_rcpt == sv->rcpt_cap) {
		size_t cap = sv->rcpt_cap ? sv->rcpt_cap * 2 : 8;
		struct smtp_env_rcpt *v = arena_alloc(env->arena, cap * sizeof *v);
		if (env->n_rcpt)
			memcpy(v, env->rcpt, env->n_rcpt * sizeof *v);
		env->rcpt = v;
		sv->rcpt_cap = cap;
	}
	struct smtp_env_rcpt *r = &env->rcpt[env->n_rcpt];
	memset(r, 0, sizeof *r);
	return r;
}

static bool rcpt_args(struct server *sv, struct span arg, struct smtp_env_rcpt *r)
{
	struct smtp_args args;
	struct smtp_rcpt_params p;
	struct err err = { 0 };
	struct arena *a = sv->x->env.arena;
	if (smtp_args_parse(arg, &args, &err) < 0 || smtp_rcpt_params(&args, sv->x->env.utf8, &p, &err) < 0) {
		server_err(sv, &err);
		return false;
	}
	/* RFC 5321 4.1.1.3: Postmaster may stand alone. */
	r->text = arena_span(a, args.path);
	if (!address_ok(sv, r->text, true, &r->addr))
		return false;
	r->notify = arena_span(a, p.notify);
	r->orcpt = arena_span(a, p.orcpt);
	return true;
}

static void decide_rcpt(struct server *sv, struct smtp_env_rcpt *r)
{
	struct smtp_answer a = { 0 };
	if (sv->ops->rcpt)
		sv->ops->rcpt(sv->x, r, &a);
	server_event_about("smtp.rcpt", a.code ? a.code : 250, r->text, a.code ? a.text : "recipient accepted");
	if (a.code >= 300) {
		sv->rcpt_refused = true;
		sv->put_off += a.code < 500;
		server_answer(sv, &a);
		return;
	}
	sv->x->env.n_rcpt++;
	server_enter(sv, ST_RCPT);
	if (a.code)
		server_answer(sv, &a);
	else
		server_reply(sv, 250, "2.1.5", "Ok");
}

void cmd_rcpt(struct server *sv, struct span arg)
{
	unsigned max = sv->c->max_rcpt ? sv->c->max_rcpt : LIMIT_SMTP_RCPT;
	if (sv->x->env.n_rcpt >= max) {
		/* RFC 5321 4.5.3.1.10: the sender will try the rest in another transaction. */
		sv->put_off++;
		server_reply(sv, 452, "4.5.3", "Too many recipients");
		return;
	}
	struct smtp_env_rcpt *r = new_row(sv);
	if (rcpt_args(sv, arg, r))
		decide_rcpt(sv, r);
	else
		sv->rcpt_refused = true;
}
