/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/xalloc.h"
#include "users/aliases_int.h"

static const char file[] = "# ours\n"
			   "postmaster: root\n"
			   "root: Alice, bob@far.example\n"
			   "\n"
			   "team: alice,\n"
			   "  # within\n"
			   "\tbob , carol@else.example\n"
			   "bob: bob, archive\n"
			   "\"two words\": alice\n"
			   "list: alice, list2\n"
			   "list2: bob\n"
			   "owner-list: alice\n"
			   "a: b\n"
			   "b: a\n"
			   "eve: \\root\n"
			   "sales@virt.example: alice@here.example, \"odd name\"@far.example\n"
			   "@virt.example: carol\n"
			   "@sub.virt.example: Dora <dora@far.example>\n"
			   "x@b\xc3\xbc"
			   "cher.example: alice\n";

/* *.far.example and else.example are remote; alice, bob, carol and archive exist everywhere else. */
static enum alias_place place(void *arg, struct span local, struct span domain)
{
	static const char *const users[] = { "alice", "bob", "carol", "archive" };
	(void)arg;
	if (span_iends(domain, "far.example") || span_ieqs(domain, "else.example"))
		return ALIAS_REMOTE;
	for (size_t i = 0; i < 4; i++)
		if (span_ieqs(local, users[i]))
			return ALIAS_LOCAL_USER;
	return ALIAS_LOCAL_UNKNOWN;
}

static const struct {
	const char *local, *domain, *want; /* "local@domain" each, owner after '/' */
} rows[] = {
	{ "alice", "here.example", "= alice@here.example" },
	{ "nobody", "here.example", "= nobody@here.example" },
	{ "postmaster", "here.example", "Alice@here.example bob@far.example" },
	{ "POSTMASTER", "other.example", "Alice@other.example bob@far.example" },
	{ "postmaster", "far.example", "= postmaster@far.example" },
	{ "postmaster+x", "here.example", "Alice@here.example bob@far.example" },
	{ "team", "here.example", "alice@here.example bob@here.example archive@here.example carol@else.example" },
	{ "bob", "here.example", "bob@here.example archive@here.example" },
	{ "two words", "here.example", "alice@here.example" },
	{ "list", "here.example",
	    "alice@here.example/owner-list@here.example bob@here.example/owner-list@here.example "
	    "archive@here.example/owner-list@here.example" },
	{ "a", "here.example", "! 5.4.6" },
	{ "eve", "here.example", "root@here.example" },
	{ "sales", "virt.example", "alice@here.example odd name@far.example" },
	{ "Sales+2026", "VIRT.example", "alice@here.example odd name@far.example" },
	{ "whoever", "virt.example", "carol@virt.example" },
	{ "alice", "virt.example", "= alice@virt.example" },
	{ "whoever", "sub.virt.example", "dora@far.example" },
	{ "x", "xn--bcher-kva.example", "alice@xn--bcher-kva.example" },
};

static struct aliases *open_text(const char *text, struct err *err)
{
	char path[] = "/tmp/aliases-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	struct aliases *a = aliases_open(path, err);
	unlink(path);
	return a;
}

static void say(struct buf *b, enum aliases_result rc, const struct alias_list *l, const struct err *err)
{
	if (rc == ALIASES_ERROR) {
		buf_addf(b, "! %s", err->enh);
		return;
	}
	if (rc == ALIASES_NONE)
		buf_adds(b, "= ");
	for (size_t i = 0; i < l->n; i++) {
		buf_addf(b, "%s%.*s@%.*s", i ? " " : "", SPAN_FMT(l->v[i].local), SPAN_FMT(l->v[i].domain));
		if (l->v[i].owner.n)
			buf_addf(b, "/%.*s", SPAN_FMT(l->v[i].owner));
	}
}

