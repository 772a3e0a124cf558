/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "users/table_int.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static struct arena *arena;

static int begin(void **state)
{
	(void)state;
	arena = arena_new();
	return 0;
}

static int end(void **state)
{
	(void)state;
	arena_free(arena);
	return 0;
}

/* The value; "-" for none, "!why" for an error. */
static const char *look(struct table *t, const char *text)
{
	struct buf key;
	struct span value;
	struct err err = { 0 };
	buf_init(&key, 1024);
	assert_true(table_key(span_str(text), &key));
	enum table_result r = table_get(t, arena, buf_span(&key), &value, &err);
	buf_free(&key);
	return r == TABLE_FOUND  ? arena_str(arena, value)
	       : r == TABLE_NONE ? "-"
				 : arena_printf(arena, "!%s", err.text);
}

static void keys(void **state)
{
	(void)state;
	static const struct {
		const char *text, *key; /* NULL: none */
	} t[] = {
		{ "Bob@Example.ORG", "bob@example.org" },
		{ "Bob@Example.ORG.", "bob@example.org" },
		{ "@Example.org", "@example.org" },
		{ "Example.org", "example.org" },
		{ ".Example.org", ".example.org" },
		{ "bob@b\xc3\xbc"
		  "cher.example",
		    "bob@xn--bcher-kva.example" },
		{ "b\xc3\xbc"
		  "cher.example",
		    "xn--bcher-kva.example" },
		{ ".b\xc3\xbc"
		  "cher.example",
		    ".xn--bcher-kva.example" },
		{ "\"Odd Name\"@example.org", "odd name@example.org" },
		{ "\"bob\"@example.org", "bob@example.org" },
		{ "Bob", "bob" },
		{ "", NULL },
		{ "bob@", NULL },
		{ "b\nob", NULL },
		{ "\"bob", NULL },
	};
	for (size_t i = 0; i < COUNT(t); i++) {
		struct buf b;
		buf_init(&b, 1024);
		bool ok = table_key(span_str(t[i].text), &b);
		if (ok != (t[i].key != NULL) || (ok && strcmp(b.p, t[i].key) != 0))
			fail_msg("%s: %s", t[i].text, ok ? b.p : "none");
		buf_free(&b);
	}
}

static void written_down(void **state)
{
	(void)state;
	static const struct {
		const char *spec, *key, *want;
	} t[] = {
		{ "a.example, B.example c@d.example", "b.example", "" },
		{ "a.example, B.example c@d.example", "C@D.example", "" },
		{ "a.example", "b.example", "-" },
		{ "list:a,a", "a", "" },
		{ "", "a", "-" },
		{ "inline:{a=b, c = d e}", "c", "d e" },
		{ "inline:{a=b, c={d, e}}", "c", "d, e" },
		{ "inline:{{a = b, c}, {d=e}}", "a", "b, c" },
		{ "inline:{{a = b, c}, {d=e}}", "d", "e" },
		{ "inline:{\"x,=y\"@here.example=z}", "\"x,=y\"@here.example", "z" },
		{ "inline:{}", "a", "-" },
		{ "inline:{a@b.example=c=d}", "a@b.example", "c=d" },
	};
	for (size_t i = 0; i < COUNT(t); i++) {
		struct err err = { 0 };
		struct table *table = table_open(t[i].spec, &err);
		if (!table)
			fail_msg("%s: %s", t[i].spec, err.text);
		assert_string_equal(look(table, t[i].key), t[i].want);
		assert_true(table_is_plain(table));
		table_close(table);
	}
}

static void refused(void **state)
{
	(void)state;
	static const char *const specs[] = { "hash:/etc/aliases", "inline:a=b", "inline:{=b}", "regexp:/nonexistent",
		"file:/nonexistent", "/nonexistent", "socketmap:x", "socketmap:unix:relative:name",
		"socketmap:unix:/run/x:", "socketmap:inet:host:name", "socketmap:inet:host:99999:name",
		"socketmap:inet:host:1:two words", "a\nb" };
	for (size_t i = 0; i < COUNT(specs); i++) {
		struct err err = { 0 };
		if (table_open(specs[i], &err))
			fail_msg("%s was taken", specs[i]);
		assert_true(err.class == ERR_USAGE || err.class == ERR_CONFIG || err.class == ERR_TEMP);
	}
}

static char path[] = "/tmp/waypost-table-test-XXXXXX";

