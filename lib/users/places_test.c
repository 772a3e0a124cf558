/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "io/confine/confine_int.h"
#include "users/places.h"

static char dir[64];

static bool allowed(const struct confine_rules *r, const char *path)
{
	for (size_t i = 0; i < r->n_path; i++)
		if (!strcmp(r->path[i].path, path) && (r->path[i].rights & CONFINE_ALL) == CONFINE_ALL)
			return true;
	return false;
}

static struct users *users_of(const char *rows)
{
	char path[100], command[4000];
	struct err err;
	snprintf(path, sizeof path, "%s/users", dir);
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	for (; *rows; rows++)
		if (*rows == '~')
			fputs(dir, f);
		else
			fputc(*rows, f);
	fclose(f);
	snprintf(command, sizeof command, "mkdir -p %s/home/bob %s/home/eve", dir, dir);
	assert_int_equal(system(command), 0);
	struct users *u = users_open(path, &err);
	assert_non_null(u);
	return u;
}

/* Locations, the rows (~: a directory), what is in reach (the same), what is not. */
static const struct {
	const char *location, *rows;
	const char *in[3], *out[3];
} rows[] = {
	{ "maildir:/srv/mail/%d/%n", "bob\n", { "/srv/mail" }, { "/srv", "/" } },
	{ "maildir:/srv/mail/%d/%n", "bob:::::::mail=maildir:~/home/bob/M\n", { "/srv/mail", "~/home/bob" }, { "/" } },
	{ "maildir:%h/Maildir", "bob:::::~/home/bob\neve:::::~/home/eve\n", { "~/home/bob", "~/home/eve" },
	    { "~/home", "/" } },
	{ "~/Maildir", "bob:::::/no/such/home\n", { NULL }, { "/", "" } },
	{ "mbox:/var/mail/%n", "bob\n", { "/var/mail" }, { "/var" } },
	{ "mbox:/var/mail/box", "bob\n", { "/var/mail" }, { "/var/mail/box" } },
	{ "mbox:%h/sub/box", "bob:::::~/home/bob\n", { "~/home/bob" }, { "~/home" } },
};

static void check(size_t i, const struct confine_rules *r)
{
	char path[200];
	for (size_t k = 0; k < 3; k++) {
		const char *in = rows[i].in[k], *out = rows[i].out[k];
		snprintf(path, sizeof path, "%s%s", in && *in == '~' ? dir : "", in ? in + (*in == '~') : "");
		if (in && !allowed(r, path))
			fail_msg("%s, row %zu: not %s", rows[i].location, i, path);
		snprintf(path, sizeof path, "%s%s", out && *out == '~' ? dir : "", out ? out + (*out == '~') : "");
		if (out && allowed(r, path))
			fail_msg("%s, row %zu: %s too", rows[i].location, i, path);
	}
}

static void test_users(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct users *u = users_of(rows[i].rows);
		struct confine_rules *r = confine_rules_new();
		places_allow(&(struct places){ .location = span_str(rows[i].location), .users = u }, r);
		check(i, r);
		confine_rules_free(r);
		users_close(u);
	}
}

/* So many that their common directory does. */
static void test_many(void **state)
{
	char path[100];
	struct err err;
	(void)state;
	snprintf(path, sizeof path, "%s/users", dir);
	FILE *f = fopen(path, "we");
	for (int i = 0; i < 1000; i++)
		fprintf(f, "u%d:::::%s/home/u%d\n", i, dir, i);
	fclose(f);
	struct users *u = users_open(path, &err);
	struct confine_rules *r = confine_rules_new();
	size_t before = r->n_path;
	places_allow(&(struct places){ .location = SPAN("maildir:%h/Maildir"), .users = u }, r);
	snprintf(path, sizeof path, "%s/home", dir);
	assert_true(allowed(r, path));
	assert_int_equal(r->n_path, before + 1);
	confine_rules_free(r);
	users_close(u);
}

static void test_others(void **state)
{
	char *more_dirs[] = { dir };
	struct opt_list more = { .v = (const char **)more_dirs, .n = 1 };
	struct user bob = { .name = SPAN("bob"), .home = span_str(dir), .mail = SPAN(""), .secret = SPAN("") };
	(void)state;
	struct confine_rules *r = confine_rules_new();
	places_allow(&(struct places){ .location = SPAN("~/Maildir"), .others = PLACES_ANYWHERE }, r);
	assert_true(allowed(r, "/"));
	confine_rules_free(r);
	r = confine_rules_new();
	places_allow(&(struct places){ .location = SPAN("~/Maildir"), .others = PLACES_ANYWHERE, .more = &more }, r);
	assert_false(allowed(r, "/"));
	assert_true(allowed(r, dir));
	confine_rules_free(r);
	r = confine_rules_new();
	places_allow(&(struct places){ .location = SPAN("~/Maildir"), .only = &bob }, r);
	assert_false(allowed(r, "/"));
	assert_true(allowed(r, dir));
	confine_rules_free(r);
	r = confine_rules_new();
	places_allow(&(struct places){ .location = SPAN("~/Maildir"), .others = PLACES_SYSTEM }, r);
	assert_false(allowed(r, "/"));
	assert_true(allowed(r, "/home"));
	confine_rules_free(r);
}

static int group_setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/places_test-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int group_teardown(void **state)
{
	char command[100];
	(void)state;
	snprintf(command, sizeof command, "rm -rf %s", dir);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_users), cmocka_unit_test(test_many),
		cmocka_unit_test(test_others) };
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
