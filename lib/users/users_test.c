/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <crypt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "users/users.h"
#include "users/users_row.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* RFC 7677 3's example: user "user", password "pencil". */
#define SCRAM_PENCIL                                                                                                   \
	"{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"                   \
	"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

static void row_parse(void **state)
{
	(void)state;
	static const struct {
		const char *line;
		int rc;
		const char *name, *secret, *home, *mail;
		long uid;
		uint64_t quota;
	} t[] = {
		{ "", 0, NULL, NULL, NULL, NULL, 0, 0 },
		{ "  \t", 0, NULL, NULL, NULL, NULL, 0, 0 },
		{ "# a:b", 0, NULL, NULL, NULL, NULL, 0, 0 },
		{ "joe", 1, "joe", "", "", "", -1, 0 },
		{ "joe@example.org:{PLAIN}x\r", 1, "joe@example.org", "{PLAIN}x", "", "", -1, 0 },
		{ "joe:{PLAIN}:1000:100:Joe:/home/joe:/bin/sh:", 1, "joe", "{PLAIN}", "/home/joe", "", 1000, 0 },
		{ "joe:$6$a$b::::::userdb_mail=maildir:/m/joe userdb_quota=2M", 1, "joe", "$6$a$b", "",
		    "maildir:/m/joe", -1, 2097152 },
		{ "joe:::::::quota_rule=*:storage=10", 1, "joe", "", "", "", -1, 10240 },
		{ "joe:::::::quota_rule=*:bytes=10k:messages=5", 1, "joe", "", "", "", -1, 10240 },
		{ "joe:::::::quota_rule=Trash:storage=10 whatever=1", 1, "joe", "", "", "", -1, 0 },
		{ ":{PLAIN}x", -1, NULL, NULL, NULL, NULL, 0, 0 },
		{ "../joe:{PLAIN}x", -1, NULL, NULL, NULL, NULL, 0, 0 },
		{ "joe:{NTLM}x", -1, NULL, NULL, NULL, NULL, 0, 0 },
		{ "joe:{PLAIN", -1, NULL, NULL, NULL, NULL, 0, 0 },
		{ "joe:{SCRAM-SHA-256}4096,abc", -1, NULL, NULL, NULL, NULL, 0, 0 },
		{ "joe:x:root", -1, NULL, NULL, NULL, NULL, 0, 0 },
		{ "joe:x:4294967295", -1, NULL, NULL, NULL, NULL, 0, 0 },
		{ "joe:::::::quota=much", -1, NULL, NULL, NULL, NULL, 0, 0 },
		{ "joe:::::::allow_nets=127.0.0.1", -1, NULL, NULL, NULL, NULL, 0, 0 },
	};
	for (size_t i = 0; i < COUNT(t); i++) {
		struct user u;
		struct err err = { 0 };
		int rc = users_row_parse(span_str(t[i].line), &u, &err);
		if (rc != t[i].rc)
			fail_msg("'%s': %d, wanted %d (%s)", t[i].line, rc, t[i].rc, err.text);
		if (rc < 0)
			assert_int_equal(err.class, ERR_CONFIG);
		if (rc != 1)
			continue;
		assert_true(span_eqs(u.name, t[i].name));
		assert_true(span_eqs(u.secret, t[i].secret));
		assert_true(span_eqs(u.home, t[i].home));
		assert_true(span_eqs(u.mail, t[i].mail));
		assert_true(u.uid == (uid_t)t[i].uid);
		assert_true(u.quota == t[i].quota);
	}
}

static void verify(void **state)
{
	(void)state;
	static const struct {
		const char *secret, *password;
		bool ok;
	} t[] = {
		{ "", "", false },
		{ "", "x", false },
		{ "{PLAIN}secret", "secret", true },
		{ "{plain}secret", "secret", true },
		{ "{PLAIN}secret", "secre", false },
		{ "{PLAIN}", "x", false },
		{ "$5$salt$Gcm6FsVtF/Qa77ZKD.iwsJlCVPY0XSMgLJL0Hnww/c1", "secret", false },
		{ "{SHA512-CRYPT}*", "*", false },
		{ "*", "", false },
		{ "!", "!", false },
		{ SCRAM_PENCIL, "pencil", true },
		{ SCRAM_PENCIL, "pencil2", false },
		{ SCRAM_PENCIL, "", false },
		/* RFC 6070's key of "password", "salt", 4096 rounds */
		{ "{PBKDF2}$1$salt$4096$4b007901b765489abead49d926f721d065a429c1", "password", true },
		{ "{PBKDF2}$1$salt$4096$4b007901b765489abead49d926f721d065a429c1", "Password", false },
		{ "{NTLM}x", "x", false },
	};
	for (size_t i = 0; i < COUNT(t); i++)
		if (users_verify(span_str(t[i].secret), span_str(t[i].password)) != t[i].ok)
			fail_msg("%s with %s is not %d", t[i].secret, t[i].password, t[i].ok);
}

