/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "base/limits.h"
#include "io/trace.h"
#include "smtp/server_int.h"

enum shape {
	ARG_NONE,
	ARG_ONE,
	ARG_ANY
};
enum flag {
	BARRIER = 1,    /* nothing may follow before its reply (RFC 2920 3.1) */
	CLEAR_OK = 2,   /* allowed before TLS where TLS is required (RFC 3207 4) */
	NEED_AUTH = 4,  /* refused without AUTH where that is required (RFC 4954 6) */
	JUNK = 8,       /* brings no mail: counted */
	ONLY_SMTP = 16, /* not in LMTP, and the other way (RFC 2033 4.1) */
	ONLY_LMTP = 32,
	CHUNK = 64, /* bytes follow, whatever the reply */
};
enum {
	ANY = ~0u
};

struct command {
	const char *verb, *prefix; /* "MAIL", "FROM:" */
	void (*run)(struct server *sv, struct span arg);
	enum shape shape;
	unsigned states, flags;
};

static void cmd_helo(struct server *sv, struct span arg);
static void cmd_ehlo(struct server *sv, struct span arg);
static void cmd_rset(struct server *sv, struct span arg);
static void cmd_noop(struct server *sv, struct span arg);
static void cmd_quit(struct server *sv, struct span arg);
static void cmd_starttls(struct server *sv, struct span arg);
static void cmd_auth(struct server *sv, struct span arg);
static void cmd_help(struct server *sv, struct span arg);

static const struct command commands[] = {
	{ "HELO", NULL, cmd_helo, ARG_ONE, ANY, BARRIER | CLEAR_OK | JUNK | ONLY_SMTP },
	{ "EHLO", NULL, cmd_ehlo, ARG_ONE, ANY, BARRIER | CLEAR_OK | JUNK | ONLY_SMTP },
	{ "LHLO", NULL, cmd_ehlo, ARG_ONE, ANY, BARRIER | CLEAR_OK | JUNK | ONLY_LMTP },
	{ "MAIL", "FROM:", cmd_mail, ARG_ONE, IN(ST_READY), NEED_AUTH },
	{ "RCPT", "TO:", cmd_rcpt, ARG_ONE, IN(ST_MAIL) | IN(ST_RCPT), NEED_AUTH },
	{ "DATA", NULL, cmd_data, ARG_NONE, IN(ST_MAIL) | IN(ST_RCPT), BARRIER | NEED_AUTH },
	{ "BDAT", NULL, cmd_bdat, ARG_ONE, IN(ST_MAIL) | IN(ST_RCPT) | IN(ST_BDAT), NEED_AUTH | CHUNK },
	{ "RSET", NULL, cmd_rset, ARG_NONE, ANY, JUNK },
	{ "NOOP", NULL, cmd_noop, ARG_ANY, ANY, CLEAR_OK | JUNK },
	{ "QUIT", NULL, cmd_quit, ARG_NONE, ANY, CLEAR_OK },
	{ "STARTTLS", NULL, cmd_starttls, ARG_NONE, IN(ST_READY), BARRIER | CLEAR_OK },
	{ "AUTH", NULL, cmd_auth, ARG_ONE, IN(ST_READY), BARRIER },
	{ "XCLIENT", NULL, cmd_xclient, ARG_ONE, ANY, BARRIER | CLEAR_OK | ONLY_SMTP },
	{ "XFORWARD", NULL, cmd_xforward, ARG_ONE, IN(ST_READY), CLEAR_OK | ONLY_SMTP },
	{ "VRFY", NULL, cmd_vrfy, ARG_ONE, ANY, BARRIER | JUNK | NEED_AUTH },
	{ "EXPN", NULL, cmd_expn, ARG_ONE, ANY, BARRIER | JUNK | NEED_AUTH },
	{ "ETRN", NULL, cmd_etrn, ARG_ONE, IN(ST_READY), BARRIER | JUNK | NEED_AUTH | ONLY_SMTP },
	{ "HELP", NULL, cmd_help, ARG_ANY, ANY, CLEAR_OK | JUNK },
};
enum {
	COMMANDS = sizeof commands / sizeof *commands
};

void server_enter(struct server *sv, enum server_state state)
{
	sv->state = state;
}

