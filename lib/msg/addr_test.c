/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <time.h>

#include "base/limits.h"
#include "msg/addr.h"

/* "name|address|group" for each row, then the number of skipped pieces. */
static void describe(const struct addr_list *l, struct buf *out)
{
	for (size_t i = 0; i < l->n; i++) {
		buf_addspan(out, l->v[i].name);
		buf_addc(out, '|');
		addr_format(&l->v[i], out);
		buf_addc(out, '|');
		buf_addspan(out, l->v[i].group);
		buf_addc(out, '\n');
	}
	buf_addf(out, "%zu", l->skipped);
}

static const struct {
	const char *in, *want;
} lists[] = {
	{ "", "0" },
	{ " , ,", "0" },
	{ "a@b", "|a@b|\n0" },
	{ "Joe Q. Public <john.q.public@example.com>", "Joe Q. Public|john.q.public@example.com|\n0" },
	{ "<boss@nil.test>, \"Giant; \\\"Big\\\" Box\" <sysservices@example.net>",
	    "|boss@nil.test|\nGiant; \"Big\" Box|sysservices@example.net|\n0" },
	{ "A Group:Ed Jones <joe@where.test>,John <jdoe@one.test>;",
	    "Ed Jones|joe@where.test|A Group\nJohn|jdoe@one.test|A Group\n0" },
	{ "Undisclosed recipients:;", "|\"\"|Undisclosed recipients\n0" },
	{ "G: a@b, c@d; e@f", "|a@b|G\n|c@d|G\n|e@f|\n0" },
	/* RFC 5322 A.5, A.6.1, A.6.3 */
	{ "Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", "Pete|pete@silly.test|\n0" },
	{ "A Group(Some people)\r\n     :Chris Jones <c@(Chris's host.)public.example>,\r\n  joe@example.org;",
	    "Chris Jones|c@public.example|A Group\n|joe@example.org|A Group\n0" },
	{ "(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;", "|\"\"|Hidden recipients\n0" },
	{ "Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example",
	    "Mary Smith|mary@example.net|\n|jdoe@test.example|\n0" },
	{ "John Doe <jdoe@machine(comment).  example>", "John Doe|jdoe@machine.example|\n0" },
	{ "<@a,@b,@c:d@e>", "|d@e|\n0" },
	{ "a@b (Old Style)", "Old Style|a@b|\n0" },
	{ "root", "|root|\n0" },
	{ "root, \"we ird\"@x", "|root|\n|\"we ird\"@x|\n0" },
	{ "joe@example.com <joe@example.com>", "joe@example.com|joe@example.com|\n0" },
	{ "=?utf-8?q?J=C3=B6?= <j@x>", "=?utf-8?q?J=C3=B6?=|j@x|\n0" },
	{ "J\xc3\xb6rg <j\xc3\xb6rg@ex\xc3\xa4mple.de>", "J\xc3\xb6rg|j\xc3\xb6rg@ex\xc3\xa4mple.de|\n0" },
	{ "a@[192.0.2.1], b@[IPv6:2001:db8::1]", "|a@[192.0.2.1]|\n|b@[IPv6:2001:db8::1]|\n0" },
	{ "[Bug 1] x <a@b>", "[Bug 1] x|a@b|\n0" },
	{ "a;b@c", "|a|\n|b@c|\n0" },
	{ ".a..b.@c", "|\".a..b.\"@c|\n0" },
	/* what is no address */
	{ "a b c", "1" },
	{ "a b@c", "1" },
	{ "a@b c@d", "1" },
	{ "a@b@c", "1" },
	{ "a@", "1" },
	{ "@b", "1" },
	{ "<>", "1" },
	{ "Foo <>", "1" },
	{ "<a b@c>", "1" },
	{ "<a@b c>", "1" },
	{ "\"\"@b", "1" },
	{ "\"unclosed <a@b>, c@d", "1" },
	{ "(unclosed <a@b>, c@d", "0" },
	{ "<a@b> <c@d>", "|a@b|\n1" },
	{ "<a@b, c@d", "|a@b|\n|c@d|\n0" },
	{ "x y, a@b", "|a@b|\n1" },
	{ "\"a\r\n b\rBcc: x\"@c", "|\"a bBcc: x\"@c|\n0" },
};

static void header_lists(void **state)
{
	struct arena *a = arena_new();
	(void)state;
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		struct addr_list l;
		struct buf out;
		buf_init(&out, 1000);
		addr_parse_list(a, span_str(lists[i].in), &l);
		describe(&l, &out);
		if (!span_eqs(buf_span(&out), lists[i].want))
			fail_msg("%s: %s", lists[i].in, out.p);
		buf_free(&out);
	}
	arena_free(a);
}

