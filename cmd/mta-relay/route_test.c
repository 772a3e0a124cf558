/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "mta-relay/route.h"

static struct routes *with_file(const char *text, struct err *err)
{
	char path[] = "/tmp/route_test.XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	struct route_config c = { .file = path, .domains = "local.example", .mda = "lmtp:unix:/run/mda" };
	struct routes *r = routes_open(&c, err);
	unlink(path);
	return r;
}

static void test_choice(void **state)
{
	static const struct {
		const char *address, *key;
	} cases[] = {
		{ "a@local.example", "lmtp:unix:/run/mda" },
		{ "a@LOCAL.example", "lmtp:unix:/run/mda" },
		{ "postmaster", "lmtp:unix:/run/mda" },
		{ "a@exact.example", "smtp://exact:25" },
		{ "a@Exact.Example", "smtp://exact:25" },
		{ "a@x.exact.example", "smtp://other:25" },
		{ "a@below.example", "smtp://other:25" },
		{ "a@x.below.example", "smtp://below:25" },
		{ "a@y.x.below.example", "smtp://below:25" },
		{ "a@direct.example", "mx:direct.example" },
		{ "a@no.example", "error:550 5.7.1 not there" },
		{ "a@pipe.example", "lmtp:|exec mda --a b" },
		{ "a@b\xc3\xbc"
		  "cher.example",
		    "smtp://books:25" },
		{ "\"a@b\"@exact.example", "smtp://exact:25" },
		{ "a@[192.0.2.1]", "smtp://other:25" },
		{ "a@-.", "error:bad domain" },
	};
	struct err err = { 0 };
	struct routes *r = with_file("# routes\n"
				     "exact.example  smtp://exact:25\n"
				     ".below.example smtp://below:25 password-file=/p\n"
				     "*              smtp://other:25\n"
				     "direct.example mx\n"
				     "no.example     error:550 5.7.1 not there\n"
				     "pipe.example   lmtp:|exec mda --a b\n"
				     "b\xc3\xbc"
				     "cher.example smtp://books:25\n",
	    &err);
	(void)state;
	if (!r)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct arena *a = arena_new();
		struct route got;
		route_find(r, a, span_str(cases[i].address), &got);
		if (strcmp(got.key, cases[i].key) != 0)
			fail_msg("%s: %s", cases[i].address, got.key);
		arena_free(a);
	}
	routes_close(r);
}

static void test_errors_of_routes(void **state)
{
	static const struct {
		const char *line, *enh, *text;
		int code;
		enum err_class class;
	} cases[] = {
		{ "* error:no mail here", "5.1.2", "no mail here", 550, ERR_PERM },
		{ "* error:451 later", "4.1.2", "later", 451, ERR_TEMP },
		{ "* error:554 5.7.1 spam", "5.7.1", "spam", 554, ERR_PERM },
		{ "* error:99 bottles", "5.1.2", "99 bottles", 550, ERR_PERM },
		{ "* error:5.4.4 unroutable", "5.4.4", "unroutable", 550, ERR_PERM },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct err err = { 0 };
		struct routes *r = with_file(cases[i].line, &err);
		struct arena *a = arena_new();
		struct route got;
		assert_non_null(r);
		route_find(r, a, SPAN("a@x.example"), &got);
		assert_int_equal(got.kind, ROUTE_ERROR);
		assert_int_equal(got.error.code, cases[i].code);
		assert_int_equal(got.error.class, cases[i].class);
		assert_string_equal(got.error.enh, cases[i].enh);
		assert_string_equal(got.error.text, cases[i].text);
		arena_free(a);
		routes_close(r);
	}
}

static void test_bad_files(void **state)
{
	static const char *const cases[] = {
		"\n\nx.example\n",
		"\n\nx.example http://x\n",
		"\n\nx.example smtp://\n",
		"\n\n!! mx\n",
		"\n\nx.example smtp://h:25 password=x\n",
		"\n\nx.example smtp://h:99999\n",
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct err err = { 0 };
		struct routes *r = with_file(cases[i], &err);
		if (r || err.class != ERR_CONFIG || !strstr(err.text, ":3: "))
			fail_msg("%s: %s", cases[i], err.text);
	}
}

static void test_without_a_file(void **state)
{
	struct err err = { 0 };
	struct route got;
	struct arena *a = arena_new();
	struct routes *r = routes_open(&(struct route_config){ .domains = "local.example" }, &err);
	(void)state;
	assert_non_null(r);
	route_find(r, a, SPAN("a@x.example"), &got);
	assert_int_equal(got.kind, ROUTE_MX);
	assert_string_equal(got.target, "x.example");
	route_find(r, a, SPAN("a@local.example"), &got);
	assert_int_equal(got.kind, ROUTE_ERROR);
	assert_int_equal(got.error.class, ERR_TEMP);
	routes_close(r);
	r = routes_open(&(struct route_config){ .smarthost = "smtps://me%40x@hub.example" }, &err);
	assert_non_null(r);
	route_find(r, a, SPAN("a@x.example"), &got);
	assert_int_equal(got.kind, ROUTE_SMTP);
	assert_string_equal(got.target, "smtps://me%40x@hub.example");
	routes_close(r);
	assert_null(routes_open(&(struct route_config){ .smarthost = "hub.example" }, &err));
	assert_null(routes_open(&(struct route_config){ .file = "/nonexistent/routes" }, &err));
	assert_int_equal(err.class, ERR_CONFIG);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choice),
		cmocka_unit_test(test_errors_of_routes),
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_without_a_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
