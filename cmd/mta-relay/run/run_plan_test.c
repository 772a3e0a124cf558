/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "mta-relay/run/run_plan.h"

enum {
	MIN = 600,
	MAX = 3600
};

static struct plan *new_plan(unsigned per_dest)
{
	return plan_new(&(struct plan_config){ .per_dest = per_dest, .backoff_min = MIN, .backoff_max = MAX });
}

static void add(struct plan *p, const char *id, const char *a, const char *b)
{
	const char *keys[] = { a, b };
	plan_add(p, id, keys, b ? 2 : a ? 1 : 0, PLAN_PROMPT);
}

static void add_many(struct plan *p, const char *key, unsigned from, unsigned n, enum plan_line line)
{
	char id[SPOOL_ID_SIZE];
	for (unsigned i = from; i < from + n; i++) {
		snprintf(id, sizeof id, "%.4s.%u", key, i);
		plan_add(p, id, &key, 1, line);
	}
}

static struct plan_job *take(struct plan *p, const char *prefer)
{
	struct plan_job *job = NULL;
	return plan_take(p, prefer, &job, 1) ? job : NULL;
}

/* The worker is done with its only job. */
static bool done(struct plan *p, struct plan_job *job)
{
	struct plan_dest *d = job->dest;
	bool gone = plan_done(p, job);
	plan_leave(p, d, 0);
	return gone;
}

static bool reached(struct plan *p, struct plan_job *job, const char *site)
{
	plan_reached(p, job->dest, site);
	return done(p, job);
}

static void unreached(struct plan *p, struct plan_job *job, const char *site, int64_t now)
{
	struct plan_dest *d = job->dest;
	plan_back(p, job);
	plan_unreached(p, d, site, "no route", now);
	plan_leave(p, d, now);
}

static void test_one_destination(void **state)
{
	struct plan *p = new_plan(2);
	(void)state;
	add(p, "1", "x", NULL);
	assert_true(plan_has(p, "1"));
	assert_false(plan_has(p, "2"));
	struct plan_job *j = take(p, NULL);
	assert_non_null(j);
	assert_string_equal(j->dest->key, "x");
	assert_true(j->finish);
	assert_null(take(p, NULL));
	assert_true(done(p, j));
	assert_int_equal(plan_count(p), 0);
	plan_free(p);
}

/* Two jobs at once: neither can finish the message, so that a third one does. */
static void test_two_destinations_at_once(void **state)
{
	struct plan *p = new_plan(2);
	(void)state;
	add(p, "1", "x", "y");
	struct plan_job *a = take(p, NULL), *b = take(p, NULL);
	assert_false(a->finish || b->finish);
	assert_false(done(p, a));
	assert_null(take(p, NULL));
	assert_false(done(p, b));
	struct plan_job *c = take(p, NULL);
	assert_non_null(c);
	assert_string_equal(c->dest->key, "");
	assert_true(c->finish);
	assert_true(done(p, c));
	plan_free(p);
}

/* One after the other: the last one finishes it. */
static void test_two_destinations_in_turn(void **state)
{
	struct plan *p = new_plan(2);
	(void)state;
	add(p, "1", "x", "y");
	struct plan_job *a = take(p, NULL);
	assert_false(a->finish);
	assert_false(done(p, a));
	struct plan_job *b = take(p, NULL);
	assert_true(b->finish);
	assert_true(done(p, b));
	plan_free(p);
}

static void test_nothing_to_send_is_finished(void **state)
{
	struct plan *p = new_plan(2);
	(void)state;
	add(p, "1", NULL, NULL);
	struct plan_job *j = take(p, NULL);
	assert_string_equal(j->dest->key, "");
	assert_true(done(p, j));
	plan_free(p);
}

static void test_turns_and_limits(void **state)
{
	struct plan *p = new_plan(2);
	struct plan_job *j[4];
	(void)state;
	add_many(p, "x", 0, 5, PLAN_PROMPT);
	add(p, "8", "y", NULL);
	assert_true(plan_others_wait(p, "x"));
	j[0] = take(p, NULL);
	assert_string_equal(plan_next(p), "y");
	j[1] = take(p, NULL);
	assert_string_equal(j[0]->dest->key, "x");
	assert_string_equal(j[1]->dest->key, "y");
	j[2] = take(p, "y");
	assert_string_equal(j[2]->dest->key, "x");
	assert_false(plan_ready(p, "x"));
	assert_null(take(p, NULL));
	done(p, j[0]);
	j[3] = take(p, "x");
	assert_string_equal(j[3]->dest->key, "x");
	done(p, j[1]);
	done(p, j[2]);
	done(p, j[3]);
	plan_free(p);
}

