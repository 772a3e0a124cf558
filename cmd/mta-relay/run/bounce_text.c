/* SPDX-License-Identifier: ISC */
#include "mta-relay/run/bounce.h"

#include "base/limits.h"
#include "msg/addr.h"
#include "msg/charset.h"
#include "msg/date.h"
#include "msg/header.h"
#include "smtp/orcpt.h"
#include "smtp/param.h"

enum {
	FIELD_MAX = 4096,
	WRAP = 72
};

static const char *const actions[] = {
	[BOUNCE_FAILED] = "failed",
	[BOUNCE_DELAYED] = "delayed",
	[BOUNCE_DELIVERED] = "delivered",
	[BOUNCE_RELAYED] = "relayed",
	[BOUNCE_EXPANDED] = "expanded",
};

static void add_date(const char *name, int64_t when, struct buf *out)
{
	buf_addf(out, "%s: ", name);
	date_format(when, date_local_zone(when), out);
	buf_adds(out, "\r\n");
}

/* A peer's text: no control characters; what is not ASCII only where that may stand. */
static void add_plain(struct span s, bool utf8, struct buf *out)
{
	size_t at = out->len;
	utf8_append_shown(out, s, '?');
	for (size_t i = at; i < out->len && !utf8; i++)
		if ((unsigned char)out->p[i] > 0x7f)
			out->p[i] = '?';
}

static void add_field(
    const char *name, const char *type, struct span value, const struct bounce_text *t, struct buf *out)
{
	struct buf plain;
	buf_init(&plain, FIELD_MAX);
	buf_adds(&plain, type);
	add_plain(value, t->utf8, &plain);
	header_fold(name, buf_span(&plain), "\r\n", out);
	buf_free(&plain);
}

static bool any(const struct bounce_text *t, enum bounce_kind kind)
{
	for (size_t i = 0; i < t->m->file.env.n_rcpt; i++)
		if (t->kind[i] == kind)
			return true;
	return false;
}

static const char *subject(const struct bounce_text *t)
{
	if (!t->m->file.env.from.n)
		return "Undeliverable report, for the postmaster";
	return any(t, BOUNCE_FAILED)    ? "Undelivered mail returned to sender"
	       : any(t, BOUNCE_DELAYED) ? "Delayed mail (still being retried)"
					: "Successful mail delivery report";
}

/* May there be bytes above 127 in what is returned? */
static bool returns_eightbit(const struct bounce_text *t)
{
	const struct spool_envelope *env = &t->m->file.env;
	return env->binary || env->eightbit || env->utf8;
}

static void add_header(const struct bounce_text *t, struct buf *out)
{
	add_date("Date", t->now, out);
	buf_addf(out, "From: Mail Delivery System <MAILER-DAEMON@%s>\r\n", t->c->hostname);
	buf_adds(out, "To: <");
	add_plain(t->to, true, out);
	buf_addf(out, ">\r\nSubject: %s\r\n", subject(t));
	buf_addf(out, "Message-ID: <%s@%s>\r\n", t->id, t->c->hostname);
	/* RFC 3834 5: nobody's vacation answers this. */
	buf_adds(out, "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n");
	buf_addf(out, "Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=\"=_%s\"\r\n", t->id);
	/* RFC 2045 6.4: the whole allows what its parts are. */
	if (t->utf8 || returns_eightbit(t))
		buf_adds(out, "Content-Transfer-Encoding: 8bit\r\n");
	buf_adds(out, "\r\nThis is a delivery status notification in MIME format (RFC 3464).\r\n");
}

static int64_t retry_until(const struct bounce_text *t)
{
	return spool_began(&t->m->file.env) + t->c->expire;
}

static void add_part(const struct bounce_text *t, const char *type, const char *description, struct buf *out)
{
	buf_addf(out, "\r\n--=_%s\r\nContent-Type: %s\r\nContent-Description: %s\r\n", t->id, type, description);
	if (t->utf8)
		buf_adds(out, "Content-Transfer-Encoding: 8bit\r\n");
	buf_adds(out, "\r\n");
}

