/* SPDX-License-Identifier: ISC */
#include "mua-read/flow.h"

#include "mua-read/term.h"

enum {
	QUOTES_MAX = 20, /* levels that are shown: each costs columns on every line */
	TEXT_LEAST = 20  /* columns left for the text, however deep */
};

static void add_prefix(size_t quotes, struct buf *out)
{
	for (size_t i = 0; i < quotes; i++)
		buf_addc(out, '>');
	if (quotes)
		buf_addc(out, ' ');
}

void flow_paragraph(struct span text, size_t quotes, size_t width, struct buf *out)
{
	size_t column = 0, room;
	quotes = quotes < QUOTES_MAX ? quotes : QUOTES_MAX;
	room = width > quotes + 1 + TEXT_LEAST ? width - (quotes ? quotes + 1 : 0) : TEXT_LEAST;
	add_prefix(quotes, out);
	while (text.n) {
		/* A word with the blanks before it. */
		struct span rest = text, word = span_word(&rest);
		struct span blanks = span_slice(text, 0, (size_t)(word.p - text.p));
		size_t wide = term_columns(word), gap = blanks.n;
		if (width && column && word.n && column + gap + wide > room) {
			buf_addc(out, '\n');
			add_prefix(quotes, out);
			column = gap = 0;
		}
		if (gap)
			buf_addspan(out, blanks);
		buf_addspan(out, word);
		column += gap + wide;
		text = rest;
	}
	buf_addc(out, '\n');
}

void flow_fixed(struct span text, size_t width, struct buf *out)
{
	while (text.n) {
		struct span line = span_cut(&text, '\n');
		if (width && line.n > width && term_columns(line) > width) {
			flow_paragraph(line, 0, width, out);
		} else {
			buf_addspan(out, line);
			buf_addc(out, '\n');
		}
	}
}

struct line {
	size_t quotes;
	struct span text; /* without quotes and stuffing */
	bool flowed;      /* goes on with the next line */
};

/* RFC 3676 4.1 to 4.5 */
static struct line read_line(struct span s)
{
	struct line l = { 0 };
	while (s.n && s.p[0] == '>') {
		l.quotes++;
		s = span_from(s, 1);
	}
	if (s.n && s.p[0] == ' ')
		s = span_from(s, 1);
	l.text = s;
	/* The line before a signature is fixed, although it ends in a blank. */
	l.flowed = s.n && s.p[s.n - 1] == ' ' && !span_eqs(s, "-- ");
	return l;
}

void flow_flowed(struct span text, bool delsp, size_t width, struct buf *out)
{
	struct buf paragraph;
	buf_init(&paragraph, text.n + 1);
	bool open = false;
	size_t quotes = 0;
	while (text.n) {
		struct line l = read_line(span_cut(&text, '\n'));
		bool signature = span_eqs(l.text, "-- ");
		/* A paragraph ends where the quoting changes, whatever its last line said (4.5). */
		if (open && (l.quotes != quotes || signature)) {
			flow_paragraph(buf_span(&paragraph), quotes, width, out);
			buf_reset(&paragraph);
		}
		quotes = l.quotes;
		open = l.flowed;
		if (l.flowed && delsp)
			l.text.n--;
		buf_addspan(&paragraph, l.text);
		if (open)
			continue;
		flow_paragraph(buf_span(&paragraph), quotes, width, out);
		buf_reset(&paragraph);
	}
	if (open)
		flow_paragraph(buf_span(&paragraph), quotes, width, out);
	buf_free(&paragraph);
}
