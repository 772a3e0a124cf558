/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mta-relay/run/sched.h"

enum {
	WINDOW = 1000000,
	SMALL = 100,
	FRESH = 600 /* ids of these tests came at 0 */
};

static void name(char id[SPOOL_ID_SIZE], unsigned n)
{
	snprintf(id, SPOOL_ID_SIZE, "%016u", n);
}

static void put(struct sched *s, unsigned n, int64_t due)
{
	char id[SPOOL_ID_SIZE];
	name(id, n);
	sched_put(s, id, due, n);
}

/* The number of the one that is taken; -1 for none. */
static int take(struct sched *s, int64_t now)
{
	char id[SPOOL_ID_SIZE];
	uint32_t dest;
	return sched_take(s, now, id, &dest) ? (int)strtol(id, NULL, 10) : -1;
}

static void test_order(void **state)
{
	struct sched *s = sched_new(WINDOW, 0);
	(void)state;
	assert_true(sched_next(s) == INT64_MAX);
	put(s, 1, 30);
	put(s, 2, 10);
	put(s, 3, 20);
	put(s, 2, 40);
	assert_int_equal(sched_count(s), 3);
	assert_int_equal(sched_next(s), 20);
	assert_int_equal(take(s, 19), -1);
	assert_int_equal(take(s, 50), 3);
	assert_int_equal(take(s, 50), 1);
	assert_int_equal(take(s, 50), 2);
	assert_int_equal(sched_count(s), 0);
	assert_false(sched_runs_low(s, INT64_MAX - 1));
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
	struct sched *s = sched_new(WINDOW, 0);
	size_t count = 0;
	(void)state;
	srand(1);
	memset(due, 0, sizeof due);
	for (int step = 0; step < STEPS; step++) {
		unsigned n = (unsigned)rand() % N;
		int got;
		if (rand() % 3) {
			count += !due[n];
			due[n] = 1 + rand() % 1000;
			put(s, n, due[n]);
		} else if ((got = take(s, INT64_MAX)) >= 0) {
			for (unsigned i = 0; i < N; i++)
				assert_false(due[i] && due[i] < due[got]);
			due[got] = 0;
			count--;
		}
		assert_int_equal(sched_count(s), count);
	}
	sched_free(s);
}

static void test_horizon(void **state)
{
	struct sched *s = sched_new(3, 0);
	(void)state;
	put(s, 1, 10);
	put(s, 2, 20);
	put(s, 3, 30);
	assert_true(sched_horizon(s) == INT64_MAX);
	put(s, 4, 40); /* no room */
	assert_int_equal(sched_horizon(s), 40);
	put(s, 5, 5); /* pushes 3 out */
	assert_int_equal(sched_horizon(s), 30);
	assert_int_equal(take(s, 100), 5);
	put(s, 6, 35); /* beyond the horizon: others that are forgotten come first */
	assert_int_equal(sched_count(s), 2);
	put(s, 2, 35); /* put off beyond it */
	assert_int_equal(sched_count(s), 1);
	assert_int_equal(take(s, 100), 1);
	assert_int_equal(sched_next(s), 30);
	assert_false(sched_runs_low(s, 29));
	assert_true(sched_runs_low(s, 30));
	sched_rescan(s);
	put(s, 6, 35);
	put(s, 3, 30);
	assert_int_equal(take(s, 100), 3);
	assert_int_equal(take(s, 100), 6);
	sched_free(s);
}

/* A directory of more than the window holds, read again whenever it runs low: every message has its turn, in order as
 * far as the window sees. Those that are due again at once must not keep the others out. */
static void test_all_have_their_turn(void **state)
{
	enum {
		N = 5000
	};
	static int64_t due[N];
	static int turns[N];
	struct sched *s = sched_new(SMALL, 0);
	int64_t now = 1000, limit;
	unsigned scans = 0, served = 0;
	(void)state;
	srand(2);
	memset(turns, 0, sizeof turns);
	for (int i = 0; i < N; i++)
		due[i] = i % 2 ? 500 : rand() % 1000;
	sched_rescan(s);
	for (unsigned i = 0; i < N; i++)
		put(s, i, due[i]);
	for (limit = 0; served < N && limit < 100000; limit++) {
		int got = take(s, now);
		if (got < 0 || sched_runs_low(s, now)) {
			scans++;
			sched_rescan(s);
			for (unsigned i = 0; i < N; i++)
				if ((int)i != got)
					put(s, i, due[i]);
		}
		if (got < 0)
			continue;
		assert_true(sched_count(s) <= 2 * SMALL);
		served += !turns[got]++;
		now += got % 16 == 0;
		/* Half of them are for a destination that takes none: they come back. */
		due[got] = got % 2 ? now + 2 : INT64_MAX - 1;
		put(s, (unsigned)got, due[got]);
	}
	assert_int_equal(served, N);
	assert_in_range(scans, N / SMALL, 10 * N / SMALL);
	sched_free(s);
}

static void test_new_mail_goes_first_but_not_always(void **state)
{
	struct sched *s = sched_new(WINDOW, FRESH);
	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		put(s, i, 100);
		put(s, 100 + i, FRESH + 1);
	}
	for (unsigned retries = 0, i = 0; i < 2 * (SCHED_FRESH_TURNS + 1); i++) {
		retries += take(s, 1000) >= 100;
		assert_int_equal(retries, (i + 1) / (SCHED_FRESH_TURNS + 1));
	}
	/* Alone each has all turns, and one that was tried changes its kind. */
	put(s, 9, FRESH + 5);
	while (take(s, 100) >= 0)
		continue;
	for (int i = 2; i < 10; i++)
		assert_int_equal(take(s, 1000), 100 + i);
	assert_int_equal(take(s, 1000), 9);
	assert_int_equal(take(s, 1000), -1);
	sched_free(s);
}

static void test_arrival(void **state)
{
	(void)state;
	assert_int_equal(sched_arrival("0000000000000000"), 0);
	/* As names of queue files have it: microseconds, 1795320028.969381. */
	assert_int_equal(sched_arrival("1K0TP29BED500RWM"), 1795320028);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_horizon),
		cmocka_unit_test(test_all_have_their_turn),
		cmocka_unit_test(test_new_mail_goes_first_but_not_always),
		cmocka_unit_test(test_arrival),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
