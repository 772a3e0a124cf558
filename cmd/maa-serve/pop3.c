/* SPDX-License-Identifier: ISC */
#include "pop3.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/limits.h"
#include "io/trace.h"
#include "pop3_session.h"

enum {
	POP3_BAD_COMMANDS = 10,
	POP3_REPLY_MAX = 512
};

enum pop3_arg {
	ARG_NONE,
	ARG_SOME,
	ARG_MAYBE
};

static void reply(struct pop3 *p, const char *status, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));

static void reply(struct pop3 *p, const char *status, const char *fmt, va_list ap)
{
	char text[POP3_REPLY_MAX]; /* RFC 2449 4 */
	int n = snprintf(text, sizeof text - 2, "%s ", status);
	vsnprintf(text + n, sizeof text - 2 - (size_t)n, fmt, ap);
	for (char *c = text; *c; c++)
		if (*c == '\r' || *c == '\n')
			*c = ' ';
	trace_line('>', span_str(text), false);
	stream_puts(p->s, text);
	stream_puts(p->s, "\r\n");
}

void pop3_ok(struct pop3 *p, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	reply(p, "+OK", fmt, ap);
	va_end(ap);
}

void pop3_err(struct pop3 *p, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	reply(p, "-ERR", fmt, ap);
	va_end(ap);
}

static void cmd_noop(struct pop3 *p, struct span arg)
{
	(void)arg;
	pop3_ok(p, "nothing done");
}

static void cmd_quit(struct pop3 *p, struct span arg)
{
	(void)arg;
	if (p->state == POP3_TRANSACTION)
		pop3_update(p);
	else
		pop3_ok(p, "bye");
	p->state = POP3_ENDED;
}

struct pop3_cmd {
	const char *verb;
	void (*run)(struct pop3 *p, struct span arg);
	enum pop3_arg arg;
	unsigned states;
};

static const struct pop3_cmd cmds[] = {
	{ "CAPA", pop3_capa, ARG_NONE, POP3_AUTHORIZATION | POP3_TRANSACTION },
	{ "STLS", pop3_stls, ARG_NONE, POP3_AUTHORIZATION },
	{ "USER", pop3_user, ARG_SOME, POP3_AUTHORIZATION },
	{ "PASS", pop3_pass, ARG_SOME, POP3_AUTHORIZATION },
	{ "AUTH", pop3_auth, ARG_MAYBE, POP3_AUTHORIZATION },
	{ "QUIT", cmd_quit, ARG_NONE, POP3_AUTHORIZATION | POP3_TRANSACTION },
	{ "STAT", pop3_stat, ARG_NONE, POP3_TRANSACTION },
	{ "LIST", pop3_list, ARG_MAYBE, POP3_TRANSACTION },
	{ "UIDL", pop3_uidl, ARG_MAYBE, POP3_TRANSACTION },
	{ "RETR", pop3_retr, ARG_SOME, POP3_TRANSACTION },
	{ "TOP", pop3_top, ARG_SOME, POP3_TRANSACTION },
	{ "DELE", pop3_dele, ARG_SOME, POP3_TRANSACTION },
	{ "RSET", pop3_rset, ARG_NONE, POP3_TRANSACTION },
	{ "NOOP", cmd_noop, ARG_NONE, POP3_TRANSACTION },
};

static const struct pop3_cmd *find(struct span verb)
{
	for (size_t i = 0; i < sizeof cmds / sizeof *cmds; i++)
		if (span_ieqs(verb, cmds[i].verb))
			return &cmds[i];
	return NULL;
}

/* False: too many of them, the peer speaks something else. */
static bool bad_command(struct pop3 *p, const char *why)
{
	pop3_err(p, "%s", why);
	return ++p->bad < POP3_BAD_COMMANDS;
}

static bool dispatch(struct pop3 *p, struct span text)
{
	struct span arg = text, verb = span_cut(&arg, ' ');
	const struct pop3_cmd *c = find(verb);
	if (!c)
		return bad_command(p, "unknown command");
	if (!(c->states & (unsigned)p->state))
		return bad_command(p, p->state == POP3_TRANSACTION ? "already logged in" : "log in first");
	/* Trailing blanks are common; a password keeps its own. */
	if (c->run != pop3_pass)
		arg = span_trim(arg);
	if (c->arg == ARG_NONE && arg.n)
		return bad_command(p, "no argument expected");
	if (c->arg == ARG_SOME && !arg.n)
		return bad_command(p, "an argument is missing");
	c->run(p, arg);
	return true;
}

/* False when the conversation is over, by the line's end or by what it says. */
static bool handle(struct pop3 *p, const struct line *l, struct err *err)
{
	switch (l->end) {
	case LINE_EOF:
		/* RFC 1939 6: without QUIT nothing is removed. */
		return false;
	case LINE_TIMEOUT:
		err_set(err, ERR_TEMP, "the client was silent for too long");
		return false;
	case LINE_ERROR:
		*err = *stream_err(p->s);
		return false;
	case LINE_TOO_LONG:
		return bad_command(p, "line too long");
	case LINE_LF:
		if (!stream_is_local(p->s))
			return bad_command(p, "a line ends with CR LF");
		break;
	case LINE_CRLF:
		break;
	}
	trace_line('<', l->text, false);
	if (l->has_nul || l->has_bare_cr)
		return bad_command(p, "NUL or bare CR in a command");
	return dispatch(p, l->text);
}

static int loop(struct pop3 *p, struct err *err)
{
	struct err why = { 0 };
	while (p->state != POP3_ENDED) {
		struct line l;
		stream_set_timeout(p->s, p->x->c->idle_ms ? p->x->c->idle_ms : TIME_POP3_IDLE);
		stream_line(p->s, LIMIT_POP3_LINE, &l);
		if (maa_stopping(p->x) && l.end != LINE_CRLF && l.end != LINE_LF) {
			pop3_err(p, "[SYS/TEMP] shutting down");
			break;
		}
		if (!handle(p, &l, &why))
			break;
	}
	stream_flush(p->s);
	if (why.class == ERR_NONE)
		return 0;
	*err = why;
	return -1;
}

int pop3_run(struct maa_session *x, struct err *err)
{
	struct pop3 p = { .x = x, .s = x->s, .state = POP3_AUTHORIZATION };
	struct err why = { 0 };
	int rc = 0;
	if (x->c->preauth) {
		rc = maa_enter(x, span_str(x->c->preauth), &why);
		if (rc < 0)
			pop3_err(&p, "[SYS/TEMP] the mailbox cannot be opened");
		else
			pop3_open(&p);
	} else {
		pop3_ok(&p, "%s POP3 server ready", x->c->hostname);
	}
	if (rc == 0)
		rc = loop(&p, &why);
	stream_flush(x->s);
	pop3_release(&p);
	if (rc < 0)
		*err = why;
	return rc;
}
