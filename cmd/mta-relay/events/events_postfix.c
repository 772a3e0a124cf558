/* SPDX-License-Identifier: ISC
 *
 * Events as Postfix's parts log them, in the words that pflogsumm and fail2ban's filters look for. A queue id is a word
 * of letters and digits as theirs. In parentheses and angle brackets stand a peer's bytes, made printable.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/log.h"
#include "msg/charset.h"
#include "mta-relay/events/events.h"

enum {
	LINE = 2000,
	TEXT = 600, /* all that a line may hold fits */
	ADDRESS = 256
};

static const char *tag(const char *part)
{
	static char name[64];
	snprintf(name, sizeof name, "postfix/%s", part);
	return name;
}

/* Control characters as '?', also those above 127 that a terminal obeys; UTF-8 is an address's right. */
static void add_clean(struct buf *b, struct span s, size_t max)
{
	utf8_append_shown(b, span_slice(s, 0, max), '?');
}

/* "from=<a@b>"; a quoted local part may hold what would end it early. */
static void add_path(struct buf *b, const char *before, struct span address)
{
	buf_adds(b, before);
	buf_addc(b, '<');
	size_t at = b->len;
	add_clean(b, address, ADDRESS);
	for (char *p = b->p + at; *p; p++)
		if (*p == '<' || *p == '>')
			*p = '?';
	buf_addc(b, '>');
}

/* "name[192.0.2.1]" */
static void add_client(struct buf *b, const struct event *e)
{
	bool address = e->client && strpbrk(e->client, ".:");
	if (!address)
		buf_adds(b, "localhost[127.0.0.1]"); /* a pipe or a Unix socket */
	else
		buf_addf(b, "%s[%s]", e->name && *e->name ? e->name : "unknown", e->client);
}

static void put(const char *part, enum log_level level, struct buf *b)
{
	log_as(tag(part), level, "%s", b->p);
	buf_reset(b);
}

static void connected(const struct event *e, const char *service, struct buf *b)
{
	buf_adds(b, "connect from ");
	add_client(b, e);
	put(service, LOG_LVL_INFO, b);
}

static void disconnected(const struct event *e, const char *service, struct buf *b)
{
	if (e->lost) {
		buf_addf(b, "%s after %s from ", e->timeout ? "timeout" : "lost connection",
		    e->stage && *e->stage ? e->stage : "CONNECT");
		add_client(b, e);
		put(service, LOG_LVL_INFO, b);
	}
	buf_adds(b, "disconnect from ");
	add_client(b, e);
	if (e->counts.n)
		buf_addf(b, " %.*s", SPAN_FMT(e->counts));
	put(service, LOG_LVL_INFO, b);
}

static void auth_failed(const struct event *e, const char *service, struct buf *b)
{
	buf_adds(b, "warning: ");
	add_client(b, e);
	buf_adds(b, ": SASL ");
	add_clean(b, e->mech, 40);
	buf_adds(b, " authentication failed: ");
	add_clean(b, e->text, TEXT);
	if (e->user.n) {
		buf_adds(b, ", sasl_username=");
		add_clean(b, e->user, TEXT);
	}
	put(service, LOG_LVL_WARN, b);
}

/* Refusals that Postfix has words for. */
static const struct {
	const char *stage, *enh, *words;
} reasons[] = {
	{ "RCPT", "5.1.1", "Recipient address rejected: User unknown" },
	{ "RCPT", "5.7.1", "Relay access denied" },
	{ "RCPT", "5.1.2", "Recipient address rejected: Domain not found" },
	{ "MAIL", "5.7.1", "Sender address rejected: not owned by user" },
};

/* Those that are no "reject" lines there. */
static const struct {
	int code;
	const char *enh, *words;
} habits[] = {
	{ 554, "5.5.0", "improper command pipelining" },
	{ 421, "4.7.0", "too many errors" },
};

static bool is(const char *a, const char *b)
{
	return a && !strcmp(a, b);
}

static bool by_habit(const struct event *e, const char *service, struct buf *b)
{
	for (size_t i = 0; i < sizeof habits / sizeof *habits; i++) {
		if (e->code != habits[i].code || !is(e->enh, habits[i].enh))
			continue;
		buf_addf(b, "%s after %s from ", habits[i].words, e->stage);
		add_client(b, e);
		put(service, LOG_LVL_INFO, b);
		return true;
	}
	return false;
}

