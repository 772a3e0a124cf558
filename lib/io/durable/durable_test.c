/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/durable/durable.h"

struct fixture {
	char root[64];
	struct durable_dir *d;
	struct err err;
};

static const char *in_root(const struct fixture *x, const char *name)
{
	static char paths[4][256];
	static unsigned turn;
	char *out = paths[turn++ % 4];
	snprintf(out, 256, "%s/%s", x->root, name);
	return out;
}

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof *x);
	snprintf(x->root, sizeof x->root, "/tmp/durable_test.XXXXXX");
	if (!mkdtemp(x->root))
		return -1;
	x->d = durable_open(x->root, DURABLE_FILE, &x->err);
	*state = x;
	return x->d && durable_mkdir(x->d, in_root(x, "tmp"), 0700, &x->err) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *x = *state;
	char command[128];
	durable_close(x->d);
	snprintf(command, sizeof command, "rm -rf '%s'", x->root);
	int rc = system(command);
	free(x);
	return rc;
}

static size_t content(const char *path, char *out, size_t max)
{
	FILE *f = fopen(path, "rb");
	if (!f)
		return SIZE_MAX;
	size_t n = fread(out, 1, max - 1, f);
	out[n] = '\0';
	fclose(f);
	return n;
}

static void assert_content(const struct fixture *x, const char *name, const char *want)
{
	char got[512];
	assert_int_not_equal(content(in_root(x, name), got, sizeof got), SIZE_MAX);
	assert_string_equal(got, want);
}

static void assert_absent(const struct fixture *x, const char *name)
{
	struct stat st;
	assert_int_equal(lstat(in_root(x, name), &st), -1);
	assert_int_equal(errno, ENOENT);
}

static void test_publish(void **state)
{
	struct fixture *x = *state;
	struct durable *f = durable_begin(x->d, in_root(x, "tmp/a"), 0600, &x->err);
	assert_non_null(f);
	assert_int_equal(durable_write(f, SPAN("size 0000\n")), 0);
	assert_int_equal(durable_write(f, SPAN("content\n")), 0);
	assert_int_equal(durable_size(f), 18);
	assert_int_equal(durable_patch(f, 5, SPAN("0018")), 0);
	assert_absent(x, "a");
	assert_int_equal(durable_publish(f, in_root(x, "a"), false, &x->err), 0);
	assert_content(x, "a", "size 0018\ncontent\n");
	assert_absent(x, "tmp/a");
}

static void test_begin_is_exclusive(void **state)
{
	struct fixture *x = *state;
	struct durable *f = durable_begin(x->d, in_root(x, "tmp/a"), 0600, &x->err);
	assert_non_null(f);
	assert_null(durable_begin(x->d, in_root(x, "tmp/a"), 0600, &x->err));
	assert_int_equal(x->err.sys, EEXIST);
	durable_abort(f);
	assert_absent(x, "tmp/a");
}

static void test_exclusive_publish_keeps_what_stands(void **state)
{
	struct fixture *x = *state;
	assert_int_equal(durable_replace(x->d, in_root(x, "a"), SPAN("old"), 0600, &x->err), 0);
	struct durable *f = durable_begin(x->d, in_root(x, "tmp/a"), 0600, &x->err);
	durable_write(f, SPAN("new"));
	assert_int_equal(durable_publish(f, in_root(x, "a"), true, &x->err), -1);
	assert_int_equal(x->err.sys, EEXIST);
	assert_content(x, "a", "old");
	assert_absent(x, "tmp/a");
}