static void put(const char *text)
{
	char *tmp = xasprintf("%s.new", path);
	FILE *f = fopen(tmp, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(rename(tmp, path), 0);
	free(tmp);
}

static void text_file(void **state)
{
	(void)state;
	struct err err = { 0 };
	char *spec = xasprintf("file:%s", path);
	put("# comment\nBob@Here.example\ta@x.example,\n  b@x.example\n   # another\n\tc@x.example\n\n@old.example "
	    "@new.example\n\"two words\"@x z\nalone\n");
	struct table *t = table_open(spec, &err);
	assert_non_null(t);
	assert_string_equal(look(t, "bob@here.example"), "a@x.example, b@x.example c@x.example");
	assert_string_equal(look(t, "@old.example"), "@new.example");
	assert_string_equal(look(t, "\"two words\"@x"), "z");
	assert_string_equal(look(t, "alone"), "");
	assert_string_equal(look(t, "comment"), "-");
	assert_true(span_eqs(table_first(t), "bob@here.example"));
	put("alone other\n");
	usleep(150000);
	assert_int_equal(table_refresh(t, &err), 0);
	assert_string_equal(look(t, "alone"), "other");
	/* A bad one is told, and the old rows stay. */
	put("alone more\nalone again\n");
	usleep(150000);
	assert_int_equal(table_refresh(t, &err), -1);
	assert_non_null(strstr(err.text, ":2: the key of line 1 again"));
	assert_string_equal(look(t, "alone"), "other");
	put(" continues\n");
	assert_null(table_open(spec, &err));
	assert_non_null(strstr(err.text, ":1: continues no line"));
	table_close(t);
	free(spec);
}

static void many_rows(void **state)
{
	(void)state;
	struct buf b;
	struct err err = { 0 };
	buf_init(&b, 64 << 20);
	for (int i = 0; i < 200000; i++)
		buf_addf(&b, "user%d@example.org to%d\n", i, i);
	put(b.p);
	buf_free(&b);
	struct table *t = table_open(path, &err);
	assert_non_null(t);
	assert_string_equal(look(t, "user199999@example.org"), "to199999");
	assert_string_equal(look(t, "user200000@example.org"), "-");
	table_close(t);
}

static void regexps(void **state)
{
	(void)state;
	static const struct {
		const char *rules, *key, *want;
	} t[] = {
		{ "/^(.*)@old\\.example$/ $1@new.example\n", "bob@old.example", "bob@new.example" },
		{ "/^(.*)@old\\.example$/ ${1}x$(1)$$\n", "bob@old.example", "bobxbob$" },
		{ "/^BOB@/ yes\n", "bob@x", "yes" },
		{ "/^BOB@/i yes\n", "bob@x", "-" },
		{ "#x\n/a/ one\n/a/ two\n", "a", "one" },
		{ "!/^a/ no\n", "a", "-" },
		{ "!/^a/ no\n", "b", "no" },
		{ ",^a/b$, slash\n", "a/b", "slash" },
		{ "/a\\/b/ slash\n", "a/b", "slash" },
		{ "/a(b)?/ <$1>\n", "ac", "<>" },
		{ "/^(a+)+$/ x\n", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "!" },
		{ "/^\xc3\xa9.$/ utf8\n", "\xc3\xa9\xc3\xa8", "utf8" },
		{ "/./\n", "x", "" },
	};
	for (size_t i = 0; i < COUNT(t); i++) {
		struct err err = { 0 };
		struct span value = SPAN("");
		struct table_regexps *r = table_regexps_text(span_str(t[i].rules), "rules", &err);
		if (!r)
			fail_msg("%s: %s", t[i].rules, err.text);
		enum table_result rc = table_regexps_find(r, arena, span_str(t[i].key), &value, &err);
		if (*t[i].want == '!') {
			assert_int_equal(rc, TABLE_ERROR);
			assert_int_equal(err.class, ERR_TEMP);
		} else {
			assert_string_equal(rc == TABLE_FOUND ? arena_str(arena, value) : "-", t[i].want);
		}
		table_regexps_free(r);
	}
}

static void bad_regexps(void **state)
{
	(void)state;
	static const struct {
		const char *rules, *why;
	} t[] = {
		{ "/a/ x\n/(/ y\n", "rules:2: missing closing parenthesis" },
		{ "/a/q x\n", "rules:1: flags are" },
		{ "/a x\n", "rules:1: /pattern/flags value expected" },
		{ "a x\n", "rules:1: /pattern/flags value expected" },
		{ "!\n", "rules:1: /pattern/flags value expected" },
		{ "/(a)/ $2\n", "names no group" },
		{ "!/(a)/ $1\n", "names no group" },
		{ "/a/ $x\n", "names no group" },
		{ "/a/ $\n", "names no group" },
		{ " /a/ $\n", "rules:1: continues no line" },
	};
	for (size_t i = 0; i < COUNT(t); i++) {
		struct err err = { 0 };
		assert_null(table_regexps_text(span_str(t[i].rules), "rules", &err));
		if (err.class != ERR_CONFIG || !strstr(err.text, t[i].why))
			fail_msg("%s: %s", t[i].rules, err.text);
	}
}

static void replies(void **state)
{
	(void)state;
	static const struct {
		const char *bytes, *want;
	} t[] = {
		{ "8:OK a@b.c,", "a@b.c" },
		{ "3:OK ,", "" },
		{ "2:OK,", "" },
		{ "9:NOTFOUND ,", "-" },
		{ "8:NOTFOUND,", "-" },
		{ "9:TEMP busy,", "!it says TEMP busy" },
		{ "12:TIMEOUT slow,", "!it says TIMEOUT slow" },
		{ "8:PERM bad,", "!it says PERM bad" },
		{ "3:WHY,", "!it says what is no reply" },
		{ "0:,", "!it says what is no reply" },
		{ "5:OK a\n,", "!it says what is no reply" },
		{ "8:OK a@b.cX", "!the reply is no netstring" },
		{ "x", "!the reply is no netstring" },
		{ ":,", "!the reply is no netstring" },
		{ "08:OK a@b.c,", "!the reply is no netstring" },
		{ "999999:", "!the reply is no netstring" },
		{ "12345678901234567890:", "!the reply is no netstring" },
	};
	for (size_t i = 0; i < COUNT(t) * 2; i++) {
		struct err err = { 0 };
		struct buf b;
		struct span value = SPAN("");
		struct stream *s = stream_from_mem(span_str(t[i / 2].bytes), i % 2);
		buf_init(&b, SOCKETMAP_REPLY);
		enum table_result r = TABLE_ERROR;
		if (socketmap_read(s, &b, &err) == 0)
			r = socketmap_reply(buf_span(&b), &value, &err);
		const char *got = r == TABLE_FOUND  ? arena_str(arena, value)
				  : r == TABLE_NONE ? "-"
						    : arena_printf(arena, "!%s", err.text);
		if (strcmp(got, t[i / 2].want) != 0)
			fail_msg("%s: %s", t[i / 2].bytes, got);
		stream_close(s);
		buf_free(&b);
	}
	struct err err = { 0 };
	struct buf b;
	buf_init(&b, SOCKETMAP_REPLY);
	struct stream *s = stream_from_mem(SPAN("8:OK"), 0);
	assert_int_equal(socketmap_read(s, &b, &err), -1);
	assert_int_not_equal(err.class, ERR_NONE);
	stream_close(s);
	buf_free(&b);
}

/* A server that answers `per` look-ups on each connection and then hangs up. */
static void answer(int listener, int per)
{
	char in[200];
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		if (fd < 0)
			_exit(1);
		if (fork() != 0) {
			close(fd);
			continue;
		}
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int i = 0; i < per; i++) {
			ssize_t n = read(fd, in, sizeof in - 1);
			if (n <= 0)
				break;
			in[n] = 0;
			const char *reply = strstr(in, "bob@x")    ? "10:OK al@y.ex,"
					    : strstr(in, "temp@x") ? "9:TEMP busy,"
					    : strstr(in, "two@x")  ? "3:OK ,3:OK ,"
								   : "9:NOTFOUND ,";
			if (!strstr(in, ":virtual ") || write(fd, reply, strlen(reply)) < 0)
				break;
		}
		_exit(0);
	}
}

