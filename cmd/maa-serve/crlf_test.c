/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "crlf.h"

static const struct row {
	const char *stored, *shown, *dots;
} rows[] = {
	{ "", "", "" },
	{ "a", "a", "a\r\n" },
	{ "a\n", "a\r\n", "a\r\n" },
	{ "\n", "\r\n", "\r\n" },
	{ "\n\n.\n", "\r\n\r\n.\r\n", "\r\n\r\n..\r\n" },
	{ ".", ".", "..\r\n" },
	{ "a\r\nb\n", "a\r\nb\r\n", "a\r\nb\r\n" },
	{ "a\r", "a\r", "a\r\r\n" },
	{ "a\rb\n.c\n", "a\rb\r\n.c\r\n", "a\rb\r\n..c\r\n" },
	{ "\r\n.\r\n", "\r\n.\r\n", "\r\n..\r\n" },
	{ "one\ntwo\n\nthree", "one\r\ntwo\r\n\r\nthree", "one\r\ntwo\r\n\r\nthree\r\n" },
};

static void test_whole(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct span s = span_str(rows[i].stored);
		struct crlf_at at = { 0, 0 };
		struct stream *o = stream_from_mem(SPAN(""), 0), *d = stream_from_mem(SPAN(""), 0);
		assert_int_equal(crlf_size(s), strlen(rows[i].shown));
		assert_int_equal(crlf_send(o, s, 0, UINT64_MAX, &at), 0);
		assert_true(span_eqs(stream_mem_output(o), rows[i].shown));
		assert_int_equal(crlf_send_dots(d, s), 0);
		assert_true(span_eqs(stream_mem_output(d), rows[i].dots));
		stream_close(o);
		stream_close(d);
	}
}

/* Every window, alone and continuing from where the last one ended. */
static void test_windows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct span s = span_str(rows[i].stored), want = span_str(rows[i].shown);
		for (size_t step = 1; step <= want.n; step++) {
			struct crlf_at on = { 0, 0 };
			struct stream *all = stream_from_mem(SPAN(""), 0);
			for (size_t from = 0; from < want.n; from += step) {
				struct crlf_at at = { 0, 0 };
				struct stream *o = stream_from_mem(SPAN(""), 0);
				crlf_send(o, s, from, step, &at);
				assert_true(span_eq(stream_mem_output(o), span_slice(want, from, from + step)));
				assert_true(at.shown <= from + step && at.stored <= s.n);
				crlf_send(all, s, from, step, &on);
				stream_close(o);
			}
			assert_true(span_eq(stream_mem_output(all), want));
			stream_close(all);
		}
	}
}

/* Lines longer than a block, and blocks that end inside "\r\n". */
static void test_long(void **state)
{
	(void)state;
	for (size_t len = 16380; len < 16390; len++) {
		struct buf in, want;
		buf_init(&in, 100000);
		buf_init(&want, 100000);
		for (int line = 0; line < 3; line++) {
			for (size_t i = 0; i < len; i++) {
				buf_addc(&in, 'x');
				buf_addc(&want, 'x');
			}
			buf_adds(&in, "\n.\n");
			buf_adds(&want, "\r\n..\r\n");
		}
		struct stream *d = stream_from_mem(SPAN(""), 0);
		crlf_send_dots(d, buf_span(&in));
		assert_true(span_eq(stream_mem_output(d), buf_span(&want)));
		stream_close(d);
		buf_free(&in);
		buf_free(&want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_whole), cmocka_unit_test(test_windows),
		cmocka_unit_test(test_long) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