/* A hundred destinations with ten jobs and one with a thousand: with ten workers that all take the same time, those of
 * the many are done long before those of the one. */
static void test_fairness(void **state)
{
	struct plan *p = new_plan(10);
	struct plan_job *at_work[10] = { 0 };
	char key[32];
	unsigned of_big = 0, of_small = 0, steps = 0;
	(void)state;
	add_many(p, "big", 0, 1000, PLAN_PROMPT);
	for (int d = 0; d < 100; d++) {
		snprintf(key, sizeof key, "s%d", d);
		add_many(p, key, 0, 10, PLAN_PROMPT);
	}
	for (; of_small < 1000; steps++) {
		struct plan_job **w = &at_work[steps % 10];
		if (*w) {
			*((*w)->dest->key[0] == 'b' ? &of_big : &of_small) += 1;
			reached(p, *w, "");
		}
		*w = take(p, NULL);
	}
	assert_in_range(of_big, 5, 50);
	for (int i = 0; i < 10; i++)
		if (at_work[i])
			reached(p, at_work[i], "");
	plan_free(p);
}

static void test_slow_start(void **state)
{
	struct plan *p = new_plan(8);
	struct plan_job *j[20];
	size_t n = 0;
	(void)state;
	add_many(p, "x", 0, 50, PLAN_PROMPT);
	while ((j[n] = take(p, NULL)))
		n++;
	assert_int_equal(n, PLAN_FIRST_WORKERS);
	/* One more for each success, up to the limit. */
	for (unsigned more = 1; more <= 6; more++) {
		reached(p, j[0], "");
		memmove(j, j + 1, (n - 1) * sizeof *j);
		for (n--; (j[n] = take(p, NULL));)
			n++;
		assert_int_equal(n, PLAN_FIRST_WORKERS + more < 8 ? PLAN_FIRST_WORKERS + more : 8);
	}
	/* A failure among eight costs one place, and is not yet the end. */
	unreached(p, j[--n], "", 100);
	assert_null(take(p, NULL));
	assert_int_equal(plan_down_until(p, "x"), 0);
	reached(p, j[--n], "");
	while (n)
		unreached(p, j[--n], "", 100);
	assert_int_equal(plan_down_until(p, "x"), 100 + MIN);
	assert_int_equal(plan_down(p), 1);
	plan_free(p);
}

static void test_down_back_off_and_probe(void **state)
{
	struct plan *p = new_plan(8);
	struct plan_job *j[4];
	int64_t now = 100, wait = MIN;
	(void)state;
	add_many(p, "x", 0, 9, PLAN_PROMPT);
	j[0] = take(p, NULL);
	unreached(p, j[0], "", now);
	for (int round = 0; round < 5; round++) {
		assert_int_equal(plan_down_until(p, "x"), now + wait);
		/* Deferring is no delivery: the limit does not hold for it. */
		for (int i = 0; i < 4; i++)
			assert_non_null(j[i] = take(p, NULL));
		assert_string_equal(j[0]->dest->site->why, "no route");
		for (int i = 4; i-- > 0;) {
			struct plan_dest *d = j[i]->dest;
			plan_back(p, j[i]);
			plan_leave(p, d, now);
		}
		plan_expire(p, now + wait - 1);
		assert_true(plan_down_until(p, "x"));
		now += wait;
		plan_expire(p, now);
		assert_int_equal(plan_down_until(p, "x"), 0);
		/* One goes ahead. */
		assert_non_null(j[0] = take(p, NULL));
		assert_null(take(p, NULL));
		if (round < 4)
			unreached(p, j[0], "", now);
		wait = wait * 2 > MAX ? MAX : wait * 2;
	}
	reached(p, j[0], "");
	for (int i = 0; i < PLAN_FIRST_WORKERS; i++)
		assert_non_null(j[i] = take(p, NULL));
	assert_null(take(p, NULL));
	for (int i = 0; i < PLAN_FIRST_WORKERS - 1; i++)
		done(p, j[i]);
	/* The next time it begins anew. */
	unreached(p, j[3], "", now);
	assert_int_equal(plan_down_until(p, "x"), now + MIN);
	plan_forget_down(p);
	assert_int_equal(plan_down_until(p, "x"), 0);
	plan_free(p);
}

