/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/nameser.h>

#include "mta-relay/guard/guard_dnsbl.h"
#include "mta-relay/guard/guard_int.h"

static const struct {
	const char *text;
	int rc;
	uint64_t n;
	int64_t life;
} rates[] = {
	{ NULL, 0, 0, 0 },
	{ "", 0, 0, 0 },
	{ "0", 0, 0, 0 },
	{ "100/1h", 0, 100, 3600 },
	{ "5/30", 0, 5, 30 },
	{ " 7 / 1d ", 0, 7, 86400 },
	{ "0/1h", 0, 0, 3600 },
	{ "100", -1, 0, 0 },
	{ "/1h", -1, 0, 0 },
	{ "1/0", -1, 0, 0 },
	{ "1/500ms", -1, 0, 0 },
	{ "-1/1h", -1, 0, 0 },
	{ "1/1h/2", -1, 0, 0 },
	{ "99999999999999999999/1h", -1, 0, 0 },
	{ "1/99999999999999999999999999999999999999999999999999", -1, 0, 0 },
};

static void test_rate(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
		struct rate r;
		struct err err = { 0 };
		assert_int_equal(rate_parse(rates[i].text, &r, &err), rates[i].rc);
		assert_int_equal(r.n, rates[i].n);
		assert_int_equal(r.life, rates[i].life);
	}
}

static const struct {
	const char *address;
	unsigned prefix4, prefix6;
	const char *net;
} nets[] = {
	{ "192.0.2.77", 24, 64, "192.0.2.0/24" },
	{ "192.0.2.77", 32, 64, "192.0.2.77/32" },
	{ "192.0.2.77", 26, 64, "192.0.2.64/26" },
	{ "192.0.2.77", 0, 64, "0.0.0.0/0" },
	{ "192.0.2.77", 99, 64, "192.0.2.77/32" },
	{ "2001:db8:1:2:3:4:5:6", 24, 64, "2001:db8:1:2::/64" },
	{ "2001:db8:1:2:3:4:5:6", 24, 56, "2001:db8:1::/56" },
	{ "2001:db8:1:ff02:3:4:5:6", 24, 128, "2001:db8:1:ff02:3:4:5:6/128" },
};

static void test_network(void **state)
{
	char out[GUARD_NET_TEXT];
	struct net_addr none = { .len = 0 };
	(void)state;
	for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
		struct net_addr a;
		assert_true(net_addr_parse(nets[i].address, 25, &a));
		guard_network(&a, nets[i].prefix4, nets[i].prefix6, out);
		assert_string_equal(out, nets[i].net);
	}
	guard_network(&none, 24, 64, out);
	assert_string_equal(out, "");
}

static void test_list(void **state)
{
	static const struct {
		const char *text;
		bool in;
	} rows[] = { { "a@b.example", true }, { "A@B.example", true }, { "x@b.example", false },
		{ "x@c.example", true }, { "x@sub.c.example", false }, { "x@d.net", true }, { "x@net", false },
		{ "x@C.Example", true }, { "192.0.2.5", true }, { "198.51.100.1", true }, { "198.51.100.2", false },
		{ "2001:db8::1", true }, { "2001:db9::1", false }, { "", false }, { "@", false } };
	struct err err = { 0 };
	(void)state;
	struct guard_list *l = guard_list_open(
	    "192.0.2.0/24,a@b.example  c.example # comment d.example\n.net 198.51.100.1 2001:db8::/32\n", &err);
	assert_non_null(l);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct net_addr a;
		bool in = net_addr_parse(rows[i].text, 0, &a) ? guard_list_network(l, &a)
							      : guard_list_address(l, span_str(rows[i].text));
		assert_int_equal(in, rows[i].in);
	}
	assert_false(guard_list_address(NULL, SPAN("a@b.example")));
	guard_list_free(l);
	assert_null(guard_list_open("1.2.3.4/99", &err));
	assert_null(guard_list_open("/nonexistent/file", &err));
	l = guard_list_open("", &err);
	assert_non_null(l);
	assert_false(guard_list_address(l, SPAN("a@b.example")));
	guard_list_free(l);
}

static const struct {
	const char *text, *zone, *in, *out; /* NULL zone: refused; addresses that count and that do not */
	int weight;
} lists[] = {
	{ "Zen.example", "zen.example", "127.0.0.2", "127.255.255.254", 1 },
	{ "zen.example", "zen.example", "127.255.1.1", "192.0.2.1", 1 },
	{ "a.b*-5", "a.b", "127.0.0.2", "128.0.0.1", -5 },
	{ "a.b=127.0.0.[2;4..11]*3", "a.b", "127.0.0.2", "127.0.0.3", 3 },
	{ "a.b=127.0.0.[2;4..11]", "a.b", "127.0.0.11", "127.0.0.12", 1 },
	{ "a.b=127.0.[0..255].3*1", "a.b", "127.0.255.3", "127.1.0.3", 1 },
	{ "a.b=127.255.255.254", "a.b", "127.255.255.254", "127.0.0.2", 1 },
	{ "", NULL, NULL, NULL, 0 },
	{ "*3", NULL, NULL, NULL, 0 },
	{ "a.b*0", NULL, NULL, NULL, 0 },
	{ "a.b*x", NULL, NULL, NULL, 0 },
	{ "a.b*", NULL, NULL, NULL, 0 },
	{ "a..b", NULL, NULL, NULL, 0 },
	{ "a b", NULL, NULL, NULL, 0 },
	{ "a.b.", NULL, NULL, NULL, 0 },
	{ "a.b=", NULL, NULL, NULL, 0 },
	{ "a.b=127.0.0", NULL, NULL, NULL, 0 },
	{ "a.b=127.0.0.2.3", NULL, NULL, NULL, 0 },
	{ "a.b=127.0.0.[2", NULL, NULL, NULL, 0 },
	{ "a.b=127.0.0.[]", NULL, NULL, NULL, 0 },
	{ "a.b=127.0.0.[9..2]", NULL, NULL, NULL, 0 },
	{ "a.b=127.0.0.256", NULL, NULL, NULL, 0 },
};

static void test_dnsbl(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		struct dnsbl b;
		struct err err = { 0 };
		struct dns_rr rr = { .type = ns_t_a };
		struct dns_answer a = { .status = DNS_OK, .rr = &rr, .n = 1 };
		assert_int_equal(dnsbl_parse(lists[i].text, &b, &err), lists[i].zone ? 0 : -1);
		if (!lists[i].zone)
			continue;
		assert_string_equal(b.zone, lists[i].zone);
		assert_int_equal(b.weight, lists[i].weight);
		assert_true(net_addr_parse(lists[i].in, 0, &rr.addr));
		assert_true(dnsbl_listed(&b, &a));
		assert_true(net_addr_parse(lists[i].out, 0, &rr.addr));
		assert_false(dnsbl_listed(&b, &a));
		a = (struct dns_answer){ .status = DNS_NXDOMAIN };
		assert_false(dnsbl_listed(&b, &a));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_network),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_dnsbl),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
