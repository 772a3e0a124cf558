/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/limits.h"
#include "dns/dns.h"

#define L63 "a23456789012345678901234567890123456789012345678901234567890123"

static void test_to_ascii(void **state)
{
	(void)state;
	static const struct {
		const char *in, *want;
	} cases[] = {
		{ "Example.ORG", "example.org" },
		{ "example.org.", "example.org" },
		{ "localhost", "localhost" },
		{ "b\xc3\xbc"
		  "cher.example",
		    "xn--bcher-kva.example" },
		{ "B\xc3\x9c"
		  "CHER.example",
		    "xn--bcher-kva.example" },
		{ "fa\xc3\x9f.example", "xn--fa-hia.example" }, /* non-transitional: sharp s stays */
		{ "xn--bcher-kva.example", "xn--bcher-kva.example" },
		{ "r3---sn-x.example", "r3---sn-x.example" },
		{ "\xe4\xbe\x8b\xe3\x80\x82jp", "xn--fsq.jp" }, /* ideographic full stop */
		{ L63 ".example", L63 ".example" },
		{ L63 "x.example", NULL },
		{ L63 "." L63 "." L63 "." L63, NULL },
		{ "a..b", NULL },
		{ ".a", NULL },
		{ ".", NULL },
		{ "", NULL },
		{ "a..", NULL },
		{ "foo_bar.example", NULL },
		{ "-a.example", NULL },
		{ "a-.example", NULL },
		{ "a b.example", NULL },
		{ "192.0.2.1", NULL },
		{ "a.123", NULL },
		{ "a\\046b", NULL },
		{ "\xff\xfe.example", NULL },
		{ "\xe2\x80\xae.example", NULL }, /* a bidirectional override */
		{ "[192.0.2.1]", NULL },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf b;
		buf_init(&b, LIMIT_DOMAIN);
		bool ok = dns_to_ascii(span_str(cases[i].in), &b);
		if (ok != (cases[i].want != NULL))
			fail_msg("%s: %s", cases[i].in, b.p);
		assert_string_equal(b.p, ok ? cases[i].want : "");
		buf_free(&b);
	}
}

static void test_to_unicode(void **state)
{
	(void)state;
	static const struct {
		const char *in, *want;
	} cases[] = {
		{ "xn--bcher-kva.example", "b\xc3\xbc"
					   "cher.example" },
		{ "example.org", "example.org" },
		{ "xn--.example", "xn--.example" },
		{ "xn--a\xff.example", "xn--a\xff.example" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf b;
		buf_init(&b, 1024);
		dns_to_unicode(span_str(cases[i].in), &b);
		assert_string_equal(b.p, cases[i].want);
		buf_free(&b);
	}
}

static void test_reverse(void **state)
{
	(void)state;
	static const struct {
		const char *in, *want;
	} cases[] = {
		{ "192.0.2.1", "1.2.0.192.in-addr.arpa" },
		{ "2001:db8::567:89ab",
		    "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa" }, /* RFC 3596 2.5's kind
												   */
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct net_addr a;
		struct buf b;
		buf_init(&b, LIMIT_DOMAIN);
		assert_true(net_addr_parse(cases[i].in, 0, &a));
		dns_reverse_name(&a, &b);
		assert_string_equal(b.p, cases[i].want);
		buf_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_to_ascii),
		cmocka_unit_test(test_to_unicode),
		cmocka_unit_test(test_reverse),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