/* Two domains, one set of hosts: one limit, one connection, and down together. */
static void test_sites(void **state)
{
	struct plan *p = new_plan(2);
	struct plan_job *j[4];
	(void)state;
	add_many(p, "mx:a", 0, 5, PLAN_PROMPT);
	add_many(p, "mx:b", 0, 5, PLAN_PROMPT);
	add_many(p, "mx:c", 0, 5, PLAN_PROMPT);
	for (int i = 0; i < 3; i++)
		j[i] = take(p, NULL);
	reached(p, j[0], "mx1 mx2");
	reached(p, j[1], "mx1 mx2");
	reached(p, j[2], "elsewhere");
	j[0] = take(p, "mx:a");
	j[1] = take(p, "mx:b");
	assert_string_equal(j[0]->dest->key, "mx:a");
	assert_string_equal(j[1]->dest->key, "mx:b");
	assert_false(plan_ready(p, "mx:a"));
	j[2] = take(p, NULL);
	assert_string_equal(j[2]->dest->key, "mx:c");
	/* Who is connected there goes on with the other domain when its own has no more. */
	reached(p, j[0], "mx1 mx2");
	for (int i = 0; i < 3; i++) {
		j[0] = take(p, "mx:a");
		assert_string_equal(j[0]->dest->key, i < 3 ? "mx:a" : "mx:b");
		reached(p, j[0], "mx1 mx2");
	}
	j[0] = take(p, "mx:a");
	assert_string_equal(j[0]->dest->key, "mx:b");
	unreached(p, j[1], "mx1 mx2", 50);
	assert_int_equal(plan_down_until(p, "mx:a"), 0);
	unreached(p, j[0], "mx1 mx2", 50);
	assert_int_equal(plan_down_until(p, "mx:a"), 50 + MIN);
	assert_int_equal(plan_down_until(p, "mx:b"), 50 + MIN);
	assert_int_equal(plan_down_until(p, "mx:c"), 0);
	/* A domain whose hosts are not known any more says nothing about the others. */
	unreached(p, j[2], "", 60);
	assert_int_equal(plan_down_until(p, "mx:c"), 60 + MIN);
	plan_free(p);
}

static void test_destinations_are_forgotten(void **state)
{
	struct plan *p = new_plan(2);
	char key[32];
	(void)state;
	for (int i = 0; i < PLAN_IDLE + 10; i++) {
		snprintf(key, sizeof key, "d%d", i);
		add(p, "1", key, NULL);
		struct plan_job *j = take(p, NULL);
		struct plan_dest *d = j->dest;
		plan_unreached(p, d, "", "down", 0);
		plan_done(p, j);
		plan_leave(p, d, 5);
	}
	plan_expire(p, 6);
	assert_int_equal(plan_down_until(p, "d9"), 0);
	assert_int_equal(plan_down_until(p, "d10"), MIN);
	plan_expire(p, 5 + PLAN_KEEP);
	assert_int_equal(plan_down_until(p, "d10"), 0);
	plan_free(p);
}

static void test_lines(void **state)
{
	struct plan *p = new_plan(1);
	unsigned bulk = 0;
	(void)state;
	add_many(p, "x", 0, 20, PLAN_BULK);
	add_many(p, "x", 100, 20, PLAN_PROMPT);
	for (unsigned i = 1; i <= 25; i++) {
		struct plan_job *j = take(p, NULL);
		bulk += j->line == PLAN_BULK;
		assert_int_equal(bulk, i / (PLAN_PROMPT_TURNS + 1));
		done(p, j);
	}
	plan_free(p);
}

/* A priority goes before all that wait. */
static void test_urgent(void **state)
{
	static const enum plan_line want[] = { PLAN_URGENT, PLAN_URGENT, PLAN_PROMPT, PLAN_BULK };
	struct plan *p = new_plan(1);
	(void)state;
	add_many(p, "x", 0, 1, PLAN_BULK);
	add_many(p, "x", 100, 1, PLAN_PROMPT);
	add_many(p, "x", 200, 2, PLAN_URGENT);
	for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
		struct plan_job *j = take(p, NULL);
		assert_int_equal(j->line, want[i]);
		done(p, j);
	}
	plan_free(p);
}