/* Patches that lie in the buffer, on disk, and across the border between both. */
static void test_patch_of_large_file(void **state)
{
	struct fixture *x = *state;
	enum {
		TOTAL = 200000
	};
	char *big = malloc(TOTAL + 1), *got = malloc(TOTAL + 2);
	memset(big, 'x', TOTAL);
	struct durable *f = durable_begin(x->d, in_root(x, "tmp/big"), 0600, &x->err);
	for (size_t at = 0; at < TOTAL; at += 1000)
		assert_int_equal(durable_write(f, span_of(big + at, 1000)), 0);
	for (off_t at = 0; at + 5 <= TOTAL; at += 997) {
		memcpy(big + at, "PATCH", 5);
		assert_int_equal(durable_patch(f, at, SPAN("PATCH")), 0);
	}
	assert_int_equal(durable_size(f), TOTAL);
	assert_int_equal(durable_publish(f, in_root(x, "big"), true, &x->err), 0);
	assert_int_equal(content(in_root(x, "big"), got, TOTAL + 2), TOTAL);
	assert_memory_equal(got, big, TOTAL);
	free(big);
	free(got);
}

static void test_patch_beyond_end_is_refused(void **state)
{
	struct fixture *x = *state;
	struct durable *f = durable_begin(x->d, in_root(x, "tmp/a"), 0600, &x->err);
	durable_write(f, SPAN("abc"));
	assert_int_equal(durable_patch(f, 2, SPAN("xy")), -1);
	assert_int_equal(durable_publish(f, in_root(x, "a"), false, &x->err), -1);
	assert_int_equal(x->err.class, ERR_BUG);
	assert_absent(x, "a");
	assert_absent(x, "tmp/a");
}

static void test_descriptor_sees_what_was_written(void **state)
{
	struct fixture *x = *state;
	char got[8] = "";
	struct durable *f = durable_begin(x->d, in_root(x, "tmp/a"), 0600, &x->err);
	durable_write(f, SPAN("abc"));
	int fd = durable_fd(f, &x->err);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, got, sizeof got, 0), 3);
	assert_string_equal(got, "abc");
	durable_abort(f);
}

static void test_publish_all(void **state)
{
	struct fixture *x = *state;
	struct durable_pub pubs[2];
	assert_int_equal(durable_mkdir(x->d, in_root(x, "one/new"), 0700, &x->err), 0);
	assert_int_equal(durable_mkdir(x->d, in_root(x, "two/new"), 0700, &x->err), 0);
	for (int i = 0; i < 2; i++) {
		pubs[i].f = durable_begin(x->d, in_root(x, i ? "tmp/1" : "tmp/0"), 0600, &x->err);
		durable_write(pubs[i].f, SPAN("m"));
	}
	pubs[0].path = in_root(x, "one/new/m");
	pubs[1].path = in_root(x, "two/new/m");
	assert_int_equal(durable_publish_all(pubs, 2, true, &x->err), 0);
	assert_content(x, "one/new/m", "m");
	assert_content(x, "two/new/m", "m");
	assert_absent(x, "tmp/0");
	assert_absent(x, "tmp/1");
}

static void publish_all_or_none(struct fixture *x, bool exclusive)
{
	struct durable_pub pubs[3];
	for (int i = 0; i < 3; i++) {
		char tmp[16];
		snprintf(tmp, sizeof tmp, "tmp/%d", i);
		pubs[i].f = durable_begin(x->d, in_root(x, tmp), 0600, &x->err);
		durable_write(pubs[i].f, SPAN("m"));
	}
	pubs[0].path = in_root(x, "first");
	pubs[1].path = in_root(x, "missing/second");
	pubs[2].path = in_root(x, "third");
	assert_int_equal(durable_publish_all(pubs, 3, exclusive, &x->err), -1);
	assert_int_equal(x->err.sys, ENOENT);
	assert_absent(x, "first");
	assert_absent(x, "third");
	assert_absent(x, "tmp/0");
	assert_absent(x, "tmp/1");
	assert_absent(x, "tmp/2");
}

static void test_publish_all_or_none(void **state)
{
	publish_all_or_none(*state, true);
	publish_all_or_none(*state, false);
}

