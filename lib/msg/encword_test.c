/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <time.h>

#include "msg/charset.h"
#include "msg/encword.h"
#include "msg/header.h"

static const struct {
	const char *in, *want;
} decoded[] = {
	{ "plain", "plain" },
	{ " a\r\n b ", "a b" },
	/* RFC 2047 8 */
	{ "(=?ISO-8859-1?Q?a?=)", "(a)" },
	{ "=?ISO-8859-1?Q?a?= b", "a b" },
	{ "=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab" },
	{ "=?ISO-8859-1?Q?a?=\r\n  \t=?ISO-8859-1?Q?b?=", "ab" },
	{ "=?ISO-8859-1?Q?a_b?=", "a b" },
	{ "=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=", "a b" },
	{ "=?US-ASCII?Q?Keith_Moore?=", "Keith Moore" },
	{ "=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=", "If you can read this yo" },
	{ "=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?= <keld@x>", "Keld J\xc3\xb8rn Simonsen <keld@x>" },
	{ "=?utf-8*de?Q?=C3=A4?=", "\xc3\xa4" },
	{ "=?UTF-8?b?w6Q=?=", "\xc3\xa4" },
	/* a character cut between two words */
	{ "=?utf-8?Q?=C3?= =?utf-8?Q?=A4?=", "\xc3\xa4" },
	{ "=?utf-8?B?wx==?= =?UTF-8?Q?=A4?=", "\xc3\xa4" },
	{ "=?iso-2022-jp?B?GyRCJUYlOSVIGyhC?=", "\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88" },
	{ "=?koi8-r?Q?=F0=D2?=", "\xd0\x9f\xd1\x80" },
	{ "=?ks_c_5601-1987?B?sKE=?=", "\xea\xb0\x80" },
	{ "=?windows-1252?Q?=80?=", "\xe2\x82\xac" },
	{ "=?iso-8859-1?Q?=80?=", "\xe2\x82\xac" },
	{ "a=?utf-8?Q?b?=c", "abc" },
	{ "=?utf-8?Q?"
	  "?=x",
	    "x" },
	{ "=?utf-8?Q?a b?=", "a b" },
	/* malformed: as written */
	{ "=?utf-8?X?a?=", "=?utf-8?X?a?=" },
	{ "=?utf-8?Q?a", "=?utf-8?Q?a" },
	{ "=?utf-8?Q?a?b?=", "=?utf-8?Q?a?b?=" },
	{ "=?"
	  "?Q?a?=",
	    "=?"
	    "?Q?a?=" },
	{ "=?", "=?" },
	{ "=?=?utf-8?Q?a?=", "=?a" },
	{ "=?utf-8?Q?=4?=", "=4" },
	/* bytes that are no UTF-8 */
	{ "\xe4 \xc3\xa4", "\xc3\xa4 \xc3\xa4" },
	{ "=?utf-8?Q?=E4?=", "\xef\xbf\xbd" },
	{ "=?x-nonsense?Q?a=E4?=", "a\xef\xbf\xbd" },
	/* nothing becomes a line of its own */
	{ "=?utf-8?Q?a=0D=0ABcc:_x=00?=", "a  Bcc: x " },
};

static void decoding(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof decoded / sizeof *decoded; i++) {
		struct buf out;
		buf_init(&out, 1000);
		encword_decode(span_str(decoded[i].in), &out);
		if (!span_eqs(buf_span(&out), decoded[i].want))
			fail_msg("%s: \"%s\"", decoded[i].in, out.p);
		buf_free(&out);
	}
}

static const struct {
	const char *in;
	bool phrase;
	const char *want;
} encoded[] = {
	{ "plain text, here", false, "plain text, here" },
	{ "Joe Public", true, "Joe Public" },
	{ "Joe Q. \"X\" Public", true, "\"Joe Q. \\\"X\\\" Public\"" },
	{ "two  blanks", true, "\"two  blanks\"" },
	{ "J\xc3\xb6rg", false, "=?utf-8?b?SsO2cmc=?=" },
	{ "caf\xc3\xa9 au lait", false, "=?utf-8?b?Y2Fmw6k=?= au lait" },
	{ "J\xc3\xb6 M\xc3\xa4 x", true, "=?utf-8?b?SsO2IE3DpA==?= x" },
	{ "J\xc3\xb6, x", true, "=?utf-8?b?SsO2LA==?= x" },
	{ "descripci\xc3\xb3n", true, "=?utf-8?q?descripci=C3=B3n?=" },
	{ "\xd0\x9f\xd1\x80\xd0\xb8", false, "=?utf-8?b?0J/RgNC4?=" },
	{ "=?utf-8?q?a?=", false, "=?utf-8?b?PT91dGYtOD9xP2E/PQ==?=" },
	{ "a\r\nBcc: x", false, "a  Bcc: x" },
	{ "", false, "" },
};

