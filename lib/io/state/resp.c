/* SPDX-License-Identifier: ISC */
#include "io/state/resp.h"

/* A line up to CRLF, without it: -1 while it is not complete, -2 when it is none. */
static ptrdiff_t line_of(struct span in, struct span *line)
{
	ptrdiff_t at = span_find(span_slice(in, 0, RESP_LINE_MAX + 2), SPAN("\r\n"));
	if (at < 0)
		return in.n > RESP_LINE_MAX ? -2 : -1;
	*line = span_slice(in, 1, (size_t)at);
	return at + 2;
}

static bool number(struct span text, int64_t *out)
{
	uint64_t n;
	bool minus = text.n && text.p[0] == '-';
	if (!span_u64(span_from(text, minus), INT64_MAX, &n))
		return false;
	*out = minus ? -(int64_t)n : (int64_t)n;
	return true;
}

/* "$5\r\nhello\r\n": `at` is behind the first line. Returns the bytes taken, or as line_of. */
static ptrdiff_t bulk(struct span in, size_t at, struct resp *out)
{
	size_t n = (size_t)out->n;
	if (out->n > RESP_BULK_MAX)
		return -2;
	if (in.n < at + n + 2)
		return -1;
	if (in.p[at + n] != '\r' || in.p[at + n + 1] != '\n')
		return -2;
	out->text = span_slice(in, at, at + n);
	return (ptrdiff_t)(at + n + 2);
}

static ptrdiff_t value(struct span in, struct resp *out)
{
	struct span line = SPAN("");
	ptrdiff_t at = line_of(in, &line);
	if (at < 0)
		return at;
	char kind = in.p[0];
	bool counted = kind == ':' || kind == '$' || kind == '*';
	if (counted && !number(line, &out->n))
		return -2;
	out->text = line;
	switch (kind) {
	case '+':
		out->type = RESP_TEXT;
		return at;
	case '-':
		out->type = RESP_ERROR;
		return at;
	case ':':
		out->type = RESP_INT;
		return at;
	case '$':
	case '*':
		break;
	default:
		return -2;
	}
	out->type = kind == '$' ? RESP_BULK : RESP_ARRAY;
	if (out->n == -1)
		out->type = RESP_NIL;
	if (out->n < -1 || (kind == '*' && out->n > RESP_ARRAY_MAX))
		return -2;
	return out->type == RESP_BULK ? bulk(in, (size_t)at, out) : at;
}

enum resp_type resp_next(struct span *in, struct resp *out)
{
	*out = (struct resp){ .type = RESP_MORE, .text = SPAN("") };
	if (!in->n)
		return RESP_MORE;
	ptrdiff_t used = value(*in, out);
	if (used < 0)
		*out = (struct resp){ .type = used == -1 ? RESP_MORE : RESP_BAD, .text = SPAN("") };
	else
		*in = span_from(*in, (size_t)used);
	return out->type;
}

void resp_command(struct buf *out, const struct span *args, size_t n)
{
	buf_addf(out, "*%zu\r\n", n);
	for (size_t i = 0; i < n; i++) {
		buf_addf(out, "$%zu\r\n", args[i].n);
		buf_addspan(out, args[i]);
		buf_adds(out, "\r\n");
	}
}
