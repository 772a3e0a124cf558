/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "io/stream.h"

static struct stream *pair(int *other)
{
	int fd[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	*other = fd[1];
	return stream_from_fds(fd[0], fd[0]);
}

static void put(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void check_line(struct stream *s, size_t max, enum line_end end, const char *text)
{
	struct line l;
	assert_int_equal(stream_line(s, max, &l), end);
	assert_int_equal(l.end, end);
	assert_int_equal(l.text.n, strlen(text));
	assert_memory_equal(l.text.p, text, l.text.n);
}

static const struct line_row {
	const char *name, *input;
	struct {
		enum line_end end;
		const char *text;
		bool bare_cr;
	} want[5];
} line_rows[] = {
	{ "crlf", "one\r\ntwo\r\n", { { LINE_CRLF, "one", 0 }, { LINE_CRLF, "two", 0 }, { LINE_EOF, "", 0 } } },
	{ "lf", "one\ntwo\r\n", { { LINE_LF, "one", 0 }, { LINE_CRLF, "two", 0 }, { LINE_EOF, "", 0 } } },
	{ "empty", "\r\n\n\r\n",
	    { { LINE_CRLF, "", 0 }, { LINE_LF, "", 0 }, { LINE_CRLF, "", 0 }, { LINE_EOF, "", 0 } } },
	{ "bare cr", "a\rb\r\nc\r\r\n", { { LINE_CRLF, "a\rb", 1 }, { LINE_CRLF, "c\r", 1 }, { LINE_EOF, "", 0 } } },
	{ "cut off", "one\r\ntw", { { LINE_CRLF, "one", 0 }, { LINE_EOF, "tw", 0 }, { LINE_EOF, "", 0 } } },
	{ "exactly max", "12345678\r\n12345678\n",
	    { { LINE_CRLF, "12345678", 0 }, { LINE_LF, "12345678", 0 }, { LINE_EOF, "", 0 } } },
	{ "over max", "123456789\r\nnext\r\n", { { LINE_TOO_LONG, "12345678", 0 }, { LINE_CRLF, "next", 0 } } },
	{ "far over max", "12345678901234567890\r\nnext\n",
	    { { LINE_TOO_LONG, "12345678", 0 }, { LINE_LF, "next", 0 } } },
	{ "max and cr at the end", "12345678\r", { { LINE_TOO_LONG, "12345678", 0 }, { LINE_EOF, "", 0 } } },
	{ "over max at the end", "1234567890", { { LINE_TOO_LONG, "12345678", 0 }, { LINE_EOF, "", 0 } } },
};

/* Somebody who never ends a line is not listened to for ever. */
static void test_line_without_end(void **state)
{
	(void)state;
	size_t n = 2 * STREAM_LINE_MOST;
	char *text = malloc(n);
	memset(text, 'x', n);
	struct stream *s = stream_from_mem(span_of(text, n), 0);
	struct line line;
	assert_int_equal(stream_line(s, 100, &line), LINE_ERROR);
	assert_int_equal(stream_err(s)->class, ERR_PROTO);
	stream_close(s);
	text[STREAM_LINE_MOST / 2] = '\n';
	s = stream_from_mem(span_of(text, n), 0);
	assert_int_equal(stream_line(s, 100, &line), LINE_TOO_LONG);
	stream_close(s);
	free(text);
}

static void test_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof line_rows / sizeof *line_rows; i++)
		for (size_t chunk = 0; chunk < 12; chunk++) {
			const struct line_row *r = &line_rows[i];
			struct stream *s = stream_from_mem(span_str(r->input), chunk);
			for (size_t k = 0; k < 5 && r->want[k].text; k++) {
				struct line l;
				if (stream_line(s, 8, &l) != r->want[k].end || !span_eqs(l.text, r->want[k].text) ||
				    l.has_bare_cr != r->want[k].bare_cr)
					fail_msg("%s, chunk %zu, line %zu: end %d", r->name, chunk, k, (int)l.end);
			}
			stream_close(s);
		}
}

static void test_nul(void **state)
{
	(void)state;
	struct stream *s = stream_from_mem(SPAN("a\0b\r\nc\r\n"), 0);
	struct line l;
	stream_line(s, 100, &l);
	assert_true(l.has_nul);
	assert_int_equal(l.text.n, 3);
	stream_line(s, 100, &l);
	assert_false(l.has_nul);
	stream_close(s);
}

