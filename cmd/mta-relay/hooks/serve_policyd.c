/* SPDX-License-Identifier: ISC
 *
 * Policy services are asked at the stages that each is configured for, one after the other. One that permits ends the
 * round, one that refuses the command; DEFER_IF_PERMIT waits for the round's end, so that a later one may refuse for
 * good.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "io/tls/tls.h"
#include "io/trace.h"
#include "mta-relay/content/content_edit.h"
#include "mta-relay/hooks/policyd.h"
#include "mta-relay/serve/serve_check.h"

enum {
	PREPEND_MAX = 100
};

/* A worker's. */
struct policy_seats {
	struct policyd **v;
	size_t n;
	/* Fields that the message in hand is to gain, in the transaction's arena. */
	struct span *prepend;
	size_t prepended;
};

/* What is asked about, and what was said so far. */
struct round {
	struct relay_session *s;
	struct smtp_session *x;
	enum policyd_stage stage;
	const struct smtp_env_rcpt *r;
	struct smtp_answer *a;
	struct policyd_action if_permit; /* code 0: none */
	bool if_reject;
};

static int policyd_set_up(struct relay_server *rs, struct err *err)
{
	const struct opt_list *l = &rs->o.hooks.policies;
	for (size_t i = 0; i < l->n; i++) {
		struct policyd *probe = policyd_new(l->v[i], err);
		if (!probe)
			return -1;
		policyd_rules(probe, rs->rules);
		policyd_free(probe);
	}
	return 0;
}

static int policyd_worker_start(struct relay_server *rs, struct err *err)
{
	const struct opt_list *l = &rs->o.hooks.policies;
	if (!l->n)
		return 0;
	struct policy_seats *all = rs->hooks.policies = xcalloc(1, sizeof *all);
	all->v = xcalloc(l->n, sizeof(struct policyd *));
	for (; all->n < l->n; all->n++)
		if (!(all->v[all->n] = policyd_new(l->v[all->n], err)))
			return -1;
	return 0;
}

static void policyd_worker_stop(struct relay_server *rs)
{
	struct policy_seats *all = rs->hooks.policies;
	for (size_t i = 0; all && i < all->n; i++)
		policyd_free(all->v[i]);
	if (all)
		free(all->v);
	free(all);
	rs->hooks.policies = NULL;
}

static const char *stage_name(const struct round *k)
{
	switch (k->stage) {
	case POLICYD_CONNECT:
		return "CONNECT";
	case POLICYD_HELO:
		return k->x->esmtp ? "EHLO" : "HELO";
	case POLICYD_MAIL:
		return "MAIL";
	case POLICYD_RCPT:
		return "RCPT";
	case POLICYD_DATA:
		return "DATA";
	case POLICYD_END:
		break;
	}
	return "END-OF-MESSAGE";
}

static void number(struct buf *b, const char *name, uint64_t n)
{
	buf_addf(b, "%s=%llu\n", name, (unsigned long long)n);
}

static void add_client(const struct round *k, struct buf *b)
{
	const struct smtp_session *x = k->x;
	const struct net_addr *local = &k->s->conn->local;
	struct span name = span_str(*x->peer_name ? x->peer_name : "unknown");
	char ip[64] = "";
	if (local->len)
		net_addr_text(local, ip, sizeof ip);
	policyd_attribute(b, "client_address", span_str(x->peer_ip));
	policyd_attribute(b, "client_name", name);
	policyd_attribute(b, "reverse_client_name", name);
	number(b, "client_port", net_addr_port(&k->s->client));
	policyd_attribute(b, "helo_name", x->helo);
	policyd_attribute(b, "server_address", span_str(ip));
	number(b, "server_port", net_addr_port(local));
	policyd_attribute(b, "stress", stream_is_stressed && stream_is_stressed() ? SPAN("yes") : SPAN(""));
	policyd_attribute(b, "etrn_domain", SPAN(""));
}

/* As Postfix writes it: "AB:CD:...". */
static void add_fingerprint(const char *name, const char *hex, struct buf *b)
{
	buf_addf(b, "%s=", name);
	for (size_t i = 0; hex[i]; i++) {
		if (i && i % 2 == 0)
			buf_addc(b, ':');
		buf_addc(b, ascii_isdigit(hex[i]) ? hex[i] : (char)(hex[i] - 'a' + 'A'));
	}
	buf_addc(b, '\n');
}

