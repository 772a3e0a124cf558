/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "smtp/orcpt.h"

static const struct {
	const char *value;
	const char *ascii, *field, *field_utf8; /* NULL: refused */
} rows[] = {
	{ "rfc822;a@b", "rfc822;a@b", "rfc822;a@b", "rfc822;a@b" },
	{ "rfc822;a+2Bc@b", "rfc822;a+2Bc@b", "rfc822;a+c@b", "rfc822;a+c@b" },
	{ "x-y;+4", "x-y;+4", NULL, NULL },
	{ "rfc822;\xc3\xa4@b", NULL, NULL, NULL },
	{ "utf-8;\xc3\xa4@b", "utf-8;\\x{E4}@b", "utf-8;\\x{E4}@b", "utf-8;\xc3\xa4@b" },
	{ "UTF-8;\\x{E4}\\x{2B}\\x{1F600}@b", "UTF-8;\\x{E4}\\x{2B}\\x{1F600}@b", "UTF-8;\\x{E4}\\x{2B}\\x{1F600}@b",
	    "UTF-8;\xc3\xa4+\xf0\x9f\x98\x80@b" },
	{ "utf-8;\xff@b", NULL, NULL, "utf-8;\xff@b" },
	{ "utf-8;\\x{A}@b", "utf-8;\\x{A}@b", "utf-8;\\x{A}@b", NULL },
	{ "utf-8;\\x{D800}", "utf-8;\\x{D800}", "utf-8;\\x{D800}", NULL },
	{ "utf-8;\\x{110000}", "utf-8;\\x{110000}", "utf-8;\\x{110000}", NULL },
	{ "utf-8;\\x{41", "utf-8;\\x{41", "utf-8;\\x{41", NULL },
	{ "utf-8;\\x{}", "utf-8;\\x{}", "utf-8;\\x{}", NULL },
	{ "utf-8;a\\", "utf-8;a\\", "utf-8;a\\", NULL },
};

static void check(bool ok, const struct buf *got, const char *want)
{
	assert_int_equal(ok, want != NULL);
	if (want)
		assert_string_equal(got->p, want);
}

static void test_places(void **state)
{
	struct buf b;
	(void)state;
	buf_init(&b, 1000);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct span value = span_str(rows[i].value);
		buf_reset(&b);
		check(orcpt_to_ascii(value, &b), &b, rows[i].ascii);
		buf_reset(&b);
		check(orcpt_to_field(value, false, &b), &b, rows[i].field);
		buf_reset(&b);
		check(orcpt_to_field(value, true, &b), &b, rows[i].field_utf8);
	}
	buf_free(&b);
}

static void test_of_addresses(void **state)
{
	struct buf b;
	char address[600];
	(void)state;
	buf_init(&b, 2000);
	check(orcpt_from_address(SPAN("\"a b\"+c=d@e"), &b), &b, "rfc822;\"a+20b\"+2Bc+3Dd@e");
	buf_reset(&b);
	struct span odd = SPAN("\"\xc3\xa4 \\b\"+c=d@e");
	check(orcpt_from_address(odd, &b), &b, "utf-8;\"\\x{E4}\\x{20}\\x{5C}b\"\\x{2B}c\\x{3D}d@e");
	memset(address, 'a', sizeof address);
	buf_reset(&b);
	assert_true(orcpt_from_address(span_of(address, 493), &b));
	assert_false(orcpt_from_address(span_of(address, 494), &b));
	buf_reset(&b);
	assert_false(orcpt_from_address(SPAN("\xff@b"), &b));
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_places), cmocka_unit_test(test_of_addresses) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