static void test_replace_and_append(void **state)
{
	struct fixture *x = *state;
	assert_int_equal(durable_replace(x->d, in_root(x, "list"), SPAN("1\n"), 0600, &x->err), 0);
	assert_int_equal(durable_append(x->d, in_root(x, "list"), SPAN("2\n"), &x->err), 0);
	assert_content(x, "list", "1\n2\n");
	assert_int_equal(durable_replace(x->d, in_root(x, "list"), SPAN("3\n"), 0600, &x->err), 0);
	assert_content(x, "list", "3\n");
	assert_int_equal(durable_append(x->d, in_root(x, "none"), SPAN("2\n"), &x->err), -1);
	assert_int_equal(x->err.sys, ENOENT);
}

static void test_unlink_rename(void **state)
{
	struct fixture *x = *state;
	assert_int_equal(durable_replace(x->d, in_root(x, "a"), SPAN("a"), 0600, &x->err), 0);
	assert_int_equal(durable_rename(x->d, in_root(x, "a"), in_root(x, "tmp/b"), &x->err), 0);
	assert_absent(x, "a");
	assert_content(x, "tmp/b", "a");
	assert_int_equal(durable_unlink(x->d, in_root(x, "tmp/b"), &x->err), 0);
	assert_absent(x, "tmp/b");
	assert_int_equal(durable_unlink(x->d, in_root(x, "tmp/b"), &x->err), 0);
	assert_int_equal(durable_discard(x->d, in_root(x, "tmp/b"), &x->err), 0);
	assert_int_equal(durable_rename(x->d, in_root(x, "a"), in_root(x, "b"), &x->err), -1);
}

static void test_mkdir(void **state)
{
	struct fixture *x = *state;
	struct stat st;
	assert_int_equal(durable_mkdir(x->d, in_root(x, "p//q/r/"), 0700, &x->err), 0);
	assert_int_equal(stat(in_root(x, "p/q/r"), &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(durable_mkdir(x->d, in_root(x, "p/q/r"), 0700, &x->err), 0);
	assert_int_equal(durable_mkdir(x->d, x->root, 0700, &x->err), 0);
	assert_int_equal(durable_replace(x->d, in_root(x, "file"), SPAN(""), 0600, &x->err), 0);
	assert_int_equal(durable_mkdir(x->d, in_root(x, "file"), 0700, &x->err), -1);
	assert_int_equal(x->err.sys, EEXIST);
}

static void test_paths_outside_are_a_bug(void **state)
{
	struct fixture *x = *state;
	char beside[80];
	snprintf(beside, sizeof beside, "%s-beside", x->root);
	assert_null(durable_begin(x->d, beside, 0600, &x->err));
	assert_int_equal(x->err.class, ERR_BUG);
	assert_int_equal(durable_replace(x->d, "/tmp/elsewhere", SPAN("x"), 0600, &x->err), -1);
	assert_int_equal(x->err.class, ERR_BUG);
}

static void test_open_needs_a_directory(void **state)
{
	struct fixture *x = *state;
	assert_null(durable_open(in_root(x, "none"), DURABLE_FILE, &x->err));
	assert_int_equal(x->err.sys, ENOENT);
	assert_int_equal(durable_replace(x->d, in_root(x, "file"), SPAN(""), 0600, &x->err), 0);
	assert_null(durable_open(in_root(x, "file"), DURABLE_FILE, &x->err));
	assert_int_equal(x->err.class, ERR_CONFIG);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_publish),
		CASE(test_begin_is_exclusive),
		CASE(test_exclusive_publish_keeps_what_stands),
		CASE(test_patch_of_large_file),
		CASE(test_patch_beyond_end_is_refused),
		CASE(test_descriptor_sees_what_was_written),
		CASE(test_publish_all),
		CASE(test_publish_all_or_none),
		CASE(test_replace_and_append),
		CASE(test_unlink_rename),
		CASE(test_mkdir),
		CASE(test_paths_outside_are_a_bug),
		CASE(test_open_needs_a_directory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