static void add_reason(struct buf *b, const struct event *e)
{
	for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
		if (is(e->stage, reasons[i].stage) && is(e->enh, reasons[i].enh)) {
			buf_adds(b, reasons[i].words);
			return;
		}
	add_clean(b, e->text, TEXT);
}

static void refused(const struct event *e, const char *service, struct buf *b)
{
	/* A command that is wrong, or comes at the wrong time, is not mail that was rejected. */
	bool wrong = e->enh && !strncmp(e->enh, "5.5.", 4);
	bool mail = is(e->stage, "CONNECT") || is(e->stage, "MAIL") || is(e->stage, "RCPT") || is(e->stage, "DATA") ||
		    is(e->stage, "BDAT") || is(e->stage, "END-OF-MESSAGE");
	if (by_habit(e, service, b) || wrong || !mail)
		return;
	buf_addf(b, "NOQUEUE: reject: %s from ", e->stage);
	add_client(b, e);
	buf_addf(b, ": %d %s ", e->code, e->enh && *e->enh ? e->enh : e->code >= 500 ? "5.0.0" : "4.0.0");
	if (is(e->stage, "RCPT"))
		add_path(b, "", e->to);
	else if (is(e->stage, "MAIL"))
		add_path(b, "", e->from);
	else
		buf_addf(b, "<%s>", e->stage);
	buf_adds(b, ": ");
	add_reason(b, e);
	add_path(b, "; from=", e->from);
	if (e->to.n)
		add_path(b, " to=", e->to);
	buf_addf(b, " proto=%s", e->proto ? e->proto : "SMTP");
	if (e->helo.n)
		add_path(b, " helo=", e->helo);
	put(service, LOG_LVL_INFO, b);
}

static void came_from(const struct event *e, const char *service, struct buf *b)
{
	if (is(e->how, "injected")) {
		buf_addf(b, "%s: uid=%u", e->qid, e->uid);
		add_path(b, " from=", e->from);
		put("pickup", LOG_LVL_INFO, b);
	} else if (e->client) {
		buf_addf(b, "%s: client=", e->qid);
		add_client(b, e);
		if (e->user.n) {
			buf_adds(b, ", sasl_method=");
			add_clean(b, e->mech, 40);
			buf_adds(b, ", sasl_username=");
			add_clean(b, e->user, ADDRESS);
		}
		if (e->orig_client.n) {
			buf_adds(b, ", orig_client=");
			add_clean(b, e->orig_client, TEXT);
		}
		put(service, LOG_LVL_INFO, b);
	}
}

static void accepted(const struct event *e, const char *service, struct buf *b)
{
	came_from(e, service, b);
	if (e->mid.n) {
		buf_addf(b, "%s: message-id=", e->qid);
		add_clean(b, e->mid, TEXT);
		put("cleanup", LOG_LVL_INFO, b);
	}
	buf_addf(b, "%s: ", e->qid);
	add_path(b, "from=", e->from);
	buf_addf(b, ", size=%" PRIu64 ", nrcpt=%zu (queue active)", e->size, e->rcpts);
	put("qmgr", LOG_LVL_INFO, b);
}

/* "mx[192.0.2.1]:25" as it is; an MDA's "lmtp:|command args" becomes one word. */
static void add_relay(struct buf *b, struct span relay)
{
	size_t n = 0;
	while (n < relay.n && !strchr(" ,", relay.p[n]))
		n++;
	add_clean(b, span_slice(relay, 0, n), ADDRESS);
}

/* As Postfix: two digits that count, none behind the point from 10 on. */
static void add_time(struct buf *b, int64_t us)
{
	double s = (double)(us < 0 ? 0 : us) / 1e6;
	buf_addf(b, s >= 10 ? "%.0f" : s >= 1 ? "%.1f" : "%.2g", s);
}

static const char *status_of(const char *state)
{
	return is(state, "deferred") || is(state, "pending") ? "deferred" : is(state, "failed") ? "bounced" : "sent";
}

static void add_reply(struct buf *b, const struct event *e, const char *status)
{
	bool said = e->relay.n && e->code && !is(status, "sent");
	buf_adds(b, " (");
	if (said) {
		buf_adds(b, "host ");
		add_relay(b, e->relay);
		buf_adds(b, " said: ");
	}
	if (e->code)
		buf_addf(b, "%d ", e->code);
	if (e->code && e->enh && *e->enh)
		buf_addf(b, "%s ", e->enh);
	add_clean(b, e->text, TEXT);
	buf_adds(b, ")");
}

