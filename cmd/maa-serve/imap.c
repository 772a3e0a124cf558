/* SPDX-License-Identifier: ISC */
#include "imap.h"

#include <stdio.h>

#include "base/limits.h"
#include "imap_session.h"
#include "io/trace.h"

enum {
	IMAP_BAD_COMMANDS = 10
};

/* When changes made by others are reported after a command (RFC 3501 7.4.1, 5.2). */
enum imap_report {
	REPORT_NONE,
	REPORT_KEEP, /* numbers must stay: everything but EXPUNGE */
	REPORT_ALL,
	REPORT_NOW, /* and look, however recently that was done */
};

struct imap_cmd {
	const char *verb;
	void (*run)(struct imap *s);
	unsigned states;
	enum imap_report report;
	bool with_uid; /* "UID verb" exists */
};

static void cmd_noop(struct imap *s)
{
	imap_end(&s->in);
}

static void cmd_logout(struct imap *s)
{
	if (!imap_end(&s->in))
		return;
	imap_untagged(s, "BYE see you");
	s->state = IMAP_LOGOUT;
}

#define ANY (IMAP_NONAUTH | IMAP_AUTH | IMAP_SELECTED)
#define LOGGED_IN (IMAP_AUTH | IMAP_SELECTED)
static const struct imap_cmd cmds[] = {
	{ "CAPABILITY", imap_cmd_capability, ANY, REPORT_NONE, false },
	{ "NOOP", cmd_noop, ANY, REPORT_NOW, false },
	{ "LOGOUT", cmd_logout, ANY, REPORT_NONE, false },
	{ "ID", imap_cmd_id, ANY, REPORT_NONE, false },
	{ "STARTTLS", imap_cmd_starttls, IMAP_NONAUTH, REPORT_NONE, false },
	{ "LOGIN", imap_cmd_login, IMAP_NONAUTH, REPORT_NONE, false },
	{ "AUTHENTICATE", imap_cmd_authenticate, IMAP_NONAUTH, REPORT_NONE, false },
	{ "ENABLE", imap_cmd_enable, LOGGED_IN, REPORT_NONE, false },
	{ "SELECT", imap_cmd_select, LOGGED_IN, REPORT_NONE, false },
	{ "EXAMINE", imap_cmd_examine, LOGGED_IN, REPORT_NONE, false },
	{ "CREATE", imap_cmd_create, LOGGED_IN, REPORT_ALL, false },
	{ "DELETE", imap_cmd_delete, LOGGED_IN, REPORT_ALL, false },
	{ "RENAME", imap_cmd_rename, LOGGED_IN, REPORT_ALL, false },
	{ "SUBSCRIBE", imap_cmd_subscribe, LOGGED_IN, REPORT_ALL, false },
	{ "UNSUBSCRIBE", imap_cmd_unsubscribe, LOGGED_IN, REPORT_ALL, false },
	{ "LIST", imap_cmd_list, LOGGED_IN, REPORT_ALL, false },
	{ "LSUB", imap_cmd_lsub, LOGGED_IN, REPORT_ALL, false },
	{ "NAMESPACE", imap_cmd_namespace, LOGGED_IN, REPORT_ALL, false },
	{ "STATUS", imap_cmd_status, LOGGED_IN, REPORT_ALL, false },
	{ "APPEND", imap_cmd_append, LOGGED_IN, REPORT_ALL, false },
	{ "IDLE", imap_cmd_idle, LOGGED_IN, REPORT_NONE, false },
	{ "CHECK", cmd_noop, IMAP_SELECTED, REPORT_NOW, false },
	{ "CLOSE", imap_cmd_close, IMAP_SELECTED, REPORT_NONE, false },
	{ "UNSELECT", imap_cmd_unselect, IMAP_SELECTED, REPORT_NONE, false },
	{ "EXPUNGE", imap_cmd_expunge, IMAP_SELECTED, REPORT_ALL, true },
	{ "SEARCH", imap_cmd_search, IMAP_SELECTED, REPORT_KEEP, true },
	{ "FETCH", imap_cmd_fetch, IMAP_SELECTED, REPORT_KEEP, true },
	{ "STORE", imap_cmd_store, IMAP_SELECTED, REPORT_KEEP, true },
	{ "COPY", imap_cmd_copy, IMAP_SELECTED, REPORT_ALL, true },
	{ "MOVE", imap_cmd_move, IMAP_SELECTED, REPORT_ALL, true },
};

static const struct imap_cmd *find(struct span verb)
{
	for (size_t i = 0; i < sizeof cmds / sizeof *cmds; i++)
		if (span_ieqs(verb, cmds[i].verb))
			return &cmds[i];
	return NULL;
}

static const struct imap_cmd *read_verb(struct imap *s)
{
	struct span verb;
	if (!imap_atom(&s->in, &verb))
		return NULL;
	s->uid = span_ieqs(verb, "UID");
	if (s->uid && (!imap_sp(&s->in) || !imap_atom(&s->in, &verb)))
		return NULL;
	const struct imap_cmd *c = find(verb);
	if (!c || (s->uid && !c->with_uid)) {
		imap_fail(&s->in, "unknown command");
		return NULL;
	}
	if (!(c->states & (unsigned)s->state)) {
		imap_fail(&s->in, s->state == IMAP_NONAUTH   ? "log in first"
				  : c->states & IMAP_NONAUTH ? "logged in already"
							     : "no mailbox is selected");
		return NULL;
	}
	return c;
}

