/* SPDX-License-Identifier: ISC */
#include "crlf.h"

#include <stdbool.h>

enum {
	CRLF_CHUNK = 16384
};

static bool bare_lf(const char *start, const char *lf)
{
	return lf == start || lf[-1] != '\r';
}

uint64_t crlf_size(struct span s)
{
	uint64_t n = s.n;
	const char *p = s.p, *end = s.p + s.n;
	while (p < end && (p = memchr(p, '\n', (size_t)(end - p)))) {
		n += bare_lf(s.p, p);
		p++;
	}
	return n;
}

/* One stored line (with its LF, or what is left) and how it is presented. */
struct piece {
	struct span text; /* as stored, without the line end when that is a bare LF */
	bool eol;         /* "\r\n" follows */
};

static struct piece next_piece(struct span s, size_t at)
{
	const char *start = s.p + at, *lf = memchr(start, '\n', s.n - at);
	if (!lf)
		return (struct piece){ { start, s.n - at }, false };
	size_t len = (size_t)(lf - start);
	if (bare_lf(s.p, lf))
		return (struct piece){ { start, len }, true };
	return (struct piece){ { start, len + 1 }, false };
}

static uint64_t piece_size(struct piece p)
{
	return p.text.n + (p.eol ? 2 : 0);
}

/* The part of a piece from `skip` on, at most `max` octets. */
static uint64_t send_piece(struct stream *o, struct piece p, uint64_t skip, uint64_t max)
{
	uint64_t size = piece_size(p), end = max < size - skip ? skip + max : size;
	if (skip < p.text.n)
		stream_span(o, span_slice(p.text, (size_t)skip, end < p.text.n ? (size_t)end : p.text.n));
	if (end > p.text.n) {
		uint64_t from = skip > p.text.n ? skip - p.text.n : 0;
		stream_span(o, span_slice(SPAN("\r\n"), (size_t)from, (size_t)(end - p.text.n)));
	}
	return end - skip;
}

int crlf_send(struct stream *o, struct span s, uint64_t from, uint64_t count, struct crlf_at *at)
{
	while (at->stored < s.n && count > 0) {
		struct piece p = next_piece(s, at->stored);
		uint64_t size = piece_size(p);
		if (at->shown + size > from) {
			uint64_t skip = from - at->shown, sent = send_piece(o, p, skip, count);
			from += sent;
			count -= sent;
			/* Cut inside this line: the next call begins with it again. */
			if (skip + sent < size)
				break;
		}
		at->shown += size;
		at->stored += p.text.n + (p.eol ? 1 : 0);
	}
	return stream_err(o)->class == ERR_NONE ? 0 : -1;
}

/* Whole lines are gathered in a block, so that the stream is called once per block and not per line. */
struct block {
	struct stream *o;
	size_t n;
	char p[CRLF_CHUNK];
};

static void block_flush(struct block *b)
{
	stream_write(b->o, b->p, b->n);
	b->n = 0;
}

static void block_add(struct block *b, const char *p, size_t n)
{
	if (n > sizeof b->p - b->n)
		block_flush(b);
	if (n > sizeof b->p) {
		stream_write(b->o, p, n);
		return;
	}
	/* UNSAFE: n fits after the flush above. */
	memcpy(b->p + b->n, p, n);
	b->n += n;
}

int crlf_send_dots(struct stream *o, struct span s)
{
	struct block b; /* not cleared: 16 KiB for each message */
	b.o = o;
	b.n = 0;
	for (size_t at = 0; at < s.n;) {
		struct piece p = next_piece(s, at);
		if (s.p[at] == '.')
			block_add(&b, ".", 1);
		block_add(&b, p.text.p, p.text.n);
		at += p.text.n + (p.eol ? 1 : 0);
		if (p.eol || p.text.p[p.text.n - 1] != '\n')
			block_add(&b, "\r\n", 2);
	}
	block_flush(&b);
	return stream_err(o)->class == ERR_NONE ? 0 : -1;
}
