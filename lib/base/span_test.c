/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/span.h"

static void making(void **state)
{
	(void)state;
	assert_int_equal(span_of(NULL, 5).n, 0);
	assert_non_null(span_of(NULL, 5).p);
	assert_int_equal(span_str(NULL).n, 0);
	assert_int_equal(SPAN("a\0b").n, 3);
}

static void slicing(void **state)
{
	static const struct {
		size_t a, b;
		const char *want;
	} cases[] = { { 0, 3, "abc" }, { 1, 2, "b" }, { 1, 99, "bc" }, { 2, 1, "" }, { 99, 100, "" }, { 3, 3, "" } };
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_true(span_eqs(span_slice(SPAN("abc"), cases[i].a, cases[i].b), cases[i].want));
	assert_true(span_eqs(span_from(SPAN("abc"), 1), "bc"));
	assert_true(span_eqs(span_from(SPAN("abc"), SIZE_MAX), ""));
}

static void comparing(void **state)
{
	(void)state;
	assert_true(span_eq(SPAN("a\0b"), SPAN("a\0b")));
	assert_false(span_eq(SPAN("a\0b"), SPAN("a\0c")));
	assert_true(span_ieqs(SPAN("HeLo"), "hElO"));
	/* Only ASCII letters fold: '[' and '{' are 32 apart too, and so are 8-bit letters in some charsets. */
	assert_false(span_ieqs(SPAN("["), "{"));
	assert_false(span_ieqs(SPAN("\xc4"), "\xe4"));
	assert_true(span_starts(SPAN("abc"), "ab") && !span_starts(SPAN("ab"), "abc") && span_starts(SPAN("a"), ""));
	assert_true(span_istarts(SPAN("ABc"), "ab") && span_ends(SPAN("abc"), "bc") && !span_ends(SPAN("c"), "bc"));
	assert_true(span_iends(SPAN("aBC"), "bc"));
	assert_true(span_cmp(SPAN("a"), SPAN("b")) < 0 && span_cmp(SPAN("ab"), SPAN("a")) > 0);
	assert_true(span_cmp(SPAN("\xff"), SPAN("a")) > 0 && span_icmp(SPAN("\xff"), SPAN("a")) > 0);
	assert_int_equal(span_icmp(SPAN("aBc"), SPAN("AbC")), 0);
	assert_true(span_icmp(SPAN("aB"), SPAN("AbC")) < 0);
}

static void finding(void **state)
{
	(void)state;
	assert_int_equal(span_chr(SPAN("abca"), 'a'), 0);
	assert_int_equal(span_rchr(SPAN("abca"), 'a'), 3);
	assert_int_equal(span_chr(SPAN(""), 'a'), -1);
	assert_int_equal(span_rchr(SPAN("x"), 'a'), -1);
	assert_int_equal(span_chr(SPAN("a\0b"), '\0'), 1);
	assert_int_equal(span_find(SPAN("abcabd"), SPAN("abd")), 3);
	assert_int_equal(span_find(SPAN("ab"), SPAN("abd")), -1);
	assert_int_equal(span_ifind(SPAN("xxABd"), SPAN("abD")), 2);
	assert_int_equal(span_ifind(SPAN("ab"), SPAN("abd")), -1);
	assert_int_equal(span_ifind(SPAN("ab"), SPAN("")), 0);
}

static void cutting(void **state)
{
	struct span rest = SPAN("a,b,,c");
	static const char *const want[] = { "a", "b", "", "c", "" };
	(void)state;
	for (size_t i = 0; i < 5; i++)
		assert_true(span_eqs(span_cut(&rest, ','), want[i]));
	rest = SPAN("  one \ttwo ");
	assert_true(span_eqs(span_word(&rest), "one"));
	assert_true(span_eqs(span_word(&rest), "two"));
	assert_true(span_eqs(span_word(&rest), ""));
	assert_int_equal(rest.n, 0);
	assert_true(span_eqs(span_trim(SPAN(" \t\r\na b\r\n ")), "a b"));
	assert_true(span_eqs(span_trim(SPAN(" \r\n")), ""));
}

static void numbers(void **state)
{
	static const struct {
		const char *in;
		uint64_t max;
		bool ok;
		uint64_t want;
	} cases[] = {
		{ "0", 10, true, 0 },
		{ "007", 10, true, 7 },
		{ "10", 10, true, 10 },
		{ "11", 10, false, 0 },
		{ "18446744073709551615", UINT64_MAX, true, UINT64_MAX },
		{ "18446744073709551616", UINT64_MAX, false, 0 },
		{ "99999999999999999999999", UINT64_MAX, false, 0 },
		{ "", 10, false, 0 },
		{ "-1", 10, false, 0 },
		{ "+1", 10, false, 0 },
		{ " 1", 10, false, 0 },
		{ "1 ", 10, false, 0 },
		{ "0x1", 10, false, 0 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint64_t v = 0;
		assert_int_equal(span_u64(span_str(cases[i].in), cases[i].max, &v), cases[i].ok);
		assert_true(v == cases[i].want);
	}
}

static void controls(void **state)
{
	(void)state;
	assert_false(span_has_ctl(SPAN("a\tb\x7f")));
	assert_true(span_has_ctl(SPAN("a\0b")));
	assert_true(span_has_ctl(SPAN("a\r")));
	assert_true(span_has_ctl(SPAN("\nb")));
	for (int c = 0; c < 256; c++) {
		bool alpha = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
		assert_int_equal(ascii_isalpha((char)c), alpha);
		assert_int_equal(ascii_lower((char)c) != (char)c, alpha && c < 'a');
		assert_int_equal(ascii_upper((char)c) != (char)c, alpha && c >= 'a');
	}
	assert_int_equal(ascii_hex('f'), 15);
	assert_int_equal(ascii_hex('A'), 10);
	assert_int_equal(ascii_hex('9'), 9);
	assert_int_equal(ascii_hex('g'), -1);
	assert_int_equal(ascii_hex('@'), -1);
}

/* The vectors of FNV's authors. */
static void hashing(void **state)
{
	(void)state;
	assert_true(span_hash(SPAN_HASH, SPAN("")) == UINT64_C(0xcbf29ce484222325));
	assert_true(span_hash(SPAN_HASH, SPAN("a")) == UINT64_C(0xaf63dc4c8601ec8c));
	assert_true(span_hash(SPAN_HASH, SPAN("foobar")) == UINT64_C(0x85944171f73967e8));
	assert_true(span_hash(span_hash(SPAN_HASH, SPAN("foo")), SPAN("bar")) == UINT64_C(0x85944171f73967e8));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(making),
		cmocka_unit_test(slicing),
		cmocka_unit_test(comparing),
		cmocka_unit_test(finding),
		cmocka_unit_test(cutting),
		cmocka_unit_test(hashing),
		cmocka_unit_test(numbers),
		cmocka_unit_test(controls),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
