/* SPDX-License-Identifier: ISC */
#include "msg/codec.h"

enum {
	QP_LINE = 76 /* RFC 2045 6.7 (5), without the line end */
};

struct writer {
	struct buf *out;
	const char *eol;
	size_t column;
};

static void put(struct writer *w, const char *p, size_t n, bool last)
{
	/* One column is kept for the '=' of a soft line break, unless the line ends here. */
	if (w->column + n > QP_LINE - (last ? 0u : 1u)) {
		buf_addc(w->out, '=');
		buf_adds(w->out, w->eol);
		w->column = 0;
	}
	buf_add(w->out, p, n);
	w->column += n;
}

static void put_escaped(struct writer *w, char c, bool last)
{
	static const char hex[] = "0123456789ABCDEF";
	unsigned char u = (unsigned char)c;
	const char text[3] = { '=', hex[u >> 4], hex[u & 15] };
	put(w, text, sizeof text, last);
}

/* "From " at a line's start is quoted by mbox programs, and a lone "." ends SMTP's DATA in broken ones. */
static bool fragile_start(struct span rest)
{
	return span_starts(rest, "From ") || span_starts(rest, ".");
}

/* Bytes of the line end at the start of s, 0 when it is none. */
static size_t eol_length(struct span s)
{
	if (span_starts(s, "\r\n"))
		return 2;
	return s.n && s.p[0] == '\n';
}

static bool graphic(char c)
{
	return c >= 33 && c <= 126 && c != '=';
}

static bool literal(char c)
{
	return graphic(c) || ascii_isblank(c);
}

/* How many bytes at the start of s stand for themselves wherever they stand, at most room. */
static size_t plain_run(struct span s, size_t room)
{
	size_t n = 0;
	while (n < room && n < s.n && (graphic(s.p[n]) || (s.p[n] == ' ' && n + 1 < s.n && graphic(s.p[n + 1]))))
		n++;
	return n;
}

void qp_encode(struct span in, bool binary, const char *eol, struct buf *out)
{
	struct writer w = { .out = out, .eol = eol };
	for (size_t i = 0; i < in.n; i++) {
		struct span rest = span_from(in, i);
		size_t run = w.column && w.column < QP_LINE ? plain_run(rest, QP_LINE - 1 - w.column) : 0;
		if (run) {
			buf_add(out, rest.p, run);
			w.column += run;
			i += run - 1;
			continue;
		}
		size_t line_end = binary ? 0 : eol_length(rest);
		if (line_end) {
			buf_adds(out, eol);
			w.column = 0;
			i += line_end - 1;
			continue;
		}
		struct span after = span_from(rest, 1);
		bool last = !after.n || (!binary && eol_length(after));
		char c = in.p[i];
		if (!literal(c) || (last && ascii_isblank(c)) || (w.column == 0 && fragile_start(rest)))
			put_escaped(&w, c, last);
		else
			put(&w, &c, 1, last);
	}
}
