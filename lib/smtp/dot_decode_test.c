/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "smtp/dot_decode.h"

#define EOLS (DOT_BARE_CR | DOT_BARE_LF)
#define S(lit)                                                                                                         \
	{                                                                                                              \
		lit, sizeof(lit) - 1                                                                                   \
	}

struct row {
	const char *name;
	enum dot_mode mode;
	struct span in, out;
	bool ended;
	unsigned bad;
	size_t rest; /* bytes after the end */
};

static const struct row rows[] = {
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
	{ "raw without a last line end", DOT_RAW, S("a\r\nb"), S("a\r\nb\r\n"), false, 0, 0 },
	{ "raw, nothing", DOT_RAW, S(""), S(""), false, 0, 0 },
	{ "raw bare LF", DOT_RAW, S("a\nb\r\n"), S("a\nb\r\n"), false, DOT_BARE_LF, 0 },
	{ "raw CR at the end", DOT_RAW, S("a\r"), S("a\r"), false, DOT_BARE_CR, 0 },
};

static const struct {
	unsigned mend;
	struct row row;
} mended[] = {
	{ DOT_BARE_LF, { "mended LF . LF", DOT_DATA, S("a\n.\nb\r\n.\r\n"), S("a\r\n.\r\nb\r\n"), true, 0, 0 } },
	{ EOLS, { "mended LF . CRLF", DOT_DATA, S("a\n.\r\nb\r\n.\r\n"), S("a\r\n.\r\nb\r\n"), true, 0, 0 } },
	{ EOLS, { "mended CR . CR", DOT_DATA, S("a\r.\rb\r\n.\r\n"), S("a\r\n.\r\nb\r\n"), true, 0, 0 } },
	{ EOLS, { "mended CRLF . CR", DOT_DATA, S("a\r\n.\rb\r\n.\r\n"), S("a\r\n\r\nb\r\n"), true, 0, 0 } },
	{ EOLS,
	    { "mended CRLF . CR CRLF", DOT_DATA, S("a\r\n.\r\r\nb\r\n.\r\n"), S("a\r\n\r\n\r\nb\r\n"), true, 0, 0 } },
	{ EOLS, { "mended CR CR", DOT_DATA, S("a\r\rb\r\n.\r\n"), S("a\r\n\r\nb\r\n"), true, 0, 0 } },
	{ DOT_NUL, { "mended NUL", DOT_DATA, S("a\0b\r\n\0.\r\n.\0\r\n.\r\n"), S("ab\r\n.\r\n\r\n"), true, 0, 0 } },
	{ DOT_NUL, { "CR NUL LF, the NUL mended", DOT_DATA, S("a\r\0\nb\r\n.\r\n"), S("a\r\nb\r\n"), true,
		       DOT_BARE_CR | DOT_BARE_LF, 0 } },
	{ EOLS | DOT_NUL,
	    { "CR NUL LF, all mended", DOT_DATA, S("a\r\0\nb\r\n.\r\n"), S("a\r\n\r\nb\r\n"), true, 0, 0 } },
	{ EOLS, { "mended CR, not the NUL", DOT_DATA, S("a\r\0b\r\n.\r\n"), S("a\r\n\0b\r\n"), true, DOT_NUL, 0 } },
	{ EOLS, { "raw mended", DOT_RAW, S("a\nb\rc\n"), S("a\r\nb\r\nc\r\n"), false, 0, 0 } },
	{ EOLS, { "raw mended, CR at the end", DOT_RAW, S("a\r"), S("a\r\n"), false, 0, 0 } },
	{ EOLS, { "raw mended, no line end at the end", DOT_RAW, S("a\nb"), S("a\r\nb\r\n"), false, 0, 0 } },
};

static void add(void *arg, struct span piece)
{
	assert_true(piece.n > 0);
	buf_addspan(arg, piece);
}

/* Decodes in pieces of `step` bytes. */
static void check(const struct row *row, unsigned mend, size_t step)
{
	struct dot_decoder d;
	struct buf out;
	size_t used = 0;
	dot_init(&d, row->mode);
	d.mend = mend;
	buf_init(&out, 1000);
	while (used < row->in.n && !d.ended)
		used += dot_decode(&d, span_slice(row->in, used, used + step), add, &out);
	if (row->mode == DOT_RAW)
		dot_finish(&d, add, &out);
	if (!span_eq(buf_span(&out), row->out) || d.ended != row->ended || d.bad != row->bad ||
	    row->in.n - used != row->rest)
		fail_msg("%s, step %zu: '%s' bad %u ended %d rest %zu", row->name, step, out.p, d.bad, d.ended,
		    row->in.n - used);
	buf_free(&out);
}

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		for (size_t step = 1; step <= 40; step++)
			check(&rows[i], 0, step);
	for (size_t i = 0; i < sizeof mended / sizeof *mended; i++)
		for (size_t step = 1; step <= 40; step++)
			check(&mended[i].row, mended[i].mend, step);
}

static void check_end(struct span seq, unsigned mend)
{
	struct dot_decoder d;
	struct buf in, out;
	buf_init(&in, 100);
	buf_init(&out, 100);
	buf_adds(&in, "one");
	buf_addspan(&in, seq);
	buf_adds(&in, "two\r\n.\r\n");
	dot_init(&d, DOT_DATA);
	d.mend = mend;
	size_t used = dot_decode(&d, buf_span(&in), add, &out),
	       end = (size_t)span_find(buf_span(&in), SPAN("\r\n.\r\n"));
	assert_true(d.ended);
	assert_int_equal(used, end + 5);
	/* What is good, or was mended, holds no odd byte any more. */
	for (size_t i = 0; i < out.len && !d.bad; i++) {
		bool crlf = out.p[i] == '\r' ? out.p[i + 1] == '\n' : out.p[i] != '\n' || (i && out.p[i - 1] == '\r');
		assert_true(crlf && (out.p[i] || !i));
	}
	assert_true(d.bad || (span_starts(buf_span(&out), "one") && span_ends(buf_span(&out), "\r\n")));
	buf_free(&in);
	buf_free(&out);
}

/* Every sequence of up to seven of the bytes that matter: CRLF "." CRLF ends the content, and nothing else does. */
static void test_every_end(void **state)
{
	static const char bytes[] = { '\r', '\n', '.', '\0', 'x' };
	(void)state;
	for (size_t n = 1; n <= 7; n++) {
		size_t all = 1;
		for (size_t i = 0; i < n; i++)
			all *= sizeof bytes;
		for (size_t k = 0; k < all; k++) {
			char seq[7];
			for (size_t i = 0, rest = k; i < n; i++, rest /= sizeof bytes)
				seq[i] = bytes[rest % sizeof bytes];
			check_end(span_of(seq, n), 0);
			check_end(span_of(seq, n), EOLS | DOT_NUL);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows), cmocka_unit_test(test_every_end) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
