/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "mta-relay/hooks/milter_packet.h"

static void test_build(void **state)
{
	struct buf b;
	(void)state;
	buf_init(&b, 1000);
	size_t at = milter_begin(&b, MILTER_ABORT);
	milter_end(&b, at);
	at = milter_begin(&b, MILTER_HEADER);
	milter_text(&b, SPAN("Na\0me"));
	milter_text(&b, SPAN(""));
	milter_number(&b, 0x01020304);
	milter_end(&b, at);
	assert_true(span_eq(buf_span(&b), SPAN("\0\0\0\1A\0\0\0\13LName\0\0\1\2\3\4")));
	buf_free(&b);
}

static void test_head(void **state)
{
	char what;
	size_t n;
	(void)state;
	assert_true(milter_head("\0\0\0\1c", &what, &n));
	assert_int_equal(what, 'c');
	assert_int_equal(n, 0);
	assert_true(milter_head("\0\1\0\0b", &what, &n));
	assert_int_equal(n, 65535);
	assert_false(milter_head("\0\0\0\0c", &what, &n));
	assert_false(milter_head("\0\20\0\2c", &what, &n));
	assert_false(milter_head("\377\377\377\377c", &what, &n));
}

static void test_replies(void **state)
{
	static const struct {
		char what;
		struct span data;
		bool ok;
		uint32_t index;
		const char *a, *b;
	} rows[] = {
		{ 'c', { "", 0 }, true, 0, "", "" },
		{ 'c', { "x", 1 }, false, 0, "", "" },
		{ 'a', { "", 0 }, true, 0, "", "" },
		{ '+', { "<a@b>", 6 }, true, 0, "<a@b>", "" },
		{ '+', { "<a@b>", 5 }, false, 0, "", "" },
		{ '+', { "<a@b>\0", 7 }, false, 0, "", "" },
		{ '+', { "", 0 }, false, 0, "", "" },
		{ '2', { "<a@b>", 6 }, true, 0, "<a@b>", "" },
		{ '2', { "<a@b>\0NOTIFY=NEVER", 19 }, true, 0, "<a@b>", "NOTIFY=NEVER" },
		{ 'e', { "<>", 3 }, true, 0, "<>", "" },
		{ 'h', { "X\0y", 4 }, true, 0, "X", "y" },
		{ 'h', { "X", 2 }, false, 0, "", "" },
		{ 'i', { "\0\0\0\5X\0y", 8 }, true, 5, "X", "y" },
		{ 'm', { "\0\0\1\0X\0", 7 }, true, 256, "X", "" },
		{ 'm', { "\0\0\1", 3 }, false, 0, "", "" },
		{ 'b', { "a\0b", 3 }, true, 0, NULL, "" },
		{ 'q', { "why", 4 }, true, 0, "why", "" },
		{ 'y', { "550 no", 7 }, true, 0, "550 no", "" },
		{ 'O', { "", 0 }, false, 0, "", "" },
		{ 'z', { "", 0 }, false, 0, "", "" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct milter_reply r;
		assert_int_equal(milter_reply_parse(rows[i].what, rows[i].data, &r), rows[i].ok);
		if (!rows[i].ok)
			continue;
		assert_int_equal(r.index, rows[i].index);
		if (rows[i].a)
			assert_true(span_eqs(r.a, rows[i].a));
		else
			assert_true(span_eq(r.a, rows[i].data));
		assert_true(span_eqs(r.b, rows[i].b));
	}
}

static void test_wants(void **state)
{
	struct milter_wants w;
	(void)state;
	assert_true(milter_wants_parse(SPAN("\0\0\0\6\0\0\1\1\0\0\4\2"), &w));
	assert_int_equal(w.version, 6);
	assert_int_equal(w.actions, 0x101);
	assert_int_equal(w.steps, 0x402);
	assert_false(w.listed[MILTER_AT_MAIL]);
	assert_true(
	    milter_wants_parse(SPAN("\0\0\0\6\0\0\1\1\0\0\4\2\0\0\0\2i {auth_type}\0\0\0\0\0\0\0\0\0\7x\0"), &w));
	assert_true(w.listed[MILTER_AT_MAIL] && w.listed[MILTER_AT_CONNECT] && !w.listed[MILTER_AT_HELO]);
	assert_true(span_eqs(w.macros[MILTER_AT_MAIL], "i {auth_type}"));
	assert_int_equal(w.macros[MILTER_AT_CONNECT].n, 0);
	assert_false(milter_wants_parse(SPAN("\0\0\0\6\0\0\1\1\0\0\4"), &w));
	assert_false(milter_wants_parse(SPAN("\0\0\0\6\0\0\1\1\0\0\4\2\0\0\0\2i"), &w));
	assert_true(milter_macro_listed(SPAN("i {auth_type},{x}"), "{auth_type}"));
	assert_true(milter_macro_listed(SPAN("i {auth_type},{x}"), "i"));
	assert_true(milter_macro_listed(SPAN(" {i}"), "i"));
	assert_true(milter_macro_listed(SPAN("x"), "{x}"));
	assert_false(milter_macro_listed(SPAN("{auth_types} ii"), "{auth_type}"));
	assert_false(milter_macro_listed(SPAN(""), "i"));
}

static void test_codes(void **state)
{
	static const struct {
		const char *in;
		int code; /* 0: malformed */
		const char *enh, *text;
	} rows[] = {
		{ "550 5.7.1 go away", 550, "5.7.1", "go away" },
		{ "451 later 100%%", 451, "", "later 100%" },
		{ "550", 550, "", "" },
		{ "550-5.7.1 one\r\n550-5.7.1 two\r\n550 5.7.1 three", 550, "5.7.1", "one\ntwo\nthree" },
		{ "421 4.3.0 bye", 421, "4.3.0", "bye" },
		{ "550 4.7.1 other class", 550, "", "4.7.1 other class" },
		{ "550 5.7.1.2 x", 550, "", "5.7.1.2 x" },
		{ "550 5.7 x", 550, "", "5.7 x" },
		{ "250 2.0.0 ok", 0, "", "" },
		{ "550 a\r\n551 b", 0, "", "" },
		{ "55", 0, "", "" },
		{ "550x", 0, "", "" },
		{ "600 x", 0, "", "" },
		{ "", 0, "", "" },
	};
	struct buf text;
	(void)state;
	buf_init(&text, 400);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int code;
		char enh[12];
		assert_int_equal(milter_reply_code(span_str(rows[i].in), &code, enh, &text), rows[i].code != 0);
		if (!rows[i].code)
			continue;
		assert_int_equal(code, rows[i].code);
		assert_string_equal(enh, rows[i].enh);
		assert_string_equal(text.p, rows[i].text);
	}
	buf_free(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_build), cmocka_unit_test(test_head),
		cmocka_unit_test(test_replies), cmocka_unit_test(test_wants), cmocka_unit_test(test_codes) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
