/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "smtp/dot_decode.h"

#define S(lit)                                                                                                         \
	{                                                                                                              \
		lit, sizeof(lit) - 1                                                                                   \
	}

static const struct {
	const char *name;
	enum dot_mode mode;
	struct span in, out;
	bool ended;
	unsigned bad;
	size_t rest; /* bytes after the end */
} rows[] = {
	{ "plain", DOT_DATA, S("a\r\nb\r\n.\r\n"), S("a\r\nb\r\n"), true, 0, 0 },
	{ "empty", DOT_DATA, S(".\r\n"), S(""), true, 0, 0 },
	{ "what follows stays", DOT_DATA, S("a\r\n.\r\nQUIT\r\n"), S("a\r\n"), true, 0, 6 },
	{ "stuffed dot line", DOT_DATA, S("a\r\n..\r\n.\r\n"), S("a\r\n.\r\n"), true, 0, 0 },
	{ "stuffed first", DOT_DATA, S("..a\r\n.\r\n"), S(".a\r\n"), true, 0, 0 },
	{ "dot and text", DOT_DATA, S("a\r\n.x\r\n.\r\n"), S("a\r\nx\r\n"), true, 0, 0 },
	{ "dots inside", DOT_DATA, S("a.b.\r\n.\r\n"), S("a.b.\r\n"), true, 0, 0 },
	{ "LF . LF", DOT_DATA, S("a\n.\nb\r\n.\r\n"), S("a\n.\nb\r\n"), true, DOT_BARE_LF, 0 },
	{ "LF . CR", DOT_DATA, S("a\n.\rb\r\n.\r\n"), S("a\n.\rb\r\n"), true, DOT_BARE_LF | DOT_BARE_CR, 0 },
	{ "LF . CRLF", DOT_DATA, S("a\n.\r\nb\r\n.\r\n"), S("a\n.\r\nb\r\n"), true, DOT_BARE_LF, 0 },
	{ "CR . LF", DOT_DATA, S("a\r.\nb\r\n.\r\n"), S("a\r.\nb\r\n"), true, DOT_BARE_LF | DOT_BARE_CR, 0 },
	{ "CR . CR", DOT_DATA, S("a\r.\rb\r\n.\r\n"), S("a\r.\rb\r\n"), true, DOT_BARE_CR, 0 },
	{ "CR . CRLF", DOT_DATA, S("a\r.\r\nb\r\n.\r\n"), S("a\r.\r\nb\r\n"), true, DOT_BARE_CR, 0 },
	{ "CRLF . LF", DOT_DATA, S("a\r\n.\nb\r\n.\r\n"), S("a\r\n\nb\r\n"), true, DOT_BARE_LF, 0 },
	{ "CRLF . CR", DOT_DATA, S("a\r\n.\rb\r\n.\r\n"), S("a\r\n\rb\r\n"), true, DOT_BARE_CR, 0 },
	{ "CRLF NUL . CRLF", DOT_DATA, S("a\r\n\0.\r\nb\r\n.\r\n"), S("a\r\n\0.\r\nb\r\n"), true, DOT_NUL, 0 },
	{ "CRLF . NUL CRLF", DOT_DATA, S("a\r\n.\0\r\nb\r\n.\r\n"), S("a\r\n\0\r\nb\r\n"), true, DOT_NUL, 0 },
	{ "CRLF . CR CRLF", DOT_DATA, S("a\r\n.\r\r\nb\r\n.\r\n"), S("a\r\n\r\r\nb\r\n"), true, DOT_BARE_CR, 0 },
	{ "CR CRLF . CR CRLF", DOT_DATA, S("a\r\r\n.\r\r\n.\r\n"), S("a\r\r\n\r\r\n"), true, DOT_BARE_CR, 0 },
	{ "CRLF CR . CRLF", DOT_DATA, S("a\r\n\r.\r\n.\r\n"), S("a\r\n\r.\r\n"), true, DOT_BARE_CR, 0 },
	{ "blanks around the dot", DOT_DATA, S("a\r\n .\r\n. \r\n.\r\n"), S("a\r\n .\r\n \r\n"), true, 0, 0 },
	{ "unended", DOT_DATA, S("a\r\n."), S("a\r\n"), false, 0, 0 },
	{ "long run, high bytes", DOT_DATA, S("\xff\x80 0123456789 abcdefghijklmn\t opqrstuvw\nxyz\r\n.\r\n"),
	    S("\xff\x80 0123456789 abcdefghijklmn\t opqrstuvw\nxyz\r\n"), true, DOT_BARE_LF, 0 },
	{ "typed", DOT_LF, S("a\nb\n\n..\n.\nQUIT\n"), S("a\r\nb\r\n\r\n.\r\n"), true, 0, 5 },
	{ "typed, CRLF", DOT_LF, S("a\r\n.\r\n"), S("a\r\n"), true, 0, 0 },
	{ "typed, bare CR", DOT_LF, S("a\rb\n.\n"), S("a\rb\r\n"), true, DOT_BARE_CR, 0 },
	{ "raw keeps dots", DOT_RAW, S(".\r\n..\r\n"), S(".\r\n..\r\n"), false, 0, 0 },
	{ "raw bare LF", DOT_RAW, S("a\nb\r\n"), S("a\nb\r\n"), false, DOT_BARE_LF, 0 },
	{ "raw CR at the end", DOT_RAW, S("a\r"), S("a\r"), false, DOT_BARE_CR, 0 },
};

static void add(void *arg, struct span piece)
{
	assert_true(piece.n > 0);
	buf_addspan(arg, piece);
}

/* Decodes in pieces of `step` bytes. */
static void check(size_t row, size_t step)
{
	struct dot_decoder d;
	struct buf out;
	size_t used = 0;
	dot_init(&d, rows[row].mode);
	buf_init(&out, 1000);
	while (used < rows[row].in.n && !d.ended)
		used += dot_decode(&d, span_slice(rows[row].in, used, used + step), add, &out);
	if (rows[row].mode == DOT_RAW)
		dot_finish(&d);
	if (!span_eq(buf_span(&out), rows[row].out) || d.ended != rows[row].ended || d.bad != rows[row].bad ||
	    rows[row].in.n - used != rows[row].rest)
		fail_msg("%s, step %zu: '%s' bad %u ended %d rest %zu", rows[row].name, step, out.p, d.bad, d.ended,
		    rows[row].in.n - used);
	buf_free(&out);
}

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		for (size_t step = 1; step <= 40; step++)
			check(i, step);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
