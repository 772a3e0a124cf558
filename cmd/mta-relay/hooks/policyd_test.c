/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "mta-relay/hooks/policyd.h"

static void test_actions(void **state)
{
	static const struct {
		const char *in;
		bool ok;
		enum policyd_verb verb;
		int code;
		const char *enh, *text;
	} rows[] = {
		{ "", true, POLICYD_DUNNO, 0, "", "" },
		{ " dunno", true, POLICYD_DUNNO, 0, "", "" },
		{ "OK", true, POLICYD_OK, 0, "", "" },
		{ "permit text", true, POLICYD_OK, 0, "", "text" },
		{ "12345678", true, POLICYD_OK, 0, "", "" },
		{ "250 fine", true, POLICYD_OK, 0, "", "" },
		{ "REJECT", true, POLICYD_REFUSE, 554, "5.7.1", "Access denied" },
		{ "reject  no  way ", true, POLICYD_REFUSE, 554, "5.7.1", "no  way" },
		{ "REJECT 5.1.1 unknown", true, POLICYD_REFUSE, 554, "5.1.1", "unknown" },
		{ "REJECT 4.1.1 unknown", true, POLICYD_REFUSE, 554, "5.7.1", "4.1.1 unknown" },
		{ "550 5.1.1 unknown", true, POLICYD_REFUSE, 550, "5.1.1", "unknown" },
		{ "450", true, POLICYD_REFUSE, 450, "4.7.1", "Access denied" },
		{ "421 4.3.0 bye", true, POLICYD_REFUSE, 421, "4.3.0", "bye" },
		{ "DEFER later", true, POLICYD_REFUSE, 450, "4.7.1", "later" },
		{ "defer_if_permit 4.2.0 Greylisted", true, POLICYD_DEFER_IF_PERMIT, 450, "4.2.0", "Greylisted" },
		{ "DEFER_IF_REJECT", true, POLICYD_DEFER_IF_REJECT, 450, "4.7.1", "Access denied" },
		{ "HOLD", true, POLICYD_HOLD, 0, "", "" },
		{ "DISCARD why", true, POLICYD_DISCARD, 0, "", "why" },
		{ "REDIRECT a@b", true, POLICYD_REDIRECT, 0, "", "a@b" },
		{ "REDIRECT", false, 0, 0, "", "" },
		{ "BCC a@b", true, POLICYD_BCC, 0, "", "a@b" },
		{ "PREPEND X-A: b c", true, POLICYD_PREPEND, 0, "", "X-A: b c" },
		{ "prepend", false, 0, 0, "", "" },
		{ "WARN", true, POLICYD_WARN, 0, "", "" },
		{ "INFO x", true, POLICYD_INFO, 0, "", "x" },
		{ "FILTER smtp:x", true, POLICYD_FILTER, 0, "", "smtp:x" },
		{ "FILTER", false, 0, 0, "", "" },
		{ "reject_unknown_client", false, 0, 0, "", "" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct policyd_action act;
		assert_int_equal(policyd_action_parse(span_str(rows[i].in), &act), rows[i].ok);
		if (!rows[i].ok)
			continue;
		assert_int_equal(act.verb, rows[i].verb);
		assert_int_equal(act.code, rows[i].code);
		assert_string_equal(act.enh, rows[i].enh);
		assert_true(span_eqs(act.text, rows[i].text));
	}
}

static void test_replies(void **state)
{
	static const struct {
		const char *in, *action; /* NULL: malformed */
	} rows[] = {
		{ "action=DUNNO\n", "DUNNO" },
		{ "action=\n", "" },
		{ "other=1\r\naction=450 a=b\r\n", "450 a=b" },
		{ "action=OK\naction=REJECT\n", "OK" },
		{ "", NULL },
		{ "other=1\n", NULL },
		{ "action\n", NULL },
		{ "=x\naction=OK\n", NULL },
		{ "220 hello\naction=OK\n", NULL },
		{ "Action=OK\n", NULL },
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct span action;
		assert_int_equal(policyd_reply_parse(span_str(rows[i].in), &action), rows[i].action != NULL);
		if (rows[i].action)
			assert_true(span_eqs(action, rows[i].action));
	}
}

static void test_attributes(void **state)
{
	struct buf b;
	(void)state;
	buf_init(&b, 1000);
	policyd_attribute(&b, "sender", SPAN("a\nb\r=c@d"));
	policyd_attribute(&b, "recipient", SPAN(""));
	assert_string_equal(b.p, "sender=a?b?=c@d\nrecipient=\n");
	buf_free(&b);
}

static void test_settings(void **state)
{
	struct err err = { 0 };
	struct policyd *p = policyd_new("unix:/run/x,stage=rcpt+end,timeout=2s,default=accept,clients=strangers", &err);
	(void)state;
	assert_non_null(p);
	const struct policyd_settings *o = policyd_settings(p);
	assert_int_equal(o->stages, POLICYD_RCPT | POLICYD_END);
	assert_int_equal(o->timeout, 2000);
	assert_int_equal(o->otherwise, POLICYD_OR_ACCEPT);
	assert_int_equal(o->clients, POLICYD_STRANGERS);
	assert_string_equal(policyd_name(p), "unix:/run/x");
	policyd_free(p);
	assert_null(policyd_new("unix:/run/x,stage=rcpt+vrfy", &err));
	assert_null(policyd_new("unix:/run/x,stage=", &err));
	assert_null(policyd_new("/run/x", &err));
	assert_int_equal(err.class, ERR_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_actions), cmocka_unit_test(test_replies),
		cmocka_unit_test(test_attributes), cmocka_unit_test(test_settings) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
