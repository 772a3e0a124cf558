/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sysexits.h>

#include "base/err.h"

static void setting(void **state)
{
	struct err e = { 0 };
	(void)state;
	assert_int_equal(err_set(&e, ERR_DATA, "%s %d", "line", 7), -1);
	assert_int_equal(e.class, ERR_DATA);
	assert_string_equal(e.text, "line 7");
	assert_int_equal(err_prefix(&e, "file"), -1);
	assert_string_equal(e.text, "file: line 7");
	assert_int_equal(e.class, ERR_DATA);
	err_clear(&e);
	assert_int_equal(e.class, ERR_NONE);
	assert_int_equal(err_set(NULL, ERR_TEMP, "x"), -1);
	assert_int_equal(err_sys(NULL, "x"), -1);
	assert_int_equal(err_reply(NULL, 550, NULL, "x"), -1);
	assert_int_equal(err_prefix(NULL, "x"), -1);
	err_clear(NULL);
}

static void system_errors(void **state)
{
	static const struct {
		int sys;
		enum err_class class;
	} cases[] = { { ENOSPC, ERR_TEMP }, { EDQUOT, ERR_TEMP }, { EIO, ERR_TEMP }, { EACCES, ERR_ACCESS },
		{ EPERM, ERR_ACCESS }, { ENOENT, ERR_TEMP } };
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct err e;
		errno = cases[i].sys;
		err_sys(&e, "open");
		assert_int_equal(errno, cases[i].sys);
		assert_int_equal(e.sys, cases[i].sys);
		assert_int_equal(e.class, cases[i].class);
		assert_non_null(strstr(e.text, strerror(cases[i].sys)));
	}
}

static void replies(void **state)
{
	struct err e;
	(void)state;
	err_reply(&e, 550, "5.1.1", "no %s", "user");
	assert_int_equal(e.class, ERR_PERM);
	assert_int_equal(e.code, 550);
	assert_string_equal(e.enh, "5.1.1");
	assert_string_equal(err_result(&e), "perm");
	err_reply(&e, 451, NULL, "later");
	assert_int_equal(e.class, ERR_TEMP);
	assert_string_equal(e.enh, "");
	assert_string_equal(err_result(&e), "temp");
	err_reply(&e, 250, NULL, "out of place");
	assert_int_equal(e.class, ERR_PROTO);
}

static void statuses(void **state)
{
	static const int want[][2] = { { ERR_NONE, 0 }, { ERR_TEMP, EX_TEMPFAIL }, { ERR_PERM, EX_UNAVAILABLE },
		{ ERR_PROTO, EX_PROTOCOL }, { ERR_LIMIT, EX_DATAERR }, { ERR_USAGE, EX_USAGE },
		{ ERR_CONFIG, EX_CONFIG }, { ERR_DATA, EX_DATAERR }, { ERR_NOUSER, EX_NOUSER },
		{ ERR_NOHOST, EX_NOHOST }, { ERR_ACCESS, EX_NOPERM }, { ERR_BUG, EX_SOFTWARE } };
	(void)state;
	for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
		struct err e = { .class = (enum err_class)want[i][0] };
		assert_int_equal(err_exit_status(&e), want[i][1]);
	}
	assert_string_equal(err_result(&(struct err){ 0 }), "ok");
}

static void long_texts(void **state)
{
	struct err e;
	char text[2000];
	(void)state;
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	err_set(&e, ERR_TEMP, "%s", text);
	assert_int_equal(strlen(e.text), sizeof e.text - 1);
	for (int i = 0; i < 3; i++)
		err_prefix(&e, "%s", text);
	assert_int_equal(strlen(e.text), sizeof e.text - 1);
	errno = EIO;
	err_sys(&e, "%s", text);
	assert_int_equal(strlen(e.text), sizeof e.text - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(setting),
		cmocka_unit_test(system_errors),
		cmocka_unit_test(replies),
		cmocka_unit_test(statuses),
		cmocka_unit_test(long_texts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
