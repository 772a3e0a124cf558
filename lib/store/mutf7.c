/* SPDX-License-Identifier: ISC */
#include "store/mutf7.h"

/* Base64 with ',' for '/' (RFC 3501 5.1.3). */
static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static bool printable(unsigned c)
{
	return c >= 0x20 && c <= 0x7e;
}

/* The next code point of *s; false when it is ill-formed. */
static bool utf8_next(struct span *s, unsigned *cp)
{
	static const unsigned least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char c = (unsigned char)s->p[0];
	size_t n = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : (c & 0xf0) == 0xe0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
	if (!n || n > s->n)
		return false;
	*cp = n == 1 ? c : c & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		unsigned char d = (unsigned char)s->p[i];
		if ((d & 0xc0) != 0x80)
			return false;
		*cp = *cp << 6 | (d & 0x3f);
	}
	*s = span_from(*s, n);
	return *cp >= least[n] && *cp <= 0x10ffff && (*cp < 0xd800 || *cp > 0xdfff);
}

static void utf8_add(struct buf *out, unsigned cp)
{
	if (cp < 0x80) {
		buf_addc(out, (char)cp);
		return;
	}
	int more = cp < 0x800 ? 1 : cp < 0x10000 ? 2 : 3;
	static const unsigned lead[] = { 0, 0xc0, 0xe0, 0xf0 };
	buf_addc(out, (char)(lead[more] | cp >> (6 * more)));
	while (more--)
		buf_addc(out, (char)(0x80 | (cp >> (6 * more) & 0x3f)));
}

struct shifter {
	struct buf *out;
	unsigned bits, n; /* bits that no digit holds yet */
};

static void shift_unit(struct shifter *x, unsigned unit)
{
	x->bits = x->bits << 16 | unit;
	x->n += 16;
	while (x->n >= 6) {
		x->n -= 6;
		buf_addc(x->out, digits[x->bits >> x->n & 0x3f]);
	}
	x->bits &= (1u << x->n) - 1;
}

static void shift_point(struct shifter *x, unsigned cp)
{
	if (cp >= 0x10000) {
		shift_unit(x, 0xd800 + ((cp - 0x10000) >> 10));
		cp = 0xdc00 + ((cp - 0x10000) & 0x3ff);
	}
	shift_unit(x, cp);
}

static void shift_end(struct shifter *x)
{
	if (x->n)
		buf_addc(x->out, digits[x->bits << (6 - x->n) & 0x3f]);
	buf_addc(x->out, '-');
	*x = (struct shifter){ .out = x->out };
}

bool mutf7_encode(struct span utf8, struct buf *out)
{
	struct shifter x = { .out = out };
	bool shifted = false;
	while (utf8.n) {
		unsigned cp;
		if (!utf8_next(&utf8, &cp))
			return false;
		if (printable(cp) && shifted)
			shift_end(&x);
		else if (!printable(cp) && !shifted)
			buf_addc(out, '&');
		shifted = !printable(cp);
		if (shifted)
			shift_point(&x, cp);
		else
			buf_adds(out, cp == '&' ? "&-" : (char[]){ (char)cp, 0 });
	}
	if (shifted)
		shift_end(&x);
	return !out->bad;
}

/* One UTF-16 unit: a high surrogate waits in *high for its low one. */
static bool decode_unit(unsigned unit, unsigned *high, struct buf *out)
{
	bool low = unit >= 0xdc00 && unit <= 0xdfff;
	if (low != (*high != 0))
		return false;
	if (unit >= 0xd800 && unit <= 0xdbff) {
		*high = unit;
		return true;
	}
	unsigned cp = low ? 0x10000 + ((*high - 0xd800) << 10) + (unit - 0xdc00) : unit;
	*high = 0;
	utf8_add(out, cp);
	return !printable(cp);
}

/* What stands between '&' and '-'. */
static bool decode_shifted(struct span s, struct buf *out)
{
	unsigned bits = 0, n = 0, high = 0;
	for (size_t i = 0; i < s.n; i++) {
		const char *at = memchr(digits, s.p[i], 64);
		if (!at)
			return false;
		bits = (bits << 6 | (unsigned)(at - digits)) & 0x3fffff;
		n += 6;
		if (n < 16)
			continue;
		n -= 16;
		if (!decode_unit(bits >> n & 0xffff, &high, out))
			return false;
	}
	return !high && n < 6 && !(bits & ((1u << n) - 1));
}

bool mutf7_decode(struct span text, struct buf *out)
{
	bool after_shift = false;
	while (text.n) {
		if (text.p[0] != '&') {
			if (!printable((unsigned char)text.p[0]))
				return false;
			buf_addc(out, text.p[0]);
			text = span_from(text, 1);
			after_shift = false;
			continue;
		}
		text = span_from(text, 1);
		ptrdiff_t end = span_chr(text, '-');
		if (end < 0)
			return false;
		struct span shifted = span_slice(text, 0, (size_t)end);
		/* "&AAA-&AAA-": the encoder would have written one run. */
		if (shifted.n ? after_shift || !decode_shifted(shifted, out) : (buf_addc(out, '&'), false))
			return false;
		after_shift = shifted.n > 0;
		text = span_from(text, (size_t)end + 1);
	}
	return !out->bad;
}
