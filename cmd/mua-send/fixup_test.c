/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "mua-send/fixup.h"

#define ADDED "From: Joe <joe@x>\nDate: Thu, 01 Jan 1970 01:00:00 +0100\nMessage-ID: <1@x>\n"
#define ADDED_CRLF "From: Joe <joe@x>\r\nDate: Thu, 01 Jan 1970 01:00:00 +0100\r\nMessage-ID: <1@x>\r\n"
#define FULL "from : a@b\nDATE: x\nMessage-Id: <2@x>\n"

static const struct {
	const char *name, *in, *head, *body;
} cases[] = {
	{ "complete", FULL "To: c@d\n\nbody\n", FULL "To: c@d\n\n", "body\n" },
	{ "nothing there", "Subject: x\n\nbody", ADDED "Subject: x\n\n", "body" },
	{ "CRLF", "Subject: x\r\n\r\nbody\r\n", ADDED_CRLF "Subject: x\r\n\r\n", "body\r\n" },
	{ "no Date", "From: a@b\nMessage-ID: <2@x>\n\n",
	    "Date: Thu, 01 Jan 1970 01:00:00 +0100\nFrom: a@b\nMessage-ID: <2@x>\n\n", "" },
	{ "Bcc", FULL "Bcc: a,\n b\n\tc\nTo: c@d\nBCC : x\nResent-Bcc: y\nBcc-2: z\n\nBcc: body\n",
	    FULL "To: c@d\nBcc-2: z\n\n", "Bcc: body\n" },
	{ "no header", "just text\n", ADDED "\n", "just text\n" },
	{ "no header, a colon later", "see this: x\n", ADDED "\n", "see this: x\n" },
	{ "empty header", "\nbody\n", ADDED "\n", "body\n" },
	{ "continuation first", " x\nA: b\n\n", ADDED "\n", " x\nA: b\n\n" },
	{ "8-bit name", "S\xc3\xbc\x62ject: x\n", ADDED "\n", "S\xc3\xbc\x62ject: x\n" },
	{ "nothing", "", ADDED "\n", "" },
	{ "header without end", FULL "To: c@d", FULL "To: c@d", "" },
	{ "a line that is no field", FULL "no field\nTo: c@d\n\nbody\n", FULL "no field\nTo: c@d\n\n", "body\n" },
};

static void test_fixup(void **state)
{
	(void)state;
	struct fixup c = { .from = "joe@x", .name = "Joe", .message_id = "<1@x>", .now = 0, .zone_min = 60 };
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf head;
		struct span body;
		buf_init(&head, 10000);
		fixup_message(&c, span_str(cases[i].in), &head, &body);
		if (!span_eqs(buf_span(&head), cases[i].head) || !span_eqs(body, cases[i].body))
			fail_msg("%s: '%s' '%.*s'", cases[i].name, head.p, SPAN_FMT(body));
		buf_free(&head);
	}
}

static void test_from_line(void **state)
{
	(void)state;
	assert_true(span_eqs(fixup_without_from_line(SPAN("From a b\nA: x\n")), "A: x\n"));
	assert_true(span_eqs(fixup_without_from_line(SPAN("From: a b\nA: x\n")), "From: a b\nA: x\n"));
	assert_true(span_eqs(fixup_without_from_line(SPAN("From a")), "From a"));
}

static void test_mailbox(void **state)
{
	(void)state;
	static const struct {
		const char *name, *want;
	} names[] = { { NULL, "joe@x" }, { "", "joe@x" }, { "Joe", "Joe <joe@x>" },
		{ "Joe \"X\" <y>", "\"Joe \\\"X\\\" <y>\" <joe@x>" }, { "J\xc3\xb6", "=?utf-8?b?SsO2?= <joe@x>" } };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct buf out;
		buf_init(&out, 1000);
		fixup_mailbox(names[i].name, "joe@x", &out);
		assert_string_equal(out.p, names[i].want);
		buf_free(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fixup),
		cmocka_unit_test(test_from_line),
		cmocka_unit_test(test_mailbox),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