static void socketmap(void **state)
{
	(void)state;
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct err err = { 0 };
	char *spec = xasprintf("socketmap:unix:%s.sock:virtual", path);
	snprintf(sa.sun_path, sizeof sa.sun_path, "%s.sock", path);
	struct table *t = table_open(spec, &err);
	assert_non_null(t);
	assert_false(table_is_plain(t));
	/* Not there yet: nobody knows. */
	assert_int_equal(*look(t, "bob@x"), '!');
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
	assert_int_equal(listen(fd, 5), 0);
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGCHLD, SIG_IGN);
		answer(fd, 3);
	}
	for (int i = 0; i < 5; i++) {
		assert_string_equal(look(t, "Bob@X"), "al@y.ex");
		assert_string_equal(look(t, "eve@x"), "-");
	}
	assert_non_null(strstr(look(t, "temp@x"), "TEMP busy"));
	/* More than one reply is none. */
	assert_int_equal(*look(t, "two@x"), '!');
	/* A child has a connection of its own. */
	assert_string_equal(look(t, "bob@x"), "al@y.ex");
	pid_t child = fork();
	if (child == 0)
		_exit(strcmp(look(t, "bob@x"), "al@y.ex") != 0);
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_string_equal(look(t, "eve@x"), "-");
	table_close(t);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(fd);
	unlink(sa.sun_path);
	free(spec);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(keys, begin, end),
		cmocka_unit_test_setup_teardown(written_down, begin, end),
		cmocka_unit_test_setup_teardown(refused, begin, end),
		cmocka_unit_test_setup_teardown(text_file, begin, end),
		cmocka_unit_test_setup_teardown(many_rows, begin, end),
		cmocka_unit_test_setup_teardown(regexps, begin, end),
		cmocka_unit_test_setup_teardown(bad_regexps, begin, end),
		cmocka_unit_test_setup_teardown(replies, begin, end),
		cmocka_unit_test_setup_teardown(socketmap, begin, end),
	};
	int fd = mkstemp(path);
	if (fd < 0)
		return 1;
	close(fd);
	signal(SIGPIPE, SIG_IGN);
	int rc = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return rc;
}
