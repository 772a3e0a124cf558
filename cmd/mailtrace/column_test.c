/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <locale.h>

#include "mailtrace/column.h"

static void test_text(void **state)
{
	(void)state;
	static const struct {
		const char *in;
		size_t max;
		const char *want;
		size_t columns;
	} cases[] = {
		{ "plain", 0, "plain", 5 },
		{ "a\x1b[31mred\x07\r\n\x7f", 0, "a?[31mred????", 13 },
		{ "\xc2\x9b"
		  "31m",
		    0, "?31m", 4 }, /* CSI as one character */
		{ "a\xe2\x80\xae"
		  "b\xe2\x81\xa6"
		  "c",
		    0, "a?b?c", 5 }, /* overrides */
		{ "\xff\xfe\xc3", 0, "???", 3 },
		{ "b\xc3\xbc"
		  "cher",
		    0,
		    "b\xc3\xbc"
		    "cher",
		    6 },
		{ "\xe9\x83\xb5\xe4\xbb\xb6", 0, "\xe9\x83\xb5\xe4\xbb\xb6", 4 }, /* two columns each */
		{ "1234567890", 10, "1234567890", 10 },
		{ "12345678901", 10, "1234567...", 10 },
		{ "\xe9\x83\xb5\xe4\xbb\xb6\xe9\x83\xb5", 5, "\xe9\x83\xb5...", 5 },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf b;
		buf_init(&b, 1024);
		assert_int_equal(column_text(&b, span_str(cases[i].in), cases[i].max), cases[i].columns);
		assert_string_equal(b.p, cases[i].want);
		buf_free(&b);
	}
}

static void test_wrap(void **state)
{
	(void)state;
	static const struct {
		const char *in, *want;
	} cases[] = {
		{ "", "\n" },
		{ "one two three four five six seven", "one two three four\n    five six seven\n" },
		{ "exactly-twenty-wide.", "exactly-twenty-wide.\n" },
		{ "abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopqrst\n    uvwxyz\n" },
		{ "a                          b", "a                   \n    b\n" },
		{ "\xe9\x83\xb5\xe9\x83\xb5\xe9\x83\xb5\xe9\x83\xb5\xe9\x83\xb5\xe9\x83\xb5\xe9\x83\xb5\xe9\x83\xb5\xe9"
		  "\x83\xb5\xe9"
		  "\x83\xb5\xe4\xbb\xb6",
		    "\xe9\x83\xb5\xe9\x83\xb5\xe9\x83\xb5\xe9\x83\xb5\xe9\x83\xb5\xe9\x83\xb5\xe9\x83\xb5\xe9\x83\xb5"
		    "\xe9\x83\xb5\xe9"
		    "\x83\xb5\n    \xe4\xbb\xb6\n" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf b;
		buf_init(&b, 1024);
		column_wrap(&b, span_str(cases[i].in), 4, 24);
		if (i != 4)
			assert_string_equal(b.p, cases[i].want);
		else
			assert_true(span_ends(buf_span(&b), "\n    b\n"));
		buf_free(&b);
	}
}

static void test_duration(void **state)
{
	(void)state;
	static const struct {
		int64_t us;
		const char *want;
	} cases[] = { { 0, "0.000 ms" }, { 3021, "3.021 ms" }, { 999999, "999.999 ms" }, { 1000000, "1.000 s" },
		{ 12345678, "12.345 s" }, { 250000000, "4 min 10 s" }, { 7380000000, "2 h 3 min" },
		{ 435600000000, "5 d 1 h" }, { -2500, "-2.500 ms" } };
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf b;
		buf_init(&b, 64);
		column_duration(&b, cases[i].us);
		assert_string_equal(b.p, cases[i].want);
		buf_free(&b);
	}
	struct buf b;
	buf_init(&b, 64);
	column_duration(&b, INT64_MIN);
	assert_true(b.len > 0);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_duration),
	};
	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
