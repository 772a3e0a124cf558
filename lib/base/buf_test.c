/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"

static void invariants(const struct buf *b)
{
	assert_non_null(b->p);
	assert_int_equal(b->p[b->len], 0);
	assert_true(b->len <= b->max);
}

static void adding(void **state)
{
	struct buf b;
	(void)state;
	buf_init(&b, 1000);
	invariants(&b);
	assert_int_equal(b.cap, 0);
	buf_adds(&b, "a");
	buf_add(&b, "\0b", 2);
	buf_addc(&b, 'c');
	buf_addf(&b, "%s-%d", "d", 42);
	buf_addspan(&b, SPAN("e"));
	invariants(&b);
	assert_true(span_eq(buf_span(&b), SPAN("a\0bcd-42e")));
	assert_null(buf_cstr(&b));
	buf_reset(&b);
	assert_int_equal(b.len, 0);
	buf_adds(&b, "x");
	assert_string_equal(buf_cstr(&b), "x");
	buf_free(&b);
	invariants(&b);
	buf_adds(&b, "again");
	assert_string_equal(b.p, "again");
	buf_free(&b);
}

static void maximum(void **state)
{
	struct buf b;
	(void)state;
	buf_init(&b, 4);
	buf_adds(&b, "abcd");
	assert_false(b.bad);
	buf_addc(&b, 'e');
	assert_true(b.bad);
	assert_string_equal(b.p, "abcd");
	assert_null(buf_cstr(&b));
	buf_truncate(&b, 1);
	buf_adds(&b, "x");
	assert_true(b.bad); /* sticky: something is missing in between */
	buf_reset(&b);
	assert_false(b.bad);
	buf_addf(&b, "%d", 12345);
	assert_true(b.bad);
	assert_int_equal(b.len, 0);
	assert_null(buf_room(&b, SIZE_MAX));
	invariants(&b);
	buf_free(&b);
	buf_init(&b, 0);
	buf_adds(&b, "");
	assert_false(b.bad);
	buf_addc(&b, 'a');
	assert_true(b.bad);
	buf_free(&b);
}

static void removing(void **state)
{
	struct buf b;
	(void)state;
	buf_init(&b, 100);
	buf_drop(&b, 5);
	buf_truncate(&b, 0);
	buf_adds(&b, "abcdef");
	buf_drop(&b, 2);
	assert_string_equal(b.p, "cdef");
	buf_truncate(&b, 3);
	assert_string_equal(b.p, "cde");
	buf_truncate(&b, 10);
	assert_string_equal(b.p, "cde");
	buf_drop(&b, 10);
	assert_string_equal(b.p, "");
	buf_free(&b);
}

static void room_and_steal(void **state)
{
	struct buf b;
	(void)state;
	buf_init(&b, 100000);
	for (size_t n = 1; n < 1000; n += 37) {
		char *at = buf_room(&b, n);
		memset(at, 'x', n);
		buf_grew(&b, n);
		invariants(&b);
	}
	size_t len = b.len;
	char *p = buf_steal(&b);
	assert_int_equal(strlen(p), len);
	free(p);
	invariants(&b);
	p = buf_steal(&b);
	assert_string_equal(p, "");
	free(p);
	buf_free(&b);
}

static void arena(void **state)
{
	struct arena *a = arena_new();
	(void)state;
	for (int round = 0; round < 3; round++) {
		assert_int_equal(arena_used(a), 0);
		for (size_t n = 0; n < 20000; n = 2 * n + 1) {
			unsigned char *p = arena_alloc(a, n);
			assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
			for (size_t i = 0; i < n; i++)
				assert_int_equal(p[i], 0);
			memset(p, 0xff, n);
		}
		assert_string_equal(arena_str(a, SPAN("abc")), "abc");
		assert_string_equal(arena_printf(a, "%05d", 42), "00042");
		struct span s = arena_span(a, SPAN("a\0b"));
		assert_true(span_eq(s, SPAN("a\0b")));
		assert_int_equal(s.p[s.n], 0);
		assert_true(arena_used(a) > 20000);
		arena_reset(a);
	}
	arena_free(a);
	arena_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adding),
		cmocka_unit_test(maximum),
		cmocka_unit_test(removing),
		cmocka_unit_test(room_and_steal),
		cmocka_unit_test(arena),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
