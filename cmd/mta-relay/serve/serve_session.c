/* SPDX-License-Identifier: ISC
 *
 * One conversation: what the SMTP engine asks.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "io/trace.h"
#include "mta-relay/serve/serve_ask.h"
#include "mta-relay/serve/serve_check.h"

#define STAGE(member) offsetof(struct serve_check, member)

static void ask(struct smtp_session *x, size_t stage, const char *name, struct smtp_answer *a)
{
	struct relay_session *s = x->arg;
	checks_ask(s, x, stage, a);
	if (a->code)
		talk_refused(&s->talk, x, name, SPAN(""), a);
}

static void on_helo(struct smtp_session *x, struct smtp_answer *a)
{
	ask(x, STAGE(helo), x->esmtp ? "EHLO" : "HELO", a);
}

static void on_mail(struct smtp_session *x, struct smtp_answer *a)
{
	struct relay_session *s = x->arg;
	spool_make_id(s->id);
	ask(x, STAGE(mail), "MAIL", a);
}

static void on_rcpt(struct smtp_session *x, struct smtp_env_rcpt *r, struct smtp_answer *a)
{
	struct relay_session *s = x->arg;
	checks_rcpt(s, x, r, a);
	if (a->code)
		talk_refused(&s->talk, x, "RCPT", r->text, a);
}

static void on_data(struct smtp_session *x, struct smtp_answer *a)
{
	struct relay_session *s = x->arg;
	checks_ask(s, x, STAGE(data), a);
	if (!a->code && !s->change.discard)
		deliver_prepare(s, x, a);
	if (a->code)
		talk_refused(&s->talk, x, "DATA", SPAN(""), a);
}

static int on_chunk(struct smtp_session *x, struct span piece)
{
	struct relay_session *s = x->arg;
	return content_add(&s->rs->content, piece);
}

static unsigned on_mend(struct smtp_session *x)
{
	struct relay_session *s = x->arg;
	return patience_mend(&s->rs->o.patience, s->trusted || x->user.n);
}

/* The checks' verdict on the content; false when they refused. */
static bool content_passes(struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	struct content *c = &s->rs->content;
	change_begin_end(s, x);
	if (s->change.discard)
		return true;
	if (c->err.class != ERR_NONE) {
		log_err("content client=%s error=%s", x->peer_ip, log_quote(span_str(c->err.text)));
		bool full = c->err.sys == ENOSPC || c->err.sys == EDQUOT;
		smtp_answer(a, full ? 452 : 451, full ? "4.3.1" : "4.3.0", "The message could not be stored");
		return false;
	}
	content_drop_from_line(c);
	content_look(c, &s->facts);
	trace_mid(s->facts.mid);
	checks_ask(s, x, STAGE(message), a);
	return !a->code;
}

static void on_done(struct smtp_session *x, struct smtp_answer *answers, size_t n)
{
	struct relay_session *s = x->arg;
	bool taken = false;
	answers[0].whole = true; /* what is not about one recipient */
	if (content_passes(s, x, &answers[0]))
		deliver_message(s, x, answers, n);
	/* One for all, or with PRDR one for each recipient. */
	bool each = n > 1 && !answers[0].whole;
	for (size_t i = 0; i < (each ? n : 1); i++) {
		struct span rcpt = each || x->env.n_rcpt == 1 ? x->env.rcpt[i].text : SPAN("");
		if (answers[i].code >= 400)
			talk_refused(&s->talk, x, "END-OF-MESSAGE", rcpt, &answers[i]);
		else
			taken = true;
	}
	s->talk.messages += taken;
	checks_done(s, x, taken);
}

static void on_reset(struct smtp_session *x)
{
	struct relay_session *s = x->arg;
	checks_reset(s, x);
	content_reset(&s->rs->content);
	s->change = (struct serve_change){ 0 };
	s->id[0] = '\0';
}

static void on_authenticated(struct smtp_session *x, struct span mech, const struct err *why)
{
	struct relay_session *s = x->arg;
	struct event e = { .kind = why ? EVENT_AUTH_FAILED : EVENT_AUTH };
	talk_fill(x, &s->talk, &e);
	e.mech = mech;
	if (why) {
		e.text = span_str(why->text);
		e.user = x->claimed;
	} else
		snprintf(s->talk.mech, sizeof s->talk.mech, "%.*s", SPAN_FMT(mech));
	event(&e);
	checks_authenticated(s, x, why);
}

static void on_connect(struct smtp_session *x, struct smtp_answer *a)
{
	struct relay_session *s = x->arg;
	talk_begin(&s->talk, x);
	ask(x, STAGE(connect), "CONNECT", a);
}

static void on_command(struct smtp_session *x, const struct smtp_command *c)
{
	struct relay_session *s = x->arg;
	talk_command(&s->talk, x, c);
	checks_command(s, x, c);
}

/* A script on this host that sends everything at once does no harm; from elsewhere it is a sender of spam, or somebody
 * who makes another program speak for him. */
static bool early_ok(const struct relay_session *s, const struct conn *c)
{
	bool near =
	    s->trusted || !strcmp(c->peer_ip, "unix") || (s->client.len && net_list_match(s->rs->loopback, &s->client));
	return s->rs->o.early_input == EARLY_ACCEPT || (near && s->rs->o.early_input == EARLY_LOCAL);
}

