/* SPDX-License-Identifier: ISC */
#include "sasl/prep.h"

#include "msg/charset.h"

struct range {
	uint32_t first, last;
};

/* RFC 3454 C.1.2: spaces that are not ASCII's. */
static const struct range spaces[] = { { 0xa0, 0xa0 }, { 0x1680, 0x1680 }, { 0x2000, 0x200b }, { 0x202f, 0x202f },
	{ 0x205f, 0x205f }, { 0x3000, 0x3000 } };

/* RFC 3454 B.1: commonly mapped to nothing. */
static const struct range invisible[] = { { 0xad, 0xad }, { 0x34f, 0x34f }, { 0x1806, 0x1806 }, { 0x180b, 0x180d },
	{ 0x200c, 0x200d }, { 0x2060, 0x2060 }, { 0xfe00, 0xfe0f }, { 0xfeff, 0xfeff } };

/* RFC 4013 2.3: RFC 3454 C.2.1 to C.9. */
static const struct range prohibited[] = { { 0, 0x1f }, { 0x7f, 0x9f }, { 0x340, 0x341 }, { 0x6dd, 0x6dd },
	{ 0x70f, 0x70f }, { 0x180e, 0x180e }, { 0x200e, 0x200f }, { 0x2028, 0x202e }, { 0x2061, 0x2063 },
	{ 0x206a, 0x206f }, { 0x2ff0, 0x2ffb }, { 0xd800, 0xf8ff }, { 0xfdd0, 0xfdef }, { 0xfff9, 0xffff },
	{ 0x1d173, 0x1d17a }, { 0xe0001, 0xe0001 }, { 0xe0020, 0xe007f }, { 0xf0000, 0x10ffff } };

static bool within(uint32_t c, const struct range *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (c >= r[i].first && c <= r[i].last)
			return true;
	return false;
}
#define WITHIN(c, table) within(c, table, sizeof table / sizeof *table)

bool sasl_prep(struct span utf8, struct buf *out)
{
	while (utf8.n) {
		uint32_t c;
		size_t n = utf8_decode(utf8.p, utf8.n, &c);
		if (!n)
			return false;
		if (WITHIN(c, spaces))
			buf_addc(out, ' ');
		else if (WITHIN(c, prohibited) || (c & 0xfffe) == 0xfffe)
			return false;
		else if (!WITHIN(c, invisible))
			buf_add(out, utf8.p, n);
		utf8 = span_from(utf8, n);
	}
	return !out->bad;
}