static void encoding(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof encoded / sizeof *encoded; i++) {
		struct buf out;
		buf_init(&out, 1000);
		encword_encode(span_str(encoded[i].in), encoded[i].phrase, &out);
		if (!span_eqs(buf_span(&out), encoded[i].want))
			fail_msg("%s: %s", encoded[i].in, out.p);
		buf_free(&out);
	}
}

/* Long texts: each word at most 75, each folded line at most 76, whole characters, and back to the same. */
static void round_trips(void **state)
{
	static const char *const units[] = { "\xc3\xa4", "a", "\xe2\x82\xac x ", "\xf0\x9f\x93\xa7", "word \xc3\xb6 " };
	(void)state;
	for (size_t u = 0; u < sizeof units / sizeof *units; u++)
		for (int phrase = 0; phrase < 2; phrase++) {
			struct buf in, words, field, back;
			buf_init(&in, 10000);
			buf_init(&words, 40000);
			buf_init(&field, 40000);
			buf_init(&back, 10000);
			while (in.len < 500)
				buf_adds(&in, units[u]);
			buf_adds(&in, "\xc3\xa4");
			encword_encode(buf_span(&in), phrase, &words);
			assert_false(words.bad);
			header_fold("Content-Description", buf_span(&words), "\r\n", &field);
			for (struct span rest = buf_span(&field); rest.n;) {
				struct span line = span_cut(&rest, '\n');
				assert_true(line.n - 1 <= 76);
			}
			encword_decode(span_from(buf_span(&field), strlen("Content-Description:")), &back);
			assert_true(span_eq(buf_span(&back), span_trim(buf_span(&in))));
			buf_free(&in);
			buf_free(&words);
			buf_free(&field);
			buf_free(&back);
		}
}

static void adversarial(void **state)
{
	static const char *const units[] = { "=?", "=?a?q?", "=?a?q?b",
		"=?utf-8?q?=", "=?utf-8?b?w?= ", "=?a?b?=?=", "=?big5?q?a?= =?koi8-r?q?b?= ", "?=", "=", "\x80",
		"=?iso-2022-jp?b?GyRC?= " };
	clock_t start = clock();
	(void)state;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		struct buf in, out;
		buf_init(&in, 1100000);
		buf_init(&out, 8000000);
		while (in.len < 1000000)
			buf_adds(&in, units[i]);
		encword_decode(buf_span(&in), &out);
		assert_false(out.bad);
		assert_true(utf8_valid(buf_span(&out)));
		buf_reset(&out);
		encword_encode(buf_span(&in), true, &out);
		buf_free(&in);
		buf_free(&out);
	}
	assert_true((clock() - start) / CLOCKS_PER_SEC < 20);
}