void server_reset(struct server *sv)
{
	if (sv->ops->reset)
		sv->ops->reset(sv->x);
	arena_reset(sv->txn);
	const struct span none = SPAN("");
	sv->x->env = (struct smtp_env){ .arena = sv->txn,
		.from = none,
		.from_addr = { none, none, none, none },
		.ret = none,
		.envid = none,
		.auth = none };
	sv->rcpt_cap = 0;
	sv->prdr = sv->rcpt_refused = sv->started = sv->chunk_failed = false;
	sv->content = sv->head = 0;
	if (sv->state > ST_READY)
		server_enter(sv, ST_READY);
	if (trace_on()) {
		trace_mid(SPAN(""));
		trace_qid("");
		trace_env(SPAN(""));
	}
}

static bool is_stopping(const struct server *sv)
{
	return sv->c->stopping && *sv->c->stopping;
}

/* Bytes were sent before our reply could be read: an impatient sender of spam, or an injection. */
static bool refuse_early(struct server *sv)
{
	server_event("refuse", 554, "input was sent without waiting for the reply");
	server_reply(sv, 554, "5.5.0", "Synchronization error: wait for the reply");
	sv->closing = true;
	return true;
}

static bool spoke_early(struct server *sv)
{
	bool tolerated = sv->c->early_input_ok || sv->c->bare_lf_ok;
	return !tolerated && stream_has_input(sv->x->s) && refuse_early(sv);
}

/* RFC 5321 4.1.4 forbids refusing a name that does not match, not one that is none: it will stand in Received. A-labels
 * only: whether we know UTF-8 is not told yet (RFC 6531 3.7.1). */
static bool helo_ok(struct span name)
{
	if (name.n > LIMIT_DOMAIN)
		return false;
	for (size_t i = 0; i < name.n; i++) {
		unsigned char c = (unsigned char)name.p[i];
		if (!ascii_isalnum((char)c) && (!c || !strchr(".-_:[]", c)))
			return false;
	}
	return true;
}

/* Takes the name; false when it was refused. */
static bool greeted(struct server *sv, struct span arg, bool esmtp)
{
	struct smtp_answer a = { 0 };
	if (!helo_ok(arg)) {
		server_reply(sv, 501, "5.5.4", "That is no host name or address literal");
		return false;
	}
	server_reset(sv);
	sv->handed_over |= sv->introduced;
	sv->x->helo = arena_span(sv->session, arg);
	sv->x->esmtp = esmtp;
	if (sv->ops->helo)
		sv->ops->helo(sv->x, &a);
	if (a.code) {
		server_answer(sv, &a);
		return false;
	}
	server_enter(sv, ST_READY);
	return true;
}

static void cmd_helo(struct server *sv, struct span arg)
{
	if (greeted(sv, arg, false))
		server_reply(sv, 250, NULL, "%s", sv->c->hostname);
}

static void future_release(struct server *sv)
{
	struct buf until;
	buf_init(&until, 100);
	when_date_format((int64_t)time(NULL) + sv->c->hold_max, &until);
	server_more(sv, 250, "FUTURERELEASE %lld %s", (long long)sv->c->hold_max, until.p);
	buf_free(&until);
}

/* Those that are not offered always. */
static void extensions(struct server *sv)
{
	const struct smtp_server_config *c = sv->c;
	if (c->binary)
		server_more(sv, 250, "BINARYMIME");
	if (c->requiretls && sv->x->tls)
		server_more(sv, 250, "REQUIRETLS");
	if (c->deliver_by)
		server_more(sv, 250, "DELIVERBY");
	if (c->priority)
		server_more(sv, 250, "MT-PRIORITY");
	if (c->hold_max)
		future_release(sv);
	if (sv->ops->expn)
		server_more(sv, 250, "EXPN");
	if (sv->ops->etrn && !c->lmtp)
		server_more(sv, 250, "ETRN");
	/* RFC 9422 4.2 */
	if (c->max_rcpt)
		server_more(sv, 250, "LIMITS RCPTMAX=%u", c->max_rcpt);
}

static bool offers_tls(const struct server *sv)
{
	return sv->c->security && sv->c->tls;
}

static bool offers_auth(const struct server *sv)
{
	return sv->c->security && sv->ops->sasl;
}

