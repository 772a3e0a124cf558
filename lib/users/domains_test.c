/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "users/domains.h"

static const struct {
	const char *list, *domain;
	bool match;
} rows[] = {
	{ "here.example", "here.example", true },
	{ "here.example", "HERE.Example.", true },
	{ "here.example", "there.example", false },
	{ "here.example", "sub.here.example", false },
	{ "here.example", "", false },
	{ "", "here.example", false },
	{ "", "", false },
	{ " a.example, b.example c.example,,", "c.example", true },
	{ ".here.example", "sub.here.example", true },
	{ ".here.example", "a.b.here.example", true },
	{ ".here.example", "here.example", false },
	{ ".here.example", ".here.example", false },
	{ ".here.example", "xhere.example", false },
	{ "b\xc3\xbc"
	  "cher.example",
	    "xn--bcher-kva.example", true },
	{ "xn--bcher-kva.example",
	    "B\xc3\x9c"
	    "CHER.example",
	    true },
	{ ".b\xc3\xbc"
	  "cher.example",
	    "x.xn--bcher-kva.example", true },
	{ "here.example", "here.example\n", false },
	{ "here.example", "here.example@", false },
	{ "[192.0.2.1]", "[192.0.2.1]", true },
	{ "inline:{here.example=x, .there.example=}", "HERE.example", true },
	{ "inline:{here.example=x, .there.example=}", "a.b.there.example", true },
	{ "inline:{here.example=x, .there.example=}", "there.example", false },
	{ "list:here.example", "sub.here.example", false },
};

static void test_match(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct err err = { 0 };
		struct domains *d = domains_open(rows[i].list, &err);
		if (!d)
			fail_msg("%s: %s", rows[i].list, err.text);
		if (domains_match(d, span_str(rows[i].domain)) != rows[i].match)
			fail_msg("'%s' in '%s'", rows[i].domain, rows[i].list);
		domains_free(d);
	}
	assert_false(domains_match(NULL, SPAN("x")));
}

static void test_file(void **state)
{
	char path[] = "/tmp/domains-XXXXXX";
	struct err err = { 0 };
	(void)state;
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	dprintf(fd, "# ours\na.example b.example # two\n\n.c.example\n");
	struct domains *d = domains_open(path, &err);
	assert_non_null(d);
	assert_true(span_eqs(domains_first(d), "a.example"));
	assert_true(domains_match(d, SPAN("b.example")));
	assert_true(domains_match(d, SPAN("x.c.example")));
	assert_false(domains_match(d, SPAN("two")));
	domains_free(d);
	dprintf(fd, "bad\x01name\n");
	assert_null(domains_open(path, &err));
	assert_int_equal(err.class, ERR_CONFIG);
	assert_non_null(strstr(err.text, ":5: "));
	close(fd);
	unlink(path);
	assert_null(domains_open(path, &err));
	assert_int_equal(err.class, ERR_CONFIG);
}

/* Nobody answers: neither ours nor not ours. */
static void test_unknown(void **state)
{
	struct err err = { 0 };
	(void)state;
	struct domains *d = domains_open("socketmap:unix:/nonexistent/socket:domains", &err);
	assert_non_null(d);
	assert_int_equal(domains_find(d, SPAN("here.example"), &err), -1);
	assert_int_equal(err.class, ERR_TEMP);
	assert_false(domains_match(d, SPAN("here.example")));
	assert_true(span_eqs(domains_first(d), ""));
	domains_free(d);
	assert_null(domains_open("socketmap:x", &err));
	assert_int_equal(err.class, ERR_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_match), cmocka_unit_test(test_file),
		cmocka_unit_test(test_unknown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