static void charsets(void **state)
{
	static const struct {
		const char *charset, *in, *want;
		int rc;
	} cases[] = {
		{ "utf-8", "\xc3\xa4", "\xc3\xa4", 0 },
		{ "UTF8",
		    "a\xff"
		    "b",
		    "a\xef\xbf\xbd"
		    "b",
		    0 },
		{ "us-ascii", "\xe4", "\xc3\xa4", 0 },
		{ "us-ascii", "\xc3\xa4", "\xc3\xa4", 0 },
		{ "", "\x93x\x94", "\xe2\x80\x9cx\xe2\x80\x9d", 0 },
		{ "unknown-8bit", "\xe4", "\xc3\xa4", 0 },
		{ "iso-8859-1", "\xc3\xa4", "\xc3\x83\xc2\xa4", 0 },
		{ "ISO_8859-15", "\xa4", "\xe2\x82\xac", 0 },
		{ "x-sjis", "\x83\x65", "\xe3\x83\x86", 0 },
		{ "gb2312", "\xc4\xe3", "\xe4\xbd\xa0", 0 },
		{ "big5", "\xa7\x41", "\xe4\xbd\xa0", 0 },
		{ "windows-1251", "\xcf", "\xd0\x9f", 0 },
		{ "CP1251", "\xcf", "\xd0\x9f", 0 },
		{ "iso-8859-8-i", "\xe0", "\xd7\x90", 0 },
		{ "utf-7", "+AOQ-", "\xc3\xa4", 0 },
		{ "euc-kr",
		    "a\xff\xff"
		    "b",
		    "a\xef\xbf\xbd\xef\xbf\xbd"
		    "b",
		    0 },
		{ "shift_jis", "a\x83", "a\xef\xbf\xbd", 0 },
		{ "x-nonsense", "a\xe4", "a\xef\xbf\xbd", -1 },
		{ "x-nonsense", "\xc3\xa4", "\xc3\xa4", -1 },
		{ "utf-8//TRANSLIT", "a", "a", -1 },
		{ "WCHAR_T", "abcd", "abcd", -1 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf out;
		buf_init(&out, 100);
		int rc = charset_to_utf8(span_str(cases[i].charset), span_str(cases[i].in), &out);
		if (rc != cases[i].rc || !span_eqs(buf_span(&out), cases[i].want))
			fail_msg("%s: %d \"%s\"", cases[i].charset, rc, out.p);
		buf_free(&out);
	}
	struct buf out;
	buf_init(&out, 100);
	charset_to_utf8(SPAN("utf-16"),
	    span_of("\xff\xfe"
		    "a\0\xe4\0",
		6),
	    &out);
	charset_to_utf8(SPAN("utf-16"), span_of("\0a", 2), &out);
	assert_string_equal(out.p, "a\xc3\xa4"
				   "a");
	buf_reset(&out);
	assert_int_equal(charset_from_utf8("ISO-8859-1",
			     SPAN("a\xc3\xa4\xe2\x82\xac\xff"
				  "b"),
			     &out),
	    0);
	assert_string_equal(out.p, "a\xe4??b");
	buf_reset(&out);
	assert_int_equal(charset_from_utf8("ANSI_X3.4-1968",
			     SPAN("\xc3\xa4"
				  "b"),
			     &out),
	    0);
	assert_string_equal(out.p, "?b");
	buf_reset(&out);
	assert_int_equal(charset_from_utf8("no-such",
			     SPAN("\xc3\xa4"
				  "b"),
			     &out),
	    -1);
	assert_string_equal(out.p, "?b");
	buf_free(&out);
}

static void utf8(void **state)
{
	static const struct {
		const char *in;
		bool ok;
	} cases[] = { { "", true }, { "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x93\xa7", true }, { "\x80", false },
		{ "\xc3", false }, { "\xc0\x80", false }, { "\xc1\xbf", false }, { "\xe0\x80\x80", false },
		{ "\xed\xa0\x80", false }, { "\xf0\x80\x80\x80", false }, { "\xf4\x90\x80\x80", false },
		{ "\xf8\x88\x80\x80\x80", false }, { "\xf4\x8f\xbf\xbf", true } };
	struct buf out;
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_int_equal(utf8_valid(span_str(cases[i].in)), cases[i].ok);
	buf_init(&out, 8);
	for (uint32_t c = 0; c < 0x111000; c += 61) {
		uint32_t back = 0;
		bool none = c > 0x10ffff || (c >= 0xd800 && c < 0xe000);
		buf_reset(&out);
		utf8_append(&out, c);
		assert_int_equal(utf8_decode(out.p, out.len, &back), out.len);
		assert_int_equal(back, none ? 0xfffd : c);
	}
	buf_free(&out);
	buf_init(&out, 100);
	utf8_append_shown(&out, span_of("a\0b\n\x1b\x7f\xc2\x80\xc2\x9f\xc2\xa0\xff\xc3\xa4\xc3", 16), '?');
	assert_string_equal(out.p, "a?b?????\xc2\xa0?\xc3\xa4?");
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decoding),
		cmocka_unit_test(encoding),
		cmocka_unit_test(round_trips),
		cmocka_unit_test(adversarial),
		cmocka_unit_test(charsets),
		cmocka_unit_test(utf8),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