static void delivered(const struct event *e, const char *service, struct buf *b)
{
	const char *status = status_of(e->status);
	bool lmtp = span_starts(e->relay, "lmtp:"), own = !e->relay.n && is(status, "bounced");
	(void)service;
	buf_addf(b, "%s: ", e->qid);
	add_path(b, "to=", e->to);
	if (e->orig_to.n)
		add_path(b, ", orig_to=", e->orig_to);
	buf_adds(b, ", relay=");
	if (e->relay.n)
		add_relay(b, e->relay);
	else
		buf_adds(b, "none");
	buf_adds(b, ", delay=");
	add_time(b, e->delay);
	/* Before the queue's runner, in its hands, connecting, sending: the first is nothing here, the third is part of
	 * the fourth. */
	buf_adds(b, ", delays=0/");
	add_time(b, e->delay - e->tried);
	buf_adds(b, "/0/");
	add_time(b, e->tried);
	buf_addf(b, ", dsn=%s, status=%s",
	    e->enh && *e->enh    ? e->enh
	    : is(status, "sent") ? "2.0.0"
	    : own                ? "5.0.0"
				 : "4.0.0",
	    status);
	add_reply(b, e, status);
	put(lmtp ? "lmtp" : own ? "error" : "smtp", LOG_LVL_INFO, b);
}

static void expired(const struct event *e, const char *service, struct buf *b)
{
	(void)service;
	buf_addf(b, "%s: ", e->qid);
	add_path(b, "from=", e->from);
	buf_adds(b, ", status=expired, returned to sender");
	put("qmgr", LOG_LVL_INFO, b);
}

static void reported(const struct event *e, const char *service, struct buf *b)
{
	(void)service;
	buf_addf(b, "%s: sender %s notification: %s", e->qid,
	    is(e->status, "delayed")  ? "delay"
	    : is(e->status, "failed") ? "non-delivery"
				      : "delivery status",
	    e->as);
	put("bounce", LOG_LVL_INFO, b);
}

static void dropped(const struct event *e, const char *service, struct buf *b)
{
	(void)service;
	buf_addf(b, "warning: %s: undeliverable notification for %zu recipients dropped", e->qid, e->rcpts);
	put("bounce", LOG_LVL_WARN, b);
}

static void removed(const struct event *e, const char *service, struct buf *b)
{
	(void)service;
	buf_addf(b, "%s: removed", e->qid);
	put("qmgr", LOG_LVL_INFO, b);
}

/* Postfix has neither; its anvil's warnings look so. */
static void locked_out(const struct event *e, const char *service, struct buf *b)
{
	buf_adds(b, "client ");
	add_client(b, e);
	if (e->user.n) {
		buf_adds(b, ": account ");
		add_clean(b, e->user, TEXT);
		buf_addf(b, " closed to %s networks for %" PRId64 " seconds: too many ", e->net, e->seconds);
	} else {
		buf_addf(b, " and all of %s locked out for %" PRId64 " seconds: too many ", e->net, e->seconds);
	}
	add_clean(b, e->text, TEXT);
	put(service, LOG_LVL_WARN, b);
}

static void braked(const struct event *e, const char *service, struct buf *b)
{
	buf_adds(b, "client ");
	add_client(b, e);
	buf_adds(b, ": sasl_username=");
	add_clean(b, e->user, ADDRESS);
	buf_adds(b, ": ");
	add_clean(b, e->text, TEXT);
	put(service, LOG_LVL_WARN, b);
}

void event_as_postfix(const struct event *e, const char *service)
{
	static void (*const lines[EVENT_KINDS])(const struct event *, const char *, struct buf *) = {
		[EVENT_CONNECT] = connected,
		[EVENT_DISCONNECT] = disconnected,
		[EVENT_AUTH_FAILED] = auth_failed, /* success is told with the message */
		[EVENT_REFUSE] = refused,
		[EVENT_ACCEPT] = accepted,
		[EVENT_DELIVER] = delivered,
		[EVENT_EXPIRE] = expired,
		[EVENT_REPORT] = reported,
		[EVENT_DROP] = dropped,
		[EVENT_REMOVE] = removed,
		[EVENT_LOCKOUT] = locked_out,
		[EVENT_BRAKE] = braked,
	};
	struct buf b;
	if (!lines[e->kind])
		return;
	buf_init(&b, LINE);
	lines[e->kind](e, service, &b);
	buf_free(&b);
}
