/* SPDX-License-Identifier: ISC */
#include "msg/charset.h"

#include <errno.h>
#include <iconv.h>

enum {
	KEY_MAX = 24
};

/* How bytes become characters. */
enum way {
	WAY_UTF8,
	WAY_GUESS,  /* no or a meaningless label: UTF-8 if valid, else windows-1252 */
	WAY_CP1252, /* also for ISO-8859-1: what calls itself so holds windows-1252's quotes and dashes */
	WAY_UTF16,  /* without a byte order mark it is big-endian (RFC 2781 4.3) */
	WAY_ICONV,
	WAY_UNKNOWN
};

struct row {
	const char *key; /* the label's letters and digits, lower case, without "x-" and "cs" in front */
	enum way way;
	const char *iconv;
};

/* The charsets that mail has; iconv(3) knows hundreds more that only an attacker would name. A label that is often put
 * on a superset's text stands for the superset. */
static const struct row rows[] = {
	{ "", WAY_GUESS, NULL },
	{ "usascii", WAY_GUESS, NULL },
	{ "ascii", WAY_GUESS, NULL },
	{ "ansix341968", WAY_GUESS, NULL },
	{ "iso646us", WAY_GUESS, NULL },
	{ "us", WAY_GUESS, NULL },
	{ "unknown8bit", WAY_GUESS, NULL },
	{ "unknown", WAY_GUESS, NULL },
	{ "8bit", WAY_GUESS, NULL },
	{ "7bit", WAY_GUESS, NULL },
	{ "default", WAY_GUESS, NULL },
	{ "none", WAY_GUESS, NULL },
	{ "binary", WAY_GUESS, NULL },
	{ "userdefined", WAY_GUESS, NULL },
	{ "utf8", WAY_UTF8, NULL },
	{ "unicode11utf8", WAY_UTF8, NULL },
	{ "utf8mb4", WAY_UTF8, NULL },
	{ "65001", WAY_UTF8, NULL },
	{ "iso88591", WAY_CP1252, NULL },
	{ "latin1", WAY_CP1252, NULL },
	{ "isolatin1", WAY_CP1252, NULL },
	{ "l1", WAY_CP1252, NULL },
	{ "819", WAY_CP1252, NULL },
	{ "1252", WAY_CP1252, NULL },
	{ "ansi", WAY_CP1252, NULL },
	{ "iso88592", WAY_ICONV, "ISO-8859-2" },
	{ "latin2", WAY_ICONV, "ISO-8859-2" },
	{ "isolatin2", WAY_ICONV, "ISO-8859-2" },
	{ "iso88593", WAY_ICONV, "ISO-8859-3" },
	{ "iso88594", WAY_ICONV, "ISO-8859-4" },
	{ "iso88595", WAY_ICONV, "ISO-8859-5" },
	{ "iso88596", WAY_ICONV, "ISO-8859-6" },
	{ "iso88596i", WAY_ICONV, "ISO-8859-6" },
	{ "iso88596e", WAY_ICONV, "ISO-8859-6" },
	{ "iso88597", WAY_ICONV, "ISO-8859-7" },
	{ "iso88598", WAY_ICONV, "ISO-8859-8" },
	{ "iso88598i", WAY_ICONV, "ISO-8859-8" },
	{ "iso88598e", WAY_ICONV, "ISO-8859-8" },
	{ "iso88599", WAY_ICONV, "CP1254" },
	{ "latin5", WAY_ICONV, "CP1254" },
	{ "iso885910", WAY_ICONV, "ISO-8859-10" },
	{ "iso885911", WAY_ICONV, "CP874" },
	{ "tis620", WAY_ICONV, "CP874" },
	{ "874", WAY_ICONV, "CP874" },
	{ "iso885913", WAY_ICONV, "ISO-8859-13" },
	{ "iso885914", WAY_ICONV, "ISO-8859-14" },
	{ "iso885915", WAY_ICONV, "ISO-8859-15" },
	{ "latin9", WAY_ICONV, "ISO-8859-15" },
	{ "iso885916", WAY_ICONV, "ISO-8859-16" },
	{ "1250", WAY_ICONV, "CP1250" },
	{ "1251", WAY_ICONV, "CP1251" },
	{ "1253", WAY_ICONV, "CP1253" },
	{ "1254", WAY_ICONV, "CP1254" },
	{ "1255", WAY_ICONV, "CP1255" },
	{ "1256", WAY_ICONV, "CP1256" },
	{ "1257", WAY_ICONV, "CP1257" },
	{ "1258", WAY_ICONV, "CP1258" },
	{ "koi8r", WAY_ICONV, "KOI8-R" },
	{ "koi8", WAY_ICONV, "KOI8-R" },
	{ "koi8u", WAY_ICONV, "KOI8-U" },
	{ "koi8ru", WAY_ICONV, "KOI8-U" },
	{ "gb2312", WAY_ICONV, "GB18030" },
	{ "gb231280", WAY_ICONV, "GB18030" },
	{ "gbk", WAY_ICONV, "GB18030" },
	{ "gb18030", WAY_ICONV, "GB18030" },
	{ "euccn", WAY_ICONV, "GB18030" },
	{ "cngb", WAY_ICONV, "GB18030" },
	{ "936", WAY_ICONV, "GB18030" },
	{ "big5", WAY_ICONV, "BIG5-HKSCS" },
	{ "big5hkscs", WAY_ICONV, "BIG5-HKSCS" },
	{ "cnbig5", WAY_ICONV, "BIG5-HKSCS" },
	{ "950", WAY_ICONV, "BIG5-HKSCS" },
	{ "eucjp", WAY_ICONV, "EUC-JP-MS" },
	{ "shiftjis", WAY_ICONV, "CP932" },
	{ "sjis", WAY_ICONV, "CP932" },
	{ "mskanji", WAY_ICONV, "CP932" },
	{ "31j", WAY_ICONV, "CP932" },
	{ "932", WAY_ICONV, "CP932" },
	{ "iso2022jp", WAY_ICONV, "ISO-2022-JP-2" },
	{ "iso2022jp1", WAY_ICONV, "ISO-2022-JP-2" },
	{ "iso2022jp2", WAY_ICONV, "ISO-2022-JP-2" },
	{ "iso2022jpms", WAY_ICONV, "ISO-2022-JP-2" },
	{ "50220", WAY_ICONV, "ISO-2022-JP-2" },
	{ "50221", WAY_ICONV, "ISO-2022-JP-2" },
	{ "iso2022kr", WAY_ICONV, "ISO-2022-KR" },
	{ "euckr", WAY_ICONV, "UHC" },
	{ "ksc56011987", WAY_ICONV, "UHC" },
	{ "ksc56011989", WAY_ICONV, "UHC" },
	{ "ksc5601", WAY_ICONV, "UHC" },
	{ "korean", WAY_ICONV, "UHC" },
	{ "uhc", WAY_ICONV, "UHC" },
	{ "949", WAY_ICONV, "UHC" },
	{ "macintosh", WAY_ICONV, "MACINTOSH" },
	{ "macroman", WAY_ICONV, "MACINTOSH" },
	{ "mac", WAY_ICONV, "MACINTOSH" },
	{ "maccyrillic", WAY_ICONV, "MAC-CYRILLIC" },
	{ "437", WAY_ICONV, "IBM437" },
	{ "850", WAY_ICONV, "IBM850" },
	{ "852", WAY_ICONV, "IBM852" },
	{ "855", WAY_ICONV, "IBM855" },
	{ "862", WAY_ICONV, "IBM862" },
	{ "866", WAY_ICONV, "IBM866" },
	{ "viscii", WAY_ICONV, "VISCII" },
	{ "utf7", WAY_ICONV, "UTF-7" },
	{ "unicode11utf7", WAY_ICONV, "UTF-7" },
	{ "utf16", WAY_UTF16, NULL },
	{ "unicode", WAY_UTF16, NULL },
	{ "iso10646ucs2", WAY_UTF16, NULL },
	{ "utf16le", WAY_ICONV, "UTF-16LE" },
	{ "utf16be", WAY_ICONV, "UTF-16BE" },
	{ "utf32", WAY_ICONV, "UTF-32BE" },
	{ "utf32le", WAY_ICONV, "UTF-32LE" },
	{ "utf32be", WAY_ICONV, "UTF-32BE" },
};
static const struct row unknown = { "", WAY_UNKNOWN, NULL };

