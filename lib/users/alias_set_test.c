/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "users/alias_set.h"

static void test_once(void **state)
{
	struct arena *a = arena_new();
	struct alias_set s;
	(void)state;
	alias_set_init(&s, a);
	assert_true(alias_set_add(&s, SPAN("a@x.example>")));
	assert_true(alias_set_add(&s, SPAN("a@x.example.")));
	assert_false(alias_set_add(&s, SPAN("a@x.example>")));
	assert_int_equal(s.n, 2);
	alias_set_free(&s);
	arena_free(a);
}

/* As many as one address may become, each found again; no more. */
static void test_full(void **state)
{
	struct arena *a = arena_new();
	struct alias_set s;
	char key[40];
	(void)state;
	alias_set_init(&s, a);
	for (int i = 0; i < ALIASES_RESULT; i++) {
		assert_false(alias_set_full(&s));
		snprintf(key, sizeof key, "user%d@x.example", i);
		assert_true(alias_set_add(&s, span_str(key)));
	}
	assert_true(alias_set_full(&s));
	assert_false(alias_set_add(&s, SPAN("another@x.example")));
	assert_false(alias_set_add(&s, SPAN("user0@x.example")));
	alias_set_free(&s);
	arena_free(a);
}

static void test_list(void **state)
{
	struct arena *a = arena_new();
	struct alias_list l = { 0 };
	(void)state;
	for (size_t i = 0; i < 100; i++)
		alias_list_add(&l, a, &(struct alias_dest){ .local = span_of("abc", i % 4), .domain = SPAN("x") });
	assert_int_equal(l.n, 100);
	for (size_t i = 0; i < 100; i++)
		assert_int_equal(l.v[i].local.n, i % 4);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_once), cmocka_unit_test(test_full),
		cmocka_unit_test(test_list) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