static void test_expand(void **state)
{
	struct err err = { 0 };
	struct alias_context c = { "+", place, NULL };
	struct arena *arena = arena_new();
	struct aliases *a = open_text(file, &err);
	(void)state;
	if (!a)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct alias_list l;
		struct buf got;
		buf_init(&got, 10000);
		enum aliases_result rc =
		    aliases_expand(a, arena, &c, span_str(rows[i].local), span_str(rows[i].domain), &l, &err);
		say(&got, rc, &l, &err);
		assert_string_equal(got.p, rows[i].want);
		buf_free(&got);
	}
	aliases_free(a);
	arena_free(arena);
}

static const struct {
	const char *text, *why;
} wrong[] = {
	{ "a: b\na: c\n", ":2: the name was given before" },
	{ "a: b\nnocolon\n", ":2: name: destination... expected" },
	{ "  a: b\n", ":1: continues no line" },
	{ "a:\n", ":1: no destination" },
	{ ": b\n", ":1: that is no name" },
	{ "a@: b\n", ":1: that is no name" },
	{ "a: b,\n  |/bin/sh\n", ":1: commands are not allowed" },
	{ "a: \"|/bin/sh -c x\"\n", ":1: commands are not allowed" },
	{ "a: /var/mail/a\n", ":1: delivery to files is not allowed" },
	{ "a: b c\n", ":1: that is no name" },
	{ "a: b@@c\n", ":1: that is no mail address" },
	{ "a: :include:relative\n", ":1: an included file needs its whole path" },
	{ "x: y\na: :include:/nonexistent/list\n", ":2: " },
};

static void test_wrong(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct err err = { 0 };
		struct aliases *a = open_text(wrong[i].text, &err);
		if (a || err.class != ERR_CONFIG || !strstr(err.text, wrong[i].why))
			fail_msg("%s: got '%s'", wrong[i].text, err.text);
	}
}

static void test_include(void **state)
{
	char path[] = "/tmp/list-XXXXXX";
	struct err err = { 0 };
	struct alias_context c = { "+", place, NULL };
	struct arena *arena = arena_new();
	struct alias_list l;
	int fd = mkstemp(path);
	(void)state;
	assert_true(fd >= 0);
	dprintf(fd, "# members\nalice, bob@far.example\n\ncarol # the last\n");
	char *text = xasprintf("staff: :include:%s\n", path);
	struct aliases *a = open_text(text, &err);
	if (!a)
		fail_msg("%s", err.text);
	assert_int_equal(aliases_expand(a, arena, &c, SPAN("staff"), SPAN("here.example"), &l, &err), ALIASES_FOUND);
	assert_int_equal(l.n, 3);
	assert_true(span_eqs(l.v[2].local, "carol"));
	/* A file that includes itself ends. */
	dprintf(fd, ":include:%s\n", path);
	assert_null(open_text(text, &err));
	assert_non_null(strstr(err.text, "too many files"));
	assert_int_equal(fchmod(fd, 0606), 0);
	assert_null(open_text(text, &err));
	assert_non_null(strstr(err.text, "not everybody may write to"));
	assert_int_equal(fchmod(fd, 0600), 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	dprintf(fd, "|/bin/true\n");
	assert_null(aliases_read_text(span_str(text), "t", ALIASES_COMMANDS | ALIASES_FILES, &err));
	assert_non_null(strstr(err.text, "an included file may hold addresses only"));
	free(text);
	close(fd);
	unlink(path);
	aliases_free(a);
	arena_free(arena);
}

static void test_errors(void **state)
{
	static const struct {
		const char *value, *want; /* NULL: no error */
	} t[] = {
		{ ":fail: He left, sorry", "550 5.1.1 He left, sorry" },
		{ "error:550 5.1.6 moved to x@far.example", "550 5.1.6 moved to x@far.example" },
		{ "error: 556 5.1.10 no mail", "556 5.1.10 no mail" },
		{ "ERROR:451 later", "451 4.0.0 later" },
		{ "error:451 5.1.1 later", "451 4.0.0 5.1.1 later" },
		{ "error:250 fine", "550 5.1.1 250 fine" },
		{ "error:", "550 5.1.1 no mail is taken for this address" },
		{ "bob", NULL },
		{ "errors@here.example", NULL },
	};
	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct alias_error e;
		char got[200];
		bool is = alias_error_parse(span_str(t[i].value), &e);
		assert_int_equal(is, t[i].want != NULL);
		if (!is)
			continue;
		snprintf(got, sizeof got, "%d %s %.*s", e.code, e.enh, SPAN_FMT(e.text));
		assert_string_equal(got, t[i].want);
	}
	struct err err = { 0 };
	struct alias_context c = { "+", place, NULL };
	struct alias_list l;
	struct arena *arena = arena_new();
	struct aliases *a = open_text("gone: :fail: He left, sorry\nall: alice, gone\n", &err);
	assert_non_null(a);
	assert_int_equal(aliases_expand(a, arena, &c, SPAN("all"), SPAN("here.example"), &l, &err), ALIASES_ERROR);
	assert_int_equal(err.code, 550);
	assert_string_equal(err.text, "He left, sorry");
	aliases_free(a);
	arena_free(arena);
}

