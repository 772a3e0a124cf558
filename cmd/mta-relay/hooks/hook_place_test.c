/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "mta-relay/hooks/hook_place.h"

struct values {
	int64_t time;
	int what;
	bool flag;
};
static const struct opt settings[] = {
	{ "time", 0, OPT_DURATION, offsetof(struct values, time), "TIME", "", NULL, 0 },
	{ "what", 0, OPT_CHOICE, offsetof(struct values, what), NULL, "", "one|two", 0 },
	{ "flag", 0, OPT_FLAG, offsetof(struct values, flag), NULL, "", NULL, 0 },
	{ 0 },
};

static void test_places(void **state)
{
	static const struct {
		const char *spec, *path, *host;
		unsigned port;
	} rows[] = {
		{ "inet:127.0.0.1:8891", NULL, "127.0.0.1", 8891 },
		{ "inet:8891@localhost", NULL, "localhost", 8891 },
		{ "inet6:[::1]:8891", NULL, "::1", 8891 },
		{ "inet6:8891@::1", NULL, "::1", 8891 },
		{ "unix:/run/a:b", "/run/a:b", NULL, 0 },
		{ "local:/run/x,flag", "/run/x", NULL, 0 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct hook_place p;
		struct values v = { 0 };
		struct err err = { 0 };
		assert_int_equal(hook_place_parse("--x", rows[i].spec, settings, &v, &p, &err), 0);
		assert_int_equal(p.port, rows[i].port);
		if (rows[i].path)
			assert_string_equal(p.path, rows[i].path);
		else
			assert_string_equal(p.host, rows[i].host);
		assert_null(strchr(p.name, ','));
		hook_place_free(&p);
	}
}

static void test_settings(void **state)
{
	struct hook_place p;
	struct values v = { .flag = true };
	struct err err = { 0 };
	(void)state;
	assert_int_equal(hook_place_parse("--x", "unix:/s,time=2s,what=two,flag=no", settings, &v, &p, &err), 0);
	assert_int_equal(v.time, 2000);
	assert_int_equal(v.what, 1);
	assert_false(v.flag);
	hook_place_free(&p);
}

static void test_bad(void **state)
{
	static const char *const specs[] = { "", "inet", "inet:", "inet:host", "inet:host:", "inet::1", "inet:host:0",
		"inet:host:65536", "unix:", "tcp:host:1", "unix:/s,what=three", "unix:/s,time", "unix:/s,other=1",
		"unix:/s,time=x", "inet:@host", "inet:1@" };
	(void)state;
	for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
		struct hook_place p;
		struct values v;
		struct err err = { 0 };
		assert_int_equal(hook_place_parse("--x", specs[i], settings, &v, &p, &err), -1);
		assert_int_equal(err.class, ERR_USAGE);
		assert_non_null(strstr(err.text, "--x '"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_places), cmocka_unit_test(test_settings),
		cmocka_unit_test(test_bad) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