static struct span without_prefix(struct span s, const char *prefix)
{
	return span_istarts(s, prefix) ? span_from(s, strlen(prefix)) : s;
}

static const struct row *find_row(struct span label)
{
	/* "windows-1251", "CP1251", "ibm866": the number tells all. */
	static const char *const prefixes[] = { "x-", "cs", "windows-", "windows", "win-", "cp-", "cp", "ibm-", "ibm" };
	char key[KEY_MAX];
	size_t n = 0;
	label = span_trim(label);
	for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
		label = without_prefix(label, prefixes[i]);
	for (size_t i = 0; i < label.n && label.p[i] != ':'; i++) {
		if (!ascii_isalnum(label.p[i]))
			continue;
		if (n == sizeof key)
			return &unknown;
		key[n++] = ascii_lower(label.p[i]);
	}
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (span_eqs(span_of(key, n), rows[i].key))
			return &rows[i];
	return &unknown;
}

/* Descriptors are kept: a header with thousands of encoded words would otherwise load its converter for each. */
static iconv_t descriptor(const struct row *row)
{
	static iconv_t kept[sizeof rows / sizeof *rows];
	iconv_t *slot = &kept[row - rows];
	if (!*slot)
		*slot = iconv_open("UTF-8", row->iconv);
	return *slot;
}