static struct smtp_server_config config_for(const struct relay_session *s, const struct conn *c)
{
	const struct relay_server *rs = s->rs;
	/* What a filter is not told must not be promised. */
	bool msa = rs->o.role == ROLE_MSA, proxy = rs->o.hooks.proxy;
	struct smtp_server_config config = {
		.security = &smtp_server_security,
		.hostname = rs->hostname,
		.tls = rs->tls,
		.implicit_tls = c->implicit_tls,
		/* RFC 6409 4.3, RFC 8314 3.3: no submission without authentication, and that not in the clear. */
		.require_tls = rs->o.require_tls || (msa && !s->trusted && !rs->o.auth_without_tls),
		.require_auth = msa && !s->trusted,
		.auth_without_tls = rs->o.auth_without_tls,
		/* By the connection itself, whoever was named on it since. */
		.xclient = c->peer.len && rs->clients.xclient && net_list_match(rs->clients.xclient, &c->peer),
		.xforward = c->peer.len && rs->clients.xforward && net_list_match(rs->clients.xforward, &c->peer),
		.prdr = rs->o.mda != NULL,
		.binary = !rs->o.hooks.filters.n && !proxy,
		.requiretls = !proxy,
		.deliver_by = !proxy,
		.priority = !proxy,
		.priority_trusted = s->trusted,
		/* RFC 4865 4.2 2: for submission. */
		.hold_max = (msa || s->trusted) && !proxy ? rs->o.esmtp.hold_max / 1000 : 0,
		.max_size = rs->o.max_size,
		.max_rcpt = rs->o.max_recipients,
		.bare_lf_ok = stream_is_local(c->s),
		.timeout_ms = rs->o.timeout,
		.stopping = &serve_stopping,
		.early_input_ok = early_ok(s, c),
		.data_is_last = !stream_is_local(c->s),
	};
	patience_config(&rs->o.patience, &config);
	return config;
}

void serve_reconfigure(struct relay_session *s)
{
	*s->config = config_for(s, s->conn);
}

const char *serve_reverse_name(const struct relay_session *s)
{
	struct ptr_result ptr = { .name = SPAN("") };
	bool wanted = s->rs->o.rdns || s->rs->o.resolver;
	if (!wanted || !s->client.len)
		return "";
	dns_fcrdns(s->rs->dns, s->arena, &s->client, &ptr);
	return ptr.confirmed ? arena_str(s->arena, ptr.name) : "";
}

static void refresh_tables(struct relay_server *rs)
{
	struct err err = { 0 };
	if (rs->aliases && aliases_refresh(rs->aliases, &err) < 0)
		log_err("aliases: %s; the old ones stay", err.text);
	if (address_tables_refresh(&rs->tables, &err) < 0 || domains_refresh(rs->domains, &err) < 0 ||
	    domains_refresh(rs->relay_to, &err) < 0)
		log_err("table error=%s why=\"the old rows stay\"", log_quote(span_str(err.text)));
}

/* No host's address is to be seen, not even in tcpserver's variables: a terminal, a pipe, or a pair of sockets. */
static bool is_caller(const struct relay_server *rs, const struct conn *c)
{
	bool here = !c->peer.len || c->peer.sa.ss_family == AF_UNIX;
	return rs->o.caller && here && stream_fd(c->s) == STDIN_FILENO;
}

int serve_conversation(struct conn *c, void *relay_server)
{
	static const struct smtp_server_ops without_auth = { .connect = on_connect,
		.helo = on_helo,
		.mail = on_mail,
		.rcpt = on_rcpt,
		.data = on_data,
		.chunk = on_chunk,
		.mend = on_mend,
		.done = on_done,
		.reset = on_reset,
		.authenticated = on_authenticated,
		.xclient = client_replaced,
		.vrfy = ask_vrfy,
		.expn = ask_expn,
		.etrn = ask_etrn,
		.command = on_command };
	struct relay_server *rs = relay_server;
	struct relay_session s = { .rs = rs,
		.arena = arena_new(),
		.stream = c->s,
		.conn = c,
		.client = c->peer,
		.peer_ip = c->peer_ip,
		.talk.port = c->peer_port };
	struct smtp_server_ops ops = without_auth;
	struct err err = { 0 };
	char peer[80];
	snprintf(peer, sizeof peer, c->peer_port ? "%s:%u" : "%s", c->peer_ip, c->peer_port);
	s.trusted = is_caller(rs, c) || (rs->trust && c->peer.len && net_list_match(rs->trust, &c->peer));
	refresh_tables(rs);
	struct smtp_session x = { .s = c->s, .peer_ip = c->peer_ip, .peer = peer, .arg = &s };
	x.peer_name = guard_turns_away(&s, &x) ? "" : serve_reverse_name(&s);
	struct smtp_server_config config = config_for(&s, c);
	s.config = &config;
	ops.sasl = serve_sasl(rs);
	if (rs->o.esmtp.vrfy == VRFY_NO)
		ops.expn = NULL;
	if (!rs->o.esmtp.etrn)
		ops.etrn = NULL;
	int rc = smtp_server_run(&config, &ops, &x, &err);
	checks_close(&s, &x);
	s.talk.quit |= serve_stopping;
	talk_end(&s.talk, &x, &err);
	arena_free(s.arena);
	return rc < 0 ? err_exit_status(&err) : 0;
}
