/* SPDX-License-Identifier: ISC
 *
 * Line ends, dots and bare CRs, with each input cut at every place.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "smtp/dot_encode.h"

static const struct {
	struct span in;
	const char *want;
} cases[] = {
	{ SPAN(""), ".\r\n" },
	{ SPAN("a"), "a\r\n.\r\n" },
	{ SPAN("a\n"), "a\r\n.\r\n" },
	{ SPAN("a\r\nb\r\n"), "a\r\nb\r\n.\r\n" },
	{ SPAN("a\nb\r\nc"), "a\r\nb\r\nc\r\n.\r\n" },
	{ SPAN("\n\n"), "\r\n\r\n.\r\n" },
	{ SPAN("."), "..\r\n.\r\n" },
	{ SPAN(".\n"), "..\r\n.\r\n" },
	{ SPAN("..\r\n.x\r\nx.\r\n"), "...\r\n..x\r\nx.\r\n.\r\n" },
	{ SPAN("a\n.\nb"), "a\r\n..\r\nb\r\n.\r\n" },
	{ SPAN("a\r.\r\nb"), "a .\r\nb\r\n.\r\n" },
	{ SPAN("a\r\r\n.\r\n"), "a \r\n..\r\n.\r\n" },
	{ SPAN("a\r"), "a\r\n.\r\n" },
	{ SPAN("\r"), "\r\n.\r\n" },
	{ SPAN("\r.\r\n"), " .\r\n.\r\n" },
	{ SPAN("\r\r\r\n"), "  \r\n.\r\n" },
	{ SPAN("x\n\r.\r\n"), "x\r\n .\r\n.\r\n" },
	{ SPAN("a\r\n\r.\n\r\n"), "a\r\n .\r\n\r\n.\r\n" },
};

static void encode(struct span a, struct span b, const char *want)
{
	struct stream *s = stream_from_mem(SPAN(""), 0);
	struct dot_encoder e = { 0 };
	assert_int_equal(dot_encode(&e, a, s), 0);
	assert_int_equal(dot_encode(&e, b, s), 0);
	assert_int_equal(dot_encode_end(&e, s), 0);
	struct span out = stream_mem_output(s);
	assert_int_equal(out.n, strlen(want));
	assert_memory_equal(out.p, want, out.n);
	stream_close(s);
}

static void table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (size_t cut = 0; cut <= cases[i].in.n; cut++)
			encode(span_slice(cases[i].in, 0, cut), span_from(cases[i].in, cut), cases[i].want);
}

static void nothing_ends_it_early(void **state)
{
	(void)state;
	/* Every string of six bytes over the alphabet that matters: the end mark stands at the end only. */
	static const char alphabet[] = { '\r', '\n', '.', 'x' };
	for (unsigned n = 0; n < 4096; n++) {
		char text[6];
		for (unsigned i = 0; i < 6; i++)
			text[i] = alphabet[n >> (2 * i) & 3];
		struct stream *s = stream_from_mem(SPAN(""), 0);
		struct dot_encoder e = { 0 };
		dot_encode(&e, span_of(text, 3), s);
		dot_encode(&e, span_of(text + 3, 3), s);
		dot_encode_end(&e, s);
		struct span out = stream_mem_output(s), body = span_slice(out, 0, out.n - 3);
		assert_true(span_ends(out, "\r\n.\r\n"));
		assert_false(span_starts(body, ".\r\n"));
		assert_int_equal(span_find(body, SPAN("\r\n.\r\n")), -1);
		for (size_t i = 0; i < out.n; i++) {
			assert_true(out.p[i] != '\r' || (i + 1 < out.n && out.p[i + 1] == '\n'));
			assert_true(out.p[i] != '\n' || (i > 0 && out.p[i - 1] == '\r'));
		}
		stream_close(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),
		cmocka_unit_test(nothing_ends_it_early),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
