/* SPDX-License-Identifier: ISC */
#include "mta-relay/hooks/policyd.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/xalloc.h"
#include "io/stream.h"
#include "mta-relay/hooks/hook_place.h"
#include "smtp/reply.h"

enum {
	REPLY_MAX = 65536
};

struct policyd {
	struct hook_place place;
	struct policyd_settings o;
	struct stream *s; /* NULL: closed */
	struct buf reply;
};

/* Code 0: the verb refuses nothing. */
static const struct {
	const char *word;
	enum policyd_verb verb;
	int code;
	bool needs; /* its argument */
} verbs[] = {
	{ "DUNNO", POLICYD_DUNNO, 0, false },
	{ "OK", POLICYD_OK, 0, false },
	{ "PERMIT", POLICYD_OK, 0, false },
	{ "REJECT", POLICYD_REFUSE, 554, false },
	{ "DEFER", POLICYD_REFUSE, 450, false },
	{ "DEFER_IF_PERMIT", POLICYD_DEFER_IF_PERMIT, 450, false },
	{ "DEFER_IF_REJECT", POLICYD_DEFER_IF_REJECT, 450, false },
	{ "HOLD", POLICYD_HOLD, 0, false },
	{ "DISCARD", POLICYD_DISCARD, 0, false },
	{ "REDIRECT", POLICYD_REDIRECT, 0, true },
	{ "BCC", POLICYD_BCC, 0, true },
	{ "PREPEND", POLICYD_PREPEND, 0, true },
	{ "FILTER", POLICYD_FILTER, 0, true },
	{ "WARN", POLICYD_WARN, 0, false },
	{ "INFO", POLICYD_INFO, 0, false },
};

static void refusal(struct policyd_action *out, struct span text)
{
	snprintf(out->enh, sizeof out->enh, "%s", out->code < 500 ? "4.7.1" : "5.7.1");
	smtp_take_enhanced(&text, out->code, out->enh);
	out->text = text.n ? text : SPAN("Access denied");
}

/* "450 4.7.1 text"; other numbers permit, as in Postfix's tables. */
static bool numeric(struct span word, struct span rest, struct policyd_action *out)
{
	uint64_t n;
	if (!span_u64(word, UINT64_MAX, &n))
		return false;
	*out = (struct policyd_action){ .verb = POLICYD_OK, .text = SPAN("") };
	if (word.n == 3 && n >= 400 && n <= 599) {
		out->verb = POLICYD_REFUSE;
		out->code = (int)n;
		refusal(out, rest);
	}
	return true;
}

bool policyd_action_parse(struct span value, struct policyd_action *out)
{
	struct span rest = span_trim(value), word = span_word(&rest);
	rest = span_trim(rest);
	*out = (struct policyd_action){ .verb = POLICYD_DUNNO, .text = SPAN("") };
	if (!word.n || numeric(word, rest, out))
		return true;
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
		if (!span_ieqs(word, verbs[i].word))
			continue;
		out->verb = verbs[i].verb;
		out->code = verbs[i].code;
		out->text = rest;
		if (out->code)
			refusal(out, rest);
		return !verbs[i].needs || rest.n;
	}
	return false;
}

bool policyd_reply_parse(struct span reply, struct span *action)
{
	bool found = false;
	while (reply.n) {
		struct span value = span_cut(&reply, '\n');
		if (value.n && value.p[value.n - 1] == '\r')
			value.n--;
		bool whole = span_chr(value, '=') > 0;
		if (!whole || span_chr(value, '\0') >= 0)
			return false;
		struct span name = span_cut(&value, '=');
		if (!span_eqs(name, "action") || found)
			continue;
		*action = value;
		found = true;
	}
	return found;
}

void policyd_attribute(struct buf *out, const char *name, struct span value)
{
	buf_addf(out, "%s=", name);
	for (size_t i = 0; i < value.n; i++) {
		unsigned char c = (unsigned char)value.p[i];
		buf_addc(out, c < 32 || c == 127 ? '?' : (char)c);
	}
	buf_addc(out, '\n');
}

static const struct opt settings[] = {
	{ "timeout", 0, OPT_DURATION, offsetof(struct policyd_settings, timeout), "TIME", "", NULL, 0 },
	{ "default", 0, OPT_CHOICE, offsetof(struct policyd_settings, otherwise), NULL, "", "tempfail|accept|reject",
	    0 },
	{ "clients", 0, OPT_CHOICE, offsetof(struct policyd_settings, clients), NULL, "", "all|strangers", 0 },
	{ "stage", 0, OPT_STR, offsetof(struct policyd_settings, stage), "STAGE", "", NULL, 0 },
	{ "context", 0, OPT_STR, offsetof(struct policyd_settings, context), "TEXT", "", NULL, 0 },
	{ 0 },
};

