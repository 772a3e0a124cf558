/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "mta-relay/hop/route_site.h"

static void site_of(const char *const *names, const unsigned *preference, size_t n, char out[SITE_SIZE])
{
	struct mx_host host[60] = { 0 };
	for (size_t i = 0; i < n; i++) {
		host[i].name = span_str(names[i]);
		host[i].preference = (uint16_t)preference[i];
	}
	route_site(&(struct mx_result){ .host = host, .n = n }, out);
}

static void test_best_hosts_sorted(void **state)
{
	static const char *const one[] = { "MX2.example.net", "mx1.example.net", "backup.example.net" };
	static const char *const other[] = { "mx1.example.net", "mx2.example.net", "elsewhere.example" };
	static const unsigned preference[] = { 10, 10, 20 };
	char a[SITE_SIZE], b[SITE_SIZE];
	(void)state;
	site_of(one, preference, 3, a);
	site_of(other, preference, 3, b);
	assert_string_equal(a, "mx1.example.net mx2.example.net");
	assert_string_equal(a, b);
	site_of(one, preference, 1, b);
	assert_string_equal(b, "mx2.example.net");
	site_of(one, preference, 0, b);
	assert_string_equal(b, "");
}

static void test_too_long_is_hashed(void **state)
{
	static char text[50][40];
	const char *names[50];
	unsigned preference[50];
	char a[SITE_SIZE], b[SITE_SIZE];
	(void)state;
	for (size_t i = 0; i < 50; i++) {
		snprintf(text[i], sizeof text[i], "mx%zu.a-long-name.example", i);
		names[i] = text[i];
		preference[i] = 5;
	}
	site_of(names, preference, 50, a);
	assert_int_equal(a[0], '#');
	names[0] = text[49];
	names[49] = text[0];
	site_of(names, preference, 50, b);
	assert_string_equal(a, b);
	site_of(names, preference, 49, b);
	assert_string_not_equal(a, b);
}

static void test_literal(void **state)
{
	struct net_addr addr;
	struct mx_host host = { .name = span_str(""), .addr = &addr, .n_addr = 1 };
	char a[SITE_SIZE];
	(void)state;
	assert_true(net_addr_parse("192.0.2.1", 0, &addr));
	route_site(&(struct mx_result){ .host = &host, .n = 1 }, a);
	assert_string_equal(a, "192.0.2.1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_best_hosts_sorted),
		cmocka_unit_test(test_too_long_is_hashed),
		cmocka_unit_test(test_literal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