static void verify_crypt(void **state)
{
	(void)state;
	static const char *const settings[] = { "$6$saltsalt$", "$5$saltsalt$", "$1$saltsalt$",
		"$2b$04$abcdefghijklmnopqrstuu", "$y$j75$saltsaltsaltsalt$" };
	for (size_t i = 0; i < COUNT(settings); i++) {
		char *secret = xasprintf("%s%s", i % 2 ? "{CRYPT}" : "", crypt("secret", settings[i]));
		if (!users_verify(span_str(secret), span_str("secret")))
			fail_msg("%s does not verify", secret);
		assert_false(users_verify(span_str(secret), span_str("Secret")));
		assert_false(users_verify(span_str(secret), span_of("secret\0x", 8)));
		free(secret);
	}
}

static void scram_keys(void **state)
{
	(void)state;
	struct scram_keys k, again;
	assert_true(users_scram_keys(span_str(SCRAM_PENCIL), &k));
	assert_int_equal(k.iterations, 4096);
	assert_int_equal(k.salt_len, 16);
	assert_true(users_scram_keys(span_str("{PLAIN}pencil"), &again));
	assert_int_equal(again.iterations, 4096);
	assert_int_equal(again.salt_len, 16);
	assert_false(users_scram_keys(span_str("$6$x$y"), &k));
	assert_false(users_scram_keys(span_str(""), &k));
}

static char path[] = "/tmp/waypost-users-test-XXXXXX";

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

/* A change is seen within a tenth of a second. */
static void until_looked_at(void)
{
	usleep(150000);
}

static void lookup(void **state)
{
	(void)state;
	static const struct {
		const char *address, *delimiters, *found;
	} t[] = {
		{ "ann@example.org", "+", "ann@example.org" },
		{ "ANN@Example.ORG", "+", "ann@example.org" },
		{ "ann+lists@example.org", "+", "ann@example.org" },
		{ "ann-lists@example.org", "+-", "ann@example.org" },
		{ "ann-lists@example.org", "+", NULL },
		{ "ann+lists@example.org", "", NULL },
		{ "bob+work@example.org", "+", "bob+work@example.org" },
		{ "bob+home@example.org", "+", "bob" },
		{ "bob@anywhere.example", "+", "bob" },
		{ "bob", "+", "bob" },
		{ "ann", "+", NULL },
		{ "ann@example.com", "+", NULL },
		{ "", "+", NULL },
		{ "@", "+", NULL },
		{ "+x@example.org", "+", NULL },
		{ "\"ann\"@example.org", "+", "ann@example.org" },
		{ "\"a\\nn+a b\"@example.org", "+", "ann@example.org" },
		{ "\"ann@example.org\"@example.com", "+", NULL },
		{ "\"\"@example.org", "+", NULL },
		/* U-labels and A-labels are the same; the local part is as it is. */
		{ "eva@b\xc3\xbc"
		  "cher.example",
		    "+",
		    "eva@b\xc3\xbc"
		    "cher.example" },
		{ "Eva+x@B\xc3\x9c"
		  "CHER.example",
		    "+",
		    "eva@b\xc3\xbc"
		    "cher.example" },
		{ "eva@XN--bcher-kva.example", "+",
		    "eva@b\xc3\xbc"
		    "cher.example" },
		{ "j\xc3\xbc@xn--bcher-kva.example", "+",
		    "j\xc3\xbc@b\xc3\xbc"
		    "cher.example" },
		{ "gil@k\xc3\xa4se.example", "+", "gil@xn--kse-qla.example" },
		{ "gil@b\xc3\xbc"
		  "cher.example",
		    "+", NULL },
		{ "gil@\xff", "+", NULL },
	};
	put("# people\nann@example.org:{PLAIN}a::::/home/ann\n\nbob:{PLAIN}b\nbob+work@example.org:{PLAIN}c\n"
	    "eva@b\xc3\xbc"
	    "cher.example:\nj\xc3\xbc@b\xc3\xbc"
	    "cher.example:\ngil@xn--kse-qla.example:\n");
	struct err err = { 0 };
	struct users *u = users_open(path, &err);
	assert_non_null(u);
	struct arena *a = arena_new();
	struct user out;
	for (size_t i = 0; i < COUNT(t); i++) {
		enum users_result r = users_lookup(u, a, span_str(t[i].address), t[i].delimiters, &out, &err);
		if (r != (t[i].found ? USERS_OK : USERS_UNKNOWN))
			fail_msg("%s: %d", t[i].address, r);
		if (t[i].found)
			assert_true(span_eqs(out.name, t[i].found));
	}
	/* A changed file is read again; a broken one is an error at each lookup until it is mended. */
	put("cid@example.org:{PLAIN}c\n");
	until_looked_at();
	assert_int_equal(users_lookup(u, a, SPAN("cid@example.org"), "+", &out, &err), USERS_OK);
	assert_int_equal(users_lookup(u, a, SPAN("ann@example.org"), "+", &out, &err), USERS_UNKNOWN);
	put("cid@example.org:{PLAIN}c\nann:{WHAT}x\n");
	until_looked_at();
	for (int i = 0; i < 2; i++) {
		assert_int_equal(users_lookup(u, a, SPAN("cid@example.org"), "+", &out, &err), USERS_ERROR);
		assert_non_null(strstr(err.text, ":2: unknown password scheme {WHAT}"));
	}
	put("cid@example.org:{PLAIN}c\n");
	assert_int_equal(users_lookup(u, a, SPAN("cid@example.org"), "+", &out, &err), USERS_OK);
	arena_free(a);
	users_close(u);
}

