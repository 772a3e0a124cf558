/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/config.h"
#include "base/xalloc.h"
#include "store/maildir.h"

static char root[64];
static struct err err;

static int setup(void **state)
{
	snprintf(root, sizeof root, "/tmp/waypost-maildir-XXXXXX");
	if (!mkdtemp(root))
		return -1;
	err_clear(&err);
	*state = maildir_open(root, true, DURABLE_NONE, &err);
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	char *command = xasprintf("rm -rf '%s'", root);
	maildir_close(*state);
	int rc = system(command);
	free(command);
	return rc;
}

static char *path_of(const char *name)
{
	return xasprintf("%s/%s", root, name);
}

static void put_file(const char *name, const char *text)
{
	char *path = path_of(name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	free(path);
}

static void check_file(const char *name, const char *want)
{
	struct buf b;
	char *path = path_of(name);
	buf_init(&b, 1 << 20);
	if (config_slurp(path, &b, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(b.p, want);
	buf_free(&b);
	free(path);
}

/* Delivers in pieces of at most `piece` bytes. Returns the file's name below the root. */
static char *deliver(struct maildir *m, const char *folder, struct maildir_commit *c, const char *text, size_t piece)
{
	struct span s = span_str(text);
	struct maildir_writer *w = maildir_begin(m, span_str(folder), &err);
	if (!w)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < s.n; i += piece)
		assert_int_equal(maildir_write(w, span_slice(s, i, i + piece)), 0);
	if (maildir_commit(w, c, &err) < 0)
		fail_msg("%s", err.text);
	char *name = xstrdup(c->name + strlen(root) + 1);
	free(c->name);
	return name;
}

static void line_ends_and_sizes(void **state)
{
	static const struct {
		const char *in, *stored;
		unsigned s, w;
	} t[] = {
		{ "", "", 0, 0 },
		{ "a\r\nb\r\n", "a\nb\n", 4, 6 },
		{ "a\nb", "a\nb", 3, 4 },
		{ "\r\n\r\n", "\n\n", 2, 4 },
		{ "a\rb\r\n", "a\rb\n", 4, 5 },
		{ "a\r\r\n", "a\r\n", 3, 3 },
		{ "a\r", "a\r", 2, 2 },
		{ "\n\r\n", "\n\n", 2, 4 },
	};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		for (size_t piece = 1; piece < 4; piece++) {
			struct maildir_commit c = { 0 };
			char tail[64];
			char *name = deliver(*state, "INBOX", &c, t[i].in, piece);
			check_file(name, t[i].stored);
			snprintf(tail, sizeof tail, ",S=%u,W=%u", t[i].s, t[i].w);
			if (!span_starts(span_str(name), "new/") || !span_ends(span_str(name), tail))
				fail_msg("%zu: %s", i, name);
			free(name);
		}
	}
	struct maildir_folder *f = maildir_select(*state, SPAN("INBOX"), false, &err);
	assert_non_null(f);
	assert_int_equal(f->n, 3 * sizeof t / sizeof *t);
	for (size_t i = 0; i < f->n; i++) {
		struct maildir_msg measured = f->msg[i];
		measured.size = measured.vsize = UINT64_MAX;
		assert_int_equal(maildir_sizes(f, &measured, &err), 0);
		assert_int_equal(measured.size, f->msg[i].size);
		assert_int_equal(measured.vsize, f->msg[i].vsize);
		assert_int_equal(f->msg[i].uid, i + 1);
	}
	maildir_deselect(f);
}

static void commit_with_flags(void **state)
{
	struct span keywords[] = { SPAN("$Forwarded"), SPAN("NonJunk") };
	struct maildir_commit c = { .flags = FLAG_SEEN | FLAG_FLAGGED,
		.keywords = keywords,
		.n_keywords = 2,
		.internal_date = 1000000000,
		.want_uid = true };
	char *name = deliver(*state, "INBOX", &c, "x\r\n", 10);
	assert_true(span_starts(span_str(name), "cur/"));
	assert_true(span_ends(span_str(name), ",S=2,W=3:2,FSab"));
	assert_int_equal(c.uid, 1);
	assert_true(c.uidvalidity > 1700000000);
	check_file("dovecot-keywords", "0 $Forwarded\n1 NonJunk\n");
	struct maildir_folder *f = maildir_select(*state, SPAN("inbox"), true, &err);
	assert_non_null(f);
	assert_int_equal(f->n, 1);
	assert_int_equal(f->uidvalidity, c.uidvalidity);
	assert_int_equal(f->uidnext, 2);
	assert_int_equal(f->msg[0].flags, FLAG_SEEN | FLAG_FLAGGED);
	assert_int_equal(f->msg[0].keywords, 3);
	assert_string_equal(f->keyword[1], "NonJunk");
	int64_t date;
	assert_int_equal(maildir_internal_date(f, &f->msg[0], &date, &err), 0);
	assert_int_equal(date, 1000000000);
	maildir_deselect(f);
	free(name);
}

/* A store that Dovecot left: UIDs, UIDVALIDITY, what records hold besides, and letters that we don't know stay. */
static void dovecot_store(void **state)
{
	put_file("cur/1276528487.M364837P9451.kurkku,S=5,W=6:2,Sb", "body\n");
	put_file("cur/1276533073.M242911P3632.kurkku:2,FX", "a\nb\n");
	put_file("new/1276533074.M1P1.kurkku", "new\n");
	put_file("dovecot-keywords", "0 Work\n1 $Junk\n");
	put_file("dovecot-uidlist", "3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1\n"
				    "25006 :1276528487.M364837P9451.kurkku,S=5,W=6:2,\n"
				    "25010 :1276528488.M1P1.gone\n"
				    "25017 W6 P1f :1276533073.M242911P3632.kurkku:2,F\n");
	struct maildir_folder *f = maildir_select(*state, SPAN("INBOX"), false, &err);
	if (!f)
		fail_msg("%s", err.text);
	assert_int_equal(f->uidvalidity, 1275660208);
	assert_int_equal(f->uidnext, 25023);
	assert_int_equal(f->n, 3);
	assert_int_equal(f->msg[0].uid, 25006);
	assert_int_equal(f->msg[0].flags, FLAG_SEEN);
	assert_int_equal(f->msg[0].keywords, 2);
	assert_int_equal(f->msg[1].uid, 25017);
	assert_int_equal(f->msg[2].uid, 25022);
	assert_int_equal(f->msg[2].flags, FLAG_RECENT);
	assert_int_equal(f->recent, 1);
	check_file("dovecot-uidlist", "3 V1275660208 N25023 G3085f01b7f11094c501100008c4a11c1\n"
				      "25006 :1276528487.M364837P9451.kurkku,S=5,W=6\n"
				      "25017 W6 P1f :1276533073.M242911P3632.kurkku\n"
				      "25022 :1276533074.M1P1.kurkku\n");
	check_file("cur/1276533074.M1P1.kurkku:2,", "new\n");
	assert_int_equal(maildir_set_flags(f, &f->msg[1], FLAG_ANSWERED, 1, &err), 0);
	check_file("cur/1276533073.M242911P3632.kurkku:2,RaX", "a\nb\n");
	assert_int_equal(maildir_keyword(f, SPAN("$junk"), false, &err), 1);
	assert_int_equal(maildir_keyword(f, SPAN("Later"), true, &err), 2);
	check_file("dovecot-keywords", "0 Work\n1 $Junk\n2 Later\n");
	maildir_deselect(f);
}

static void changes_by_others(void **state)
{
	struct maildir_commit c = { 0 };
	for (int i = 0; i < 3; i++)
		free(deliver(*state, "INBOX", &c, "m\n", 9));
	struct maildir_folder *a = maildir_select(*state, SPAN("INBOX"), false, &err);
	struct maildir_folder *b = maildir_select(*state, SPAN("INBOX"), false, &err);
	assert_non_null(a);
	assert_non_null(b);
	assert_int_equal(a->recent, 3);
	assert_int_equal(b->recent, 0);
	assert_int_equal(maildir_rescan(b, &err), 0);
	/* a renames: b finds the file under its new name, and then sees the flag. */
	assert_int_equal(maildir_set_flags(a, &a->msg[0], FLAG_SEEN, 0, &err), 0);
	struct span content;
	assert_int_equal(maildir_content(b, &b->msg[0], &content, &err), 0);
	assert_true(span_eqs(content, "m\n"));
	assert_int_equal(b->msg[0].flags, 0);
	assert_int_equal(maildir_rescan(b, &err), 1);
	assert_int_equal(b->msg[0].flags, FLAG_SEEN);
	/* a removes one and gets one: b sees both at its next rescan. */
	assert_int_equal(maildir_expunge(a, &a->msg[1], &err), 0);
	free(deliver(*state, "INBOX", &c, "late\n", 9));
	assert_int_equal(maildir_content(b, &b->msg[1], &content, &err), -1);
	assert_int_equal(err.sys, ENOENT);
	assert_int_equal(maildir_rescan(b, &err), 1);
	assert_int_equal(b->n, 4);
	assert_true(b->msg[1].gone);
	assert_int_equal(b->msg[3].uid, 4);
	maildir_forget(b);
	assert_int_equal(b->n, 3);
	assert_int_equal(maildir_rescan(a, &err), 1);
	assert_int_equal(a->n, 4);
	assert_int_equal(a->msg[3].uid, 4);
	/* Both want to change what the other has renamed. */
	assert_int_equal(maildir_set_flags(b, &b->msg[0], FLAG_SEEN | FLAG_FLAGGED, 0, &err), 0);
	assert_int_equal(maildir_set_flags(a, &a->msg[0], FLAG_SEEN | FLAG_DELETED, 0, &err), 0);
	assert_int_equal(maildir_expunge(b, &b->msg[0], &err), 0);
	assert_int_equal(maildir_expunge(a, &a->msg[0], &err), 0);
	maildir_deselect(a);
	maildir_deselect(b);
}

static void uids_stay(void **state)
{
	struct maildir_commit c = { .want_uid = true };
	for (unsigned i = 1; i <= 5; i++) {
		free(deliver(*state, "INBOX", &c, "m\n", 9));
		assert_int_equal(c.uid, i);
	}
	struct maildir_folder *f = maildir_select(*state, SPAN("INBOX"), false, &err);
	assert_int_equal(maildir_expunge(f, &f->msg[4], &err), 0);
	maildir_deselect(f);
	free(deliver(*state, "INBOX", &c, "m\n", 9));
	assert_int_equal(c.uid, 6);
	f = maildir_select(*state, SPAN("INBOX"), false, &err);
	assert_int_equal(f->n, 5);
	assert_int_equal(f->msg[4].uid, 6);
	assert_int_equal(f->uidnext, 7);
	maildir_deselect(f);
}

static void folders(void **state)
{
	struct maildir *m = *state;
	struct arena *a = arena_new();
	struct span *names;
	size_t n;
	static const char *const bad[] = { "", "/", "a//b", "a.b", "a/", "/a", "a\nb", "\xff", "Inbox", "a\x7f" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (maildir_create(m, span_str(bad[i]), &err) == 0)
			fail_msg("'%s' was made", bad[i]);
	assert_int_equal(maildir_create(m, SPAN("Work/2026"), &err), 0);
	assert_int_equal(maildir_create(m, SPAN("Entw\xc3\xbcrfe"), &err), 0);
	assert_int_equal(maildir_create(m, SPAN("Work"), &err), 0);
	assert_int_equal(maildir_create(m, SPAN("Work"), &err), -1);
	assert_int_equal(err.sys, EEXIST);
	check_file(".Work.2026/maildirfolder", "");
	check_file(".Entw&APw-rfe/maildirfolder", "");
	assert_int_equal(maildir_list(m, a, &names, &n, &err), 0);
	assert_int_equal(n, 4);
	assert_true(span_eqs(names[0], "INBOX"));
	assert_true(span_eqs(names[1], "Entw\xc3\xbcrfe"));
	assert_true(span_eqs(names[3], "Work/2026"));

	struct maildir_commit c = { .want_uid = true };
	free(deliver(m, "Work/2026", &c, "m\n", 9));
	uint32_t validity = c.uidvalidity;
	assert_int_equal(maildir_rename(m, SPAN("Work"), SPAN("Work/x"), &err), -1);
	assert_int_equal(maildir_rename(m, SPAN("Work"), SPAN("Play"), &err), 0);
	struct maildir_folder *f = maildir_select(m, SPAN("Play/2026"), true, &err);
	assert_non_null(f);
	assert_int_equal(f->n, 1);
	assert_int_equal(f->uidvalidity, validity);
	maildir_deselect(f);
	assert_null(maildir_select(m, SPAN("Work"), true, &err));
	assert_int_equal(err.sys, ENOENT);
	assert_null(maildir_begin(m, SPAN("Work"), &err));
	assert_int_equal(err.sys, ENOENT);

	assert_int_equal(maildir_delete(m, SPAN("Play/2026"), &err), 0);
	assert_int_equal(maildir_delete(m, SPAN("Play/2026"), &err), -1);
	assert_int_equal(maildir_delete(m, SPAN("INBOX"), &err), -1);
	assert_int_equal(maildir_create(m, SPAN("Play/2026"), &err), 0);
	f = maildir_select(m, SPAN("Play/2026"), true, &err);
	assert_non_null(f);
	assert_int_equal(f->n, 0);
	assert_true(f->uidvalidity > validity);
	maildir_deselect(f);

	free(deliver(m, "INBOX", &c, "m\n", 9));
	assert_int_equal(maildir_rename(m, SPAN("INBOX"), SPAN("Old"), &err), 0);
	f = maildir_select(m, SPAN("Old"), true, &err);
	assert_int_equal(f->n, 1);
	maildir_deselect(f);
	f = maildir_select(m, SPAN("INBOX"), true, &err);
	assert_int_equal(f->n, 0);
	maildir_deselect(f);
	arena_free(a);
}

static void subscriptions(void **state)
{
	struct maildir *m = *state;
	struct arena *a = arena_new();
	struct span *names;
	size_t n;
	assert_int_equal(maildir_subscribe(m, SPAN("Work/2026"), true, &err), 0);
	assert_int_equal(maildir_subscribe(m, SPAN("Entw\xc3\xbcrfe"), true, &err), 0);
	assert_int_equal(maildir_subscribe(m, SPAN("Work/2026"), true, &err), 0);
	check_file("subscriptions", "V\t2\n\nWork\t2026\nEntw&APw-rfe\n");
	assert_int_equal(maildir_subscribe(m, SPAN("inbox"), true, &err), 0);
	assert_int_equal(maildir_subscribe(m, SPAN("Work/2026"), false, &err), 0);
	check_file("subscriptions", "V\t2\n\nEntw&APw-rfe\nINBOX\n");
	/* The older version stays what it is. */
	put_file("subscriptions", "Work.2026\nINBOX\n\n&bad\n");
	assert_int_equal(maildir_subscriptions(m, a, &names, &n, &err), 0);
	assert_int_equal(n, 2);
	assert_true(span_eqs(names[0], "Work/2026"));
	assert_int_equal(maildir_subscribe(m, SPAN("a/b"), true, &err), 0);
	assert_int_equal(maildir_subscribe(m, SPAN("a.b"), true, &err), -1);
	check_file("subscriptions", "Work.2026\nINBOX\n&bad\na.b\n");
	arena_free(a);
}

static void quota(void **state)
{
	struct maildir *m = *state;
	struct maildir_commit c = { 0 };
	maildir_limit(m, 10);
	free(deliver(m, "INBOX", &c, "1234\n", 9));
	free(deliver(m, "INBOX", &c, "123\n", 9));
	check_file("maildirsize", "10S\n0 0\n5 1\n4 1\n");
	struct maildir_writer *w = maildir_begin(m, SPAN("INBOX"), &err);
	maildir_write(w, SPAN("12\n"));
	assert_int_equal(maildir_commit(w, &c, &err), -1);
	assert_null(c.name);
	assert_int_equal(err.code, 452);
	assert_string_equal(err.enh, "4.2.2");
	free(deliver(m, "INBOX", &c, "\n", 9));
	/* An estimate that says "full" is counted anew before anything is refused. */
	put_file("maildirsize", "10S,9C\n0 0\n900 5\n-1 0\n");
	struct maildir_folder *f = maildir_select(m, SPAN("INBOX"), false, &err);
	assert_int_equal(maildir_expunge(f, &f->msg[0], &err), 0);
	maildir_deselect(f);
	free(deliver(m, "INBOX", &c, "12\n", 9));
	check_file("maildirsize", "10S,9C\n5 2\n3 1\n");
}

static void stale_tmp(void **state)
{
	struct maildir_commit c = { 0 };
	struct timespec old[2] = { { .tv_sec = time(NULL) - 40 * 3600 }, { .tv_sec = time(NULL) - 40 * 3600 } };
	char *stale = path_of("tmp/stale"), *young = path_of("tmp/young");
	put_file("tmp/stale", "x");
	put_file("tmp/young", "x");
	assert_int_equal(utimensat(AT_FDCWD, stale, old, 0), 0);
	free(deliver(*state, "INBOX", &c, "m\n", 9));
	assert_int_equal(access(stale, F_OK), -1);
	assert_int_equal(access(young, F_OK), 0);
	free(stale);
	free(young);
}

static void several_writers(void **state)
{
	struct maildir_writer *w[3];
	struct maildir_commit c[3] = { 0 };
	for (int i = 0; i < 3; i++) {
		w[i] = maildir_begin(*state, SPAN("INBOX"), &err);
		maildir_write(w[i], SPAN("m\n"));
	}
	assert_int_equal(maildir_commit_all(w, c, 3, &err), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(access(c[i].name, F_OK), 0);
		free(c[i].name);
	}
	/* All or none: the third is over the limit. */
	maildir_limit(*state, 10);
	for (int i = 0; i < 3; i++) {
		w[i] = maildir_begin(*state, SPAN("INBOX"), &err);
		maildir_write(w[i], i == 2 ? SPAN("0123456789\n") : SPAN("m\n"));
	}
	assert_int_equal(maildir_commit_all(w, c, 3, &err), -1);
	struct maildir_folder *f = maildir_select(*state, SPAN("INBOX"), false, &err);
	assert_int_equal(f->n, 3);
	maildir_deselect(f);
}

static void keyword_limit(void **state)
{
	struct maildir_folder *f = maildir_select(*state, SPAN("INBOX"), false, &err);
	char name[16];
	for (int i = 0; i < MAILDIR_KEYWORDS; i++) {
		snprintf(name, sizeof name, "k%d", i);
		assert_int_equal(maildir_keyword(f, span_str(name), true, &err), i);
	}
	assert_int_equal(maildir_keyword(f, SPAN("one-more"), true, &err), -1);
	assert_int_equal(err.class, ERR_LIMIT);
	assert_int_equal(maildir_keyword(f, SPAN("a b"), true, &err), -1);
	maildir_deselect(f);
}

static void watch(void **state)
{
	struct maildir_commit c = { 0 };
	char byte;
	struct maildir_folder *f = maildir_select(*state, SPAN("INBOX"), false, &err);
	int fd = maildir_watch(f);
	if (fd < 0)
		skip();
	assert_int_equal(read(fd, &byte, 0), -1);
	free(deliver(*state, "INBOX", &c, "m\n", 9));
	assert_int_equal(maildir_rescan(f, &err), 1);
	assert_int_equal(f->n, 1);
	maildir_deselect(f);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { T(line_ends_and_sizes), T(commit_with_flags), T(dovecot_store),
		T(changes_by_others), T(uids_stay), T(folders), T(subscriptions), T(quota), T(stale_tmp),
		T(several_writers), T(keyword_limit), T(watch) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
