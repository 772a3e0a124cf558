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
#include "mta-relay/policy/policy.h"

enum {
	STRANGER,
	FRIEND
};

static const struct row {
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
	{ FRIEND, "u@far_1.example", "!550 5.1.2" },
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

static void check(const struct relay_policy *p, struct arena *arena, const struct row *row)
{
	struct smtp_env_rcpt r = { .text = span_str(row->rcpt), .notify = SPAN(""), .orcpt = SPAN("") };
	struct relay_targets t = { 0 };
	struct smtp_answer a = { 0 };
	struct buf got;
	if (!addr_parse_mailbox(r.text, true, true, &r.addr, arena)) {
		assert_string_equal(row->want, ""); /* the engine refuses it */
		return;
	}
	buf_init(&got, 1000);
	policy_rcpt(p, arena, &(struct relay_client){ row->who == FRIEND, NULL }, &r, &t, &a);
	say(&got, &t, &a);
	if (strcmp(got.p, row->want) != 0)
		fail_msg("%s: wanted '%s', got '%s'", row->rcpt, row->want, got.p);
	buf_free(&got);
}

struct site {
	char users[32], aliases[32];
	struct relay_policy p;
	struct arena *arena;
};

/* here.example with a subdomain, which relays to next.example. */
static void open_site(struct site *x, const char *users, const char *aliases)
{
	struct err err = { 0 };
	*x = (struct site){ .users = "/tmp/users-XXXXXX", .aliases = "/tmp/aliases-XXXXXX", .arena = arena_new() };
	write_file(x->users, users);
	write_file(x->aliases, aliases);
	x->p = (struct relay_policy){ .domains = domains_open("here.example,sub.here.example", &err),
		.relay_to = domains_open("next.example", &err),
		.users = users_open(x->users, &err),
		.aliases = aliases_open(x->aliases, &err),
		.delimiters = "+" };
	if (!x->p.users || !x->p.aliases || !x->p.domains || !x->p.relay_to)
		fail_msg("%s", err.text);
}

static void close_site(struct site *x)
{
	unlink(x->users);
	unlink(x->aliases);
	users_close(x->p.users);
	aliases_free((struct aliases *)x->p.aliases);
	domains_free((struct domains *)x->p.domains);
	domains_free((struct domains *)x->p.relay_to);
	arena_free(x->arena);
}

static void test_matrix(void **state)
{
	struct site x;
	(void)state;
	open_site(&x, "alice@here.example:{PLAIN}x::::::\nodd%name@here.example\nalice@sub.here.example\n",
	    "postmaster: alice\nabuse: alice, bob@far.example\nloop: pool\npool: loop\n");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		check(&x.p, x.arena, &rows[i]);
	close_site(&x);
}

static void test_postmaster(void **state)
{
	static const struct {
		const char *option;
		struct row row;
	} cases[] = {
		{ NULL, { STRANGER, "postmaster", "!550 5.1.1" } },
		{ "alice", { STRANGER, "Postmaster", "alice@here.example" } },
		{ "alice", { STRANGER, "postmaster@sub.here.example", "alice@here.example" } },
		{ "alice", { STRANGER, "POSTMASTER@virt.example", "alice@here.example" } },
		{ "alice", { STRANGER, "postmaster@next.example", "postmaster@next.example*" } },
		{ "alice", { STRANGER, "postmaster@else.example", "!550 5.7.1" } },
		{ "alice", { STRANGER, "hostmaster@here.example", "!550 5.1.1" } },
		{ "boss@far.example", { STRANGER, "postmaster", "boss@far.example*" } },
		{ "abuse@here.example", { STRANGER, "postmaster", "alice@here.example bob@far.example*" } },
		{ "nobody", { STRANGER, "postmaster", "!550 5.1.1" } },
	};
	struct address_options bad = { .postmaster = "a b@" };
	struct address_tables tables;
	struct err err = { 0 };
	struct site x;
	(void)state;
	open_site(&x, "alice@here.example:{PLAIN}x::::::\n", "abuse: alice, bob@far.example\n");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct address_options o = { .virtual = "inline:{virt.example=}", .postmaster = cases[i].option };
		assert_int_equal(address_tables_open(&tables, &o, "+", &err), 0);
		x.p.tables = &tables;
		check(&x.p, x.arena, &cases[i].row);
		address_tables_close(&tables);
	}
	assert_int_equal(address_tables_open(&tables, &bad, "+", &err), -1);
	close_site(&x);
}

