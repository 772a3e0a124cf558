/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/maildir.h"

static char root[64];

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

static struct maildir *make(void)
{
	struct err err = { 0 };
	snprintf(root, sizeof root, "/tmp/maildir-copy.XXXXXX");
	assert_non_null(mkdtemp(root));
	struct maildir *m = maildir_open(root, true, DURABLE_FILE, &err);
	assert_non_null(m);
	assert_int_equal(maildir_create(m, SPAN("Box"), &err), 0);
	return m;
}

static void drop(struct maildir *m)
{
	maildir_close(m);
	nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void deliver(struct maildir *m, const char *text, unsigned flags, const char *keyword)
{
	struct err err = { 0 };
	struct span k = span_str(keyword);
	struct maildir_commit c = { .flags = flags, .in_cur = true, .keywords = &k, .n_keywords = keyword ? 1 : 0 };
	c.internal_date = 1700000000;
	struct maildir_writer *w = maildir_begin(m, SPAN("INBOX"), &err);
	assert_non_null(w);
	maildir_write(w, span_str(text));
	assert_int_equal(maildir_commit(w, &c, &err), 0);
	free(c.name);
}

static size_t files(const char *pattern)
{
	char path[200];
	glob_t g;
	snprintf(path, sizeof path, "%s/%s", root, pattern);
	size_t n = glob(path, 0, NULL, &g) == 0 ? g.gl_pathc : 0;
	globfree(&g);
	return n;
}

static void test_copy(void **state)
{
	(void)state;
	struct err err = { 0 };
	struct maildir *m = make();
	deliver(m, "one\n", FLAG_SEEN, "a");
	deliver(m, "two\n", FLAG_FLAGGED, "b");
	struct maildir_folder *f = maildir_select(m, SPAN("INBOX"), false, &err);
	assert_non_null(f);
	/* Over there b is known already, under the letter that a has here. */
	struct maildir_folder *box = maildir_select(m, SPAN("Box"), false, &err);
	assert_int_equal(maildir_keyword(box, SPAN("b"), true, &err), 0);
	maildir_deselect(box);
	uint32_t uid[2];
	struct maildir_msg *msg[2] = { &f->msg[0], &f->msg[1] };
	struct maildir_copy c = { .msg = msg, .n = 2, .uid = uid };
	assert_int_equal(maildir_copy(f, SPAN("Box"), &c, &err), 0);
	assert_int_equal(uid[0], 1);
	assert_int_equal(uid[1], 2);
	box = maildir_select(m, SPAN("Box"), false, &err);
	assert_int_equal(box->uidvalidity, c.uidvalidity);
	assert_int_equal(box->n, 2);
	struct span content;
	int64_t date;
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(box->msg[i].uid, uid[i]);
		assert_int_equal(box->msg[i].flags, i ? FLAG_FLAGGED : FLAG_SEEN);
		assert_int_equal(box->msg[i].keywords, i ? 1 : 2);
		assert_int_equal(box->msg[i].size, 4);
		assert_int_equal(box->msg[i].vsize, 5);
		assert_int_equal(maildir_content(box, &box->msg[i], &content, &err), 0);
		assert_true(span_eqs(content, i ? "two\n" : "one\n"));
		assert_int_equal(maildir_internal_date(box, &box->msg[i], &date, &err), 0);
		assert_int_equal(date, 1700000000);
	}
	maildir_deselect(box);
	/* Into the same folder. */
	assert_int_equal(maildir_copy(f, SPAN("INBOX"), &c, &err), 0);
	assert_int_equal(maildir_rescan(f, &err), 1);
	assert_int_equal(f->n, 4);
	assert_int_equal(f->msg[3].uid, uid[1]);
	maildir_deselect(f);
	drop(m);
}

static void test_all_or_none(void **state)
{
	(void)state;
	struct err err = { 0 };
	struct maildir *m = make();
	deliver(m, "one\n", 0, NULL);
	deliver(m, "two\n", 0, NULL);
	struct maildir_folder *f = maildir_select(m, SPAN("INBOX"), false, &err);
	uint32_t uid[2];
	struct maildir_msg *msg[2] = { &f->msg[0], &f->msg[1] };
	struct maildir_copy c = { .msg = msg, .n = 2, .uid = uid };
	assert_int_equal(maildir_copy(f, SPAN("nope"), &c, &err), -1);
	assert_int_equal(err.sys, ENOENT);
	assert_false(f->msg[0].gone);
	char path[300];
	snprintf(path, sizeof path, "%s/cur/%.*s", root, SPAN_FMT(f->msg[1].name));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(maildir_copy(f, SPAN("Box"), &c, &err), -1);
	assert_int_equal(err.sys, ENOENT);
	assert_true(f->msg[1].gone);
	assert_int_equal(files(".Box/*/*"), 0);
	/* A rename by somebody else is followed. */
	char other[320];
	snprintf(path, sizeof path, "%s/cur/%.*s", root, SPAN_FMT(f->msg[0].name));
	snprintf(other, sizeof other, "%sF", path);
	assert_int_equal(rename(path, other), 0);
	c.n = 1;
	assert_int_equal(maildir_copy(f, SPAN("Box"), &c, &err), 0);
	assert_int_equal(files(".Box/cur/*:2,F"), 1);
	maildir_deselect(f);
	drop(m);
}