/* "rcpt+end". */
static bool parse_stages(const char *text, unsigned *stages)
{
	static const char *const names[] = { "connect", "helo", "mail", "rcpt", "data", "end" };
	struct span rest = span_str(text);
	*stages = 0;
	do {
		struct span word = span_cut(&rest, '+');
		unsigned bit = 0;
		for (size_t i = 0; i < sizeof names / sizeof *names; i++)
			if (span_eqs(word, names[i]))
				bit = 1u << i;
		if (!bit)
			return false;
		*stages |= bit;
	} while (rest.n);
	return true;
}

struct policyd *policyd_new(const char *spec, struct err *err)
{
	struct policyd *p = xcalloc(1, sizeof *p);
	p->o = (struct policyd_settings){ .timeout = 100 * 1000, .stage = "rcpt", .context = "" };
	buf_init(&p->reply, REPLY_MAX);
	if (hook_place_parse("policy", spec, settings, &p->o, &p->place, err) == 0) {
		if (parse_stages(p->o.stage, &p->o.stages))
			return p;
		err_set(err, ERR_USAGE, "policy: '%s' is not made of connect, helo, mail, rcpt, data, end and '+'",
		    p->o.stage);
	}
	policyd_free(p);
	return NULL;
}

static void hang_up(struct policyd *p)
{
	if (p->s)
		stream_abandon(p->s);
	p->s = NULL;
}

void policyd_free(struct policyd *p)
{
	if (!p)
		return;
	hang_up(p);
	buf_free(&p->reply);
	hook_place_free(&p->place);
	free(p);
}

void policyd_rules(const struct policyd *p, struct confine_rules *r)
{
	hook_place_rules(&p->place, r);
}

const char *policyd_name(const struct policyd *p)
{
	return p->place.name;
}

const struct policyd_settings *policyd_settings(const struct policyd *p)
{
	return &p->o;
}

static int reach(struct policyd *p, struct err *err)
{
	if (p->s)
		return 0;
	int fd = hook_place_connect(&p->place, p->o.timeout, err);
	if (fd < 0)
		return -1;
	p->s = stream_from_fds(fd, fd);
	stream_set_stoppable(p->s, false);
	return 0;
}

static int failed(struct policyd *p, struct err *err)
{
	const struct err *why = stream_err(p->s);
	if (why->class == ERR_NONE)
		return err_set(err, ERR_TEMP, "it closed the connection");
	*err = *why;
	return -1;
}

/* Request and answer on the connection that there is. */
static int talk(struct policyd *p, struct span request, struct err *err)
{
	struct line line = { 0 };
	stream_set_timeout(p->s, p->o.timeout);
	stream_set_deadline(p->s, p->o.timeout);
	stream_span(p->s, request);
	stream_puts(p->s, "\n");
	buf_reset(&p->reply);
	for (;;) {
		enum line_end end = stream_line(p->s, REPLY_MAX, &line);
		if (end != LINE_LF && end != LINE_CRLF)
			return failed(p, err);
		if (!line.text.n || p->reply.bad)
			break;
		buf_addspan(&p->reply, line.text);
		buf_addc(&p->reply, '\n');
	}
	return p->reply.bad ? err_set(err, ERR_LIMIT, "its answer is too long") : 0;
}

int policyd_ask(struct policyd *p, struct span request, struct policyd_action *out, struct err *err)
{
	struct span action;
	bool rested = p->s != NULL;
	int rc = reach(p, err);
	if (rc == 0)
		rc = talk(p, request, err);
	if (rc < 0 && rested && err->class == ERR_TEMP) {
		hang_up(p);
		rc = reach(p, err);
		if (rc == 0)
			rc = talk(p, request, err);
	}
	if (rc == 0 && (!policyd_reply_parse(buf_span(&p->reply), &action) || !policyd_action_parse(action, out)))
		rc = err_set(err, ERR_PROTO, "its answer is no action: %.*s",
		    SPAN_FMT(span_slice(span_trim(buf_span(&p->reply)), 0, 200)));
	if (rc < 0)
		hang_up(p);
	return rc;
}