static void capabilities(struct server *sv)
{
	struct buf mechs;
	server_more(sv, 250, "%s", sv->c->hostname);
	server_more(sv, 250, "PIPELINING");
	if (sv->c->max_size)
		server_more(sv, 250, "SIZE %llu", (unsigned long long)sv->c->max_size);
	else
		server_more(sv, 250, "SIZE");
	if (offers_tls(sv) && !sv->x->tls)
		server_more(sv, 250, "STARTTLS");
	buf_init(&mechs, 512);
	if (offers_auth(sv))
		sv->c->security->mechs(sv, &mechs);
	if (mechs.len)
		server_more(sv, 250, "AUTH %s", mechs.p);
	buf_free(&mechs);
	if (server_may_xclient(sv) && !sv->c->lmtp)
		server_more(sv, 250, "XCLIENT " XCLIENT_NAMES);
	if (server_may_xforward(sv) && !sv->c->lmtp)
		server_more(sv, 250, "XFORWARD " XFORWARD_NAMES);
	if (sv->c->prdr && !sv->c->lmtp)
		server_more(sv, 250, "PRDR");
	extensions(sv);
	static const char *const always[] = { "8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8", "CHUNKING", "DSN" };
	for (size_t i = 0; i < sizeof always / sizeof *always; i++)
		server_more(sv, 250, "%s", always[i]);
	server_reply(sv, 250, NULL, "HELP");
}

static void cmd_ehlo(struct server *sv, struct span arg)
{
	if (greeted(sv, arg, true))
		capabilities(sv);
}

static void cmd_starttls(struct server *sv, struct span arg)
{
	(void)arg;
	if (offers_tls(sv))
		sv->c->security->starttls(sv);
	else
		server_reply(sv, 502, "5.5.1", "TLS is not offered");
}

static void cmd_auth(struct server *sv, struct span arg)
{
	if (offers_auth(sv))
		sv->c->security->authenticate(sv, arg);
	else
		server_reply(sv, 502, "5.5.1", "Authentication is not offered");
}

static void cmd_rset(struct server *sv, struct span arg)
{
	(void)arg;
	server_reset(sv);
	server_reply(sv, 250, "2.0.0", "Ok");
}

static void cmd_noop(struct server *sv, struct span arg)
{
	(void)arg;
	server_reply(sv, 250, "2.0.0", "Ok");
}

static void cmd_quit(struct server *sv, struct span arg)
{
	(void)arg;
	server_reply(sv, 221, "2.0.0", "%s closing connection", sv->c->hostname);
	sv->closing = true;
}

static bool offered(const struct server *sv, const struct command *cmd)
{
	if (cmd->run == cmd_xclient && !server_may_xclient(sv))
		return false;
	if (cmd->run == cmd_xforward && !server_may_xforward(sv))
		return false;
	if (cmd->run == cmd_etrn && !sv->ops->etrn)
		return false;
	return !(cmd->flags & (sv->c->lmtp ? ONLY_SMTP : ONLY_LMTP));
}

static void cmd_help(struct server *sv, struct span arg)
{
	char names[COMMANDS * 10];
	size_t n = 0;
	(void)arg;
	for (size_t i = 0; i < COMMANDS; i++)
		if (offered(sv, &commands[i]))
			n += (size_t)snprintf(names + n, sizeof names - n, " %s", commands[i].verb);
	server_reply(sv, 214, "2.0.0", "Commands:%s", names);
}

static const struct command *find(const struct server *sv, struct span verb)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (span_ieqs(verb, commands[i].verb) && offered(sv, &commands[i]))
			return &commands[i];
	return NULL;
}

static void refuse_state(struct server *sv, const struct command *cmd)
{
	const char *why = sv->state == ST_NEW           ? (sv->c->lmtp ? "Send LHLO first" : "Send EHLO first")
			  : cmd->states == IN(ST_READY) ? "Not inside a transaction"
			  : sv->state == ST_BDAT        ? "Only BDAT or RSET after BDAT"
							: "Send MAIL first";
	server_reply(sv, 503, "5.5.1", "%s", why);
}

/* The gates, in the order of their importance. False after a reply. */
static bool allowed(struct server *sv, const struct command *cmd, struct span arg)
{
	bool need_tls = sv->c->require_tls && !sv->x->tls && !(cmd->flags & CLEAR_OK);
	bool need_auth = sv->c->require_auth && !sv->x->user.n && cmd->flags & NEED_AUTH;
	if (need_tls)
		server_reply(sv, 530, "5.7.0", "Must issue a STARTTLS command first");
	else if (!(cmd->states & IN(sv->state)) && !(need_auth && sv->state == ST_READY))
		refuse_state(sv, cmd);
	else if (need_auth)
		server_reply(sv, 530, "5.7.0", "Authentication required");
	else if (cmd->shape == ARG_NONE && arg.n)
		server_reply(sv, 501, "5.5.4", "%s takes no argument", cmd->verb);
	else if (cmd->shape == ARG_ONE && !arg.n)
		server_reply(sv, 501, "5.5.4", "Syntax: %s %s...", cmd->verb, cmd->prefix ? cmd->prefix : "");
	else
		return true;
	return false;
}

