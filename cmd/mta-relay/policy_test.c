/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "mta-relay/policy.h"

enum {
	STRANGER,
	FRIEND
};

static const struct {
	int who;
	const char *rcpt, *want; /* addresses, '*' after those that travel on; or "!code enh" */
} rows[] = {
	{ STRANGER, "alice@here.example", "alice@here.example" },
	{ STRANGER, "ALICE@HERE.example", "ALICE@HERE.example" },
	{ STRANGER, "alice+news@here.example", "alice+news@here.example" },
	{ STRANGER, "nobody@here.example", "!550 5.1.1" },
	{ FRIEND, "nobody@here.example", "!550 5.1.1" },
	{ STRANGER, "Postmaster", "alice@here.example" },
	{ STRANGER, "abuse@sub.here.example", "alice@sub.here.example bob@far.example*" },
	{ STRANGER, "loop@here.example", "!550 5.4.6" },
	/* open relay? */
	{ STRANGER, "u@far.example", "!550 5.7.1" },
	{ FRIEND, "u@far.example", "u@far.example*" },
	{ STRANGER, "u@next.example", "u@next.example*" },
	{ STRANGER, "u@sub.next.example", "!550 5.7.1" },
	{ STRANGER, "u%far.example@here.example", "!550 5.7.1" },
	{ STRANGER, "far.example!u@here.example", "!550 5.7.1" },
	{ STRANGER, "\"u@far.example\"@here.example", "!550 5.7.1" },
	{ STRANGER, "u%far.example@next.example", "!550 5.7.1" },
	{ STRANGER, "\"u@far.example\"@next.example", "!550 5.7.1" },
	{ FRIEND, "u%far.example@next.example", "u%far.example@next.example*" },
	{ STRANGER, "odd%name@here.example", "odd%name@here.example" },
	{ STRANGER, "u@[192.0.2.1]", "!550 5.7.1" },
	{ STRANGER, "u@[IPv6:2001:db8::1]", "!550 5.7.1" },
	{ STRANGER, "alice@[127.0.0.1]", "!550 5.7.1" },
	{ FRIEND, "u@[192.0.2.1]", "u@[192.0.2.1]*" },
	{ STRANGER, "\"u@far.example\"", "" },
};

