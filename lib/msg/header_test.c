/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/limits.h"
#include "msg/header.h"

/* Fields as "name=value|" with the body behind "#". */
static void describe(struct span msg, struct buf *out)
{
	struct header_field f;
	struct span rest = msg;
	while (header_next(&rest, &f)) {
		buf_addspan(out, f.name);
		buf_addc(out, '=');
		buf_addspan(out, f.value);
		buf_addc(out, '|');
	}
	buf_addc(out, '#');
	buf_addspan(out, rest);
}

static void fields(void **state)
{
	static const struct {
		const char *name, *in, *want;
	} cases[] = {
		{ "LF", "A: 1\nB: 2\n\nbody\n", "A= 1|B= 2|#body\n" },
		{ "CRLF", "A: 1\r\nB: 2\r\n\r\nbody", "A= 1|B= 2|#body" },
		{ "folded", "A: 1\r\n 2\r\n\t3\r\nB:x\r\n\r\n", "A= 1\r\n 2\r\n\t3|B=x|#" },
		{ "blank before colon (4.5)", "A \t: 1\n\n", "A= 1|#" },
		{ "no field", "A: 1\nnonsense\nB: 2\n\nx", "A= 1|=nonsense|B= 2|#x" },
		{ "mbox line", "From a@b Sun Nov 22 03:10:00 2026\nA: 1\n\n",
		    "=From a@b Sun Nov 22 03:10:00 2026|A= 1|#" },
		{ "no name", ": 1\n\n", "=: 1|#" },
		{ "8-bit name", "\xc3\xa4: 1\n\n", "=\xc3\xa4: 1|#" },
		{ "no blank line", "A: 1\nB: 2", "A= 1|B= 2|#" },
		{ "blank line first", "\nA: 1\n", "#A: 1\n" },
		{ "line of blanks continues", "A: 1\n \nB: 2\n\n", "A= 1\n |B= 2|#" },
		{ "continuation first", " x\nA: 1\n\n", "= x|A= 1|#" },
		{ "empty", "", "#" },
		{ "empty value", "A:\n\n", "A=|#" },
		{ "bare CR ends nothing", "A: 1\rB: 2\n\n", "A= 1\rB: 2|#" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf out;
		buf_init(&out, 4096);
		describe(span_str(cases[i].in), &out);
		if (!span_eqs(buf_span(&out), cases[i].want))
			fail_msg("%s: %s", cases[i].name, out.p);
		buf_free(&out);
	}
}

static void finding(void **state)
{
	struct span msg = SPAN("To: a\nto: b\nX: c\n\nTo: body\n"), body;
	struct header_field f;
	(void)state;
	assert_true(header_find(msg, "TO", &f));
	assert_true(span_eqs(f.value, " a"));
	assert_true(header_find_nth(msg, "To", 1, &f));
	assert_true(span_eqs(f.raw, "to: b\n"));
	assert_false(header_find_nth(msg, "To", 2, &f));
	assert_false(header_find(msg, "Cc", &f));
	assert_int_equal(header_count(msg, "To"), 2);
	assert_true(span_eqs(header_of(msg, &body), "To: a\nto: b\nX: c\n\n"));
	assert_true(span_eqs(body, "To: body\n"));
}

static void unfolding(void **state)
{
	static const char *const cases[][2] = {
		{ "  a b  ", "a b" },
		{ " a\r\n b\n\tc", "a b\tc" },
		{ " a\r\n", "a" },
		{ "a\rb", "a b" },
		{ "", "" },
		{ "\r\n x", "x" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf out;
		buf_init(&out, 100);
		header_unfold(span_str(cases[i][0]), &out);
		assert_string_equal(out.p, cases[i][1]);
		buf_free(&out);
	}
}

static void folding(void **state)
{
	struct buf out, back;
	(void)state;
	buf_init(&out, 10000);
	buf_init(&back, 10000);
	header_fold("Subject", SPAN("short one"), "\r\n", &out);
	assert_string_equal(out.p, "Subject: short one\r\n");
	buf_reset(&out);
	header_fold("To", SPAN("a\r\nBcc: evil"), "\n", &out);
	assert_string_equal(out.p, "To: a Bcc: evil\n");
	buf_reset(&out);
	header_fold("X", SPAN(""), "\n", &out);
	assert_string_equal(out.p, "X:\n");
	buf_reset(&out);
	struct buf words;
	buf_init(&words, 10000);
	for (int i = 0; i < 200; i++)
		buf_addf(&words, "%sword%d", i ? "  " : "", i);
	header_fold("References", buf_span(&words), "\n", &out);
	struct span rest = buf_span(&out);
	size_t lines = 0;
	for (; rest.n; lines++)
		assert_true(span_cut(&rest, '\n').n <= 78);
	assert_true(lines > 20);
	struct header_field f;
	rest = buf_span(&out);
	assert_true(header_next(&rest, &f));
	assert_int_equal(rest.n, 0);
	header_unfold(f.value, &back);
	assert_true(span_eq(buf_span(&back), buf_span(&words)));
	buf_free(&out);
	buf_free(&back);
	buf_free(&words);
}

/* Whatever stands there, the raw fields are the header. */
static void limits(void **state)
{
	struct buf msg;
	(void)state;
	buf_init(&msg, 8u << 20);
	for (int i = 0; i < LIMIT_HEADER_FIELDS + 5; i++)
		buf_adds(&msg, "A: b\n");
	struct span body, header = header_of(buf_span(&msg), &body);
	assert_int_equal(header.n, 5 * LIMIT_HEADER_FIELDS);
	assert_int_equal(body.n, 25);
	assert_int_equal(header_count(buf_span(&msg), "a"), LIMIT_HEADER_FIELDS);
	buf_reset(&msg);
	while (msg.len < 4000000)
		buf_addf(&msg, "A: %0*d\n", 100000, 1);
	header = header_of(buf_span(&msg), &body);
	assert_true(header.n >= LIMIT_HEADER_BYTES && header.n < LIMIT_HEADER_BYTES + 100010);
	buf_free(&msg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields),
		cmocka_unit_test(finding),
		cmocka_unit_test(unfolding),
		cmocka_unit_test(folding),
		cmocka_unit_test(limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