/* Lines of all lengths across the read buffer's edge, in awkward pieces. */
static void test_long_transfer(void **state)
{
	(void)state;
	struct buf all;
	buf_init(&all, 1 << 24);
	for (size_t n = 0; n < 1500; n++) {
		for (size_t k = 0; k < n; k++)
			buf_addc(&all, (char)('a' + (n + k) % 26));
		buf_adds(&all, "\r\n");
	}
	static const size_t chunks[] = { 0, 1, 7, 4096, 65535 };
	for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++) {
		struct stream *s = stream_from_mem(buf_span(&all), chunks[c]);
		struct line l;
		for (size_t n = 0; n < 1500; n++) {
			assert_int_equal(stream_line(s, 1500, &l), LINE_CRLF);
			assert_int_equal(l.text.n, n);
			if (n)
				assert_int_equal(l.text.p[n - 1], 'a' + (n + n - 1) % 26);
		}
		assert_int_equal(stream_line(s, 1500, &l), LINE_EOF);
		stream_close(s);
	}
	buf_free(&all);
}

static void test_peek_and_read(void **state)
{
	(void)state;
	struct stream *s = stream_from_mem(SPAN("LINE\r\n0123456789rest"), 4);
	check_line(s, 10, LINE_CRLF, "LINE");
	struct span got;
	assert_int_equal(stream_peek(s, &got), 1);
	assert_true(got.n > 0 && got.p[0] == '0');
	stream_consume(s, 1);
	char buf[16] = "";
	assert_int_equal(stream_read_full(s, buf, 9), 0);
	assert_memory_equal(buf, "123456789", 9);
	assert_int_equal(stream_read_full(s, buf, 5), -1);
	assert_int_equal(stream_err(s)->class, ERR_PROTO);
	assert_int_equal(stream_read(s, buf, 1), -1);
	stream_close(s);
}

static void test_output(void **state)
{
	(void)state;
	struct stream *s = stream_from_mem(SPAN(""), 0);
	char *big = malloc(200000);
	memset(big, 'x', 200000);
	stream_puts(s, "a");
	stream_printf(s, "%d-%s", 42, "b");
	stream_write(s, big, 70000);
	stream_write(s, big, 60000);
	stream_write(s, big, 10000);
	stream_printf(s, "%.*s", 2000, big);
	assert_int_equal(stream_mem_output(s).n, 1 + 4 + 142000);
	assert_memory_equal(stream_mem_output(s).p, "a42-bxxx", 8);
	free(big);
	stream_close(s);
}

static void test_read_flushes(void **state)
{
	(void)state;
	int fd;
	struct stream *s = pair(&fd);
	put(fd, "A\r\nB\r\n");
	check_line(s, 100, LINE_CRLF, "A");
	stream_puts(s, "1\r\n");
	check_line(s, 100, LINE_CRLF, "B");
	char got[10];
	assert_int_equal(recv(fd, got, sizeof got, MSG_DONTWAIT), -1); /* B was there: nothing left yet */
	stream_puts(s, "2\r\n");
	put(fd, "C\r\n");
	check_line(s, 100, LINE_CRLF, "C");
	assert_int_equal(recv(fd, got, sizeof got, MSG_DONTWAIT), 6);
	assert_memory_equal(got, "1\r\n2\r\n", 6);
	stream_close(s);
	close(fd);
}

static void test_timeout_is_sticky_but_lets_us_speak(void **state)
{
	(void)state;
	int fd;
	struct stream *s = pair(&fd);
	struct line l;
	stream_set_timeout(s, 20);
	put(fd, "half");
	assert_int_equal(stream_line(s, 100, &l), LINE_TIMEOUT);
	assert_int_equal(stream_err(s)->sys, ETIMEDOUT);
	put(fd, "\r\n");
	assert_int_equal(stream_line(s, 100, &l), LINE_TIMEOUT);
	assert_int_equal(stream_puts(s, "421 bye\r\n"), 0);
	assert_int_equal(stream_flush(s), 0);
	char got[20];
	assert_int_equal(read(fd, got, sizeof got), 9);
	stream_close(s);
	close(fd);
}

