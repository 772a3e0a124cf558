/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "store/mutf7.h"

static void both_ways(void **state)
{
	(void)state;
	static const struct {
		const char *utf8, *mutf7;
	} t[] = {
		{ "", "" },
		{ "Work", "Work" },
		{ "a&b", "a&-b" },
		{ "&", "&-" },
		{ "&&", "&-&-" },
		/* RFC 3501 5.1.3 */
		{ "~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e",
		    "~peter/mail/&U,BTFw-/&ZeVnLIqe-" },
		{ "Entw\xc3\xbcrfe", "Entw&APw-rfe" },
		{ "\xc3\xbc&\xc3\xbc", "&APw-&-&APw-" },
		{ "\xf0\x9f\x93\xac", "&2D3c7A-" },
		{ "a\xf0\x9f\x93\xacz", "a&2D3c7A-z" },
		{ "\t", "&AAk-" },
	};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct buf b;
		buf_init(&b, 1000);
		if (!mutf7_encode(span_str(t[i].utf8), &b) || !span_eqs(buf_span(&b), t[i].mutf7))
			fail_msg("%s encodes to %s", t[i].mutf7, b.p);
		buf_reset(&b);
		if (!mutf7_decode(span_str(t[i].mutf7), &b) || !span_eqs(buf_span(&b), t[i].utf8))
			fail_msg("%s decodes to %s", t[i].mutf7, b.p);
		buf_free(&b);
	}
}

static void refused(void **state)
{
	(void)state;
	static const char *const encoded[] = { "&", "a&b", "&APw", "&AGE-", "&APw-&APw-", "\xc3\xbc", "&!-", "&2D0-",
		"&3Kw-", "&APx-", "&A-", "\t", "&AP-", "&2D0AYQ-" };
	static const char *const utf8[] = { "\xff", "\xc0\x80", "\xe2\x82", "\xed\xa0\x80", "\xf4\x90\x80\x80",
		"\x80" };
	struct buf b;
	buf_init(&b, 1000);
	for (size_t i = 0; i < sizeof encoded / sizeof *encoded; i++)
		if (mutf7_decode(span_str(encoded[i]), &b))
			fail_msg("%s is taken", encoded[i]);
	for (size_t i = 0; i < sizeof utf8 / sizeof *utf8; i++)
		if (mutf7_encode(span_str(utf8[i]), &b))
			fail_msg("ill-formed UTF-8 %zu is taken", i);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(both_ways), cmocka_unit_test(refused) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
