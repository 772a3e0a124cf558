/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "io/state/resp.h"

static const struct {
	const char *in;
	enum resp_type type;
	const char *text;
	int64_t n;
	const char *rest;
} rows[] = {
	{ "+OK\r\n+PONG\r\n", RESP_TEXT, "OK", 0, "+PONG\r\n" },
	{ "-NOAUTH Authentication required.\r\n", RESP_ERROR, "NOAUTH Authentication required.", 0, "" },
	{ ":42\r\n", RESP_INT, "42", 42, "" },
	{ ":-2\r\n", RESP_INT, "-2", -2, "" },
	{ "$5\r\nhel\r\n\r\n", RESP_BULK, "hel\r\n", 5, "" },
	{ "$0\r\n\r\n", RESP_BULK, "", 0, "" },
	{ "$-1\r\n:1\r\n", RESP_NIL, NULL, -1, ":1\r\n" },
	{ "*-1\r\n", RESP_NIL, NULL, -1, "" },
	{ "*2\r\n:1\r\n:2\r\n", RESP_ARRAY, NULL, 2, ":1\r\n:2\r\n" },
	{ "", RESP_MORE, NULL, 0, "" },
	{ "+OK\r", RESP_MORE, NULL, 0, "+OK\r" },
	{ "$5\r\nhell", RESP_MORE, NULL, 0, "$5\r\nhell" },
	{ "$5\r\nhelloo\r\n", RESP_BAD, NULL, 0, NULL },
	{ "$x\r\n", RESP_BAD, NULL, 0, NULL },
	{ "$-2\r\n", RESP_BAD, NULL, 0, NULL },
	{ "$99999999999\r\n", RESP_BAD, NULL, 0, NULL },
	{ "$99999999999999999999999\r\n", RESP_BAD, NULL, 0, NULL },
	{ ":\r\n", RESP_BAD, NULL, 0, NULL },
	{ "*70000\r\n", RESP_BAD, NULL, 0, NULL },
	{ "HTTP/1.1 400\r\n", RESP_BAD, NULL, 0, NULL },
};

static void test_values(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct resp r;
		struct span in = span_str(rows[i].in);
		assert_int_equal(resp_next(&in, &r), rows[i].type);
		if (rows[i].text)
			assert_true(span_eqs(r.text, rows[i].text));
		assert_int_equal(r.n, rows[i].n);
		if (rows[i].rest)
			assert_true(span_eqs(in, rows[i].rest));
	}
}

/* Each value comes out the same when the bytes come one by one. */
static void test_pieces(void **state)
{
	(void)state;
	struct span all = SPAN("+OK\r\n$3\r\nabc\r\n:7\r\n*1\r\n$-1\r\n-E\r\n");
	static const enum resp_type want[] = { RESP_TEXT, RESP_BULK, RESP_INT, RESP_ARRAY, RESP_NIL, RESP_ERROR };
	size_t from = 0, n = 0;
	for (size_t to = 0; to <= all.n; to++) {
		struct resp r;
		struct span in = span_slice(all, from, to);
		if (resp_next(&in, &r) == RESP_MORE)
			continue;
		assert_int_equal(r.type, want[n++]);
		assert_int_equal(in.n, 0);
		from = to;
	}
	assert_int_equal(n, 6);
}

static void test_line_limit(void **state)
{
	(void)state;
	char line[RESP_LINE_MAX + 10];
	memset(line, 'a', sizeof line);
	line[0] = '+';
	struct span in = span_of(line, RESP_LINE_MAX);
	struct resp r;
	assert_int_equal(resp_next(&in, &r), RESP_MORE);
	in = span_of(line, sizeof line);
	assert_int_equal(resp_next(&in, &r), RESP_BAD);
}

static void test_command(void **state)
{
	(void)state;
	struct buf b;
	struct span args[] = { SPAN("SET"), SPAN("a b"), SPAN("") };
	buf_init(&b, 200);
	resp_command(&b, args, 3);
	assert_string_equal(b.p, "*3\r\n$3\r\nSET\r\n$3\r\na b\r\n$0\r\n\r\n");
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_line_limit),
		cmocka_unit_test(test_command),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
