/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/config.h"
#include "mra-fetch/fetch.h"
#include "mra-fetch/state.h"

static char dir[] = "/tmp/state_test.XXXXXX";
static char path[100];

static struct state *reopen(void)
{
	struct err err = { 0 };
	struct state *st = state_open(path, "imap://x", &err);
	if (!st)
		fail_msg("%s", err.text);
	return st;
}

static void content(const char *want)
{
	struct buf b;
	buf_init(&b, 1 << 16);
	assert_int_equal(config_slurp(path, &b, NULL), 0);
	assert_string_equal(b.p, want);
	buf_free(&b);
}

static void put(const char *text)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void test_uids(void **state)
{
	(void)state;
	unlink(path);
	struct state *st = reopen();
	assert_false(state_uidvalidity(st, 5));
	assert_int_equal(state_first_uid(st), 1);
	state_add_uid(st, 3, false);
	state_add_uid(st, 1, false);
	state_add_uid(st, 10, true);
	assert_int_equal(state_save(st, NULL), 0);
	state_add_uid(st, 99, false); /* lost: not saved */
	state_close(st);
	st = reopen();
	assert_false(state_uidvalidity(st, 5));
	assert_true(state_has_uid(st, 1) && state_has_uid(st, 3) && state_has_uid(st, 10));
	assert_false(state_has_uid(st, 2) || state_has_uid(st, 4) || state_has_uid(st, 9) || state_has_uid(st, 99));
	assert_int_equal(state_first_uid(st), 2);
	size_t n;
	assert_int_equal(state_doomed(st, &n)[0], 10);
	assert_int_equal(n, 1);
	state_deleted(st, 10);
	state_settle(st, 2, 9);
	assert_int_equal(state_first_uid(st), 11);
	assert_int_equal(state_save(st, NULL), 0);
	state_close(st);
	content("waypost-fetch-state 1\nfor imap://x\nuidvalidity 5\nuid 1:1\nuid 3:3\nuid 10:10\ndoomed 10\n"
		"deleted 10\nuid 2:9\n");
	st = reopen();
	state_doomed(st, &n);
	assert_int_equal(n, 0);
	assert_int_equal(state_compact(st, NULL), 0);
	content("waypost-fetch-state 1\nfor imap://x\nuidvalidity 5\nuid 1:10\n");
	assert_true(state_uidvalidity(st, 6));
	assert_false(state_has_uid(st, 1));
	state_close(st);
}

static void test_ranges(void **state)
{
	(void)state;
	unlink(path);
	struct state *st = reopen();
	bool model[300] = { 0 };
	srandom(7);
	for (int i = 0; i < 3000; i++) {
		uint32_t first = 1 + (uint32_t)random() % 290, last = first + (uint32_t)random() % 4;
		state_settle(st, first, last);
		for (uint32_t k = first; k <= last; k++)
			model[k] = true;
		if (i % 10 == 0)
			for (uint32_t k = 1; k < 299; k++)
				assert_int_equal(state_has_uid(st, k), model[k]);
		if (i % 100 == 99) {
			memset(model, 0, sizeof model);
			state_uidvalidity(st, (uint32_t)i);
		}
	}
	state_add_uid(st, UINT32_MAX, false);
	state_settle(st, 1, UINT32_MAX - 1);
	assert_true(state_has_uid(st, UINT32_MAX));
	assert_int_equal(state_first_uid(st), 1); /* there is none above: all is listed again */
	state_close(st);
}

static void test_uidls(void **state)
{
	(void)state;
	bool doomed;
	unlink(path);
	struct state *st = reopen();
	state_add_uidl(st, "aa", false);
	state_add_uidl(st, "bb", true);
	assert_int_equal(state_save(st, NULL), 0);
	state_close(st);
	st = reopen();
	assert_true(state_has_uidl(st, "aa", &doomed));
	assert_false(doomed);
	assert_true(state_has_uidl(st, "bb", &doomed));
	assert_true(doomed);
	assert_false(state_has_uidl(st, "a", &doomed));
	state_saw_uidl(st, "aa"); /* bb is gone from the server */
	assert_int_equal(state_compact(st, NULL), 0);
	state_close(st);
	content("waypost-fetch-state 1\nfor imap://x\nuidl aa\n");
}

static const struct {
	const char *name, *text;
	enum err_class class;
} files[] = {
	{ "whole", "waypost-fetch-state 1\nfor imap://x\nuid 4:9\n", ERR_NONE },
	{ "torn", "waypost-fetch-state 1\nfor imap://x\nuid 4:9\nuid 10:1", ERR_NONE },
	{ "torn at a number", "waypost-fetch-state 1\nfor imap://x\nuid 4:9\nuid 1", ERR_NONE },
	{ "another's", "waypost-fetch-state 1\nfor imap://y\nuid 4:9\n", ERR_CONFIG },
	{ "no state file", "From: me\n", ERR_CONFIG },
	{ "empty", "", ERR_CONFIG },
	{ "backwards", "waypost-fetch-state 1\nfor imap://x\nuid 9:4\n", ERR_CONFIG },
	{ "zero", "waypost-fetch-state 1\nfor imap://x\nuid 0\n", ERR_CONFIG },
	{ "unknown", "waypost-fetch-state 1\nfor imap://x\nwhat 1\n", ERR_CONFIG },
};

static void test_files(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		struct err err = { 0 };
		put(files[i].text);
		struct state *st = state_open(path, "imap://x", &err);
		if (err.class != files[i].class || !st != (err.class != ERR_NONE))
			fail_msg("%s: %s", files[i].name, err.text);
		if (!st) {
			content(files[i].text); /* never overwritten */
			continue;
		}
		assert_true(state_has_uid(st, 9));
		assert_false(state_has_uid(st, 10) || state_has_uid(st, 1));
		state_add_uid(st, 20, false);
		assert_int_equal(state_save(st, NULL), 0);
		state_close(st);
		st = reopen(); /* what was appended follows whole lines */
		assert_true(state_has_uid(st, 20) && !state_has_uid(st, 1));
		state_close(st);
	}
}

static void test_lock(void **state)
{
	(void)state;
	unlink(path);
	struct state *st = reopen();
	pid_t pid = fork();
	if (pid == 0) {
		struct err err = { 0 };
		_exit(state_open(path, "imap://x", &err) == NULL && err.class == ERR_TEMP ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	state_close(st);
	state_close(reopen());
}

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof path, "%s/deep/er/state", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	char command[100];
	snprintf(command, sizeof command, "rm -rf %s", dir);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_uids),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_uidls),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_lock),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
