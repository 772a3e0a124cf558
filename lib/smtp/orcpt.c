/* SPDX-License-Identifier: ISC */
#include "smtp/orcpt.h"

#include "msg/addr.h"
#include "msg/charset.h"
#include "smtp/param.h"

/* Characters that are to stand as \x{HEX}: RFC 6533 3, QCHAR. */
static bool must_quote(uint32_t c)
{
	return c <= ' ' || c >= 0x7f || c == '\\' || c == '+' || c == '=';
}

static bool quote(struct span address, bool all, struct buf *out)
{
	while (address.n) {
		uint32_t c;
		size_t n = utf8_decode(address.p, address.n, &c);
		if (!n)
			return false;
		/* What is quoted already stays so. */
		if (all ? must_quote(c) : c >= 0x7f)
			buf_addf(out, "\\x{%02X}", c);
		else
			buf_addc(out, (char)c);
		address = span_from(address, n);
	}
	return true;
}

/* "\x{HEX}" at the start: its length with *c, 0 when it is none. */
static size_t quoted(struct span s, uint32_t *c)
{
	size_t i = 3;
	*c = 0;
	if (!span_starts(s, "\\x{"))
		return 0;
	for (; i < s.n && ascii_hex(s.p[i]) >= 0 && i < 9; i++)
		*c = *c * 16 + (uint32_t)ascii_hex(s.p[i]);
	bool closed = i > 4 && i < s.n && s.p[i] == '}';
	bool good = *c > ' ' && *c != 0x7f && *c <= 0x10ffff && (*c < 0xd800 || *c > 0xdfff);
	return closed && good ? i + 1 : 0;
}

static bool unquote(struct span address, struct buf *out)
{
	while (address.n) {
		uint32_t c;
		size_t n = quoted(address, &c);
		if (n)
			utf8_append(out, c);
		else if (address.p[0] == '\\')
			return false;
		else
			buf_addc(out, address.p[0]);
		address = span_from(address, n ? n : 1);
	}
	return true;
}

static bool is_utf8(struct span type)
{
	return span_ieqs(type, "utf-8");
}

bool orcpt_to_ascii(struct span value, struct buf *out)
{
	struct span address = value, type = span_cut(&address, ';');
	buf_addf(out, "%.*s;", SPAN_FMT(type));
	if (is_utf8(type))
		return quote(address, false, out);
	buf_addspan(out, address);
	return !addr_needs_utf8(address);
}

bool orcpt_to_field(struct span value, bool utf8, struct buf *out)
{
	struct span address = value, type = span_cut(&address, ';');
	buf_addf(out, "%.*s;", SPAN_FMT(type));
	if (!is_utf8(type))
		return xtext_decode(address, out);
	return utf8 ? unquote(address, out) : quote(address, false, out);
}

bool orcpt_from_address(struct span address, struct buf *out)
{
	size_t start = out->len;
	bool ascii = !addr_needs_utf8(address), good = true;
	buf_adds(out, ascii ? "rfc822;" : "utf-8;");
	if (ascii)
		xtext_encode(address, out);
	else
		good = quote(address, true, out);
	return good && !out->bad && out->len - start <= SMTP_ORCPT_MAX;
}