static void add_security(const struct round *k, struct buf *b)
{
	const struct tls_info *tls = stream_tls(k->x->s);
	bool cert = tls && tls->verified;
	policyd_attribute(b, "sasl_method", span_str(k->x->user.n ? k->s->talk.mech : ""));
	policyd_attribute(b, "sasl_username", k->x->user);
	policyd_attribute(b, "sasl_sender", k->x->env.auth);
	policyd_attribute(b, "ccert_subject", span_str(tls && cert ? tls->peer_cn : ""));
	policyd_attribute(b, "ccert_issuer", span_str(tls && cert ? tls->peer_issuer : ""));
	add_fingerprint("ccert_fingerprint", tls ? tls->peer_fingerprint : "", b);
	add_fingerprint("ccert_pubkey_fingerprint", tls ? tls->peer_key : "", b);
	policyd_attribute(b, "encryption_protocol", span_str(tls ? tls->version : ""));
	policyd_attribute(b, "encryption_cipher", span_str(tls ? tls->cipher : ""));
	number(b, "encryption_keysize", tls ? (uint64_t)tls->bits : 0);
}

static void add_message(const struct round *k, struct buf *b)
{
	const struct smtp_env *env = &k->x->env;
	bool late = k->stage == POLICYD_DATA || k->stage == POLICYD_END;
	const struct smtp_env_rcpt *only = late && env->n_rcpt == 1 ? &env->rcpt[0] : k->r;
	char own[48];
	snprintf(own, sizeof own, "%llx.%x", (unsigned long long)k->s->talk.began, k->s->talk.messages);
	policyd_attribute(b, "queue_id", span_str(k->s->id));
	policyd_attribute(b, "instance", span_str(k->s->id[0] ? k->s->id : own));
	policyd_attribute(b, "sender", env->from);
	policyd_attribute(b, "recipient", only ? only->text : SPAN(""));
	number(b, "recipient_count", late ? env->n_rcpt : 0);
	number(b, "size", k->stage == POLICYD_END ? content_size(&k->s->rs->content) : env->size);
}

static void request(const struct round *k, const struct policyd *p, struct buf *b)
{
	policyd_attribute(b, "request", SPAN("smtpd_access_policy"));
	policyd_attribute(b, "protocol_state", span_str(stage_name(k)));
	policyd_attribute(b, "protocol_name", k->x->esmtp ? SPAN("ESMTP") : SPAN("SMTP"));
	add_client(k, b);
	add_message(k, b);
	add_security(k, b);
	policyd_attribute(b, "policy_context", span_str(policyd_settings(p)->context));
}

static void refuse(struct round *k, const struct policyd_action *act)
{
	bool softened = k->if_reject && act->code >= 500;
	smtp_answer(k->a, softened ? 450 : act->code, softened ? "4.7.1" : act->enh, "%.*s",
	    SPAN_FMT(span_slice(act->text, 0, 300)));
	k->a->close = act->code == 421 || act->code == 521;
}

static void prepend(struct round *k, const char *by, struct span field)
{
	struct policy_seats *all = k->s->rs->hooks.policies;
	struct arena *a = k->x->env.arena;
	if (span_chr(field, ':') <= 0 || all->prepended == PREPEND_MAX || k->stage < POLICYD_MAIL) {
		log_warn("policy name=%s prepend=%s error=\"not done\"", log_quote(span_str(by)), log_quote(field));
		return;
	}
	if (!all->prepend)
		all->prepend = arena_alloc(a, PREPEND_MAX * sizeof *all->prepend);
	all->prepend[all->prepended++] = arena_span(a, field);
}

static void change(struct round *k, const char *by, const struct policyd_action *act)
{
	struct err err = { 0 };
	if (act->verb == POLICYD_HOLD)
		change_hold(k->s, k->x, by, act->text);
	else if (act->verb == POLICYD_DISCARD)
		change_discard(k->s, k->x, by, act->text);
	else if (act->verb == POLICYD_FILTER)
		change_next_hop(k->s, k->x, by, act->text, &err);
	else if (act->verb == POLICYD_REDIRECT)
		change_redirect(k->s, k->x, act->text, &err);
	else
		change_add_rcpt(k->s, k->x, act->text, SPAN("NOTIFY=NEVER"), &err);
	if (err.class == ERR_NONE)
		return;
	log_warn("policy name=%s address=%s error=%s", log_quote(span_str(by)), log_quote(act->text),
	    log_quote(span_str(err.text)));
	smtp_answer(k->a, 451, "4.3.5", "Server configuration problem");
}

/* False when the round is over. */
static bool obey(struct round *k, const char *by, const struct policyd_action *act)
{
	switch (act->verb) {
	case POLICYD_DUNNO:
		break;
	case POLICYD_OK:
		return false;
	case POLICYD_REFUSE:
		refuse(k, act);
		return false;
	case POLICYD_DEFER_IF_PERMIT:
		k->if_permit = *act;
		k->if_permit.text = arena_span(k->s->arena, act->text);
		break;
	case POLICYD_DEFER_IF_REJECT:
		k->if_reject = true;
		break;
	case POLICYD_HOLD:
	case POLICYD_DISCARD:
	case POLICYD_REDIRECT:
	case POLICYD_BCC:
	case POLICYD_FILTER:
		change(k, by, act);
		break;
	case POLICYD_PREPEND:
		prepend(k, by, act->text);
		break;
	case POLICYD_WARN:
	case POLICYD_INFO:
		log_info("policy name=%s stage=%s client=%s from=%s to=%s %s=%s", log_quote(span_str(by)),
		    stage_name(k), k->x->peer_ip, log_quote(k->x->env.from), log_quote(k->r ? k->r->text : SPAN("")),
		    act->verb == POLICYD_WARN ? "warn" : "info", log_quote(act->text));
		break;
	}
	return !k->a->code && !k->s->change.discard;
}

