/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "imap/envelope.h"

static const struct row {
	const char *name, *header, *want;
} rows[] = {
	{ "nothing", "\n", "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)" },
	{ "sender and reply-to default to from", "From: A B <a@x>\n\n",
	    "(NIL NIL ((\"A B\" NIL \"a\" \"x\")) ((\"A B\" NIL \"a\" \"x\")) ((\"A B\" NIL \"a\" \"x\")) NIL NIL NIL "
	    "NIL "
	    "NIL)" },
	{ "empty ones too", "From: a@x\nSender:\nReply-To: r@y\n\n",
	    "(NIL NIL ((NIL NIL \"a\" \"x\")) ((NIL NIL \"a\" \"x\")) ((NIL NIL \"r\" \"y\")) NIL NIL NIL NIL NIL)" },
	{ "texts, folded, quoted",
	    "Date: Sat,\n 24 Mar 2007\nSubject: a \"b\" \\c\nIn-Reply-To: <1@x>\nMessage-ID: <2@x>\n\n",
	    "(\"Sat, 24 Mar 2007\" \"a \\\"b\\\" \\\\c\" NIL NIL NIL NIL NIL NIL \"<1@x>\" \"<2@x>\")" },
	{ "empty subject is no missing one", "Subject:\n\n", "(NIL \"\" NIL NIL NIL NIL NIL NIL NIL NIL)" },
	{ "8-bit is a literal", "Subject: \xc3\xa4\n\n", "(NIL {2}\r\n\xc3\xa4 NIL NIL NIL NIL NIL NIL NIL NIL)" },
	{ "group", "To: g: a@x, b@y;, c@z\n\n",
	    "(NIL NIL NIL NIL NIL ((NIL NIL \"g\" NIL)(NIL NIL \"a\" \"x\")(NIL NIL \"b\" \"y\")(NIL NIL NIL NIL)"
	    "(NIL NIL \"c\" \"z\")) NIL NIL NIL NIL)" },
	{ "empty group", "To: undisclosed-recipients:;\n\n",
	    "(NIL NIL NIL NIL NIL ((NIL NIL \"undisclosed-recipients\" NIL)(NIL NIL NIL NIL)) NIL NIL NIL NIL)" },
	{ "no domain is no group", "Cc: root\n\n", "(NIL NIL NIL NIL NIL NIL ((NIL NIL \"root\" \"\")) NIL NIL NIL)" },
	{ "first of two fields", "Subject: one\nSubject: two\n\n", "(NIL \"one\" NIL NIL NIL NIL NIL NIL NIL NIL)" },
	{ "CRLF", "Subject: one\r\n two\r\n\r\n", "(NIL \"one two\" NIL NIL NIL NIL NIL NIL NIL NIL)" },
};

static void test_envelope(void **state)
{
	(void)state;
	struct arena *a = arena_new();
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf b;
		buf_init(&b, 10000);
		imap_envelope(a, span_str(rows[i].header), &b);
		if (!span_eqs(buf_span(&b), rows[i].want))
			fail_msg("%s: %s", rows[i].name, b.p);
		buf_free(&b);
	}
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_envelope) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
