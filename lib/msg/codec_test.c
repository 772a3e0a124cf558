/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "msg/codec.h"

static const struct {
	enum codec codec;
	const char *name, *in, *want;
} decoded[] = {
	{ CODEC_IDENTITY, "identity", "a=3D\r\n", "a=3D\r\n" },
	{ CODEC_UNKNOWN, "unknown", "a=3D\r\n", "a=3D\r\n" },
	{ CODEC_BASE64, "plain", "SGVsbG8sIHdvcmxkIQ==", "Hello, world!" },
	{ CODEC_BASE64, "lines", "SGVs\r\nbG8s\n IHdv cmxk\tIQ==\r\n", "Hello, world!" },
	{ CODEC_BASE64, "junk", "S*G-V_s{bG}8s!IHdvcmxkIQ", "Hello, world!" },
	{ CODEC_BASE64, "no padding", "SGVsbG8", "Hello" },
	{ CODEC_BASE64, "one character left", "SGVsbG8sI", "Hello," },
	{ CODEC_BASE64, "pieces", "SGk=SGk=", "HiHi" },
	{ CODEC_BASE64, "too much padding", "SGk=====", "Hi" },
	{ CODEC_QP, "escape", "a=3Db=3dc", "a=b=c" },
	{ CODEC_QP, "soft break", "a=\r\nb= \t\r\nc=\nd", "abcd" },
	{ CODEC_QP, "blanks at a line's end", "a  \t\r\nb \nc  ", "a\r\nb\nc" },
	{ CODEC_QP, "blanks inside", "a  b\tc", "a  b\tc" },
	{ CODEC_QP, "no escape", "a=ZZ=4=\r\n=", "a=ZZ=4" },
	{ CODEC_QP, "cut escape", "a=4", "a=4" },
	{ CODEC_QP, "= before text", "a= b", "a= b" },
	{ CODEC_QP, "bare CR", "a\rb=\rc", "a\rb=\rc" },
	{ CODEC_QP, "escape twice", "==3D", "==" },
	{ CODEC_UUENCODE, "file", "text\nbegin 644 x\n#0V%T\n`\nend\nrest\n", "Cat" },
	{ CODEC_UUENCODE, "two lines", "begin 644 x\r\n#0V%T\r\n\"2&D`\r\n`\r\nend\r\n", "CatHi" },
	{ CODEC_UUENCODE, "cut", "begin 644 x\n#0V", "C" },
	{ CODEC_UUENCODE, "none", "no begin here\n", "" },
};

static void feed_in_steps(enum codec codec, struct span in, size_t step, struct buf *out)
{
	struct decoder d;
	decoder_init(&d, codec);
	for (size_t i = 0; i < in.n; i += step)
		decoder_feed(&d, span_slice(in, i, i + step), out);
	decoder_end(&d, out);
}

static void decoding(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof decoded / sizeof *decoded; i++)
		for (size_t step = 1; step < 100; step += 33) {
			struct buf out;
			buf_init(&out, 1000);
			feed_in_steps(decoded[i].codec, span_str(decoded[i].in), step, &out);
			if (!span_eqs(buf_span(&out), decoded[i].want))
				fail_msg("%s, step %zu: \"%s\"", decoded[i].name, step, out.p);
			buf_free(&out);
		}
}

static void names(void **state)
{
	(void)state;
	assert_int_equal(codec_of(SPAN("")), CODEC_IDENTITY);
	assert_int_equal(codec_of(SPAN(" 8BIT")), CODEC_IDENTITY);
	assert_int_equal(codec_of(SPAN("Base64 (comment)")), CODEC_BASE64);
	assert_int_equal(codec_of(SPAN("quoted-printable;")), CODEC_QP);
	assert_int_equal(codec_of(SPAN("x-uuencode")), CODEC_UUENCODE);
	assert_int_equal(codec_of(SPAN("base65")), CODEC_UNKNOWN);
}