static void many(void **state)
{
	struct arena *a = arena_new();
	struct addr_list l;
	struct buf in;
	(void)state;
	buf_init(&in, 1000000);
	for (int i = 0; i < LIMIT_ADDRESSES + 10; i++)
		buf_adds(&in, "a@b,");
	addr_parse_list(a, buf_span(&in), &l);
	assert_int_equal(l.n, LIMIT_ADDRESSES);
	assert_true(l.skipped > 0);
	buf_free(&in);
	arena_free(a);
}

/* A megabyte of whatever could make a parser look back: processor time tells linear from quadratic (minutes). */
static void adversarial(void **state)
{
	static const char *const units[] = { "(", "((a)", "\"", "\"\\", "[", "[a", "<", "a@", "@a,", "@a:", ":",
		"a:", "a<", "<<@", "\\", "a.", ". ", "a \"b\" ", "()", "a@b<", "<@", ";", "\xff", "a@b (" };
	struct arena *a = arena_new();
	clock_t start = clock();
	(void)state;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		struct addr_list l;
		struct buf in;
		buf_init(&in, 1100000);
		while (in.len < 1000000)
			buf_adds(&in, units[i]);
		addr_parse_list(a, buf_span(&in), &l);
		assert_true(l.n <= in.len / 2);
		buf_free(&in);
		arena_reset(a);
	}
	assert_true((clock() - start) / CLOCKS_PER_SEC < 20);
	arena_free(a);
}

static const struct {
	const char *in;
	bool ok, utf8;
} mailboxes[] = {
	{ "a@b", true, false },
	{ "a.b+c@example.org", true, false },
	{ "\"a b\"@example.org", true, false },
	{ "\"a\\\"b\\\\\"@example.org", true, false },
	{ "\"\"@example.org", true, false },
	{ "a@[192.0.2.1]", true, false },
	{ "a@[IPv6:2001:db8::1]", true, false },
	{ "a@xn--exmple-cua.org", true, false },
	{ "1@2.3", true, false },
	{ "a@b_c.example", true, false },
	{ "j\xc3\xb6@ex\xc3\xa4mple.org", true, true },
	{ "\"j \xc3\xb6\"@example.org", true, true },
	{ "j\xc3\xb6@example.org", false, false },
	{ "a@ex\xc3\xa4mple.org", false, false },
	{ "j\xc3@example.org", false, true },
	{ "\xc2\x9b@example.org", false, true },
	{ "\"\\\xc3\xb6\"@example.org", false, true },
	{ "", false, false },
	{ "a", false, false },
	{ "@b", false, false },
	{ "a@", false, false },
	{ ".a@b", false, false },
	{ "a.@b", false, false },
	{ "a..b@c", false, false },
	{ "a b@c", false, false },
	{ "a@b@c", false, false },
	{ "a@b.", false, false },
	{ "a@.b", false, false },
	{ "a@-b", false, false },
	{ "a@b-", false, false },
	{ "a@[300.0.0.1]", false, false },
	{ "a@[2001:db8::1]", false, false },
	{ "a@[IPv6:2001:db8::1%lo]", false, false },
	{ "a@[192.0.2.1", false, false },
	{ "a@[]", false, false },
	{ "a@[x:y]", false, false },
	{ "\"a@b", false, false },
	{ "\"a\"b@c", false, false },
	{ "\"a\\\"@c", false, false },
	{ "\"a\tb\"@c", false, false },
	{ "a(c)@b", false, false },
	{ "a@b(c)", false, false },
	{ "<a@b>", false, false },
	{ "a\n@b", false, false },
	{ "a@b\r\n", false, false },
	{ "postmaster", false, false },
};

static void strict_mailboxes(void **state)
{
	struct arena *a = arena_new();
	struct addr addr;
	(void)state;
	for (size_t i = 0; i < sizeof mailboxes / sizeof *mailboxes; i++)
		if (addr_parse_mailbox(span_str(mailboxes[i].in), mailboxes[i].utf8, false, &addr, a) !=
		    mailboxes[i].ok)
			fail_msg("%s", mailboxes[i].in);
	assert_false(addr_parse_mailbox(span_of("a\0@b", 4), true, false, &addr, a));
	assert_false(addr_parse_mailbox(span_of("a@[1.2.3.4\0]", 12), true, false, &addr, a));
	assert_true(addr_parse_mailbox(SPAN("PostMaster"), false, true, &addr, a));
	assert_true(span_eqs(addr.local, "PostMaster") && !addr.domain.n);
	assert_false(addr_parse_mailbox(SPAN("root"), false, true, &addr, a));
	arena_free(a);
}

