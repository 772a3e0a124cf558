/* SPDX-License-Identifier: ISC */
#include "smtp/dot_decode.h"

#include <stdint.h>
#include <string.h>

/*
 *             CR            LF             "."           NUL      other
 *   BOL    -> CR         -> TEXT !LF    -> DOT (drop)  -> TEXT  -> TEXT        a line begins
 *   TEXT   -> CR         -> TEXT !LF    -> TEXT        -> TEXT  -> TEXT
 *   CR     -> CR !CR     -> BOL         -> TEXT !CR    -> TEXT  -> TEXT !CR
 *   DOT    -> DOTCR hold -> TEXT !LF    -> TEXT        -> TEXT  -> TEXT        the dot itself is gone
 *   DOTCR  -> CR !CR     -> END         -> TEXT !CR    -> TEXT  -> TEXT !CR    the CR is held back
 *
 * With DOT_LF a LF after BOL, TEXT is a line end -> BOL, after DOT -> END. With DOT_RAW there is no DOT: BOL is TEXT.
 */
enum state {
	BOL,
	TEXT,
	CR,
	DOT,
	DOTCR,
	END
};
enum byte {
	B_CR,
	B_LF,
	B_DOT,
	B_NUL,
	B_OTHER
};
enum {
	NOTE_CR = 8,
	NOTE_LF = 16,
	NOTE_NUL = 32,
	LF_LINE = 64,
	STATE = 7
};

static const unsigned char table[3][5][5] = {
	[DOT_DATA] = {
		[BOL] = { CR, TEXT | NOTE_LF, DOT, TEXT | NOTE_NUL, TEXT },
		[TEXT] = { CR, TEXT | NOTE_LF, TEXT, TEXT | NOTE_NUL, TEXT },
		[CR] = { CR | NOTE_CR, BOL, TEXT | NOTE_CR, TEXT | NOTE_CR | NOTE_NUL, TEXT | NOTE_CR },
		[DOT] = { DOTCR, TEXT | NOTE_LF, TEXT, TEXT | NOTE_NUL, TEXT },
		[DOTCR] = { CR | NOTE_CR, END, TEXT | NOTE_CR, TEXT | NOTE_CR | NOTE_NUL, TEXT | NOTE_CR },
	},
	[DOT_LF] = {
		[BOL] = { CR, BOL | LF_LINE, DOT, TEXT | NOTE_NUL, TEXT },
		[TEXT] = { CR, BOL | LF_LINE, TEXT, TEXT | NOTE_NUL, TEXT },
		[CR] = { CR | NOTE_CR, BOL, TEXT | NOTE_CR, TEXT | NOTE_CR | NOTE_NUL, TEXT | NOTE_CR },
		[DOT] = { DOTCR, END, TEXT, TEXT | NOTE_NUL, TEXT },
		[DOTCR] = { CR | NOTE_CR, END, TEXT | NOTE_CR, TEXT | NOTE_CR | NOTE_NUL, TEXT | NOTE_CR },
	},
	[DOT_RAW] = {
		[BOL] = { CR, TEXT | NOTE_LF, TEXT, TEXT | NOTE_NUL, TEXT },
		[TEXT] = { CR, TEXT | NOTE_LF, TEXT, TEXT | NOTE_NUL, TEXT },
		[CR] = { CR | NOTE_CR, BOL, TEXT | NOTE_CR, TEXT | NOTE_CR | NOTE_NUL, TEXT | NOTE_CR },
		[DOT] = { CR, TEXT, TEXT, TEXT, TEXT },
		[DOTCR] = { CR, TEXT, TEXT, TEXT, TEXT },
	},
};

void dot_init(struct dot_decoder *d, enum dot_mode mode)
{
	*d = (struct dot_decoder){ .mode = mode, .state = BOL };
}

static enum byte byte_of(char c)
{
	switch (c) {
	case '\r':
		return B_CR;
	case '\n':
		return B_LF;
	case '.':
		return B_DOT;
	case '\0':
		return B_NUL;
	default:
		return B_OTHER;
	}
}

/* How many bytes from p can be passed over in TEXT. Eight at a time while none of them is below 14, which the three
 * bytes that matter there (NUL, LF, CR) are. */
static size_t plain_run(const char *p, size_t n)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	size_t i = 0;
	for (uint64_t v; i + 8 <= n; i += 8) {
		memcpy(&v, p + i, 8); /* UNSAFE: i + 8 <= n */
		if ((v - ones * 14) & ~v & (ones * 128))
			break;
	}
	while (i < n && p[i] != '\r' && p[i] != '\n' && p[i] != '\0')
		i++;
	return i;
}

static unsigned noted(unsigned step)
{
	return (step & NOTE_CR ? DOT_BARE_CR : 0u) | (step & NOTE_LF ? DOT_BARE_LF : 0u) |
	       (step & NOTE_NUL ? DOT_NUL : 0u);
}

struct out {
	dot_piece *piece;
	void *arg;
	unsigned mend; /* of this step */
};

static void give(const struct out *o, const char *from, const char *to)
{
	if (to > from)
		o->piece(o->arg, span_of(from, (size_t)(to - from)));
}

static void give_text(const struct out *o, struct span text)
{
	o->piece(o->arg, text);
}

/* What one step means for the output: content stands in [from, p), the byte at p was just judged. Returns the new from.
 */
static const char *emit(const struct out *o, unsigned old, unsigned step, const char *from, const char *p)
{
	unsigned state = step & STATE;
	if (old == DOTCR && state != END)
		give_text(o, SPAN("\r")); /* it was held back, and is content after all */
	if (o->mend & DOT_BARE_CR) {
		give(o, from, p);
		give_text(o, SPAN("\n"));
		from = p;
	}
	if (step & LF_LINE || o->mend & DOT_BARE_LF) {
		give(o, from, p);
		give_text(o, SPAN("\r\n"));
		return p + 1;
	}
	if (o->mend & DOT_NUL) {
		give(o, from, p);
		return p + 1;
	}
	if (state == DOT || state == DOTCR || state == END) {
		give(o, from, p);
		return p + 1;
	}
	return from;
}

size_t dot_decode(struct dot_decoder *d, struct span in, dot_piece *piece, void *arg)
{
	struct out o = { piece, arg, 0 };
	const char *p = in.p, *end = in.p + in.n, *from = p;
	while (p < end && !d->ended) {
		if (d->state == TEXT)
			p += plain_run(p, (size_t)(end - p));
		if (p == end)
			break;
		unsigned step = table[d->mode][d->state][byte_of(*p)];
		unsigned odd = noted(step);
		o.mend = odd & d->mend;
		from = emit(&o, d->state, step, from, p);
		d->bad |= odd & ~d->mend;
		d->mended |= o.mend;
		/* Without dots only dot_finish asks where a line begins. */
		d->state = d->mode == DOT_RAW && o.mend & DOT_BARE_LF ? BOL : step & STATE;
		d->ended = d->state == END;
		p++; /* UNSAFE: p < end */
	}
	if (!d->ended)
		give(&o, from, end);
	return (size_t)(p - in.p);
}

void dot_finish(struct dot_decoder *d, dot_piece *piece, void *arg)
{
	if (d->state == CR && d->mend & DOT_BARE_CR)
		d->mended |= DOT_BARE_CR;
	else if (d->state == CR)
		d->bad |= DOT_BARE_CR;
	if (d->state != BOL && !d->bad)
		piece(arg, d->state == CR ? SPAN("\n") : SPAN("\r\n"));
}
