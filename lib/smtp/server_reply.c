/* SPDX-License-Identifier: ISC */
#include <stdio.h>

#include "base/limits.h"
#include "io/trace.h"
#include "smtp/reply.h"
#include "smtp/server_int.h"

void smtp_answer(struct smtp_answer *a, int code, const char *enh, const char *fmt, ...)
{
	va_list ap;
	a->code = code;
	snprintf(a->enh, sizeof a->enh, "%s", enh);
	va_start(ap, fmt);
	vsnprintf(a->text, sizeof a->text, fmt, ap);
	va_end(ap);
}

/* RFC 6531 3.7.4.1, 3.7.4.2: who asked for it. */
static bool utf8_ok(const struct server *sv)
{
	return sv->utf8_reply || sv->x->env.utf8;
}

/* Control characters come from a peer's bytes in a text (or from another server's reply): none may end our line early.
 * What is no ASCII is for clients only that know UTF-8. */
static void add_clean(struct buf *b, struct span text, bool utf8)
{
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];
		buf_addc(b, c < 32 || c == 127 ? ' ' : c > 127 && !utf8 ? '?' : (char)c);
	}
}

static void send_line(struct server *sv, struct buf *line)
{
	trace_line('>', buf_span(line), false);
	buf_adds(line, "\r\n");
	stream_span(sv->x->s, buf_span(line));
}

static void send_text(struct server *sv, int code, const char *enh, struct span text, bool more)
{
	struct buf line;
	buf_init(&line, LIMIT_SMTP_REPLY_LINE);
	do {
		struct span part = span_cut(&text, '\n');
		buf_reset(&line);
		buf_addf(&line, "%d%c", code, text.n || more ? '-' : ' ');
		if (enh && *enh)
			buf_addf(&line, "%s ", enh);
		add_clean(&line, span_slice(part, 0, LIMIT_SMTP_REPLY_LINE - 32), utf8_ok(sv));
		send_line(sv, &line);
	} while (text.n);
	buf_free(&line);
}

__attribute__((format(printf, 5, 0))) static void sendf(
    struct server *sv, int code, const char *enh, bool more, const char *fmt, va_list ap)
{
	char text[1024];
	vsnprintf(text, sizeof text, fmt, ap);
	send_text(sv, code, enh, span_str(text), more);
}

void server_reply(struct server *sv, int code, const char *enh, const char *fmt, ...)
{
	va_list ap;
	sv->last_code = code;
	if (code >= 400 && sv->ops->command) {
		va_start(ap, fmt);
		vsnprintf(sv->refusal.text, sizeof sv->refusal.text, fmt, ap);
		va_end(ap);
		snprintf(sv->refusal.enh, sizeof sv->refusal.enh, "%s", enh ? enh : "");
	}
	va_start(ap, fmt);
	sendf(sv, code, enh, false, fmt, ap);
	va_end(ap);
	if (code == 421)
		sv->closing = true; /* RFC 5321 3.8 */
}

void server_more(struct server *sv, int code, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	sendf(sv, code, NULL, true, fmt, ap);
	va_end(ap);
}

void server_lines(struct server *sv, int code, const char *enh, struct span lines)
{
	sv->last_code = code;
	if (span_ends(lines, "\n"))
		lines.n--;
	send_text(sv, code, enh, lines, false);
}

void server_answer(struct server *sv, const struct smtp_answer *a)
{
	server_reply(sv, a->code, a->enh, "%s", a->text);
	if (a->close)
		sv->closing = true;
}

void server_err(struct server *sv, const struct err *err)
{
	server_reply(sv, err->code ? err->code : 451, err->enh[0] ? err->enh : "4.3.0", "%s", err->text);
}

void server_event(const char *ev, int code, const char *why)
{
	trace_event(&(struct trace_event){ .ev = ev,
	    .result = code < 400   ? "ok"
		      : code < 500 ? "temp"
				   : "perm",
	    .code = code,
	    .why = why });
}

void server_event_about(const char *ev, int code, struct span address, const char *why)
{
	char text[1024];
	if (!trace_on())
		return;
	smtp_about(address, span_str(why), text, sizeof text);
	server_event(ev, code, text);
}