#define VIRTUAL                                                                                                        \
	"inline:{virt.example=, info@virt.example={alice@here.example, far@far.example}, "                             \
	"me@virt.example=me@virt.example,"                                                                             \
	" @old.example=@here.example, @all.example=alice@here.example, gone@virt.example={error:551 5.1.6 moved "      \
	"away},"                                                                                                       \
	" no@virt.example={:fail: left, sorry}, a@virt.example=b@virt.example, b@virt.example=a@virt.example,"         \
	" team@here.example={alice@here.example, team@here.example}, out@nowhere.example=alice@here.example,"          \
	" bad@virt.example=@, short@virt.example=\\info, alias@virt.example=abuse@sub.here.example,"                   \
	" part@virt.example={alice@here.example, gap, gap}, none@virt.example={gap, x@virt.example}}"

static const struct {
	int who;
	const char *rcpt, *want;
} table_rows[] = {
	{ STRANGER, "info@virt.example", "alice@here.example far@far.example*<SRS0=>" },
	{ STRANGER, "INFO+x@Virt.example", "alice+x@here.example far@far.example*<SRS0=>" },
	{ STRANGER, "team+x@here.example", "alice+x@here.example team+x@here.example" },
	{ STRANGER, "alice+x@old.example", "alice+x@here.example" },
	{ STRANGER, "any+x@all.example", "alice@here.example" },
	{ STRANGER, "a+x@virt.example", "!550 5.4.6" },
	{ STRANGER, "other@virt.example", "!550 5.1.1" },
	{ FRIEND, "other@virt.example", "!550 5.1.1" },
	{ STRANGER, "me@virt.example", "!550 5.1.1" },
	{ STRANGER, "alice@old.example", "alice@here.example" },
	{ STRANGER, "nobody@old.example", "!550 5.1.1" },
	{ STRANGER, "abuse@old.example", "alice@here.example bob@far.example*<SRS0=>" },
	{ STRANGER, "x%far.example@old.example", "!550 5.7.1" },
	{ STRANGER, "any@all.example", "alice@here.example" },
	{ STRANGER, "gone@virt.example", "!551 5.1.6" },
	{ STRANGER, "no@virt.example", "!550 5.1.1" },
	{ STRANGER, "a@virt.example", "!550 5.4.6" },
	{ STRANGER, "team@here.example", "alice@here.example team@here.example" },
	{ STRANGER, "out@nowhere.example", "!550 5.7.1" },
	{ FRIEND, "out@nowhere.example", "alice@here.example" },
	{ STRANGER, "bad@virt.example", "!451 4.3.5" },
	{ STRANGER, "short@virt.example", "!451 4.3.5" },
	/* Who writes is told that a part of it leads nowhere. */
	{ STRANGER, "part@virt.example", "alice@here.example gap@virt.example*<SRS0=>" },
	{ STRANGER, "none@virt.example", "!550 5.1.1" },
	{ STRANGER, "alias@virt.example", "alice@sub.here.example bob@far.example*<SRS0=>" },
	/* domains that we relay to */
	{ STRANGER, "known@next.example", "known@next.example*" },
	{ STRANGER, "known+x@next.example", "known+x@next.example*" },
	{ STRANGER, "unknown@next.example", "!550 5.1.1" },
	{ FRIEND, "unknown@next.example", "!550 5.1.1" },
	{ STRANGER, "left@next.example", "!550 5.1.6" },
	/* rewritten senders */
	{ STRANGER, "SRS0=aaaaaaaa=ab=far.example=bob@srs.example", "!550 5.7.1" },
	{ STRANGER, "SRS0=aaaaaaaa=ab=far.example=bob@other.example", "!550 5.7.1" },
	{ STRANGER, "bob@srs.example", "!550 5.7.1" },
	/* what only an alias may lead to */
	{ STRANGER, "|list=0123456789abcdef@here.example", "!550 5.1.1" },
	{ FRIEND, "|list=0123456789abcdef@here.example", "!550 5.1.1" },
};

static void say_owners(struct buf *b, const struct relay_targets *t, const struct smtp_answer *a)
{
	if (a->code) {
		say(b, t, a);
		return;
	}
	for (size_t i = 0; i < t->n; i++)
		buf_addf(b, "%s%s%s%s", i ? " " : "", t->v[i].addr, t->v[i].local ? "" : "*",
		    span_starts(t->v[i].owner, "SRS0=") ? "<SRS0=>" : "");
}