static void sizes(void **state)
{
	struct arena *a = arena_new();
	struct addr addr;
	(void)state;
	for (int local = 254; local <= 257; local++)
		assert_int_equal(
		    addr_parse_mailbox(span_str(arena_printf(a, "%0*d@b", local, 1)), false, false, &addr, a),
		    local <= 255);
	for (int label = 62; label <= 65; label++)
		assert_int_equal(
		    addr_parse_mailbox(span_str(arena_printf(a, "a@%0*d.b", label, 1)), false, false, &addr, a),
		    label <= 63);
	for (int last = 50; last <= 63; last++)
		assert_int_equal(
		    addr_domain_ok(span_str(arena_printf(a, "%063d.%063d.%063d.%0*d", 1, 1, 1, last, 1)), false),
		    192 + last <= 255);
	arena_free(a);
}

static void unquoted_and_back(void **state)
{
	static const char *const cases[][3] = {
		{ "\"a b\"@c", "a b", "\"a b\"@c" },
		{ "\"a\\\"\\\\\\b\"@c", "a\"\\b", "\"a\\\"\\\\b\"@c" },
		{ "\"abc\"@c", "abc", "abc@c" },
	};
	struct arena *a = arena_new();
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct addr addr;
		struct buf out;
		buf_init(&out, 100);
		assert_true(addr_parse_mailbox(span_str(cases[i][0]), false, false, &addr, a));
		assert_true(span_eqs(addr.local, cases[i][1]));
		addr_format(&addr, &out);
		assert_string_equal(out.p, cases[i][2]);
		buf_free(&out);
	}
	static const char *const others[][2] = { { "abc@c", "abc@c" }, { "\"a@b\"@c", "a@b@c" },
		{ "\"abc\"", "\"abc\"" }, { "\"a\\", "\"a\\" }, { "\"", "\"" }, { "", "" },
		{ "\"a\nb\"@c", "\"a\nb\"@c" } };
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		assert_true(span_eqs(addr_unquoted(span_str(others[i][0]), a), others[i][1]));
	/* No control survives into an envelope. */
	struct buf out;
	buf_init(&out, 100);
	addr_format(&(struct addr){ .local = SPAN("a\r\nb"), .domain = SPAN("c\r\nd") }, &out);
	assert_string_equal(out.p, "\"ab\"@cd");
	buf_free(&out);
	arena_free(a);
}

/* What the suite's categories say of SMTP's strict grammar: 1 accept, 0 refuse, -1 no opinion. */
static int expected(const char *category, const char *diagnosis)
{
	static const char *const accept[] = { "ISEMAIL_VALID_CATEGORY", "ISEMAIL_DNSWARN", "ISEMAIL_RFC5321" };
	/* limits.h lets paths be longer (UTF-8), and RFC 4291 2.2 lets "::" stand for one group. */
	if (span_ends(span_str(diagnosis), "_TOOLONG") || span_ends(span_str(diagnosis), "_IPV6DEPRECATED"))
		return -1;
	for (size_t i = 0; i < 3; i++)
		if (span_eqs(span_str(accept[i]), category))
			return 1;
	return 0;
}

static void order_of_mailboxes(void **state)
{
	(void)state;
	assert_int_equal(addr_order(SPAN("b@x.example"), SPAN("b@X.Example")), 0);
	assert_int_equal(addr_order(SPAN("postmaster"), SPAN("postmaster")), 0);
	assert_int_not_equal(addr_order(SPAN("B@x.example"), SPAN("b@x.example")), 0);
	assert_int_not_equal(addr_order(SPAN("b"), SPAN("b@x.example")), 0);
	assert_int_not_equal(addr_order(SPAN("a@b@x"), SPAN("a@B@x")), 0);
	assert_true(addr_order(SPAN("a@z"), SPAN("b@a")) < 0 && addr_order(SPAN("b@a"), SPAN("a@z")) > 0);
}

static void isemail(void **state)
{
	json_t *all = json_load_file("../shared/corpus/addr-isemail/tests.json", JSON_ALLOW_NUL, NULL), *test;
	struct arena *a;
	size_t i;
	int wrong = 0;
	(void)state;
	if (!all)
		skip();
	a = arena_new();
	json_array_foreach(all, i, test)
	{
		json_t *text = json_object_get(test, "address");
		const char *category = json_string_value(json_object_get(test, "category"));
		const char *diagnosis = json_string_value(json_object_get(test, "diagnosis"));
		struct addr addr;
		struct span s = span_of(json_string_value(text), json_string_length(text));
		int want = expected(category, diagnosis), got = addr_parse_mailbox(s, true, false, &addr, a);
		if (want >= 0 && want != got) {
			print_message("%s %s: %.*s: got %d\n", category, diagnosis, SPAN_FMT(s), got);
			wrong++;
		}
	}
	json_decref(all);
	arena_free(a);
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_lists),
		cmocka_unit_test(many),
		cmocka_unit_test(adversarial),
		cmocka_unit_test(strict_mailboxes),
		cmocka_unit_test(sizes),
		cmocka_unit_test(unquoted_and_back),
		cmocka_unit_test(order_of_mailboxes),
		cmocka_unit_test(isemail),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