/* A sentence broken into lines at blanks, each behind four blanks. */
static void add_wrapped(struct span s, bool utf8, struct buf *out)
{
	size_t column = WRAP;
	for (struct span word; (word = span_word(&s)).n;) {
		bool fresh = column + word.n + 1 > WRAP;
		if (fresh && column != WRAP)
			buf_adds(out, "\r\n");
		buf_adds(out, fresh ? "    " : " ");
		column = fresh ? 4 + word.n : column + 1 + word.n;
		add_plain(word, utf8, out);
	}
	buf_adds(out, "\r\n");
}

static void add_story(const struct bounce_text *t, size_t rcpt, struct buf *out)
{
	const struct spool_outcome *o = &t->m->file.state[rcpt].last;
	struct span addr = t->m->file.env.rcpt[rcpt].addr, original = t->m->file.env.rcpt[rcpt].original;
	struct buf text;
	buf_init(&text, FIELD_MAX);
	buf_adds(out, "\r\n  <");
	add_plain(addr, t->utf8, out);
	buf_adds(out, ">");
	if (original.n && !span_eq(original, addr)) {
		buf_adds(out, " (you wrote to <");
		add_plain(original, t->utf8, out);
		buf_adds(out, ">)");
	}
	buf_addf(out, ": %s\r\n", actions[t->kind[rcpt]]);
	if (o->relay.n) {
		add_plain(o->relay, t->utf8, &text);
		buf_adds(&text, " said: ");
	}
	if (o->code)
		buf_addf(&text, "%d ", o->code);
	if (*o->enh)
		buf_addf(&text, "%s ", o->enh);
	add_plain(o->text, t->utf8, &text);
	add_wrapped(buf_span(&text), t->utf8, out);
	buf_free(&text);
}

static void add_explanation(const struct bounce_text *t, struct buf *out)
{
	add_part(t, t->utf8 ? "text/plain; charset=utf-8" : "text/plain; charset=us-ascii", "Notification", out);
	buf_addf(out, "This is the mail system at %s.\r\n\r\n", t->c->hostname);
	if (any(t, BOUNCE_FAILED)) {
		buf_adds(out, "Your message could not be delivered to some of its recipients.\r\n"
			      "No further attempt will be made. The reasons are below.\r\n");
	} else if (any(t, BOUNCE_DELAYED)) {
		buf_adds(out, "Your message is delayed. It is still in the queue and will be tried\r\nagain until ");
		date_format(retry_until(t), 0, out);
		buf_adds(out, ".\r\nYou need not send it again.\r\n");
	} else {
		buf_adds(out, "Your message was delivered, or passed on to a system or to several addresses,\r\n"
			      "of which you will not be told what becomes of it there.\r\n");
	}
	for (size_t i = 0; i < t->m->file.env.n_rcpt; i++)
		if (t->kind[i] != BOUNCE_NOTHING)
			add_story(t, i, out);
}

/* The host out of "mx.example.net[192.0.2.1]:25"; "" for what is no host. */
static struct span remote_host(struct span relay)
{
	ptrdiff_t bracket = span_chr(relay, '[');
	return bracket > 0 ? span_slice(relay, 0, (size_t)bracket) : span_of(NULL, 0);
}

/* RFC 3464 2.3.1: the sender's own form, "rfc822;xtext", becomes "rfc822;address". */
static void add_original(const struct bounce_text *t, const struct spool_rcpt *r, struct buf *out)
{
	struct buf value;
	buf_init(&value, FIELD_MAX);
	if (r->orcpt.n && orcpt_to_field(r->orcpt, t->utf8, &value)) {
		add_field("Original-Recipient", "", buf_span(&value), t, out);
	} else if (r->original.n) {
		add_field(
		    "Original-Recipient", addr_needs_utf8(r->original) ? "utf-8;" : "rfc822;", r->original, t, out);
	}
	buf_free(&value);
}

