/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/limits.h"
#include "mta-relay/policy/rewrite.h"

static struct arena *arena;

static struct table *table(const char *spec)
{
	struct err err = { 0 };
	struct table *t = table_open(spec, &err);
	if (!t)
		fail_msg("%s", err.text);
	return t;
}

static void one_address(void **state)
{
	static const struct {
		enum rewrite_role role;
		const char *from, *want;
	} t[] = {
		{ REWRITE_SENDER, "bob@here.example", "robert.x@here.example" },
		{ REWRITE_SENDER, "Bob@HERE.example", "robert.x@here.example" },
		{ REWRITE_RECIPIENT, "bob@here.example", "r@here.example" },
		{ REWRITE_SENDER, "bob+a+b@here.example", "robert.x+a+b@here.example" },
		{ REWRITE_SENDER, "ann@old.example", "ann@here.example" },
		{ REWRITE_SENDER, "ann+x@old.example", "ann+x@here.example" },
		{ REWRITE_SENDER, "ann@elsewhere.example", "ann@elsewhere.example" },
		{ REWRITE_SENDER, "ann@host.corp.example", "ann@corp.example" },
		{ REWRITE_SENDER, "ann@a.b.corp.example", "ann@corp.example" },
		{ REWRITE_SENDER, "ann@a.lab.corp.example", "ann@lab.corp.example" },
		{ REWRITE_SENDER, "ann@lab.corp.example", "ann@lab.corp.example" },
		{ REWRITE_SENDER, "ann@corp.example", "ann@corp.example" },
		{ REWRITE_SENDER, "ann@xcorp.example", "ann@xcorp.example" },
		{ REWRITE_SENDER, "root@host.corp.example", "root@host.corp.example" },
		{ REWRITE_SENDER, "ann@[192.0.2.1]", "ann@[192.0.2.1]" },
		{ REWRITE_SENDER, "both@here.example", "second@here.example" },
		{ REWRITE_SENDER, "bad@here.example", "!" },
		{ REWRITE_SENDER, "\"odd name\"@old.example", "\"odd name\"@here.example" },
	};
	struct err err = { 0 };
	(void)state;
	struct rewrite_rules r = { .by_role = { table("inline:{bob@here.example=robert@here.example,"
						      " both@here.example=first@here.example}"),
				       table("inline:{bob@here.example=r@here.example}") },
		.both = table("inline:{robert@here.example=robert.x@here.example, @old.example=@here.example,"
			      "first@here.example=second@here.example, bad@here.example=nothing}"),
		.masquerade = domains_open("corp.example, lab.corp.example", &err),
		.exposed = table("root"),
		.delimiters = "+" };
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct addr a;
		struct buf got;
		buf_init(&got, 1000);
		assert_true(addr_parse_mailbox(span_str(t[i].from), true, false, &a, arena));
		int rc = rewrite_address(&r, arena, t[i].role, &a, &err);
		if (rc < 0)
			buf_addc(&got, '!');
		else
			addr_format(&a, &got);
		if (strcmp(got.p, t[i].want) != 0)
			fail_msg("%s: %s", t[i].from, got.p);
		if (rc >= 0)
			assert_int_equal(rc, strcmp(t[i].from, t[i].want) != 0);
		buf_free(&got);
	}
	for (int i = 0; i < 2; i++)
		table_close(r.by_role[i]);
	table_close(r.both);
	table_close(r.exposed);
	domains_free((struct domains *)r.masquerade);
}

