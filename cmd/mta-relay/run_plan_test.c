/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "mta-relay/run_plan.h"

static void add(struct plan *p, const char *id, const char *a, const char *b)
{
	const char *keys[] = { a, b };
	plan_add(p, id, keys, b ? 2 : a ? 1 : 0);
}

static void test_one_destination(void **state)
{
	struct plan *p = plan_new(2);
	(void)state;
	add(p, "1", "x", NULL);
	assert_true(plan_has(p, "1"));
	assert_false(plan_has(p, "2"));
	struct plan_job *j = plan_take(p, NULL);
	assert_non_null(j);
	assert_string_equal(j->dest->key, "x");
	assert_true(j->finish);
	assert_null(plan_take(p, NULL));
	assert_true(plan_done(p, j));
	assert_int_equal(plan_count(p), 0);
	plan_free(p);
}

/* Two jobs at once: neither can finish the message, so that a third one does. */
static void test_two_destinations_at_once(void **state)
{
	struct plan *p = plan_new(2);
	(void)state;
	add(p, "1", "x", "y");
	struct plan_job *a = plan_take(p, NULL), *b = plan_take(p, NULL);
	assert_false(a->finish || b->finish);
	assert_false(plan_done(p, a));
	assert_null(plan_take(p, NULL));
	assert_false(plan_done(p, b));
	struct plan_job *c = plan_take(p, NULL);
	assert_non_null(c);
	assert_string_equal(c->dest->key, "");
	assert_true(c->finish);
	assert_true(plan_done(p, c));
	plan_free(p);
}

/* One after the other: the last one finishes it. */
static void test_two_destinations_in_turn(void **state)
{
	struct plan *p = plan_new(2);
	(void)state;
	add(p, "1", "x", "y");
	struct plan_job *a = plan_take(p, NULL);
	assert_false(a->finish);
	assert_false(plan_done(p, a));
	struct plan_job *b = plan_take(p, NULL);
	assert_true(b->finish);
	assert_true(plan_done(p, b));
	plan_free(p);
}

static void test_nothing_to_send_is_finished(void **state)
{
	struct plan *p = plan_new(2);
	(void)state;
	add(p, "1", NULL, NULL);
	struct plan_job *j = plan_take(p, NULL);
	assert_string_equal(j->dest->key, "");
	assert_true(plan_done(p, j));
	plan_free(p);
}

static void test_turns_and_limits(void **state)
{
	struct plan *p = plan_new(2);
	struct plan_job *j[4];
	(void)state;
	for (char id[] = "1"; id[0] < '6'; id[0]++)
		add(p, id, "x", NULL);
	add(p, "8", "y", NULL);
	assert_true(plan_others_wait(p, "x"));
	j[0] = plan_take(p, NULL);
	j[1] = plan_take(p, NULL);
	assert_string_equal(j[0]->dest->key, "x");
	assert_string_equal(j[1]->dest->key, "y");
	j[2] = plan_take(p, "y");
	assert_string_equal(j[2]->dest->key, "x");
	assert_false(plan_ready(p, "x"));
	assert_null(plan_take(p, NULL));
	plan_done(p, j[0]);
	j[3] = plan_take(p, "x");
	assert_string_equal(j[3]->dest->key, "x");
	plan_done(p, j[1]);
	plan_done(p, j[2]);
	plan_done(p, j[3]);
	plan_free(p);
}

static void test_down(void **state)
{
	struct plan *p = plan_new(1);
	struct plan_job *j[3];
	(void)state;
	for (char id[] = "1"; id[0] < '4'; id[0]++)
		add(p, id, "x", NULL);
	j[0] = plan_take(p, NULL);
	assert_null(plan_take(p, NULL));
	assert_int_equal(plan_down(p), 0);
	plan_set_down(p, j[0]->dest, 100, "no route");
	assert_int_equal(plan_down(p), 1);
	/* Deferring is no delivery: the limit does not hold for it. */
	j[1] = plan_take(p, NULL);
	j[2] = plan_take(p, NULL);
	assert_non_null(j[1]);
	assert_non_null(j[2]);
	assert_int_equal(j[2]->dest->down_until, 100);
	assert_string_equal(j[2]->dest->why, "no route");
	for (int i = 0; i < 3; i++)
		plan_done(p, j[i]);
	add(p, "5", "x", NULL);
	plan_expire(p, 99);
	j[0] = plan_take(p, NULL);
	assert_int_equal(j[0]->dest->down_until, 100);
	plan_expire(p, 100);
	assert_int_equal(j[0]->dest->down_until, 0);
	assert_int_equal(plan_down(p), 0);
	plan_done(p, j[0]);
	plan_free(p);
}

static void test_crowded(void **state)
{
	struct plan *p = plan_new(1);
	char id[SPOOL_ID_SIZE];
	(void)state;
	for (int i = 0; i < PLAN_PER_DEST; i++) {
		assert_false(plan_crowded(p, plan_hash("x")));
		snprintf(id, sizeof id, "%d", i);
		add(p, id, "x", NULL);
	}
	assert_true(plan_crowded(p, plan_hash("x")));
	assert_false(plan_crowded(p, plan_hash("y")));
	assert_false(plan_full(p));
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
		cmocka_unit_test(test_down),
		cmocka_unit_test(test_crowded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