/* A message with many recipients goes back in line after each piece. */
static void test_more(void **state)
{
	struct plan *p = new_plan(1);
	(void)state;
	add(p, "list", "x", NULL);
	struct plan_job *j = take(p, NULL);
	struct plan_dest *d = j->dest;
	add_many(p, "x", 0, 2, PLAN_BULK);
	plan_more(p, j, 100);
	plan_leave(p, d, 0);
	for (int i = 0; i < 2; i++) {
		j = take(p, NULL);
		assert_int_equal(j->from, 0);
		done(p, j);
	}
	j = take(p, NULL);
	assert_string_equal(j->msg->id, "list");
	assert_int_equal(j->from, 100);
	assert_true(j->finish);
	assert_true(done(p, j));
	plan_free(p);
}

static void test_batches(void **state)
{
	struct plan *p = new_plan(4);
	struct plan_job *j[8];
	(void)state;
	/* Few jobs are shared among those who may work. */
	add_many(p, "x", 0, 4, PLAN_PROMPT);
	assert_int_equal(plan_take(p, NULL, j, 8), 1);
	plan_back(p, j[0]);
	plan_leave(p, j[0]->dest, 0);
	add_many(p, "x", 100, 200, PLAN_PROMPT);
	assert_int_equal(plan_take(p, NULL, j, 8), 8);
	assert_string_equal(j[0]->msg->id, "x.0");
	assert_string_equal(j[7]->msg->id, "x.103");
	for (int i = 8; i-- > 0;)
		plan_back(p, j[i]);
	plan_leave(p, j[0]->dest, 0);
	assert_int_equal(plan_take(p, NULL, j, 2), 2);
	assert_string_equal(j[1]->msg->id, "x.1");
	plan_back(p, j[1]);
	plan_back(p, j[0]);
	plan_leave(p, j[0]->dest, 0);
	plan_free(p);
}

/* One destination takes at most a fifth of the room for itself (a quarter of what it leaves), several leave some too;
 * what is put off comes back in order, at the destination's pace. */
static void test_crowded(void **state)
{
	struct plan *p = new_plan(1);
	unsigned n = 0;
	int64_t last = 0;
	(void)state;
	for (; !plan_put_off(p, plan_hash("x"), 1000); n++)
		add_many(p, "x", n, 1, PLAN_PROMPT);
	assert_in_range(n, PLAN_MESSAGES / 5 - 1, PLAN_MESSAGES / 5 + 1);
	for (int d = 0; d < 20; d++) {
		char key[32];
		snprintf(key, sizeof key, "y%d", d);
		for (n = 0; !plan_put_off(p, plan_hash(key), 1000); n++)
			add_many(p, key, n, 1, PLAN_PROMPT);
		assert_true(n >= PLAN_PER_DEST);
	}
	assert_false(plan_full(p));
	for (int i = 0; i < 5000; i++) {
		int64_t at = plan_put_off(p, plan_hash("x"), 1000);
		assert_true(at >= last && at >= 1000 + PLAN_LOOK_AGAIN);
		last = at;
	}
	assert_in_range(last, 1004, 1007);
	/* It served none: one each half second, up to the limit. */
	for (int i = 0; i < 5000; i++)
		last = plan_put_off(p, plan_hash("x"), 1010);
	assert_int_equal(last, 1010 + PLAN_PUT_OFF);
	plan_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_destination),
		cmocka_unit_test(test_two_destinations_at_once),
		cmocka_unit_test(test_two_destinations_in_turn),
		cmocka_unit_test(test_nothing_to_send_is_finished),
		cmocka_unit_test(test_turns_and_limits),
		cmocka_unit_test(test_fairness),
		cmocka_unit_test(test_slow_start),
		cmocka_unit_test(test_down_back_off_and_probe),
		cmocka_unit_test(test_sites),
		cmocka_unit_test(test_destinations_are_forgotten),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_urgent),
		cmocka_unit_test(test_more),
		cmocka_unit_test(test_batches),
		cmocka_unit_test(test_crowded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