static bool ask_one(struct round *k, struct policyd *p)
{
	const struct policyd_settings *o = policyd_settings(p);
	bool stranger = !k->s->trusted && !k->x->user.n;
	struct policyd_action act;
	struct err err = { 0 };
	struct buf b;
	if (!(o->stages & k->stage) || (o->clients == POLICYD_STRANGERS && !stranger))
		return true;
	buf_init(&b, 65536);
	request(k, p, &b);
	int rc = policyd_ask(p, buf_span(&b), &act, &err);
	buf_free(&b);
	if (rc == 0)
		return obey(k, policyd_name(p), &act);
	log_warn("policy name=%s stage=%s error=%s", log_quote(span_str(policyd_name(p))), stage_name(k),
	    log_quote(span_str(err.text)));
	trace_why("policy", "temp", NULL, "%s: %s", policyd_name(p), err.text);
	if (o->otherwise == POLICYD_OR_TEMPFAIL)
		smtp_answer(k->a, 451, "4.3.5", "Server configuration problem");
	else if (o->otherwise == POLICYD_OR_REJECT)
		smtp_answer(k->a, 554, "5.3.5", "Server configuration problem");
	return !k->a->code;
}

static void ask(struct relay_session *s, struct smtp_session *x, enum policyd_stage stage,
    const struct smtp_env_rcpt *r, struct smtp_answer *a)
{
	struct policy_seats *all = s->rs->hooks.policies;
	struct round k = { .s = s, .x = x, .stage = stage, .r = r, .a = a };
	for (size_t i = 0; all && i < all->n && !s->change.discard; i++)
		if (!ask_one(&k, all->v[i]))
			break;
	if (!a->code && k.if_permit.code)
		refuse(&k, &k.if_permit);
}

static void policyd_connect(struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	ask(s, x, POLICYD_CONNECT, NULL, a);
}

static void policyd_helo(struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	ask(s, x, POLICYD_HELO, NULL, a);
}

static void policyd_mail(struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	ask(s, x, POLICYD_MAIL, NULL, a);
}

static void policyd_rcpt(
    struct relay_session *s, struct smtp_session *x, struct smtp_env_rcpt *r, struct smtp_answer *a)
{
	ask(s, x, POLICYD_RCPT, r, a);
}

static void policyd_data(struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	ask(s, x, POLICYD_DATA, NULL, a);
}

/* Above our own Received field, where trace fields of this hop belong (RFC 7208 9.1). */
static void add_prepended(
    const struct policy_seats *all, struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	struct content_edit e;
	struct err err = { 0 };
	int rc = content_edit_begin(&e, &s->rs->content, x->env.arena, &err);
	for (size_t i = all->prepended; rc == 0 && i > 0; i--) {
		struct span value = all->prepend[i - 1], name = span_cut(&value, ':');
		rc = content_edit_above(&e, span_trim(name), span_trim(value), false, &err);
	}
	rc = rc < 0 ? rc : content_edit_commit(&e, &err);
	if (rc == 0) {
		content_look(&s->rs->content, &s->facts);
		return;
	}
	content_edit_end(&e);
	log_warn("policy qid=%s error=%s", s->id, log_quote(span_str(err.text)));
	smtp_answer(a, 451, "4.3.5", "Server configuration problem");
}

static void policyd_message(struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	const struct policy_seats *all = s->rs->hooks.policies;
	ask(s, x, POLICYD_END, NULL, a);
	change_begin_end(s, x);
	if (all && all->prepended && !a->code && !s->change.discard)
		add_prepended(all, s, x, a);
}

static void policyd_reset(struct relay_session *s, struct smtp_session *x)
{
	(void)x;
	if (!s->rs->hooks.policies)
		return;
	s->rs->hooks.policies->prepend = NULL;
	s->rs->hooks.policies->prepended = 0;
}

const struct serve_check policyd_check = {
	.name = "policy service",
	.set_up = policyd_set_up,
	.worker_start = policyd_worker_start,
	.worker_stop = policyd_worker_stop,
	.connect = policyd_connect,
	.helo = policyd_helo,
	.mail = policyd_mail,
	.rcpt = policyd_rcpt,
	.data = policyd_data,
	.message = policyd_message,
	.reset = policyd_reset,
};