static void try_tables(const struct relay_policy *p, struct arena *arena, const struct addr *sender)
{
	for (size_t i = 0; i < sizeof table_rows / sizeof *table_rows; i++) {
		struct smtp_env_rcpt r = { .text = span_str(table_rows[i].rcpt) };
		struct relay_targets t = { 0 };
		struct smtp_answer a = { 0 };
		struct buf got;
		buf_init(&got, 1000);
		assert_true(addr_parse_mailbox(r.text, true, true, &r.addr, arena));
		policy_rcpt(p, arena, &(struct relay_client){ table_rows[i].who == FRIEND, sender }, &r, &t, &a);
		say_owners(&got, &t, &a);
		if (strcmp(got.p, table_rows[i].want) != 0)
			fail_msg("%s: wanted '%s', got '%s' %s", table_rows[i].rcpt, table_rows[i].want, got.p, a.text);
		buf_free(&got);
	}
}

/* Sent on, and the report of its failure comes back. */
static void there_and_back(const struct relay_policy *p, struct arena *arena, const struct addr *sender)
{
	struct smtp_env_rcpt r = { .text = SPAN("info@virt.example") };
	struct relay_targets t = { 0 };
	struct smtp_answer a = { 0 };
	assert_true(addr_parse_mailbox(r.text, true, true, &r.addr, arena));
	policy_rcpt(p, arena, &(struct relay_client){ false, sender }, &r, &t, &a);
	r.text = t.v[1].owner;
	assert_true(addr_parse_mailbox(r.text, true, true, &r.addr, arena));
	policy_rcpt(p, arena, &(struct relay_client){ 0 }, &r, &t, &a);
	assert_int_equal(a.code, 0);
	assert_string_equal(t.v[0].addr, "eve@else.example");
	assert_false(t.v[0].local);
	/* No sender, or one of ours: as it is. */
	const struct addr own = { .local = SPAN("alice"), .domain = SPAN("here.example") };
	const struct addr *const none[] = { NULL, &own };
	for (size_t i = 0; i < 2; i++) {
		r.text = SPAN("info@virt.example");
		assert_true(addr_parse_mailbox(r.text, true, true, &r.addr, arena));
		policy_rcpt(p, arena, &(struct relay_client){ false, none[i] }, &r, &t, &a);
		assert_int_equal(t.v[1].owner.n, 0);
	}
}

static void test_tables(void **state)
{
	struct err err = { 0 };
	struct address_tables tables = { 0 };
	const struct addr sender = { .local = SPAN("eve"), .domain = SPAN("else.example") };
	struct site x;
	(void)state;
	assert_int_equal(address_tables_open(&tables,
			     &(struct address_options){ .virtual = VIRTUAL,
				 .relay_recipients = "inline:{known@next.example=,"
						     "left@next.example={error:550 5.1.6 x}}" },
			     "+", &err),
	    0);
	tables.srs = srs_new("srs.example", SPAN("correct horse battery"), &err);
	assert_non_null(tables.srs);
	open_site(
	    &x, "alice@here.example\nteam@here.example\nalice@sub.here.example\n", "abuse: alice, bob@far.example\n");
	x.p.tables = &tables;
	try_tables(&x.p, x.arena, &sender);
	there_and_back(&x.p, x.arena, &sender);
	close_site(&x);
	address_tables_close(&tables);
}