/* Numbers in a UID command are UIDs, so vanished messages may be reported after it (RFC 3501 7.4.1); after UID EXPUNGE
 * they are the point. */
static void report(struct imap *s, const struct imap_cmd *c)
{
	if (!s->f || c->report == REPORT_NONE || s->state != IMAP_SELECTED)
		return;
	imap_sync(s, c->report != REPORT_KEEP || s->uid, c->report == REPORT_NOW);
}

static void finish(struct imap *s, struct span tag)
{
	static const char *const words[] = { "OK", "NO", "BAD" };
	const struct imap_reply *r = &s->reply;
	struct buf line;
	buf_init(&line, 2 * LIMIT_IMAP_COMMAND);
	buf_addspan(&line, tag);
	buf_addf(&line, " %s ", words[r->status]);
	if (r->code)
		buf_addf(&line, "[%s] ", r->code);
	buf_adds(&line, r->text[0] ? r->text : "done");
	trace_line('>', buf_span(&line), false);
	stream_span(s->s, buf_span(&line));
	stream_puts(s->s, "\r\n");
	buf_free(&line);
}

/* Before login ten of them end it: whoever it is, it speaks something else (HTTP through a browser, say). */
static void count_bad(struct imap *s)
{
	if (s->state != IMAP_NONAUTH || ++s->bad < IMAP_BAD_COMMANDS)
		return;
	imap_untagged(s, "BYE too many errors");
	s->state = IMAP_LOGOUT;
}

/* A command that failed before its message literal was taken: a client that did not wait sends it all the same. */
static void drain_literal(struct imap *s)
{
	if (!s->pending)
		return;
	s->pending = false;
	if (s->literal.sync)
		return;
	if (s->literal.size > 4 * s->x->c->max_size || !imap_skip(s, s->literal.size) || !imap_read_tail(s)) {
		imap_untagged(s, "BYE [TOOBIG] literal too large");
		s->state = IMAP_LOGOUT;
	}
}

static void execute(struct imap *s)
{
	struct span tag;
	imap_in_init(&s->in, buf_span(&s->command), s->arena);
	s->reply = (struct imap_reply){ 0 };
	s->answered = false;
	if (!imap_tag(&s->in, &tag))
		tag = SPAN("*");
	else
		imap_sp(&s->in);
	const struct imap_cmd *c = s->in.bad ? NULL : read_verb(s);
	if (c)
		c->run(s);
	const char *bad = s->in.bad;
	drain_literal(s);
	if (bad) {
		s->reply = (struct imap_reply){ .status = IMAP_BAD };
		snprintf(s->reply.text, sizeof s->reply.text, "%s", bad);
		count_bad(s);
	} else if (c) {
		report(s, c);
	}
	if (!s->answered)
		finish(s, tag);
}

static void greet(struct imap *s, bool preauth)
{
	struct buf caps;
	buf_init(&caps, LIMIT_IMAP_LINE);
	imap_put_capabilities(s, &caps);
	imap_untagged(s, "%s [%s] %s ready", preauth ? "PREAUTH" : "OK", caps.p, s->x->c->hostname);
	buf_free(&caps);
}

static int loop(struct imap *s, struct err *err)
{
	struct err why = { 0 };
	while (s->state != IMAP_LOGOUT) {
		enum imap_read r = imap_read_command(s, &why);
		if (r == IMAP_READ_END)
			break;
		bool secret = s->state == IMAP_NONAUTH;
		if (r == IMAP_READ_OK)
			execute(s);
		if (secret)
			explicit_bzero(s->command.p, s->command.len);
		arena_reset(s->arena);
		if (maa_stopping(s->x) && s->state != IMAP_LOGOUT) {
			imap_untagged(s, "BYE [UNAVAILABLE] shutting down");
			break;
		}
	}
	stream_flush(s->s);
	if (why.class == ERR_NONE)
		return 0;
	*err = why;
	return -1;
}

int imap_run(struct maa_session *x, struct err *err)
{
	struct imap s = { .x = x, .s = x->s, .state = IMAP_NONAUTH, .arena = arena_new() };
	int rc = 0;
	buf_init(&s.command, LIMIT_IMAP_COMMAND);
	if (x->c->preauth) {
		rc = maa_enter(x, span_str(x->c->preauth), err);
		s.state = IMAP_AUTH;
	}
	if (rc == 0) {
		greet(&s, x->c->preauth != NULL);
		rc = loop(&s, err);
	} else {
		imap_untagged(&s, "BYE [UNAVAILABLE] the mail cannot be opened");
		stream_flush(s.s);
	}
	imap_leave(&s);
	buf_free(&s.command);
	arena_free(s.arena);
	return rc;
}