static void test_quota(void **state)
{
	(void)state;
	struct err err = { 0 };
	struct maildir *m = make();
	deliver(m, "0123456789\n", 0, NULL);
	maildir_limit(m, 15);
	struct maildir_folder *f = maildir_select(m, SPAN("INBOX"), false, &err);
	uint32_t uid[1];
	struct maildir_msg *msg[1] = { &f->msg[0] };
	struct maildir_copy c = { .msg = msg, .n = 1, .uid = uid };
	assert_int_equal(maildir_copy(f, SPAN("Box"), &c, &err), -1);
	assert_int_equal(files(".Box/cur/*"), 0);
	c.moving = true;
	assert_int_equal(maildir_copy(f, SPAN("Box"), &c, &err), 0);
	assert_int_equal(maildir_moved(f, &c, &err), 0);
	assert_true(f->msg[0].gone);
	assert_int_equal(files("cur/*"), 0);
	assert_int_equal(files(".Box/cur/*"), 1);
	maildir_deselect(f);
	drop(m);
}

/* Instead of libc's: files whose removal fails. */
static char stuck[2][300];
int unlink(const char *path)
{
	for (size_t i = 0; i < 2; i++) {
		if (*stuck[i] && !strcmp(path, stuck[i])) {
			errno = EIO;
			return -1;
		}
	}
	return unlinkat(AT_FDCWD, path, 0);
}

/* Three are moved, and the first original can't be removed. */
enum fate {
	COPY_IS_THERE,
	COPY_RENAMED,
	COPY_REMOVED,
	COPY_STAYS,
};
static void hinder(enum fate fate, const char *copy)
{
	char other[320];
	snprintf(other, sizeof other, "%sS", copy);
	if (fate == COPY_RENAMED)
		assert_int_equal(rename(copy, other), 0);
	if (fate == COPY_REMOVED)
		assert_int_equal(unlink(copy), 0);
	if (fate == COPY_STAYS)
		snprintf(stuck[1], sizeof stuck[1], "%s", copy);
}

static void move_three(enum fate fate)
{
	struct err err = { 0 };
	struct maildir *m = make();
	deliver(m, "one\n", 0, NULL);
	deliver(m, "two\n", 0, NULL);
	deliver(m, "three\n", 0, NULL);
	struct maildir_folder *f = maildir_select(m, SPAN("INBOX"), false, &err);
	uint32_t uid[3];
	struct maildir_msg *msg[3] = { &f->msg[0], &f->msg[1], &f->msg[2] };
	struct maildir_copy c = { .msg = msg, .n = 3, .uid = uid, .moving = true };
	assert_int_equal(maildir_copy(f, SPAN("Box"), &c, &err), 0);
	assert_int_equal(files(".Box/cur/*"), 3);
	snprintf(stuck[0], sizeof stuck[0], "%s/cur/%.*s", root, SPAN_FMT(f->msg[0].name));
	hinder(fate, c.path[0]);
	assert_int_equal(maildir_moved(f, &c, &err), -1);
	assert_int_equal(err.sys, EIO);
	assert_false(f->msg[0].gone);
	assert_true(f->msg[1].gone && f->msg[2].gone);
	assert_int_equal(c.in_both, fate == COPY_STAYS);
	assert_int_equal(files("cur/*"), 1);
	assert_int_equal(files(".Box/cur/*"), fate == COPY_STAYS ? 3 : 2);
	memset(stuck, 0, sizeof stuck);
	maildir_deselect(f);
	drop(m);
}

static void test_original_stays(void **state)
{
	(void)state;
	move_three(COPY_IS_THERE);
	move_three(COPY_RENAMED);
	move_three(COPY_REMOVED);
	move_three(COPY_STAYS);
}

/* Somebody else has removed an original: it is moved, and its copy the only one. */
static void test_original_gone(void **state)
{
	(void)state;
	struct err err = { 0 };
	struct maildir *m = make();
	deliver(m, "one\n", 0, NULL);
	struct maildir_folder *f = maildir_select(m, SPAN("INBOX"), false, &err);
	uint32_t uid[1];
	struct maildir_msg *msg[1] = { &f->msg[0] };
	struct maildir_copy c = { .msg = msg, .n = 1, .uid = uid, .moving = true };
	assert_int_equal(maildir_copy(f, SPAN("Box"), &c, &err), 0);
	char path[300];
	snprintf(path, sizeof path, "%s/cur/%.*s", root, SPAN_FMT(f->msg[0].name));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(maildir_moved(f, &c, &err), 0);
	assert_true(f->msg[0].gone);
	assert_int_equal(files(".Box/cur/*"), 1);
	maildir_deselect(f);
	drop(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_copy), cmocka_unit_test(test_all_or_none),
		cmocka_unit_test(test_quota), cmocka_unit_test(test_original_stays),
		cmocka_unit_test(test_original_gone) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