static void test_owners(void **state)
{
	static const struct {
		const char *user, *sender;
		enum policy_owner want;
	} t[] = {
		{ "alice@here.example", "alice@here.example", OWNER_YES },
		{ "alice@here.example", "alice+x@here.example", OWNER_YES },
		{ "alice@here.example", "bob@here.example", OWNER_NO },
		{ "alice@here.example", "team@here.example", OWNER_YES },
		{ "bob@here.example", "team@here.example", OWNER_NO },
		{ "alice@here.example", "info@virt.example", OWNER_YES },
		{ "alice@here.example", "x@far.example", OWNER_NO },
		/* The table decides alone. */
		{ "bob@here.example", "sales@far.example", OWNER_YES },
		{ "ALICE@here.example", "Sales@FAR.example", OWNER_YES },
		{ "carol@here.example", "sales@far.example", OWNER_NO },
		{ "bob@here.example", "any@part.example", OWNER_YES },
		{ "carol@here.example", "carol@here.example", OWNER_NO },
	};
	char users[] = "/tmp/users-XXXXXX", aliases[] = "/tmp/aliases-XXXXXX";
	struct err err = { 0 };
	struct arena *arena = arena_new();
	struct address_tables tables = { 0 };
	(void)state;
	write_file(users, "alice@here.example\nbob@here.example\ncarol@here.example\n");
	write_file(aliases, "team: alice\n");
	assert_int_equal(address_tables_open(&tables,
			     &(struct address_options){ .virtual = "inline:{info@virt.example=alice@here.example}",
				 .sender_owners = "inline:{sales@far.example={bob@here.example, "
						  "alice@here.example}, @part.example=bob@here.example,"
						  "carol@here.example=bob@here.example}" },
			     "+", &err),
	    0);
	struct relay_policy p = { .domains = domains_open("here.example,virt.example", &err),
		.users = users_open(users, &err),
		.aliases = aliases_open(aliases, &err),
		.tables = &tables,
		.delimiters = "+" };
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct addr sender;
		assert_true(addr_parse_mailbox(span_str(t[i].sender), true, false, &sender, arena));
		if (policy_owns(&p, arena, span_str(t[i].user), &sender) != t[i].want)
			fail_msg("%s as %s", t[i].user, t[i].sender);
	}
	address_tables_close(&tables);
	assert_int_equal(
	    address_tables_open(
		&tables, &(struct address_options){ .sender_owners = "socketmap:unix:/nonexistent/s:x" }, "+", &err),
	    0);
	const struct addr sender = { .local = SPAN("alice"), .domain = SPAN("here.example") };
	assert_int_equal(policy_owns(&p, arena, SPAN("alice@here.example"), &sender), OWNER_UNKNOWN);
	address_tables_close(&tables);
	unlink(users);
	unlink(aliases);
	users_close(p.users);
	aliases_free((struct aliases *)p.aliases);
	domains_free((struct domains *)p.domains);
	arena_free(arena);
}

/* A table that can't be asked: never "no such address", whoever asks and whichever it is. */
static void test_out_of_reach(void **state)
{
#define GONE "socketmap:unix:/nonexistent/socket:x"
	static const struct {
		const char *domains, *relay_to, *virtual, *relay_recipients, *rcpt;
	} t[] = {
		{ GONE, NULL, NULL, NULL, "alice@here.example" },
		{ "here.example", GONE, NULL, NULL, "alice@next.example" },
		{ "here.example", NULL, GONE, NULL, "alice@here.example" },
		{ "here.example", NULL, GONE, NULL, "alice@virt.example" },
		{ NULL, "next.example", NULL, GONE, "alice@next.example" },
	};
	struct arena *arena = arena_new();
	(void)state;
	for (size_t i = 0; i < 2 * sizeof t / sizeof *t; i++) {
		struct err err = { 0 };
		struct address_tables tables;
		const struct address_options o = { .virtual = t[i / 2].virtual,
			.relay_recipients = t[i / 2].relay_recipients };
		assert_int_equal(address_tables_open(&tables, &o, "+", &err), 0);
		struct relay_policy p = { .tables = &tables, .delimiters = "+" };
		p.domains = t[i / 2].domains ? domains_open(t[i / 2].domains, &err) : NULL;
		p.relay_to = t[i / 2].relay_to ? domains_open(t[i / 2].relay_to, &err) : NULL;
		struct smtp_env_rcpt r = { .text = span_str(t[i / 2].rcpt) };
		struct relay_targets out = { 0 };
		struct smtp_answer a = { 0 };
		assert_true(addr_parse_mailbox(r.text, true, true, &r.addr, arena));
		policy_rcpt(&p, arena, &(struct relay_client){ i % 2, NULL }, &r, &out, &a);
		assert_int_equal(a.code, 451);
		domains_free((struct domains *)p.domains);
		domains_free((struct domains *)p.relay_to);
		address_tables_close(&tables);
	}
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
		policy_rcpt(&p, arena, &(struct relay_client){ 0 }, &r, &t, &a);
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
		policy_rcpt(&p, arena, &(struct relay_client){ 0 }, &r, &t, &a);
		assert_int_equal(a.code, 550);
	}
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_matrix), cmocka_unit_test(test_postmaster),
		cmocka_unit_test(test_reports), cmocka_unit_test(test_nothing), cmocka_unit_test(test_tables),
		cmocka_unit_test(test_owners), cmocka_unit_test(test_out_of_reach) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
