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
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

static void quoting(void **state)
{
	static const struct {
		struct span in;
		const char *want;
	} cases[] = {
		{ SPAN(""), "\"\"" },
		{ SPAN("plain text"), "\"plain text\"" },
		{ SPAN("a\"b\\c"), "\"a\\\"b\\\\c\"" },
		{ SPAN("a\r\n\0\x1b[2J"), "\"a\\x0d\\x0a\\x00\\x1b[2J\"" },
		{ SPAN("\x7f\xc3\xa4"), "\"\\x7f\\xc3\\xa4\"" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_string_equal(log_quote(cases[i].in), cases[i].want);
}

static void cutting(void **state)
{
	(void)state;
	for (int c = 0; c < 256; c++)
		for (size_t n = 50; n < 300; n += 7) {
			char text[300];
			memset(text, c, n);
			const char *q = log_quote(span_of(text, n));
			size_t len = strlen(q);
			assert_true(len < 256 && q[0] == '"' && q[len - 1] == '"');
			assert_true(len == n + 2 || len == 2 * n + 2 || len == 4 * n + 2 || strstr(q, "...\""));
		}
}

static void eight_at_once(void **state)
{
	const char *q[8];
	(void)state;
	for (int i = 0; i < 8; i++)
		q[i] = log_quote(span_of(&"abcdefgh"[i], 1));
	for (int i = 0; i < 8; i++)
		assert_int_equal(q[i][1], "abcdefgh"[i]);
}

/* What a function writes to fd 2, which is an end of the given kind for that while. */
static size_t capture(int fds[2], void (*write_lines)(void), char *out, size_t size)
{
	int keep = dup(STDERR_FILENO);
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	write_lines();
	dup2(keep, STDERR_FILENO);
	close(keep);
	size_t len = 0;
	for (ssize_t n; len < size - 1 && (n = read(fds[0], out + len, size - 1 - len)) > 0;)
		len += (size_t)n;
	out[len] = '\0';
	close(fds[0]);
	return len;
}

static void some_lines(void)
{
	log_open("prog", LOG_TO_AUTO, LOG_LVL_WARN);
	log_style(LOG_STYLE_NATIVE, "prog");
	errno = EIO;
	log_warn("event=x key=%d", 7);
	log_info("not this one");
	log_session("S1");
	log_err("second");
	log_session(NULL);
	assert_int_equal(errno, EIO);
}

static void stderr_lines(void **state)
{
	int fds[2];
	char out[1000], want[200];
	(void)state;
	unsetenv("JOURNAL_STREAM");
	assert_int_equal(pipe(fds), 0);
	capture(fds, some_lines, out, sizeof out);
	snprintf(want, sizeof want, "prog[%ld]: event=x key=7\nprog[%ld]: second session=S1\n", (long)getpid(),
	    (long)getpid());
	assert_string_equal(out, want);
	assert_int_equal(log_where(), LOG_TO_STDERR);
	setenv("JOURNAL_STREAM", "8:1", 1);
	assert_int_equal(pipe(fds), 0);
	capture(fds, some_lines, out, sizeof out);
	assert_string_equal(out, "<4>event=x key=7\n<3>second session=S1\n");
	unsetenv("JOURNAL_STREAM");
}

static void styled_lines(void)
{
	log_open("prog", LOG_TO_AUTO, LOG_LVL_INFO);
	log_style(LOG_STYLE_SYSLOG, "other/part");
	log_session("S1");
	log_warn("w");
	log_as("third/one", LOG_LVL_INFO, "text %d", 1);
	log_session(NULL);
}

/* Without its "Mmm dd hh:mm:ss host " in front. */
static const char *after_stamp(const char *line)
{
	int n = -1;
	sscanf(line, "%*3[A-Za-z]%*1[ ]%*2[ 0-9]%*1[ ]%*2d:%*2d:%*2d %*s %n", &n);
	return n >= 18 ? line + n : "";
}

static void syslog_style(void **state)
{
	int fds[2];
	char out[1000], want[200];
	(void)state;
	assert_int_equal(pipe(fds), 0);
	capture(fds, styled_lines, out, sizeof out);
	char *second = strchr(out, '\n') + 1;
	snprintf(want, sizeof want, "other/part[%ld]: warning: w session=S1\n", (long)getpid());
	assert_memory_equal(after_stamp(out), want, strlen(want));
	snprintf(want, sizeof want, "third/one[%ld]: text 1\n", (long)getpid());
	assert_string_equal(after_stamp(second), want);
	if (access("/dev/log", F_OK) == 0)
		return; /* the journal's lines go there */
	setenv("JOURNAL_STREAM", "8:1", 1);
	assert_int_equal(pipe(fds), 0);
	capture(fds, styled_lines, out, sizeof out);
	snprintf(want, sizeof want, "<4>other/part[%ld]: warning: w session=S1\n<6>third/one[%ld]: text 1\n",
	    (long)getpid(), (long)getpid());
	assert_string_equal(out, want);
	unsetenv("JOURNAL_STREAM");
}

static void read_file(const char *path, char *out, size_t size)
{
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	out[fread(out, 1, size - 1, f)] = '\0';
	fclose(f);
}

static void files(void **state)
{
	char dir[] = "/tmp/log_test.XXXXXX", path[64], moved[64], out[1000], want[200];
	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/log", dir);
	snprintf(moved, sizeof moved, "%s/old", dir);
	log_open("prog", LOG_TO_STDERR, LOG_LVL_INFO);
	log_style(LOG_STYLE_NATIVE, "prog");
	assert_int_equal(log_to_file("/nonexistent/dir/file"), -1);
	assert_int_equal(log_to_file(path), 0);
	log_info("one");
	assert_int_equal(rename(path, moved), 0);
	log_info("two");
	assert_int_equal(log_reopen(), 0);
	log_info("three");
	read_file(moved, out, sizeof out);
	snprintf(want, sizeof want, "prog[%ld]: one\n", (long)getpid());
	assert_memory_equal(after_stamp(out), want, strlen(want));
	assert_non_null(strstr(out, ": two\n"));
	read_file(path, out, sizeof out);
	snprintf(want, sizeof want, "prog[%ld]: three\n", (long)getpid());
	assert_string_equal(after_stamp(out), want);
	unlink(path);
	unlink(moved);
	rmdir(dir);
}

static void held_lines(void)
{
	char text[1500];
	memset(text, 'y', sizeof text);
	text[sizeof text - 1] = '\0';
	log_open("prog", LOG_TO_STDERR, LOG_LVL_INFO);
	log_style(LOG_STYLE_NATIVE, "prog");
	log_hold();
	for (int i = 0; i < 3; i++)
		log_info("%d %s", i, text);
}

static void released_line(void)
{
	log_info("last");
	errno = EIO;
	log_release();
	assert_int_equal(errno, EIO);
	log_info("after");
}

/* Kept until it is too much for one write, or over. */
static void holding(void **state)
{
	int fds[2];
	char out[8000];
	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_in_range(capture(fds, held_lines, out, sizeof out), 3000, 3100);
	assert_non_null(strstr(out, ": 1 yyy"));
	assert_null(strstr(out, ": 2 yyy"));
	assert_int_equal(pipe(fds), 0);
	assert_in_range(capture(fds, released_line, out, sizeof out), 1500, 1600);
	assert_non_null(strstr(out, ": 2 yyy"));
	assert_non_null(strstr(out, ": last\nprog["));
	assert_non_null(strstr(out, ": after\n"));
}

static void long_line(void)
{
	static char text[5000];
	memset(text, 'x', sizeof text - 1);
	log_open("prog", LOG_TO_STDERR, LOG_LVL_INFO);
	log_style(LOG_STYLE_NATIVE, "prog");
	log_session("S2");
	log_info("%s", text);
	log_session(NULL);
}

static void long_lines(void **state)
{
	int fds[2];
	char out[8000];
	(void)state;
	assert_int_equal(pipe(fds), 0);
	size_t n = capture(fds, long_line, out, sizeof out);
	assert_true(n > 2000 && n < 2300);
	assert_int_equal(out[n - 1], '\n');
}

/* Under inetd fd 2 is the client's socket: nothing may go there. */
static void never_to_a_socket(void **state)
{
	int fds[2];
	char out[1000];
	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(capture(fds, some_lines, out, sizeof out), 0);
	assert_int_equal(log_where(), LOG_TO_SYSLOG);
	log_open("prog", LOG_TO_NONE, LOG_LVL_INFO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quoting), cmocka_unit_test(cutting), cmocka_unit_test(eight_at_once),
		cmocka_unit_test(stderr_lines), cmocka_unit_test(holding), cmocka_unit_test(long_lines),
		cmocka_unit_test(never_to_a_socket), cmocka_unit_test(syslog_style),
		cmocka_unit_test(files), /* the last: there is no way back from a file */
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