/* "MAIL FROM:<a>" gives "<a>"; an argument without the prefix gives none. */
static struct span strip_prefix(const struct command *cmd, struct span arg)
{
	if (!cmd->prefix)
		return arg;
	return span_istarts(arg, cmd->prefix) ? span_trim(span_from(arg, strlen(cmd->prefix))) : SPAN("");
}

/* A browser made to speak to us by a page (cross-protocol request), not a mail client. */
static bool is_http(struct span verb)
{
	static const char *const verbs[] = { "GET", "POST", "PUT", "CONNECT", "OPTIONS" };
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (span_eqs(verb, verbs[i]))
			return true;
	return false;
}

static void unknown(struct server *sv, struct span verb)
{
	sv->closing = is_http(verb);
	server_reply(sv, 500, "5.5.1", "Command not recognized");
}

static void dispatch(struct server *sv, struct span line, const struct command *cmd)
{
	struct span arg = span_trim(line), verb = span_word(&arg);
	if (!cmd) {
		unknown(sv, verb);
		return;
	}
	arg = strip_prefix(cmd, span_trim(arg));
	if (cmd->flags & BARRIER && spoke_early(sv))
		return;
	if (cmd->flags & JUNK)
		sv->junk++;
	if (allowed(sv, cmd, arg))
		cmd->run(sv, arg);
	else if (cmd->flags & CHUNK)
		server_skip_bdat(sv, arg);
}

/* One reply for all that stands before the next CRLF: a bare LF does not end a line (RFC 5321 2.3.8). */
static void bad_line_end(struct server *sv)
{
	struct line line = { .bare_lf = true };
	while (line.bare_lf)
		stream_line(sv->x->s, LIMIT_SMTP_AUTH_LINE, &line);
	server_reply(sv, 500, "5.5.2", "A line must end with CRLF");
}

/* Why a read gave no line. */
static void no_line(struct server *sv, enum line_end end)
{
	sv->closing = true;
	if (is_stopping(sv)) {
		server_reply(sv, 421, "4.3.2", "%s is shutting down", sv->c->hostname);
	} else if (end == LINE_TIMEOUT) {
		err_set(sv->err, ERR_TEMP, "timeout waiting for the client");
		server_reply(sv, 421, "4.4.2", "%s timed out waiting for you", sv->c->hostname);
	} else if (end == LINE_ERROR && sv->err) {
		*sv->err = *stream_err(sv->x->s);
	}
}

static bool is_auth(struct span line)
{
	return span_istarts(line, "AUTH ");
}

static bool line_ok(struct server *sv, const struct line *line)
{
	if (line->bare_lf && !sv->c->bare_lf_ok)
		bad_line_end(sv);
	else if (line->end == LINE_TOO_LONG)
		server_reply(sv, 500, sv->in_auth || is_auth(line->text) ? "5.5.6" : "5.5.2", "Line too long");
	else if (line->has_nul || line->has_bare_cr)
		server_reply(sv, 500, "5.5.2", "A line must not hold NUL or a bare CR");
	else
		return true;
	return false;
}

bool server_line(struct server *sv, struct line *line)
{
	server_line_clock(sv);
	enum line_end end = stream_line(sv->x->s, LIMIT_SMTP_AUTH_LINE, line);
	if (end == LINE_EOF || end == LINE_TIMEOUT || end == LINE_ERROR) {
		no_line(sv, end);
		return false;
	}
	return line_ok(sv, line);
}

static size_t max_of(struct span line)
{
	return is_auth(line) ? LIMIT_SMTP_AUTH_LINE : LIMIT_SMTP_COMMAND;
}

/* RFC 5321 4.3.2, 7.8: who only errs or only asks is let go. */
static void count_errors(struct server *sv)
{
	unsigned errors = sv->c->max_errors ? sv->c->max_errors : LIMIT_SMTP_ERRORS;
	unsigned junk = sv->c->max_commands_junk ? sv->c->max_commands_junk : LIMIT_SMTP_JUNK_COMMANDS;
	if (sv->last_code >= 500)
		sv->errors++;
	bool enough = sv->errors >= errors || sv->junk > junk || sv->put_off > LIMIT_SMTP_PUT_OFF;
	if (sv->closing || !enough)
		return;
	server_event("refuse", 421, "too many errors, or commands without mail");
	server_reply(sv, 421, "4.7.0", "%s: too many errors", sv->c->hostname);
}

