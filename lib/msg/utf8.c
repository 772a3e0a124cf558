/* SPDX-License-Identifier: ISC */
#include "msg/charset.h"

size_t utf8_decode(const char *p, size_t n, uint32_t *out)
{
	/* The least character that a sequence of that length may stand for: shorter forms are malformed. */
	static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *u = (const unsigned char *)p;
	if (!n)
		return 0;
	size_t len = u[0] < 0x80 ? 1 : u[0] < 0xc2 ? 0 : u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : u[0] < 0xf5 ? 4 : 0;
	if (!len || len > n)
		return 0;
	uint32_t c = len == 1 ? u[0] : u[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((u[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (u[i] & 0x3f);
	}
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*out = c;
	return len;
}

bool utf8_valid(struct span s)
{
	uint32_t c;
	for (size_t i = 0, n; i < s.n; i += n) {
		n = utf8_decode(s.p + i, s.n - i, &c);
		if (!n)
			return false;
	}
	return true;
}

void utf8_append_shown(struct buf *out, struct span s, char otherwise)
{
	uint32_t c;
	for (size_t n; s.n; s = span_from(s, n)) {
		n = utf8_decode(s.p, s.n, &c);
		if (!n || c < 0x20 || (c >= 0x7f && c < 0xa0))
			buf_addc(out, otherwise);
		else
			buf_add(out, s.p, n);
		n = n ? n : 1;
	}
}

void utf8_append(struct buf *out, uint32_t c)
{
	char p[4];
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const unsigned char lead[5] = { 0, 0, 0xc0, 0xe0, 0xf0 };
	if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
		utf8_append(out, 0xfffd);
		return;
	}
	for (size_t i = n; i-- > 1; c >>= 6)
		p[i] = (char)(0x80 | (c & 0x3f));
	p[0] = (char)(lead[n] | c);
	buf_add(out, p, n);
}