static void write_file(char *path, const char *text)
{
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void say(struct buf *b, const struct relay_targets *t, const struct smtp_answer *a)
{
	if (a->code) {
		buf_addf(b, "!%d %s", a->code, a->enh);
		return;
	}
	for (size_t i = 0; i < t->n; i++)
		buf_addf(b, "%s%s%s", i ? " " : "", t->v[i].addr, t->v[i].local ? "" : "*");
}

static void check(const struct relay_policy *p, struct arena *arena, size_t i)
{
	struct smtp_env_rcpt r = { .text = span_str(rows[i].rcpt), .notify = SPAN(""), .orcpt = SPAN("") };
	struct relay_targets t = { 0 };
	struct smtp_answer a = { 0 };
	struct buf got;
	if (!addr_parse_mailbox(r.text, true, true, &r.addr, arena)) {
		assert_string_equal(rows[i].want, ""); /* the engine refuses it */
		return;
	}
	buf_init(&got, 1000);
	policy_rcpt(p, arena, rows[i].who == FRIEND, &r, &t, &a);
	say(&got, &t, &a);
	if (strcmp(got.p, rows[i].want) != 0)
		fail_msg("%s: wanted '%s', got '%s'", rows[i].rcpt, rows[i].want, got.p);
	buf_free(&got);
}

static void test_matrix(void **state)
{
	char users[] = "/tmp/users-XXXXXX", aliases[] = "/tmp/aliases-XXXXXX";
	struct err err = { 0 };
	struct arena *arena = arena_new();
	(void)state;
	write_file(users, "alice@here.example:{PLAIN}x::::::\nodd%name@here.example\nalice@sub.here.example\n");
	write_file(aliases, "postmaster: alice\nabuse: alice, bob@far.example\nloop: pool\npool: loop\n");
	struct relay_policy p = { .domains = domains_open("here.example,sub.here.example", &err),
		.relay_to = domains_open("next.example", &err),
		.users = users_open(users, &err),
		.aliases = aliases_open(aliases, &err),
		.delimiters = "+" };
	if (!p.users || !p.aliases || !p.domains || !p.relay_to)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		check(&p, arena, i);
	unlink(users);
	unlink(aliases);
	users_close(p.users);
	aliases_free((struct aliases *)p.aliases);
	domains_free((struct domains *)p.domains);
	domains_free((struct domains *)p.relay_to);
	arena_free(arena);
}

/* RFC 3461 5.2.7: whose wishes go where. "address<owner>(notify;orcpt)", "=" before a row that only reports. */
static void test_reports(void **state)
{
	static const struct {
		const char *rcpt, *notify, *want;
	} cases[] = {
		{ "alice", "SUCCESS", "alice(SUCCESS,o)" },
		{ "one", "SUCCESS,DELAY", "alice(SUCCESS,DELAY,o)" },
		{ "two", "", "alice(,o) bob(,o)" },
		{ "two", "FAILURE", "alice(FAILURE,o) bob(FAILURE,o)" },
		{ "two", "success", "alice(NEVER,o) bob(NEVER,o) =1two(success,o)" },
		{ "two", "DELAY,SUCCESS,FAILURE",
		    "alice(DELAY,FAILURE,o) bob(DELAY,FAILURE,o) =1two(DELAY,SUCCESS,FAILURE,o)" },
		{ "list", "NEVER",
		    "alice<owner-list@here.example>(,rfc822;alice@here.example) "
		    "bob<owner-list@here.example>(,rfc822;bob@here.example)" },
		{ "list", "SUCCESS",
		    "alice<owner-list@here.example>(,rfc822;alice@here.example) "
		    "bob<owner-list@here.example>(,rfc822;bob@here.example) =2list(SUCCESS,o)" },
		{ "single", "SUCCESS", "bob<owner-single@here.example>(,rfc822;bob@here.example) =2single(SUCCESS,o)" },
		{ "mixed", "SUCCESS",
		    "alice(NEVER,o) bob<owner-single@here.example>(,rfc822;bob@here.example) "
		    "=1mixed(SUCCESS,o)" },
	};
	char aliases[] = "/tmp/aliases-XXXXXX";
	struct err err = { 0 };
	struct arena *arena = arena_new();
	struct buf got;
	(void)state;
	write_file(aliases, "one: alice\ntwo: alice, bob\nlist: alice, bob\nowner-list: alice\nsingle: bob\n"
			    "owner-single: alice\nmixed: alice, single\n");
	struct relay_policy p = {
		.domains = domains_open("here.example", &err), .aliases = aliases_open(aliases, &err), .delimiters = "+"
	};
	assert_non_null(p.aliases);
	buf_init(&got, 1000);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct smtp_env_rcpt r = { .text = span_str(arena_printf(arena, "%s@here.example", cases[i].rcpt)),
			.notify = span_str(cases[i].notify),
			.orcpt = SPAN("o") };
		struct relay_targets t = { 0 };
		struct smtp_answer a = { 0 };
		assert_true(addr_parse_mailbox(r.text, true, true, &r.addr, arena));
		policy_rcpt(&p, arena, false, &r, &t, &a);
		buf_reset(&got);
		for (size_t k = 0; k < t.n; k++) {
			const struct relay_target *to = &t.v[k];
			buf_addf(&got, "%s%.*s%.*s", k ? " " : "", to->report ? 1 : 0, "=", to->report ? 1 : 0,
			    to->report == REPORT_EXPANDED ? "1" : "2");
			buf_addf(&got, "%.*s", (int)strcspn(to->addr, "@"), to->addr);
			if (to->owner.n)
				buf_addf(&got, "<%.*s>", SPAN_FMT(to->owner));
			buf_addf(&got, "(%.*s,%.*s)", SPAN_FMT(to->notify), SPAN_FMT(to->orcpt));
		}
		assert_string_equal(got.p, cases[i].want);
	}
	unlink(aliases);
	buf_free(&got);
	aliases_free((struct aliases *)p.aliases);
	domains_free((struct domains *)p.domains);
	arena_free(arena);
}

/* Nothing configured: nothing is taken. */
static void test_nothing(void **state)
{
	static const char *const rcpts[] = { "u@far.example", "u@localhost", "root@[127.0.0.1]", "Postmaster" };
	const struct relay_policy p = { .delimiters = "+" };
	struct arena *arena = arena_new();
	(void)state;
	for (size_t i = 0; i < sizeof rcpts / sizeof *rcpts; i++) {
		struct smtp_env_rcpt r = { .text = span_str(rcpts[i]) };
		struct relay_targets t = { 0 };
		struct smtp_answer a = { 0 };
		assert_true(addr_parse_mailbox(r.text, true, true, &r.addr, arena));
		policy_rcpt(&p, arena, false, &r, &t, &a);
		assert_int_equal(a.code, 550);
	}
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_matrix), cmocka_unit_test(test_reports),
		cmocka_unit_test(test_nothing) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