static void fields(void **state)
{
	static const struct {
		const char *value, *want; /* NULL: unchanged */
	} t[] = {
		{ " bob@in.example", " bob@out.example" },
		{ " Bob <bob@in.example>", " Bob <bob@out.example>" },
		{ " \"bob@in.example\" <bob@in.example>", " \"bob@in.example\" <bob@out.example>" },
		{ " bob@in.example (bob@in.example)", " bob@out.example (bob@in.example)" },
		{ " (x) bob@in.example (a (b)) , ann@in.example", " (x) bob@out.example (a (b)) , ann@out.example" },
		{ " Bob\r\n\t<bob@in.example>,\r\n Ann <ann@in.example>",
		    " Bob\r\n\t<bob@out.example>,\r\n Ann <ann@out.example>" },
		{ " team: bob@in.example, x@far.example;, ann@in.example",
		    " team: bob@out.example, x@far.example;, ann@out.example" },
		{ " =?utf-8?q?bob=40in=2Eexample?= <bob@in.example>",
		    " =?utf-8?q?bob=40in=2Eexample?= <bob@out.example>" },
		{ " \"odd, name\"@in.example", " \"odd, name\"@out.example" },
		{ " < bob@in.example >", " < bob@out.example >" },
		{ " bob", " bob@append.example" },
		{ " Bob <bob>, ann", " Bob <bob@append.example>, ann@append.example" },
		{ " Bob Smith", NULL },
		{ " undisclosed-recipients:;", NULL },
		{ " <>", NULL },
		{ " <@a.example,@b.example:bob@in.example>", NULL },
		{ " bob @ in.example", NULL },
		{ " bob@in.example bob@in.example", NULL },
		{ " <bob@in.example", NULL },
		{ " \"bob@in.example", NULL },
		{ " (bob@in.example", NULL },
		{ " x@far.example", NULL },
		{ " \"bob\"", NULL },
		{ "", NULL },
		{ " ,,;:<>", NULL },
	};
	struct err err = { 0 };
	(void)state;
	struct rewrite_rules r = {
		.both = table("inline:{@in.example=@out.example}"), .append = "append.example", .delimiters = "+"
	};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct buf got;
		const char *want = t[i].want ? t[i].want : t[i].value;
		buf_init(&got, 1000);
		int rc = rewrite_field_value(&r, arena, REWRITE_SENDER, span_str(t[i].value), &got, &err);
		if (strcmp(got.p, want) != 0 || rc != (t[i].want != NULL))
			fail_msg("%s: %d %s", t[i].value, rc, got.p);
		buf_free(&got);
	}
	table_close(r.both);
}

static void headers(void **state)
{
	static const char in[] =
	    "Received: from bob@in.example\r\nFrom : Bob <bob@in.example>\r\nno field\r\nTO:bob@in.example,\r\n"
	    " ann@in.example\r\nSubject: bob@in.example\r\n\r\nFrom: bob@in.example\r\n";
	static const char want[] =
	    "Received: from bob@in.example\r\nFrom : Bob <bob@out.example>\r\nno field\r\n"
	    "TO:bob@in.example,\r\n ann@in.example\r\nSubject: bob@in.example\r\n\r\nFrom: bob@in.example\r\n";
	struct err err = { 0 };
	struct buf got;
	(void)state;
	struct rewrite_rules r = { .by_role = { table("inline:{@in.example=@out.example}") }, .delimiters = "+" };
	buf_init(&got, 1000);
	assert_int_equal(rewrite_header(&r, arena, span_str(in), &got, &err), 1);
	assert_string_equal(got.p, want);
	/* No blank line, no header at all. */
	buf_reset(&got);
	assert_int_equal(rewrite_header(&r, arena, SPAN("Subject: x\r\n"), &got, &err), 0);
	assert_string_equal(got.p, "Subject: x\r\n");
	buf_reset(&got);
	assert_int_equal(rewrite_header(&r, arena, SPAN("\r\nFrom: bob@in.example\r\n"), &got, &err), 0);
	assert_string_equal(got.p, "\r\nFrom: bob@in.example\r\n");
	table_close(r.by_role[0]);
	/* Nobody knows: nothing is sent with the wrong address. */
	r.by_role[0] = table("socketmap:unix:/nonexistent/s:x");
	buf_reset(&got);
	assert_int_equal(rewrite_header(&r, arena, span_str(in), &got, &err), -1);
	assert_int_equal(err.class, ERR_TEMP);
	table_close(r.by_role[0]);
	buf_free(&got);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(one_address), cmocka_unit_test(fields),
		cmocka_unit_test(headers) };
	arena = arena_new();
	int rc = cmocka_run_group_tests(tests, NULL, NULL);
	arena_free(arena);
	return rc;
}