static void test_deadline(void **state)
{
	(void)state;
	int fd;
	struct stream *s = pair(&fd);
	struct span got;
	stream_set_deadline(s, 10);
	usleep(15000);
	put(fd, "late");
	assert_int_equal(stream_peek(s, &got), -1);
	assert_int_equal(stream_err(s)->sys, ETIMEDOUT);
	stream_close(s);
	close(fd);
}

static void test_min_rate(void **state)
{
	(void)state;
	int fd;
	struct stream *s = pair(&fd);
	struct span got;
	stream_set_min_rate(s, 1000000, 1000);
	put(fd, "some");
	assert_int_equal(stream_peek(s, &got), 1);
	stream_consume(s, got.n);
	assert_int_equal(stream_peek(s, &got), -1);
	assert_string_equal(stream_err(s)->text, "timed out: the peer is too slow");
	stream_close(s);
	close(fd);
}

static void test_write_error_is_sticky(void **state)
{
	(void)state;
	int fd;
	struct stream *s = pair(&fd);
	close(fd);
	stream_puts(s, "x");
	assert_int_equal(stream_flush(s), -1);
	assert_int_equal(stream_puts(s, "y"), -1);
	assert_int_equal(stream_err(s)->sys, EPIPE);
	stream_close(s);
}

static void test_blocked_write_times_out(void **state)
{
	(void)state;
	int sock, fd[2];
	char big[70000] = "";
	struct stream *s = pair(&sock);
	stream_set_timeout(s, 20);
	while (stream_write(s, big, sizeof big) == 0)
		;
	assert_int_equal(stream_err(s)->sys, ETIMEDOUT);
	stream_close(s);
	close(sock);
	assert_int_equal(pipe(fd), 0);
	s = stream_from_fds(fd[0], fd[1]);
	assert_true(stream_is_local(s));
	stream_set_timeout(s, 20);
	while (stream_write(s, big, sizeof big) == 0)
		;
	assert_int_equal(stream_err(s)->sys, ETIMEDOUT);
	stream_close(s);
}

static void test_wait(void **state)
{
	(void)state;
	int fd, other[2];
	struct stream *s = pair(&fd);
	assert_int_equal(pipe(other), 0);
	assert_int_equal(stream_wait(s, other[0], 10), 0);
	put(other[1], "x");
	assert_int_equal(stream_wait(s, other[0], 1000), STREAM_OTHER);
	put(fd, "a\r\nb\r\n");
	assert_int_equal(stream_wait(s, other[0], 1000), STREAM_READY | STREAM_OTHER);
	check_line(s, 10, LINE_CRLF, "a");
	assert_int_equal(stream_wait(s, -1, -1), STREAM_READY);
	assert_true(stream_has_input(s));
	stream_close(s);
	close(fd);
	close(other[0]);
	close(other[1]);
}

static void test_interrupt(void **state)
{
	(void)state;
	int fd, stop[2];
	struct line l;
	struct span got;
	struct stream *s = pair(&fd);
	assert_int_equal(pipe(stop), 0);
	stream_interrupt_fd = stop[0];
	put(stop[1], "x");
	put(fd, "QUEUED\r\nhal");
	assert_int_equal(stream_line(s, 100, &l), LINE_CRLF);
	stream_set_timeout(s, 20); /* a line that has begun is waited for, as is data */
	assert_int_equal(stream_line(s, 100, &l), LINE_TIMEOUT);
	assert_int_equal(stream_err(s)->sys, ETIMEDOUT);
	stream_close(s);
	close(fd);
	s = pair(&fd);
	put(fd, "data");
	assert_int_equal(stream_peek(s, &got), 1);
	stream_consume(s, got.n);
	assert_int_equal(stream_line(s, 100, &l), LINE_TIMEOUT);
	assert_int_equal(stream_err(s)->sys, EINTR);
	stream_close(s);
	close(fd);
	s = pair(&fd);
	stream_set_stoppable(s, false); /* a reply that must not be missed */
	stream_set_timeout(s, 20);
	assert_int_equal(stream_line(s, 100, &l), LINE_TIMEOUT);
	assert_int_equal(stream_err(s)->sys, ETIMEDOUT);
	stream_close(s);
	close(fd);
	s = pair(&fd);
	assert_int_equal(stream_wait(s, -1, -1), -1);
	assert_int_equal(stream_err(s)->sys, EINTR);
	stream_interrupt_fd = -1;
	stream_close(s);
	close(fd);
	close(stop[0]);
	close(stop[1]);
}

