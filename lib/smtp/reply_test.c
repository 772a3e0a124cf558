/* SPDX-License-Identifier: ISC
 *
 * Replies as servers give them, and as hostile ones do.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/limits.h"
#include "smtp/reply.h"

static void table(void **state)
{
	(void)state;
	static const struct {
		struct span in;
		int code;
		const char *enh, *text;
		enum err_class class;
	} cases[] = {
		{ SPAN("250 ok\r\n"), 250, "", "ok", 0 },
		{ SPAN("250\r\n"), 250, "", "", 0 },
		{ SPAN("250 \r\n"), 250, "", "", 0 },
		{ SPAN("250-a\r\n250-b\r\n250 c\r\n"), 250, "", "a\nb\nc", 0 },
		{ SPAN("250-\r\n250\r\n"), 250, "", "\n", 0 },
		{ SPAN("550 5.1.1 no such user\r\n"), 550, "5.1.1", "5.1.1 no such user", 0 },
		{ SPAN("550 5.1.123\r\n"), 550, "5.1.123", "5.1.123", 0 },
		{ SPAN("550-5.7.1 a\r\n550 5.7.1 b\r\n"), 550, "5.7.1", "5.7.1 a\n5.7.1 b", 0 },
		{ SPAN("550 4.1.1 another class\r\n"), 550, "", "4.1.1 another class", 0 },
		{ SPAN("550 5.1.1234 x\r\n"), 550, "", "5.1.1234 x", 0 },
		{ SPAN("550 5.1234.1 x\r\n"), 550, "", "5.1234.1 x", 0 },
		{ SPAN("550 5.1.1x\r\n"), 550, "", "5.1.1x", 0 },
		{ SPAN("550 5.123\r\n"), 550, "", "5.123", 0 },
		{ SPAN("550 5..1 x\r\n"), 550, "", "5..1 x", 0 },
		{ SPAN("550 a\033[1mb\ac\td\r\n"), 550, "", "a?[1mb?c d", 0 },
		{ SPAN("550 a\rb\r\n"), 550, "", "a?b", 0 },
		{ SPAN("550 \xc3\xa4\r\n"), 550, "", "\xc3\xa4", 0 },
		{ SPAN("250 ok\r\r\n"), 250, "", "ok", 0 },
		{ SPAN("250-a\r\n550 b\r\n"), 0, "", NULL, ERR_PROTO },
		{ SPAN("150 x\r\n"), 0, "", NULL, ERR_PROTO },
		{ SPAN("650 x\r\n"), 0, "", NULL, ERR_PROTO },
		{ SPAN("25 x\r\n"), 0, "", NULL, ERR_PROTO },
		{ SPAN("2500 x\r\n"), 0, "", NULL, ERR_PROTO },
		{ SPAN("250+x\r\n"), 0, "", NULL, ERR_PROTO },
		{ SPAN("ok\r\n"), 0, "", NULL, ERR_PROTO },
		{ SPAN("\r\n"), 0, "", NULL, ERR_PROTO },
		{ SPAN(" 250 ok\r\n"), 0, "", NULL, ERR_PROTO },
		{ SPAN("250 a\0b\r\n"), 0, "", NULL, ERR_PROTO },
		{ SPAN(""), 0, "", NULL, ERR_TEMP },
		{ SPAN("250 ok"), 0, "", NULL, ERR_TEMP },
		{ SPAN("250-ok\r\n"), 0, "", NULL, ERR_TEMP },
		{ SPAN("250-ok\r\n250 o"), 0, "", NULL, ERR_TEMP },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		for (size_t chunk = 0; chunk < 2; chunk++) {
			struct stream *s = stream_from_mem(cases[i].in, chunk);
			struct smtp_reply r;
			struct err err = { 0 };
			smtp_reply_init(&r);
			assert_int_equal(smtp_reply_read(s, &r, false, &err), cases[i].text ? 0 : -1);
			assert_int_equal(r.code, cases[i].code);
			assert_int_equal(err.class, cases[i].class);
			if (cases[i].text) {
				assert_string_equal(r.text.p, cases[i].text);
				assert_string_equal(r.enh, cases[i].enh);
			}
			smtp_reply_free(&r);
			stream_close(s);
		}
	}
}

static void without_end(void **state)
{
	(void)state;
	struct buf in;
	struct smtp_reply r;
	struct err err = { 0 };
	buf_init(&in, 1 << 20);
	smtp_reply_init(&r);

	for (int i = 0; i < 10000; i++)
		buf_adds(&in, "250-more\r\n");
	struct stream *s = stream_from_mem(buf_span(&in), 0);
	assert_int_equal(smtp_reply_read(s, &r, false, &err), -1);
	assert_int_equal(err.class, ERR_LIMIT);
	assert_int_equal(r.code, 0);
	assert_true(r.text.len < LIMIT_SMTP_REPLY_LINES * 10);
	stream_close(s);

	buf_reset(&in);
	buf_adds(&in, "250 ");
	for (int i = 0; i < 500000; i++)
		buf_addc(&in, 'x');
	buf_adds(&in, "\r\n");
	s = stream_from_mem(buf_span(&in), 0);
	assert_int_equal(smtp_reply_read(s, &r, false, &err), -1);
	assert_int_equal(err.class, ERR_LIMIT);
	stream_close(s);
	smtp_reply_free(&r);
	buf_free(&in);
}

static void as_error(void **state)
{
	(void)state;
	struct stream *s = stream_from_mem(SPAN("452-4.2.2 full\r\n452 4.2.2 try later\r\n550 no\r\n"), 0);
	struct smtp_reply r;
	struct err err = { 0 };
	char line[16];
	smtp_reply_init(&r);
	assert_int_equal(smtp_reply_read(s, &r, false, &err), 0);
	assert_int_equal(smtp_reply_err(&r, &err), -1);
	assert_int_equal(err.class, ERR_TEMP);
	assert_int_equal(err.code, 452);
	assert_string_equal(err.enh, "4.2.2");
	assert_string_equal(err.text, "452 4.2.2 full 4.2.2 try later");
	smtp_reply_line(&r, line, sizeof line);
	assert_string_equal(line, "452 4.2.2 full ");
	assert_int_equal(smtp_reply_read(s, &r, false, &err), 0);
	smtp_reply_err(&r, &err);
	assert_int_equal(err.class, ERR_PERM);
	smtp_reply_free(&r);
	stream_close(s);
}

static void test_about(void **state)
{
	(void)state;
	static const struct {
		const char *address, *text, *want;
	} cases[] = {
		{ "c@z", "relaying denied", "<c@z>: relaying denied" },
		{ "c@z", "<c@z>: relaying denied", "<c@z>: relaying denied" },
		{ "c@z", "5.1.1 <C@z>: no such user", "<c@z>: 5.1.1 no such user" },
		{ "b@y", "2.1.5 <b@y> Ok, id 7", "<b@y>: 2.1.5 Ok, id 7" },
		{ "b@y", "Nobody is called <b@y>", "<b@y>: Nobody is called <b@y>" },
		{ "b@y", "not <bb@y> but b@y", "<b@y>: not <bb@y> but b@y" },
		{ "b@y", "", "<b@y>: " },
		{ "", "sender <> accepted", "<>: sender <> accepted" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char got[100];
		smtp_about(span_str(cases[i].address), span_str(cases[i].text), got, sizeof got);
		assert_string_equal(got, cases[i].want);
	}
	char cut[12];
	smtp_about(SPAN("b@y"), SPAN("2.1.5 <b@y> Ok"), cut, sizeof cut);
	assert_string_equal(cut, "<b@y>: 2.1.");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),
		cmocka_unit_test(without_end),
		cmocka_unit_test(as_error),
		cmocka_unit_test(test_about),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
