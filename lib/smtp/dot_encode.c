/* SPDX-License-Identifier: ISC */
#include "smtp/dot_encode.h"

static void write_without_cr(struct span text, struct stream *s)
{
	for (;;) {
		ptrdiff_t cr = span_chr(text, '\r');
		if (cr < 0)
			break;
		stream_write(s, text.p, (size_t)cr);
		stream_write(s, " ", 1);
		text = span_from(text, (size_t)cr + 1);
	}
	stream_span(s, text);
}

/* Up to and including the next LF, or all when there is none. Returns how much was taken. */
static size_t encode_line(struct dot_encoder *e, struct span in, struct stream *s)
{
	ptrdiff_t lf = span_chr(in, '\n');
	struct span text = lf < 0 ? in : span_slice(in, 0, (size_t)lf);
	bool cr = text.n && text.p[text.n - 1] == '\r';
	size_t taken = text.n + (lf >= 0);
	if (!e->mid_line && in.p[0] == '.')
		stream_write(s, ".", 1);
	if (cr)
		text.n--;
	write_without_cr(text, s);
	if (lf >= 0)
		stream_write(s, "\r\n", 2);
	e->held_cr = lf < 0 && cr;
	e->mid_line = lf < 0 && (e->mid_line || text.n);
	return taken;
}

int dot_encode(struct dot_encoder *e, struct span piece, struct stream *s)
{
	if (e->held_cr && piece.n) {
		e->held_cr = false;
		if (piece.p[0] != '\n') {
			stream_write(s, " ", 1);
			e->mid_line = true;
		} else {
			stream_write(s, "\r\n", 2);
			e->mid_line = false;
			piece = span_from(piece, 1);
		}
	}
	while (piece.n)
		piece = span_from(piece, encode_line(e, piece, s));
	return stream_write(s, "", 0);
}

int dot_encode_end(struct dot_encoder *e, struct stream *s)
{
	if (e->held_cr || e->mid_line)
		stream_write(s, "\r\n", 2);
	return stream_write(s, ".\r\n", 3);
}
