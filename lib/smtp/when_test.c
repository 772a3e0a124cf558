/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "smtp/when.h"

static void test_hold_for(void **state)
{
	static const struct {
		const char *text;
		int64_t want;
	} rows[] = { { "1", 1 }, { "999999999", 999999999 }, { "0", -1 }, { "01", -1 }, { "", -1 },
		{ "1000000000", -1 }, { "-1", -1 }, { "+1", -1 }, { "1s", -1 } };
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int64_t got = -1;
		assert_int_equal(when_hold_for(span_str(rows[i].text), &got), rows[i].want > 0);
		assert_int_equal(got, rows[i].want);
	}
}

static void test_dates(void **state)
{
	static const struct {
		const char *text;
		int64_t want; /* -1: refused */
	} rows[] = { { "1970-01-01T00:00:00Z", 0 }, { "2026-11-30T13:28:51Z", 1796045331 },
		{ "2026-11-30t13:28:51.25z", 1796045331 }, { "2026-11-30T13:28:51+00:00", 1796045331 },
		{ "2028-02-29T00:00:00-00:00", 1835395200 }, { "2026-02-29T00:00:00Z", -1 },
		{ "2026-11-31T00:00:00Z", -1 }, { "2026-00-01T00:00:00Z", -1 }, { "2026-13-01T00:00:00Z", -1 },
		{ "2026-11-30T24:00:00Z", -1 }, { "2026-11-30T13:28:51", -1 }, { "2026-11-30T13:28:51+01:00", -1 },
		{ "2026-11-30T13:28:51.Z", -1 }, { "2026-11-30T13:28:51Zx", -1 }, { "2026-11-30", -1 }, { "", -1 },
		{ "26-11-30T13:28:51Z", -1 } };
	struct buf b;
	(void)state;
	buf_init(&b, 100);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int64_t got = -1;
		assert_int_equal(when_date(span_str(rows[i].text), &got), rows[i].want >= 0);
		assert_int_equal(got, rows[i].want);
	}
	when_date_format(1796045331, &b);
	assert_string_equal(b.p, "2026-11-30T13:28:51Z");
	buf_free(&b);
}

static void test_by(void **state)
{
	static const struct {
		const char *text;
		struct smtp_by want; /* mode 0: refused */
	} rows[] = { { "120;R", { 120, 'R', false } }, { "+98;rt", { 98, 'R', true } }, { "-5;NT", { -5, 'N', true } },
		{ "0;n", { 0, 'N', false } }, { "999999999;N", { 999999999, 'N', false } }, { "0;R", { 0 } },
		{ "-1;R", { 0 } }, { "1000000000;N", { 0 } }, { "1", { 0 } }, { "1;", { 0 } }, { ";N", { 0 } },
		{ "1;X", { 0 } }, { "1;NX", { 0 } }, { "1;NTT", { 0 } }, { "--1;N", { 0 } }, { "", { 0 } } };
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct smtp_by got = { 0 };
		assert_int_equal(when_by(span_str(rows[i].text), &got), rows[i].want.mode != 0);
		if (!rows[i].want.mode)
			continue;
		assert_int_equal(got.seconds, rows[i].want.seconds);
		assert_int_equal(got.mode, rows[i].want.mode);
		assert_int_equal(got.trace, rows[i].want.trace);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_hold_for), cmocka_unit_test(test_dates),
		cmocka_unit_test(test_by) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
