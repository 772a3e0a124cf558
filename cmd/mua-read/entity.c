/* SPDX-License-Identifier: ISC */
#include "mua-read/entity.h"

#include "msg/charset.h"

enum {
	NAME_MAX_BYTES = 24
};

/* U+00A0 to U+00FF in order. */
static const char *const latin1[] = { "nbsp", "iexcl", "cent", "pound", "curren", "yen", "brvbar", "sect", "uml",
	"copy", "ordf", "laquo", "not", "shy", "reg", "macr", "deg", "plusmn", "sup2", "sup3", "acute", "micro", "para",
	"middot", "cedil", "sup1", "ordm", "raquo", "frac14", "frac12", "frac34", "iquest", "Agrave", "Aacute", "Acirc",
	"Atilde", "Auml", "Aring", "AElig", "Ccedil", "Egrave", "Eacute", "Ecirc", "Euml", "Igrave", "Iacute", "Icirc",
	"Iuml", "ETH", "Ntilde", "Ograve", "Oacute", "Ocirc", "Otilde", "Ouml", "times", "Oslash", "Ugrave", "Uacute",
	"Ucirc", "Uuml", "Yacute", "THORN", "szlig", "agrave", "aacute", "acirc", "atilde", "auml", "aring", "aelig",
	"ccedil", "egrave", "eacute", "ecirc", "euml", "igrave", "iacute", "icirc", "iuml", "eth", "ntilde", "ograve",
	"oacute", "ocirc", "otilde", "ouml", "divide", "oslash", "ugrave", "uacute", "ucirc", "uuml", "yacute", "thorn",
	"yuml" };

static const struct {
	const char *name;
	uint32_t c;
} others[] = { { "amp", '&' }, { "lt", '<' }, { "gt", '>' }, { "quot", '"' }, { "apos", '\'' }, { "hellip", 0x2026 },
	{ "mdash", 0x2014 }, { "ndash", 0x2013 }, { "lsquo", 0x2018 }, { "rsquo", 0x2019 }, { "ldquo", 0x201c },
	{ "rdquo", 0x201d }, { "sbquo", 0x201a }, { "bdquo", 0x201e }, { "lsaquo", 0x2039 }, { "rsaquo", 0x203a },
	{ "bull", 0x2022 }, { "euro", 0x20ac }, { "trade", 0x2122 }, { "larr", 0x2190 }, { "uarr", 0x2191 },
	{ "rarr", 0x2192 }, { "darr", 0x2193 }, { "zwnj", 0x200c }, { "zwj", 0x200d }, { "ensp", ' ' }, { "emsp", ' ' },
	{ "thinsp", ' ' }, { "minus", 0x2212 }, { "infin", 0x221e }, { "ne", 0x2260 }, { "le", 0x2264 },
	{ "ge", 0x2265 }, { "OElig", 0x152 }, { "oelig", 0x153 }, { "Scaron", 0x160 }, { "scaron", 0x161 },
	{ "dagger", 0x2020 }, { "permil", 0x2030 } };

static bool named(struct span name, uint32_t *c)
{
	for (size_t i = 0; i < sizeof latin1 / sizeof *latin1; i++)
		if (span_eqs(name, latin1[i])) {
			*c = (uint32_t)(0xa0 + i);
			return true;
		}
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (span_eqs(name, others[i].name)) {
			*c = others[i].c;
			return true;
		}
	return false;
}

/* "#123" or "#x7b" */
static bool numbered(struct span s, uint32_t *c)
{
	bool hex = s.n > 1 && ascii_lower(s.p[1]) == 'x';
	uint32_t v = 0;
	s = span_from(s, hex ? 2 : 1);
	for (size_t i = 0; i < s.n; i++) {
		int digit = hex || ascii_isdigit(s.p[i]) ? ascii_hex(s.p[i]) : -1;
		if (digit < 0)
			return false;
		v = v > 0x110000 ? v : v * (hex ? 16 : 10) + (uint32_t)digit;
	}
	*c = v ? v : 0xfffd;
	return s.n > 0;
}

size_t entity_one(struct span s, struct buf *out)
{
	uint32_t c = 0;
	size_t n = 1;
	while (n < s.n && n <= NAME_MAX_BYTES && (ascii_isalnum(s.p[n]) || s.p[n] == '#'))
		n++;
	struct span name = span_slice(s, 1, n);
	if (!name.n || !(name.p[0] == '#' ? numbered(name, &c) : named(name, &c)))
		return 0;
	if (c == 0xa0 || c == '\n' || c == '\r' || c == '\t')
		buf_addc(out, ' '); /* a blank that does not collapse is a blank all the same */
	else if (c >= 0x80 && c < 0xa0)
		charset_append_1252(out, (unsigned char)c); /* as browsers take them */
	else if (c != 0xad)
		utf8_append(out, c);
	return n < s.n && s.p[n] == ';' ? n + 1 : n;
}

void entity_decode(struct span s, struct buf *out)
{
	while (s.n) {
		ptrdiff_t at = span_chr(s, '&');
		size_t plain = at < 0 ? s.n : (size_t)at;
		buf_addspan(out, span_slice(s, 0, plain));
		s = span_from(s, plain);
		size_t n = s.n ? entity_one(s, out) : 0;
		if (!n && s.n)
			buf_addc(out, '&');
		s = span_from(s, n ? n : 1);
	}
}