static void tell(struct server *sv, const char *verb, struct span line)
{
	bool refused = sv->last_code >= 400;
	struct smtp_command c = { .verb = verb,
		.line = line,
		.code = sv->last_code,
		.enh = refused ? sv->refusal.enh : "",
		.answer = refused ? sv->refusal.text : "" };
	if (sv->ops->command)
		sv->ops->command(sv->x, &c);
}

/* Before the command runs: it may read on, and the line is gone then. */
static struct span keep_line(const struct command *cmd, struct span line, char *said)
{
	size_t n = line.n < SMTP_COMMAND_SAID ? line.n : SMTP_COMMAND_SAID;
	if (cmd && cmd->run == cmd_auth)
		return SPAN("");
	memcpy(said, line.p, n);
	return span_of(said, n);
}

static void one_command(struct server *sv)
{
	struct line line;
	struct span kept = SPAN("");
	const struct command *cmd = NULL;
	char said[SMTP_COMMAND_SAID];
	sv->last_code = 0;
	sv->utf8_reply = false;
	if (is_stopping(sv)) {
		no_line(sv, LINE_EOF);
		return;
	}
	const char *why = server_overstayed(sv);
	if (why) {
		server_event("refuse", 421, why);
		err_set(sv->err, ERR_TEMP, "timeout: %s", why);
		server_reply(sv, 421, "4.4.2", "%s: %s", sv->c->hostname, why);
		return;
	}
	if (server_line(sv, &line)) {
		struct span rest = span_trim(line.text);
		cmd = find(sv, span_word(&rest));
		kept = keep_line(cmd, line.text, said);
		trace_line('<', line.text, false);
		if (line.text.n > max_of(line.text))
			server_reply(sv, 500, "5.5.2", "Line too long");
		else
			dispatch(sv, line.text, cmd);
	} else if (sv->closing) {
		return; /* there was none */
	}
	count_errors(sv);
	tell(sv, cmd ? cmd->verb : "UNKNOWN", kept);
}

/* 220, or the refusal to talk; RFC 5321 3.1: 554 then, and QUIT is all that may follow. We close. */
void server_greet(struct server *sv)
{
	struct smtp_answer a = { 0 };
	if (sv->ops->connect)
		sv->ops->connect(sv->x, &a);
	if (a.code) {
		a.close = true;
		server_answer(sv, &a);
		tell(sv, "CONNECT", SPAN(""));
		return;
	}
	bool strict = !sv->c->early_input_ok && !sv->c->bare_lf_ok;
	if (strict && stream_wait(sv->x->s, -1, 0) == STREAM_READY && refuse_early(sv)) {
		tell(sv, "CONNECT", SPAN(""));
		return;
	}
	const char *banner = sv->c->banner ? sv->c->banner : sv->c->lmtp ? "LMTP" : "ESMTP";
	server_reply(sv, 220, NULL, "%s %s", sv->c->hostname, banner);
}

static void begin(struct server *sv)
{
	struct smtp_session *x = sv->x;
	x->helo = x->user = x->claimed = SPAN("");
	x->lmtp = sv->c->lmtp;
	x->esmtp = x->tls = false;
	trace_begin(x->peer ? x->peer : x->peer_ip);
	trace_event(&(struct trace_event){ .ev = "conn.open", .dir = '<', .why = "a client connected" });
	server_clock_begin(sv);
	server_reset(sv);
}

int smtp_server_run(
    const struct smtp_server_config *c, const struct smtp_server_ops *ops, struct smtp_session *x, struct err *err)
{
	struct err own = { 0 };
	struct server sv = { .c = c, .ops = ops, .x = x, .session = arena_new(), .txn = arena_new(), .err = &own };
	begin(&sv);
	if (c->implicit_tls && (!c->security || c->security->begin_tls(&sv) < 0))
		sv.closing = true;
	else
		server_greet(&sv);
	while (!sv.closing)
		one_command(&sv);
	stream_flush(x->s);
	server_reset(&sv);
	trace_event(&(struct trace_event){ .ev = "conn.close", .why = own.class == ERR_NONE ? NULL : own.text });
	trace_end();
	arena_free(sv.txn);
	arena_free(sv.session);
	if (err)
		*err = own;
	return own.class == ERR_NONE ? 0 : -1;
}
