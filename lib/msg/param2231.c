/* SPDX-License-Identifier: ISC */
#include "msg/param2231.h"

enum {
	SEGMENT = 54 /* characters of value on one line, so that a line stays below 78 with a usual name */
};

static bool is_control(char c)
{
	return (unsigned char)c < ' ' || c == 0x7f;
}

/* RFC 2045 5.1's token. */
static bool is_token(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] >= 0x7f || strchr("()<>@,;:\\\"/[]?=", s.p[i]))
			return false;
	return s.n > 0;
}

static bool fits_quoted(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] >= 0x80)
			return false;
	return s.n <= SEGMENT;
}

static void add_quoted(struct span s, struct buf *out)
{
	buf_addc(out, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_addc(out, '\\');
		buf_addc(out, is_control(s.p[i]) ? '_' : s.p[i]);
	}
	buf_addc(out, '"');
}

static void next_line(const char *eol, struct buf *out)
{
	buf_addc(out, ';');
	if (eol)
		buf_adds(out, eol);
	buf_addc(out, ' ');
}

/* RFC 2231 7: attribute-char needs no percent sign. Returns the characters written. */
static size_t add_extended_char(char c, struct buf *out)
{
	if (ascii_isalnum(c) || (c && strchr("!#$&+-.^_`{|}~", c))) {
		buf_addc(out, c);
		return 1;
	}
	buf_addf(out, "%%%02X", (unsigned char)(is_control(c) ? '_' : c));
	return 3;
}

static void add_extended(const char *name, struct span s, const char *eol, struct buf *out)
{
	size_t column = 0;
	bool parts = 3 * s.n > SEGMENT;
	buf_addf(out, parts ? "%s*0*=UTF-8''" : "%s*=UTF-8''", name);
	for (size_t i = 0, part = 0; i < s.n; i++) {
		if (parts && column + 3 > SEGMENT) {
			next_line(eol, out);
			buf_addf(out, "%s*%zu*=", name, ++part);
			column = 0;
		}
		column += add_extended_char(s.p[i], out);
	}
}

void param2231_add(const char *name, struct span utf8, const char *eol, struct buf *out)
{
	next_line(eol, out);
	if (!fits_quoted(utf8)) {
		add_extended(name, utf8, eol, out);
		return;
	}
	buf_addf(out, "%s=", name);
	if (is_token(utf8))
		buf_addspan(out, utf8);
	else
		add_quoted(utf8, out);
}
