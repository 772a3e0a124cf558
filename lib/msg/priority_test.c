/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "msg/priority.h"

enum {
	NONE = 99
};

static void test_values(void **state)
{
	static const struct {
		const char *in;
		int want;
	} cases[] = {
		{ " -3", -3 },
		{ " 4 (ultra)", 4 },
		{ "\t(a (b) \\)) 9\r\n ", 9 },
		{ "0", 0 },
		{ "-9", -9 },
		{ "-0", NONE },
		{ "+1", NONE },
		{ "10", NONE },
		{ "1 2", NONE },
		{ "- 1", NONE },
		{ "1 x", NONE },
		{ "", NONE },
		{ "(1", NONE },
		{ "-", NONE },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int got = NONE;
		bool good = priority_parse(span_str(cases[i].in), &got);
		if ((good ? got : NONE) != cases[i].want)
			fail_msg("'%s': %d", cases[i].in, got);
	}
}

static void test_replace(void **state)
{
	static const struct {
		const char *in;
		bool has;
		const char *want;
	} cases[] = {
		{ "A: 1\r\n\r\n", false, "MT-Priority: -2\r\nA: 1\r\n\r\n" },
		{ "mt-priority: 9\r\nA: 1\nMT-Priority:\n x\nB: 2\n\n", true, "MT-Priority: -2\r\nA: 1\nB: 2\n\n" },
		{ "MT-Priority: 9", true, "MT-Priority: -2\r\n" },
		{ "\r\n", false, "MT-Priority: -2\r\n\r\n" },
		{ "", false, "MT-Priority: -2\r\n" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf out;
		buf_init(&out, 1000);
		assert_int_equal(priority_in(span_str(cases[i].in)), cases[i].has);
		priority_replace(span_str(cases[i].in), -2, &out);
		assert_string_equal(out.p, cases[i].want);
		buf_free(&out);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_replace),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
