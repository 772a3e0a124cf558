/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/limits.h"
#include "imap/bodystructure.h"
#include "imap/parse.h"

static const struct row {
	const char *name, *message, *want; /* want: BODYSTRUCTURE */
} rows[] = {
	{ "no MIME", "Subject: x\n\none\ntwo\n",
	    "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 10 2 NIL NIL NIL NIL)" },
	{ "all fields of a leaf",
	    "Content-Type: image/PNG; name=\"a b\"\nContent-ID: <i@x>\nContent-Description: d\n"
	    "Content-Transfer-Encoding: BASE64\nContent-MD5: m==\nContent-Disposition: attachment; filename=f\n"
	    "Content-Language: de, en\nContent-Location: l\n\nAAAA\n",
	    "(\"image\" \"png\" (\"name\" \"a b\") \"<i@x>\" \"d\" \"base64\" 6 \"m==\" (\"attachment\" (\"filename\" "
	    "\"f\")) (\"de\" \"en\") \"l\")" },
	{ "multipart",
	    "Content-Type: multipart/alternative; boundary=b\n\n--b\n\na\n--b\nContent-Type: text/html\n\nbc\n--b--\n",
	    "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 1 0 NIL NIL NIL NIL)"
	    "(\"text\" \"html\" NIL NIL NIL \"7bit\" 2 0 NIL NIL NIL NIL) \"alternative\" (\"boundary\" \"b\") NIL NIL "
	    "NIL)" },
	{ "message inside", "Content-Type: message/rfc822\n\nSubject: in\n\nx\n",
	    "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 18 (NIL \"in\" NIL NIL NIL NIL NIL NIL NIL NIL) (\"text\" "
	    "\"plain\" "
	    "(\"charset\" \"us-ascii\") NIL NIL \"7bit\" 3 1 NIL NIL NIL NIL) 3 NIL NIL NIL NIL)" },
	{ "multipart without parts", "Content-Type: multipart/mixed; boundary=b\n\nnothing\n",
	    "((\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0) \"mixed\" (\"boundary\" \"b\") NIL NIL NIL)" },
	{ "RFC 2231 stays so",
	    "Content-Type: application/x\nContent-Disposition: attachment; filename*0*=iso-8859-1''%E4; "
	    "filename*1=b\n\n",
	    "(\"application\" \"x\" NIL NIL NIL \"7bit\" 0 NIL (\"attachment\" (\"filename*\" \"utf-8''%C3%A4b\")) NIL "
	    "NIL)" },
};

static void test_structures(void **state)
{
	(void)state;
	struct arena *a = arena_new();
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf b;
		buf_init(&b, 10000);
		imap_bodystructure(a, mime_parse(a, span_str(rows[i].message)), true, &b);
		if (!span_eqs(buf_span(&b), rows[i].want))
			fail_msg("%s: %s", rows[i].name, b.p);
		buf_free(&b);
	}
	arena_free(a);
}

/* Deep nesting costs no stack, and the parentheses come out even. */
static void test_deep(void **state)
{
	(void)state;
	struct arena *a = arena_new();
	struct buf msg, b;
	buf_init(&msg, 1 << 20);
	buf_init(&b, 1 << 24);
	for (size_t i = 0; i < 10000; i++)
		buf_adds(&msg, "Content-Type: message/rfc822\n\n");
	imap_bodystructure(a, mime_parse(a, buf_span(&msg)), false, &b);
	assert_false(b.bad);
	long depth = 0;
	for (size_t i = 0; i < b.len; i++) {
		depth += b.p[i] == '(' ? 1 : b.p[i] == ')' ? -1 : 0;
		assert_true(depth > 0 || i == b.len - 1);
	}
	assert_int_equal(depth, 0);
	buf_free(&msg);
	buf_free(&b);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_structures), cmocka_unit_test(test_deep) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