/* What iconv could not take at *s becomes one U+FFFD; false when nothing is left to go on with. */
static bool step_over(struct span *s, int why, struct buf *out)
{
	if (why == E2BIG)
		return true;
	utf8_append(out, 0xfffd);
	*s = span_from(*s, why == EINVAL ? s->n : 1);
	return s->n > 0;
}

static void by_iconv(iconv_t cd, struct span s, struct buf *out)
{
	char chunk[4096];
	iconv(cd, NULL, NULL, NULL, NULL);
	for (bool more = true; more;) {
		char *in = (char *)s.p, *to = chunk;
		size_t left = s.n, room = sizeof chunk;
		size_t rc = iconv(cd, s.n ? &in : NULL, &left, &to, &room);
		int why = errno;
		buf_add(out, chunk, sizeof chunk - room);
		if (rc != (size_t)-1 && !s.n)
			break;
		s = span_from(s, s.n - left);
		if (rc == (size_t)-1)
			more = step_over(&s, why, out) && !out->bad;
	}
}

static void by_utf8(struct span s, struct buf *out)
{
	uint32_t c;
	while (s.n) {
		size_t good = 0, n;
		while ((n = utf8_decode(s.p + good, s.n - good, &c)) != 0)
			good += n;
		buf_add(out, s.p, good);
		if (good < s.n)
			utf8_append(out, 0xfffd);
		s = span_from(s, good + 1);
	}
}

void charset_append_1252(struct buf *out, unsigned char byte)
{
	static const uint16_t high[32] = { 0x20ac, 0xfffd, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6,
		0x2030, 0x0160, 0x2039, 0x0152, 0xfffd, 0x017d, 0xfffd, 0xfffd, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
		0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0xfffd, 0x017e, 0x0178 };
	utf8_append(out, byte >= 0x80 && byte < 0xa0 ? high[byte - 0x80] : byte);
}

static void by_1252(struct span s, struct buf *out)
{
	for (size_t i = 0; i < s.n; i++)
		charset_append_1252(out, (unsigned char)s.p[i]);
}

static void by_utf16(struct span s, struct buf *out)
{
	bool little = s.n >= 2 && memcmp(s.p, "\xff\xfe", 2) == 0, big = s.n >= 2 && memcmp(s.p, "\xfe\xff", 2) == 0;
	iconv_t cd = descriptor(find_row(little ? SPAN("utf16le") : SPAN("utf16be")));
	if (cd == (iconv_t)-1)
		by_utf8(s, out);
	else
		by_iconv(cd, span_from(s, little || big ? 2 : 0), out);
}

int charset_to_utf8(struct span charset, struct span s, struct buf *out)
{
	const struct row *row = find_row(charset);
	enum way way = row->way;
	iconv_t cd = way == WAY_ICONV ? descriptor(row) : (iconv_t)-1;
	if (way == WAY_ICONV && cd == (iconv_t)-1)
		way = WAY_UNKNOWN;
	if (way == WAY_GUESS)
		way = utf8_valid(s) ? WAY_UTF8 : WAY_CP1252;
	if (way == WAY_ICONV)
		by_iconv(cd, s, out);
	else if (way == WAY_CP1252)
		by_1252(s, out);
	else if (way == WAY_UTF16)
		by_utf16(s, out);
	else
		by_utf8(s, out);
	return way == WAY_UNKNOWN ? -1 : 0;
}

/* One UTF-8 character into the other charset; false when it has none for it. */
static bool put_character(iconv_t cd, const char *p, size_t n, struct buf *out)
{
	char room[32], *in = (char *)p, *to = room;
	size_t left = sizeof room;
	if (iconv(cd, &in, &n, &to, &left) != 0)
		return false;
	buf_add(out, room, sizeof room - left);
	return true;
}

int charset_from_utf8(const char *charset, struct span s, struct buf *out)
{
	if (find_row(span_str(charset))->way == WAY_UTF8) {
		by_utf8(s, out);
		return 0;
	}
	iconv_t cd = iconv_open(charset, "UTF-8");
	bool known = cd != (iconv_t)-1;
	for (size_t i = 0, n; i < s.n; i += n) {
		uint32_t c;
		n = utf8_decode(s.p + i, s.n - i, &c);
		bool good = n && (known ? put_character(cd, s.p + i, n, out) : c < 128);
		if (!good)
			buf_addc(out, '?');
		else if (!known)
			buf_addc(out, (char)c);
		n = n ? n : 1;
	}
	if (known) {
		char room[32], *to = room;
		size_t left = sizeof room;
		iconv(cd, NULL, NULL, &to, &left); /* back to the initial shift state */
		buf_add(out, room, sizeof room - left);
		iconv_close(cd);
	}
	return known ? 0 : -1;
}