static void strict_base64(void **state)
{
	static const struct {
		const char *in, *want; /* NULL: refused */
	} cases[] = {
		{ "", "" },
		{ "SGk=", "Hi" },
		{ "SGVs", "Hel" },
		{ "SA==", "H" },
		{ "SB==", NULL },
		{ "SGl=", NULL },
		{ "SGk", NULL },
		{ "SGk= ", NULL },
		{ "=SGk", NULL },
		{ "====", NULL },
		{ "S===", NULL },
		{ "SG=k", NULL },
		{ "SG\nk", NULL },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf out;
		buf_init(&out, 100);
		bool ok = base64_decode_strict(span_str(cases[i].in), &out);
		assert_int_equal(ok, cases[i].want != NULL);
		if (ok)
			assert_string_equal(out.p, cases[i].want);
		buf_free(&out);
	}
}

/* Bytes that no generator of text would make: each value, in changing order. */
static void noise(struct buf *b, size_t n)
{
	uint32_t x = 12345;
	for (size_t i = 0; i < n; i++) {
		x = x * 1664525u + 1013904223u;
		buf_addc(b, (char)(x >> 24));
	}
}

static void longest_line_is_76(struct span s, const char *eol)
{
	while (s.n) {
		struct span line = span_cut(&s, '\n');
		if (eol[0] == '\r' && line.n)
			line.n--;
		assert_true(line.n <= 76);
	}
}

static void round_trips(void **state)
{
	(void)state;
	for (size_t n = 0; n < 600; n += 7) {
		struct buf in, out, back;
		buf_init(&in, 1000);
		buf_init(&out, 10000);
		buf_init(&back, 1000);
		noise(&in, n);
		base64_encode(buf_span(&in), "\r\n", &out);
		longest_line_is_76(buf_span(&out), "\r\n");
		codec_decode(CODEC_BASE64, buf_span(&out), &back);
		assert_true(span_eq(buf_span(&in), buf_span(&back)));
		buf_reset(&out);
		buf_reset(&back);
		base64_encode(buf_span(&in), NULL, &out);
		assert_true(base64_decode_strict(buf_span(&out), &back));
		assert_true(span_eq(buf_span(&in), buf_span(&back)));
		buf_reset(&out);
		buf_reset(&back);
		qp_encode(buf_span(&in), true, "\r\n", &out);
		longest_line_is_76(buf_span(&out), "\r\n");
		codec_decode(CODEC_QP, buf_span(&out), &back);
		assert_true(span_eq(buf_span(&in), buf_span(&back)));
		buf_free(&in);
		buf_free(&out);
		buf_free(&back);
	}
}

static void quoted_printable(void **state)
{
	static const char *const cases[][2] = {
		{ "a\nb\r\nc", "a\r\nb\r\nc" },
		{ "a \nb\t", "a=20\r\nb=09" },
		{ "=\x7f\xc3\xa4", "=3D=7F=C3=A4" },
		{ "From x\n.\n.x\nAFrom ", "=46rom x\r\n=2E\r\n=2Ex\r\nAFrom=20" },
		{ "a\rb", "a=0Db" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf out;
		buf_init(&out, 100);
		qp_encode(span_str(cases[i][0]), false, "\r\n", &out);
		assert_string_equal(out.p, cases[i][1]);
		buf_free(&out);
	}
}

/* A megabyte of what could be held back or grow: bounded by the number of bytes in. */
static void adversarial(void **state)
{
	static const struct {
		enum codec codec;
		const char *unit;
	} cases[] = { { CODEC_QP, " " }, { CODEC_QP, "=" }, { CODEC_QP, "= " }, { CODEC_QP, "=\r" },
		{ CODEC_BASE64, "=" }, { CODEC_BASE64, "A=" }, { CODEC_UUENCODE, "begin " },
		{ CODEC_UUENCODE, "begin x\n_\n" } };
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf in, out;
		buf_init(&in, 2000000);
		buf_init(&out, 2000000);
		while (in.len < 1000000)
			buf_adds(&in, cases[i].unit);
		codec_decode(cases[i].codec, buf_span(&in), &out);
		assert_false(out.bad);
		assert_true(out.len <= in.len);
		buf_free(&in);
		buf_free(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decoding),
		cmocka_unit_test(names),
		cmocka_unit_test(strict_base64),
		cmocka_unit_test(round_trips),
		cmocka_unit_test(quoted_printable),
		cmocka_unit_test(adversarial),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
