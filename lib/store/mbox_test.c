/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/config.h"
#include "store/mbox.h"

static char path[64];

static void slurp(struct buf *b)
{
	struct err err = { 0 };
	buf_init(b, 1 << 24);
	if (config_slurp(path, b, &err) < 0)
		fail_msg("%s", err.text);
}

static void append(const char *sender, const char *text)
{
	struct err err = { 0 };
	struct mbox_append how = { span_str(sender), 1000000000, DURABLE_NONE };
	if (mbox_append(path, &how, span_str(text), &err) < 0)
		fail_msg("%s", err.text);
}

static void put(const char *text)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

#define DATE "Sun Sep  9 01:46:40 2001\n"

static void appending(void **state)
{
	(void)state;
	struct buf b;
	unlink(path);
	append("ann@example.org", "Subject: a\r\n\r\nFrom me\r\n>From you\r\nFromage\r\n");
	append("", "Subject: b\n\nno end");
	append("a b\n@x", "\n");
	slurp(&b);
	assert_string_equal(b.p, "From ann@example.org " DATE "Subject: a\n\n>From me\n>>From you\nFromage\n\n"
				 "From MAILER-DAEMON " DATE "Subject: b\n\nno end\n\n"
				 "From a_b_@x " DATE "\n\n");
	buf_free(&b);
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	static const char *const ends[][2] = { { "From x\nlast", "\n\n" }, { "From x\nlast\n", "\n" },
		{ "From x\nlast\n\n", "" }, { "\n", "" }, { "x", "\n\n" } };
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		put(ends[i][0]);
		append("s", "m\n");
		slurp(&b);
		struct buf want;
		buf_init(&want, 1000);
		buf_addf(&want, "%s%sFrom s " DATE "m\n\n", ends[i][0], ends[i][1]);
		assert_string_equal(b.p, want.p);
		buf_free(&want);
		buf_free(&b);
	}
}

static void splitting(void **state)
{
	(void)state;
	static const struct {
		const char *file;
		size_t n;
		const char *last_from, *last_content;
	} t[] = {
		{ "", 0, NULL, NULL },
		{ "\n\njunk\n", 0, NULL, NULL },
		{ "From a\n", 1, "From a", "" },
		{ "From a", 1, "From a", "" },
		{ "From a\nx\n\n", 1, "From a", "x\n" },
		{ "From a\nx\nFrom b\ny\n", 1, "From a", "x\nFrom b\ny\n" },
		{ "From a\nx\n\nFrom b\ny\n\n\n", 2, "From b", "y\n\n" },
		{ "\n\nFrom a\r\nx\r\n\r\nFrom b\r\ny\r\n\r\n", 2, "From b", "y\r\n" },
		{ "From a\n\nFrom b\n\n", 2, "From b", "" },
	};
	struct arena *a = arena_new();
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct mbox_msg *msg;
		size_t n;
		mbox_split(a, span_str(t[i].file), &msg, &n);
		if (n != t[i].n)
			fail_msg("%zu: %zu messages", i, n);
		if (!n)
			continue;
		assert_true(span_eqs(msg[n - 1].from_line, t[i].last_from));
		if (!span_eqs(msg[n - 1].content, t[i].last_content))
			fail_msg("%zu: '%.*s'", i, SPAN_FMT(msg[n - 1].content));
	}
	arena_free(a);
}

static void there_and_back(void **state)
{
	(void)state;
	static const char message[] = "Subject: x\n\nFrom a\n>From b\n\nFrom c\n>>>From d\n>Fromage\n";
	struct arena *a = arena_new();
	struct mbox_msg *msg;
	struct buf file, back;
	size_t n;
	buf_init(&file, 10000);
	buf_init(&back, 10000);
	for (int i = 0; i < 3; i++)
		mbox_format(SPAN("s"), 0, span_str(message), &file);
	mbox_split(a, buf_span(&file), &msg, &n);
	assert_int_equal(n, 3);
	for (size_t i = 0; i < n; i++) {
		buf_reset(&back);
		mbox_unquote(msg[i].content, &back);
		assert_string_equal(back.p, message);
	}
	buf_free(&file);
	buf_free(&back);
	arena_free(a);
}

static void many_writers(void **state)
{
	(void)state;
	put("");
	for (int who = 0; who < 4; who++) {
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid)
			continue;
		for (int i = 0; i < 25; i++) {
			struct err err = { 0 };
			struct mbox_append how = { SPAN("s"), 0, DURABLE_NONE };
			if (mbox_append(path, &how, SPAN("Subject: x\n\nbody\nbody\n"), &err) < 0)
				_exit(1);
		}
		_exit(0);
	}
	for (int status; wait(&status) > 0;)
		assert_int_equal(status, 0);
	struct arena *a = arena_new();
	struct mbox_msg *msg;
	struct buf b;
	size_t n;
	slurp(&b);
	mbox_split(a, buf_span(&b), &msg, &n);
	assert_int_equal(n, 100);
	for (size_t i = 0; i < n; i++)
		assert_true(span_eqs(msg[i].content, "Subject: x\n\nbody\nbody\n"));
	buf_free(&b);
	arena_free(a);
}

static void refusals(void **state)
{
	(void)state;
	struct err err = { 0 };
	struct mbox_append how = { SPAN("s"), 0, DURABLE_NONE };
	assert_int_equal(mbox_append("/dev/null", &how, SPAN("x"), &err), -1);
	assert_int_equal(mbox_append("/nonexistent/mbox", &how, SPAN("x"), &err), -1);
	assert_int_equal(err.sys, ENOENT);
}

int main(void)
{
	snprintf(path, sizeof path, "/tmp/waypost-mbox-XXXXXX");
	int fd = mkstemp(path);
	if (fd < 0)
		return 1;
	close(fd);
	const struct CMUnitTest tests[] = { cmocka_unit_test(appending), cmocka_unit_test(splitting),
		cmocka_unit_test(there_and_back), cmocka_unit_test(many_writers), cmocka_unit_test(refusals) };
	int rc = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return rc;
}