/* A command never travels: its address says which row means it. */
static void test_actions(void **state)
{
	char path[] = "/tmp/aliases-XXXXXX";
	struct err err = { 0 };
	struct alias_context c = { "+", place, NULL };
	struct alias_list l;
	struct span text;
	enum alias_kind kind;
	struct arena *arena = arena_new();
	int fd = mkstemp(path);
	(void)state;
	assert_true(fd >= 0);
	dprintf(fd, "list: \"|/usr/bin/list -x, y\", alice, /var/mail/list\nother: |\"/usr/bin/list -x, y\"\n");
	assert_null(aliases_open(path, &err));
	assert_null(aliases_open_allowing(path, ALIASES_COMMANDS, &err));
	assert_non_null(strstr(err.text, ":1: delivery to files is not allowed"));
	struct aliases *a = aliases_open_allowing(path, ALIASES_COMMANDS | ALIASES_FILES, &err);
	if (!a)
		fail_msg("%s", err.text);
	assert_int_equal(aliases_expand(a, arena, &c, SPAN("List"), SPAN("here.example"), &l, &err), ALIASES_FOUND);
	assert_int_equal(l.n, 3);
	assert_int_equal(l.v[0].kind, ALIAS_TO_COMMAND);
	assert_int_equal(l.v[1].kind, ALIAS_TO_ADDRESS);
	assert_int_equal(l.v[2].kind, ALIAS_TO_FILE);
	assert_true(span_starts(l.v[0].local, "|list="));
	assert_true(aliases_is_action(l.v[0].local));
	assert_false(aliases_is_action(l.v[1].local));
	assert_true(aliases_action(a, arena, l.v[0].local, &kind, &text));
	assert_int_equal(kind, ALIAS_TO_COMMAND);
	assert_true(span_eqs(text, "/usr/bin/list -x, y"));
	assert_true(aliases_action(a, arena, l.v[2].local, &kind, &text));
	assert_int_equal(kind, ALIAS_TO_FILE);
	assert_true(span_eqs(text, "/var/mail/list"));
	struct span first = l.v[0].local;
	assert_int_equal(aliases_expand(a, arena, &c, SPAN("other"), SPAN("here.example"), &l, &err), ALIASES_FOUND);
	assert_false(span_eq(first, l.v[0].local));
	assert_true(aliases_action(a, arena, l.v[0].local, &kind, &text));
	assert_true(span_eqs(text, "/usr/bin/list -x, y"));
	assert_false(aliases_action(a, arena, SPAN("|list=0123456789abcdef"), &kind, &text));
	assert_false(aliases_action(a, arena, SPAN("|/usr/bin/list -x, y"), &kind, &text));
	assert_int_equal(aliases_owner(a), geteuid());
	aliases_free(a);
	assert_int_equal(fchmod(fd, 0660), 0);
	assert_null(aliases_open_allowing(path, ALIASES_COMMANDS, &err));
	assert_non_null(strstr(err.text, "nobody but its owner"));
	close(fd);
	unlink(path);
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_expand), cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_include), cmocka_unit_test(test_errors), cmocka_unit_test(test_actions) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