static void open_errors(void **state)
{
	(void)state;
	struct err err = { 0 };
	put("ann:{PLAIN}x\nbob\nAnn:{PLAIN}y\n");
	assert_null(users_open(path, &err));
	assert_int_equal(err.class, ERR_CONFIG);
	assert_non_null(strstr(err.text, ":3: the user of line 1 again"));
	assert_null(users_open("/nonexistent/users", &err));
	assert_int_equal(err.class, ERR_CONFIG);
}

static void many_users(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 64 << 20);
	for (int i = 0; i < 100000; i++)
		buf_addf(&b, "user%d@example.org:{PLAIN}p%d\n", i, i);
	put(b.p);
	buf_free(&b);
	struct err err = { 0 };
	struct users *u = users_open(path, &err);
	assert_non_null(u);
	struct arena *a = arena_new();
	for (int i = 0; i < 100000; i += 7) {
		char name[64];
		struct user out;
		snprintf(name, sizeof name, "user%d+x@example.org", i);
		assert_int_equal(users_lookup(u, a, span_str(name), "+", &out, &err), USERS_OK);
		assert_int_equal(out.name.n, strlen(name) - 2);
		arena_reset(a);
	}
	arena_free(a);
	users_close(u);
}

static void location(void **state)
{
	(void)state;
	static const struct {
		const char *location, *name, *home, *path; /* NULL: refused */
		enum location_kind kind;
	} t[] = {
		{ "maildir:/m/%u", "ann@example.org", "", "/m/ann@example.org", LOCATION_MAILDIR },
		{ "maildir:/m/%d/%n", "ann@example.org", "", "/m/example.org/ann", LOCATION_MAILDIR },
		{ "mbox:/m/%n%%", "ann", "", "/m/ann%", LOCATION_MBOX },
		{ "maildir:~/Maildir", "ann", "/home/ann", "/home/ann/Maildir", LOCATION_MAILDIR },
		{ "%h/mail/", "ann", "/home/ann", "/home/ann/mail/", LOCATION_MAILDIR },
		{ "/tmp", "ann", "", "/tmp", LOCATION_MAILDIR },
		{ "/nonexistent/mbox", "ann", "", "/nonexistent/mbox", LOCATION_MBOX },
		{ "maildir:/m/%d/%n", "ann", "", NULL, 0 },
		{ "maildir:/m/%n", "../ann@x", "", NULL, 0 },
		{ "maildir:/m/%n", "..@x", "", NULL, 0 },
		{ "maildir:/m/%d", "a@..", "", NULL, 0 },
		{ "maildir:/m/%d", "a@b/c", "", NULL, 0 },
		{ "maildir:/m/%n", "@x", "", NULL, 0 },
		{ "maildir:~/Maildir", "ann", "", NULL, 0 },
		{ "maildir:/m/%x", "ann", "", NULL, 0 },
		{ "maildir:/m/%", "ann", "", NULL, 0 },
		{ "maildir:", "ann", "", NULL, 0 },
		{ "maildir:/m:LAYOUT=fs", "ann", "", NULL, 0 },
		{ "maildir:/m:x", "ann", "", "/m:x", LOCATION_MAILDIR },
	};
	struct buf b;
	buf_init(&b, 4096);
	for (size_t i = 0; i < COUNT(t); i++) {
		struct user u = { .name = span_str(t[i].name), .home = span_str(t[i].home) };
		enum location_kind kind = LOCATION_MBOX;
		struct err err = { 0 };
		int rc = location_expand(span_str(t[i].location), &u, &kind, &b, &err);
		if ((rc == 0) != (t[i].path != NULL))
			fail_msg("%s for %s: %d %s", t[i].location, t[i].name, rc, err.text);
		if (!t[i].path)
			continue;
		assert_string_equal(b.p, t[i].path);
		assert_int_equal(kind, t[i].kind);
	}
	buf_free(&b);
}

int main(void)
{
	int fd = mkstemp(path);
	if (fd < 0)
		return 1;
	close(fd);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(row_parse),
		cmocka_unit_test(verify),
		cmocka_unit_test(verify_crypt),
		cmocka_unit_test(scram_keys),
		cmocka_unit_test(lookup),
		cmocka_unit_test(open_errors),
		cmocka_unit_test(many_users),
		cmocka_unit_test(location),
	};
	int rc = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return rc;
}