/* A layer that turns letters by one place and keeps one decoded byte back, as TLS may. */
struct rot {
	struct stream_below *below;
	bool *finished;
};

static ssize_t rot_read(void *ctx, char *p, size_t n, struct err *err)
{
	ssize_t got = stream_below_read(((struct rot *)ctx)->below, p, n, err);
	for (ssize_t i = 0; i < got; i++)
		p[i]--;
	return got;
}

static ssize_t rot_write(void *ctx, const char *p, size_t n, struct err *err)
{
	(void)n;
	char c = (char)(*p + 1);
	return stream_below_write(((struct rot *)ctx)->below, &c, 1, err);
}

static void rot_finish(void *ctx, bool speak)
{
	struct rot *r = ctx;
	struct err err;
	if (speak)
		stream_below_write(r->below, "!", 1, &err);
	*r->finished = true;
}

static const struct stream_layer rot_layer = { .read = rot_read, .write = rot_write, .finish = rot_finish };

static void test_layers(void **state)
{
	(void)state;
	int fd;
	struct stream *s = pair(&fd);
	bool finished[2] = { 0 };
	struct rot one = { stream_below(s), &finished[0] };
	stream_puts(s, "plain");
	assert_int_equal(stream_push(s, &rot_layer, &one, NULL), 0);
	struct rot two = { stream_below(s), &finished[1] };
	assert_int_equal(stream_push(s, &rot_layer, &two, NULL), 0);
	assert_ptr_equal(stream_find_layer(s, &rot_layer), &two);
	put(fd, "CD\x0f\x0c"
		"E\x0f\x0c");
	check_line(s, 10, LINE_CRLF, "AB");
	assert_int_equal(stream_push(s, &rot_layer, &one, NULL), -1); /* "C" was read ahead */
	check_line(s, 10, LINE_CRLF, "C");
	stream_puts(s, "AB");
	stream_close(s);
	assert_true(finished[0] && finished[1]);
	char got[20];
	assert_int_equal(read(fd, got, sizeof got), 9);
	assert_memory_equal(got, "plainCD\"!", 9);
	close(fd);
}

/* A peer that still sends when we hang up reads our last words. */
static void test_last_words(void **state)
{
	(void)state;
	int fd;
	struct stream *s = pair(&fd);
	put(fd, "ONE\r\nTWO\r\nTHREE\r\n");
	check_line(s, 100, LINE_CRLF, "ONE");
	stream_puts(s, "421 enough\r\n");
	pid_t child = fork();
	if (!child) {
		char got[20];
		stream_abandon(s);
		_exit(read(fd, got, sizeof got) != 12 || read(fd, got, 1) != 0);
	}
	close(fd);
	stream_close(s);
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* A line that is too long tells, too, what ended it. */
static void test_long_line_end(void **state)
{
	(void)state;
	static const char *const ends[] = { "\r\n", "\n", "\r\r\n", "\n\r\n" };
	for (size_t n = 9; n < 80; n++)
		for (size_t e = 0; e < 4; e++)
			for (size_t chunk = 1; chunk < 30; chunk++) {
				char text[100];
				struct line line;
				memset(text, 'x', n);
				snprintf(text + n, sizeof text - n, "%s", ends[e]);
				struct stream *s = stream_from_mem(span_str(text), chunk);
				assert_int_equal(stream_line(s, 8, &line), LINE_TOO_LONG);
				assert_int_equal(line.bare_lf, e == 1 || e == 3);
				stream_close(s);
			}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_long_line_end),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_line_without_end),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_long_transfer),
		cmocka_unit_test(test_peek_and_read),
		cmocka_unit_test(test_output),
		cmocka_unit_test(test_read_flushes),
		cmocka_unit_test(test_timeout_is_sticky_but_lets_us_speak),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_min_rate),
		cmocka_unit_test(test_write_error_is_sticky),
		cmocka_unit_test(test_blocked_write_times_out),
		cmocka_unit_test(test_wait),
		cmocka_unit_test(test_interrupt),
		cmocka_unit_test(test_layers),
		cmocka_unit_test(test_last_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