static void add_diagnostic(const struct bounce_text *t, const struct spool_outcome *o, struct buf *out)
{
	struct buf text;
	if (!o->code || !remote_host(o->relay).n)
		return;
	buf_init(&text, FIELD_MAX);
	buf_addf(&text, "%d %s%s", o->code, o->enh, *o->enh ? " " : "");
	buf_addspan(&text, o->text);
	add_field("Remote-MTA", "dns; ", remote_host(o->relay), t, out);
	add_field("Diagnostic-Code", "smtp; ", buf_span(&text), t, out);
	buf_free(&text);
}

/* RFC 3464 2.3.4: the class must fit the action. */
static void add_status(enum bounce_kind kind, const char *enh, struct buf *out)
{
	char class = kind == BOUNCE_FAILED ? '5' : kind == BOUNCE_DELAYED ? '4' : '2';
	buf_addf(out, "Status: %c%s\r\n", class, enh[0] && enh[1] == '.' ? enh + 1 : ".0.0");
}

static void add_recipient(const struct bounce_text *t, size_t rcpt, struct buf *out)
{
	const struct spool_rcpt *r = &t->m->file.env.rcpt[rcpt];
	const struct spool_outcome *o = &t->m->file.state[rcpt].last;
	enum bounce_kind kind = t->kind[rcpt];
	buf_adds(out, "\r\n");
	add_original(t, r, out);
	add_field("Final-Recipient", addr_needs_utf8(r->addr) ? "utf-8; " : "rfc822; ", r->addr, t, out);
	buf_addf(out, "Action: %s\r\n", actions[kind]);
	bool by_over = kind == BOUNCE_DELAYED && t->m->file.env.by_mode && t->now >= t->m->file.env.by_time;
	add_status(kind, by_over ? "4.4.7" : o->enh, out);
	add_diagnostic(t, o, out);
	if (o->when)
		add_date("Last-Attempt-Date", o->when, out);
	if (kind == BOUNCE_DELAYED)
		add_date("Will-Retry-Until", retry_until(t), out);
}

static void add_report(const struct bounce_text *t, struct buf *out)
{
	struct buf envid;
	const struct spool_envelope *env = &t->m->file.env;
	add_part(t, t->utf8 ? "message/global-delivery-status" : "message/delivery-status", "Delivery report", out);
	buf_addf(out, "Reporting-MTA: dns; %s\r\n", t->c->hostname);
	buf_init(&envid, FIELD_MAX);
	if (env->envid.n && xtext_decode(env->envid, &envid))
		add_field("Original-Envelope-Id", "", buf_span(&envid), t, out);
	buf_free(&envid);
	buf_addf(out, "X-Queue-Id: %s\r\n", t->m->id);
	add_date("Arrival-Date", env->arrived / 1000000, out);
	/* RFC 2852 5; RFC 4865 5.1.2 */
	if (env->by_mode)
		add_date("Deliver-By-Date", env->by_time, out);
	if (env->hold.n)
		add_field("Future-Release-Request", "", env->hold, t, out);
	for (size_t i = 0; i < env->n_rcpt; i++)
		if (t->kind[i] != BOUNCE_NOTHING)
			add_recipient(t, i, out);
}

void bounce_text_before(const struct bounce_text *t, struct buf *out)
{
	bool utf8 = t->m->file.env.utf8;
	add_header(t, out);
	add_explanation(t, out);
	add_report(t, out);
	const char *whole = utf8 ? "message/global" : "message/rfc822";
	const char *head = utf8 ? "message/global-headers" : "text/rfc822-headers";
	buf_addf(out, "\r\n--=_%s\r\nContent-Type: %s\r\n", t->id, t->full ? whole : head);
	buf_addf(out, "Content-Description: Undelivered %s\r\n", t->full ? "message" : "message headers");
	if (returns_eightbit(t))
		buf_adds(out, "Content-Transfer-Encoding: 8bit\r\n");
	buf_adds(out, "\r\n");
}

void bounce_text_after(const struct bounce_text *t, struct buf *out)
{
	buf_addf(out, "\r\n--=_%s--\r\n", t->id);
}
