/* SPDX-License-Identifier: ISC */
#include "smtp/reply.h"

#include <errno.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/log.h"
#include "io/trace.h"

enum {
	REPLY_BYTES = 65536
};

void smtp_reply_init(struct smtp_reply *r)
{
	*r = (struct smtp_reply){ 0 };
	buf_init(&r->text, REPLY_BYTES);
}

void smtp_reply_reset(struct smtp_reply *r)
{
	r->code = 0;
	r->enh[0] = '\0';
	r->lines = 0;
	buf_reset(&r->text);
}

void smtp_reply_free(struct smtp_reply *r)
{
	buf_free(&r->text);
}

static size_t digits(struct span s, size_t at, size_t most)
{
	size_t n = 0;
	while (n < most && at + n < s.n && ascii_isdigit(s.p[at + n]))
		n++;
	return n;
}

/* RFC 2034 4, RFC 3463 2: the length of "5.1.10" in front of a text, its class being the reply's; 0: none is there. */
static size_t enhanced_length(struct span text, int code)
{
	if (text.n < 5 || text.p[0] != '0' + code / 100 || text.p[1] != '.')
		return 0;
	size_t a = digits(text, 2, 3), b = digits(text, 2 + a + 1, 3), n = 2 + a + 1 + b;
	return a && b && text.p[2 + a] == '.' && (n == text.n || ascii_isblank(text.p[n])) ? n : 0;
}

bool smtp_take_enhanced(struct span *rest, int code, char enh[12])
{
	struct span text = span_trim(*rest);
	size_t n = enhanced_length(text, code);
	if (!n)
		return false;
	snprintf(enh, 12, "%.*s", (int)n, text.p);
	*rest = span_trim(span_from(text, n));
	return true;
}

static void add_text(struct smtp_reply *r, struct span text)
{
	if (r->lines)
		buf_addc(&r->text, '\n');
	while (text.n && (text.p[text.n - 1] == '\r' || ascii_isblank(text.p[text.n - 1])))
		text.n--;
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];
		buf_addc(&r->text, c == '\t' ? ' ' : c < 0x20 || c == 0x7f ? '?' : text.p[i]);
	}
}

int smtp_reply_add(struct smtp_reply *r, struct span line, struct err *err)
{
	bool code_ok = digits(line, 0, 3) == 3 && line.p[0] >= '2' && line.p[0] <= '5';
	if (!code_ok || (line.n > 3 && line.p[3] != ' ' && line.p[3] != '-'))
		return err_set(err, ERR_PROTO, "not an SMTP reply: %s", log_quote(line));
	int code = 100 * (line.p[0] - '0') + 10 * (line.p[1] - '0') + line.p[2] - '0';
	if (r->lines && code != r->code)
		return err_set(err, ERR_PROTO, "the lines of one reply disagree on its code: %s", log_quote(line));
	r->code = code;
	struct span text = span_from(line, 4), words = text;
	if (!r->lines)
		smtp_take_enhanced(&words, code, r->enh);
	add_text(r, text);
	r->lines++;
	if (r->lines > LIMIT_SMTP_REPLY_LINES || r->text.bad)
		return err_set(err, ERR_LIMIT, "a reply without end: %u lines", r->lines);
	return line.n > 3 && line.p[3] == '-';
}

/* What a line's end means here; 0 for a good line. */
static int judge_line(const struct stream *s, const struct line *line, struct err *err)
{
	switch (line->end) {
	case LINE_CRLF:
		break;
	case LINE_LF:
		if (!stream_is_local(s))
			return err_set(err, ERR_PROTO, "a reply line that ends with a bare LF");
		break;
	case LINE_TOO_LONG:
		return err_set(err, ERR_LIMIT, "a reply line longer than %d bytes", LIMIT_SMTP_REPLY_LINE);
	case LINE_EOF:
		return err_set(err, ERR_TEMP, "the server closed the connection");
	case LINE_TIMEOUT:
		err_set(err, ERR_TEMP, "timed out waiting for a reply");
		if (err)
			err->sys = ETIMEDOUT;
		return -1;
	case LINE_ERROR:
		if (err)
			*err = *stream_err(s);
		return -1;
	}
	return line->has_nul ? err_set(err, ERR_PROTO, "a NUL in a reply") : 0;
}

int smtp_reply_read(struct stream *s, struct smtp_reply *r, bool secret, struct err *err)
{
	int more = 1;
	smtp_reply_reset(r);
	while (more > 0) {
		struct line line;
		stream_line(s, secret ? LIMIT_SMTP_AUTH_LINE : LIMIT_SMTP_REPLY_LINE, &line);
		more = judge_line(s, &line, err);
		if (more == 0) {
			trace_line('<', line.text, secret && span_starts(line.text, "334"));
			more = smtp_reply_add(r, line.text, err);
		}
	}
	if (more < 0)
		r->code = 0;
	return more;
}

void smtp_reply_line(const struct smtp_reply *r, char *out, size_t n)
{
	int used = snprintf(out, n, "%03d %s", r->code, r->text.p);
	if (used >= (int)n)
		used = (int)n - 1;
	for (int i = 0; i < used; i++)
		if (out[i] == '\n')
			out[i] = ' ';
}

/* Where "<address>" stands in text, with what joins it to the words behind; an empty span when it does not. */
static struct span find_address(struct span address, struct span text)
{
	ptrdiff_t at = address.n ? span_ifind(text, address) : -1;
	size_t start = (size_t)at, end = start + address.n;
	if (at < 1 || text.p[start - 1] != '<' || end >= text.n || text.p[end] != '>')
		return span_slice(text, 0, 0);
	end++;
	if (end < text.n && text.p[end] == ':')
		end++;
	while (end < text.n && text.p[end] == ' ')
		end++;
	return span_slice(text, start - 1, end);
}

void smtp_about(struct span address, struct span text, char *out, size_t n)
{
	enum {
		ADDRESS_MAX = 400
	};
	struct span again = find_address(address, text), before = span_slice(text, 0, (size_t)(again.p - text.p));
	/* At the end of the text it belongs to the sentence. */
	if (again.p + again.n == text.p + text.n)
		again = before = span_slice(text, 0, 0);
	address = span_slice(address, 0, ADDRESS_MAX);
	snprintf(out, n, "<%.*s>: %.*s%.*s", SPAN_FMT(address), SPAN_FMT(before),
	    SPAN_FMT(span_from(text, before.n + again.n)));
}

int smtp_reply_err(const struct smtp_reply *r, struct err *err)
{
	char line[400];
	smtp_reply_line(r, line, sizeof line);
	return err_reply(err, r->code, r->enh, "%s", line);
}
