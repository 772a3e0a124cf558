/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "msg/date.h"

/* want: what date_format makes of it, "" when no date can be made out. */
static const struct {
	const char *in, *want;
} cases[] = {
	{ "Sun, 22 Nov 2026 03:10:00 +0100", "Sun, 22 Nov 2026 03:10:00 +0100" },
	{ "Sun, 22 Nov 2026 03:10:00 +0100 (CET)", "Sun, 22 Nov 2026 03:10:00 +0100" },
	{ "22 Nov 2026 03:10 -0330", "Sun, 22 Nov 2026 03:10:00 -0330" },
	{ " (a (b) \\) c)Sun,\r\n 22 Nov 2026 03:10:00 GMT", "Sun, 22 Nov 2026 03:10:00 +0000" },
	/* RFC 5322 A.5, A.6.2, A.6.3 */
	{ "Thu,\r\n      13\r\n        Feb\r\n          1969\r\n      23:32\r\n               -0330 (Newfoundland "
	  "Time)",
	    "Thu, 13 Feb 1969 23:32:00 -0330" },
	{ "21 Nov 97 09:55:06 GMT", "Fri, 21 Nov 1997 09:55:06 +0000" },
	{ "Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", "Fri, 21 Nov 1997 09:55:06 -0600" },
	/* obsolete years and zones (4.3) */
	{ "1 Jan 49 00:00 UT", "Fri, 01 Jan 2049 00:00:00 +0000" },
	{ "1 Jan 50 00:00 UT", "Sun, 01 Jan 1950 00:00:00 +0000" },
	{ "1 Jan 104 00:00 UT", "Thu, 01 Jan 2004 00:00:00 +0000" },
	{ "1 Jan 2004 00:00 EST", "Thu, 01 Jan 2004 00:00:00 -0500" },
	{ "1 Jan 2004 00:00 PDT", "Thu, 01 Jan 2004 00:00:00 -0700" },
	{ "1 Jan 2004 00:00 A", "Thu, 01 Jan 2004 00:00:00 +0000" },
	{ "1 Jan 2004 00:00 -0000", "Thu, 01 Jan 2004 00:00:00 +0000" },
	/* what real mail has */
	{ "Sun Nov 22 03:10:00 2026", "Sun, 22 Nov 2026 03:10:00 +0000" },
	{ "Sun Nov 22 03:10:00 PST 2026", "Sun, 22 Nov 2026 03:10:00 -0800" },
	{ "22-Nov-2026 03:10:00 +0100", "Sun, 22 Nov 2026 03:10:00 +0100" },
	{ " 2-Nov-2026 03:10:00 +0100", "Mon, 02 Nov 2026 03:10:00 +0100" },
	{ "2026-11-22T03:10:00Z", "Sun, 22 Nov 2026 03:10:00 +0000" },
	{ "2026-11-22 03:10:00.25+05:30", "Sun, 22 Nov 2026 03:10:00 +0530" },
	{ "2026-11-22", "Sun, 22 Nov 2026 00:00:00 +0000" },
	{ "Thu, 1 January 2004 5:04 PM", "Thu, 01 Jan 2004 17:04:00 +0000" },
	{ "Thu, 1 January 2004 12:04 am", "Thu, 01 Jan 2004 00:04:00 +0000" },
	{ "1 Jan 2004 00:00:00 GMT+0100", "Thu, 01 Jan 2004 00:00:00 +0100" },
	{ "Thursday, 29 February 2024 10.11.12 +0000", "Thu, 29 Feb 2024 10:11:12 +0000" },
	{ "31 Dec 2016 23:59:60 +0000", "Sun, 01 Jan 2017 00:00:00 +0000" },
	{ "1 Jan 2004 00:00:00 +9999", "Thu, 01 Jan 2004 00:00:00 +0000" },
	/* none */
	{ "", "" },
	{ "yesterday", "" },
	{ "31 Feb 2020 00:00:00 +0000", "" },
	{ "29 Feb 2023 00:00:00 +0000", "" },
	{ "1 Jan 2004 24:00:00 +0000", "" },
	{ "1 Jan 2004 10:61:00 +0000", "" },
	{ "0 Jan 2004 10:01:00 +0000", "" },
	{ "12:00:00 +0000", "" },
	{ "((((((", "" },
};

static void reading(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int64_t t = 0;
		int zone = 0;
		struct buf out;
		buf_init(&out, 100);
		if (date_parse(span_str(cases[i].in), &t, &zone))
			date_format(t, zone, &out);
		if (!span_eqs(buf_span(&out), cases[i].want))
			fail_msg("\"%s\": %s", cases[i].in, out.p);
		buf_free(&out);
	}
}

static void days(void **state)
{
	(void)state;
	assert_int_equal(date_days(1970, 1, 1), 0);
	assert_int_equal(date_days(2000, 3, 1), 11017);
	assert_int_equal(date_days(1969, 12, 31), -1);
	for (int64_t d = -1000000; d < 1000000; d += 97) {
		int64_t year;
		int month, day;
		date_civil(d, &year, &month, &day);
		assert_true(month >= 1 && month <= 12 && day >= 1 && day <= 31);
		assert_int_equal(date_days(year, month, day), d);
	}
}

static void before_1970(void **state)
{
	struct buf out;
	(void)state;
	buf_init(&out, 100);
	date_format(-1, 0, &out);
	assert_string_equal(out.p, "Wed, 31 Dec 1969 23:59:59 +0000");
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reading),
		cmocka_unit_test(days),
		cmocka_unit_test(before_1970),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
