/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mta-relay/sched.h"

static void name(char id[SPOOL_ID_SIZE], unsigned n)
{
	snprintf(id, SPOOL_ID_SIZE, "%016u", n);
}

static void test_order(void **state)
{
	struct sched *s = sched_new();
	char id[SPOOL_ID_SIZE];
	uint32_t dest;
	(void)state;
	assert_int_equal(sched_next(s), INT64_MAX);
	assert_false(sched_take(s, INT64_MAX, id, &dest));
	name(id, 1), sched_put(s, id, 30, 7);
	name(id, 2), sched_put(s, id, 10, 0);
	name(id, 3), sched_put(s, id, 20, 0);
	name(id, 2), sched_put(s, id, 40, 0);
	assert_int_equal(sched_count(s), 3);
	assert_int_equal(sched_next(s), 20);
	assert_false(sched_take(s, 19, id, &dest));
	assert_true(sched_take(s, 50, id, &dest));
	assert_string_equal(id, "0000000000000003");
	assert_true(sched_take(s, 50, id, &dest));
	assert_string_equal(id, "0000000000000001");
	assert_int_equal(dest, 7);
	assert_true(sched_take(s, 50, id, &dest));
	assert_string_equal(id, "0000000000000002");
	assert_int_equal(sched_count(s), 0);
	sched_free(s);
}

/* Against an array: random additions, changes and removals. */
static void test_many(void **state)
{
	enum {
		N = 2000,
		STEPS = 30000
	};
	static int64_t due[N];
	struct sched *s = sched_new();
	char id[SPOOL_ID_SIZE];
	size_t count = 0;
	uint32_t dest;
	(void)state;
	srand(1);
	memset(due, 0, sizeof due);
	for (int step = 0; step < STEPS; step++) {
		unsigned n = (unsigned)rand() % N;
		if (rand() % 3) {
			count += !due[n];
			due[n] = 1 + rand() % 1000;
			name(id, n);
			sched_put(s, id, due[n], n);
		} else if (sched_take(s, INT64_MAX, id, &dest)) {
			for (unsigned i = 0; i < N; i++)
				assert_false(due[i] && due[i] < due[dest]);
			due[dest] = 0;
			count--;
		}
		assert_int_equal(sched_count(s), count);
	}
	sched_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_order), cmocka_unit_test(test_many) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
