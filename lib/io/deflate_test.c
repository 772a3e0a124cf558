/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "io/deflate.h"

static struct stream *end(int fd)
{
	struct stream *s = stream_from_fds(fd, fd);
	stream_set_timeout(s, 60000);
	return s;
}

static void pair(struct stream **a, struct stream **b)
{
	int fd[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	*a = end(fd[0]);
	*b = end(fd[1]);
}

/* What one side flushed, the other can read at once. */
static void test_flush(void **state)
{
	(void)state;
	struct stream *a, *b;
	struct line l;
	pair(&a, &b);
	assert_int_equal(stream_start_deflate(a, NULL), 0);
	assert_int_equal(stream_start_deflate(b, NULL), 0);
	assert_int_equal(stream_start_deflate(b, NULL), -1);
	for (int i = 0; i < 100; i++) {
		stream_printf(a, "line %d\r\nsecond\r\n", i);
		stream_flush(a);
		assert_int_equal(stream_wait(b, -1, 1000), STREAM_READY);
		assert_int_equal(stream_line(b, 100, &l), LINE_CRLF);
		assert_true(span_starts(l.text, "line "));
		assert_int_equal(stream_line(b, 100, &l), LINE_CRLF);
		assert_int_equal(stream_wait(b, -1, 0), 0);
		stream_puts(b, "ok\r\n");
		stream_flush(b);
		assert_int_equal(stream_line(a, 100, &l), LINE_CRLF);
		assert_true(span_eqs(l.text, "ok"));
	}
	stream_close(a);
	assert_int_equal(stream_line(b, 100, &l), LINE_EOF);
	stream_close(b);
}

/* Large data, well and badly compressible, in one piece. */
static void test_bulk(void **state)
{
	(void)state;
	struct stream *a, *b;
	size_t n = 2000000;
	char *data = malloc(n), *got = malloc(n);
	srandom(1);
	for (size_t i = 0; i < n; i++)
		data[i] = i < n / 2 ? 'a' : (char)random();
	pair(&a, &b);
	pid_t pid = fork();
	if (pid == 0) {
		stream_abandon(b);
		stream_start_deflate(a, NULL);
		stream_write(a, data, n);
		stream_close(a);
		_exit(0);
	}
	stream_abandon(a);
	stream_start_deflate(b, NULL);
	assert_int_equal(stream_read_full(b, got, n), 0);
	assert_memory_equal(data, got, n);
	assert_int_equal(stream_read(b, got, 1), 0);
	stream_close(b);
	waitpid(pid, NULL, 0);
	free(data);
	free(got);
}

static void test_broken(void **state)
{
	(void)state;
	struct span got;
	struct stream *s = stream_from_mem(SPAN("this is not deflate\r\n"), 0);
	assert_int_equal(stream_start_deflate(s, NULL), 0);
	assert_int_equal(stream_peek(s, &got), -1);
	assert_int_equal(stream_err(s)->class, ERR_PROTO);
	stream_close(s);
}

static void test_early_data(void **state)
{
	(void)state;
	struct line l;
	struct err err = { 0 };
	struct stream *s = stream_from_mem(SPAN("a COMPRESS DEFLATE\r\nb NOOP\r\n"), 0);
	stream_line(s, 100, &l);
	assert_int_equal(stream_start_deflate(s, &err), -1);
	assert_int_equal(err.class, ERR_PROTO);
	stream_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flush),
		cmocka_unit_test(test_bulk),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_early_data),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
