/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "mta-relay/hop/resend.h"

static unsigned asked;

/* Takes the first of those that it is asked for, and puts off the others. */
static int take_one(void *arg, struct smtp_message *rest, struct err *err)
{
	(void)arg;
	asked = (unsigned)rest->n_rcpt;
	for (size_t i = 0; i < rest->n_rcpt; i++) {
		assert_int_equal(rest->rcpt[i].result.class, ERR_NONE);
		snprintf(rest->rcpt[i].reply, sizeof rest->rcpt[i].reply, i ? "450 later" : "250 ok");
		if (i)
			err_set(&rest->rcpt[i].result, ERR_TEMP, "later");
	}
	err_clear(err);
	return 0;
}

static void only_who_has_no_answer(void **state)
{
	struct smtp_rcpt to[4] = { 0 };
	struct smtp_message m = { .rcpt = to, .n_rcpt = 4 };
	struct err err = { 0 };
	(void)state;
	err_set(&to[1].result, ERR_TEMP, "the connection broke");
	err_set(&to[2].result, ERR_PERM, "no such user");
	to[2].result.code = 550;
	err_set(&to[3].result, ERR_TEMP, "leaving");
	to[3].result.code = 421;
	assert_true(resend_left(&m));
	assert_int_equal(resend_rest(&m, take_one, NULL, &err), 0);
	assert_int_equal(asked, 2);
	assert_string_equal(to[0].reply, "");
	assert_string_equal(to[1].reply, "250 ok");
	assert_int_equal(to[1].result.class, ERR_NONE);
	assert_int_equal(to[2].result.code, 550);
	assert_string_equal(to[3].reply, "450 later");
	assert_false(resend_left(&m));
}

/* The content could not be read before anything was sent: that is no success, and nobody is asked. */
static void nobody_was_asked(void **state)
{
	struct smtp_rcpt to[2] = { 0 };
	struct smtp_message m = { .rcpt = to, .n_rcpt = 2 };
	struct err err = { 0 };
	(void)state;
	asked = 0;
	err_set(&err, ERR_TEMP, "Input/output error");
	assert_int_equal(resend_rest(&m, take_one, NULL, &err), -1);
	assert_int_equal(asked, 0);
	assert_int_equal(err.class, ERR_TEMP);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(only_who_has_no_answer),
		cmocka_unit_test(nobody_was_asked) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
