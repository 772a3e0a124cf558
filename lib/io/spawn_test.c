/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/limits.h"
#include "io/spawn.h"

static const struct row {
	const char *name, *command, *input;
	int status;
	const char *output;
} rows[] = {
	{ "output", "echo hello", "", 0, "hello\n" },
	{ "input", "tr a-z A-Z", "shout", 0, "SHOUT" },
	{ "exit status", "exit 75", "", 75, "" },
	{ "killed", "kill -9 $$", "", 137, "" },
	{ "input not read", "exec 0<&-; echo done", "ignored", 0, "done\n" },
	{ "no such program", "waypost-no-such-program 2>/dev/null", "", 127, "" },
	{ "no shell needed", "exec /bin/echo a  b=c\t%d", "", 0, "a b=c %d\n" },
	{ "a shell needed", "/bin/echo $((1 + 1)) 'a  b'", "", 0, "2 a  b\n" },
	{ "a shell's word", "exit 3", "", 3, "" },
	{ "a shell's answer", " exec /nonexistent/program ", "", 127, "" },
	{ "signals are reset", "kill -PIPE $$; echo alive", "", 141, "" },
};

static void test_run(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct spawn sp = { .command = rows[i].command, .errfd = SPAWN_INHERIT };
		struct err err = { 0 };
		struct buf out;
		buf_init(&out, 1000);
		int r = spawn_run(&sp, span_str(rows[i].input), &out, 5000, &err);
		if (r != rows[i].status || !span_eqs(buf_span(&out), rows[i].output))
			fail_msg("%s: %d '%s' %s", rows[i].name, r, out.p, err.text);
		buf_free(&out);
	}
}

/* More than a pipe holds both ways: neither side waits for the other for ever. */
static void test_large(void **state)
{
	(void)state;
	size_t n = 1 << 20;
	char *in = malloc(n);
	memset(in, 'm', n);
	struct spawn sp = { .argv = (const char *const[]){ "cat", NULL }, .errfd = SPAWN_INHERIT };
	struct buf out;
	buf_init(&out, n + 10);
	assert_int_equal(spawn_run(&sp, span_of(in, n), &out, 5000, NULL), 0);
	assert_int_equal(out.len, n);
	assert_memory_equal(out.p, in, n);
	buf_free(&out);
	buf_init(&out, 100);
	assert_int_equal(spawn_run(&sp, span_of(in, n), &out, 5000, NULL), 0);
	assert_int_equal(out.len, 100);
	assert_false(out.bad);
	buf_free(&out);
	free(in);
}

static void test_errors(void **state)
{
	(void)state;
	struct err err = { 0 };
	struct buf out;
	buf_init(&out, 100);
	struct spawn sp = { .argv = (const char *const[]){ "/nonexistent/x", NULL }, .errfd = SPAWN_NULL };
	assert_int_equal(spawn_run(&sp, SPAN(""), &out, 5000, &err), -1);
	assert_int_equal(err.class, ERR_CONFIG);
	assert_int_equal(err.sys, ENOENT);
	assert_string_equal(err.text, "cannot run /nonexistent/x: No such file or directory");
	sp = (struct spawn){ .command = "sleep 60", .errfd = SPAWN_INHERIT };
	assert_int_equal(spawn_run(&sp, SPAN(""), &out, 50, &err), -1);
	assert_int_equal(err.sys, ETIMEDOUT);
	sp = (struct spawn){ .command = "echo x", .dir = "/nonexistent", .errfd = SPAWN_INHERIT };
	assert_int_equal(spawn_run(&sp, SPAN(""), &out, 50, &err), -1);
	buf_free(&out);
}

static void test_environment(void **state)
{
	(void)state;
	setenv("SPAWN_A", "old", 1);
	struct spawn sp = { .command = "printf %s \"$SPAWN_A-$SPAWN_B-$PWD\"",
		.dir = "/",
		.errfd = SPAWN_INHERIT,
		.env = (const char *const[]){ "SPAWN_A=new", "SPAWN_B=b", NULL } };
	struct buf out;
	buf_init(&out, 100);
	assert_int_equal(spawn_run(&sp, SPAN(""), &out, 5000, NULL), 0);
	assert_string_equal(out.p, "new-b-/");
	assert_string_equal(getenv("SPAWN_A"), "old");
	buf_free(&out);
}

/* The child has 0, 1, 2 and no other descriptor of ours. */
static void test_descriptors(void **state)
{
	(void)state;
	int leak = open("/dev/null", O_RDONLY);
	assert_true(leak > 2);
	struct spawn sp = { .command = "ls /proc/self/fd | wc -l", .errfd = SPAWN_NULL };
	struct buf out;
	buf_init(&out, 100);
	assert_int_equal(spawn_run(&sp, SPAN(""), &out, 5000, NULL), 0);
	assert_int_equal(strtol(out.p, NULL, 10), 4); /* ls has the directory open too */
	buf_free(&out);
	close(leak);
}

static void test_socketpair(void **state)
{
	(void)state;
	struct spawn sp = { .command = "read x; echo \"got $x\"",
		.in = SPAWN_SOCKETPAIR,
		.out = SPAWN_SOCKETPAIR,
		.errfd = SPAWN_INHERIT };
	struct child c;
	char got[20] = "";
	assert_int_equal(spawn_start(&sp, &c, NULL), 0);
	assert_int_equal(c.in, c.out);
	assert_int_equal(write(c.in, "line\n", 5), 5);
	assert_int_equal(read(c.out, got, sizeof got - 1), 9);
	assert_string_equal(got, "got line\n");
	assert_int_equal(read(c.out, got, 1), 0);
	assert_int_equal(spawn_wait(&c, -1, NULL), 0);
	close(c.in);
}

static const struct {
	const char *command;
	int result;
	enum err_class class;
	const char *secret;
} secrets[] = {
	{ "echo s3cret; echo more", 0, ERR_NONE, "s3cret" },
	{ "printf 'dos\\r\\n'", 0, ERR_NONE, "dos" },
	{ "printf 'no end'", 0, ERR_NONE, "no end" },
	{ "echo partial; exit 2", -1, ERR_TEMP, NULL },
	{ "true", -1, ERR_CONFIG, NULL },
	{ "head -c 100000 /dev/zero", -1, ERR_LIMIT, NULL },
	{ "head -c 8000 /dev/zero | tr '\\0' t", 0, ERR_NONE, NULL },
};

static void test_secret(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++) {
		struct buf out;
		struct err err = { 0 };
		buf_init(&out, LIMIT_SECRET);
		if (spawn_secret(secrets[i].command, &out, &err) != secrets[i].result || err.class != secrets[i].class)
			fail_msg("%s: %s", secrets[i].command, err.text);
		if (secrets[i].secret)
			assert_string_equal(out.p, secrets[i].secret);
		buf_free(&out);
	}
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_run),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_socketpair),
		cmocka_unit_test(test_secret),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
