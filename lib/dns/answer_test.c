/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <arpa/nameser.h>
#include <cmocka.h>

#include "base/limits.h"
#include "dns/answer.h"

static void add16(struct buf *b, unsigned v)
{
	buf_addc(b, (char)(v >> 8));
	buf_addc(b, (char)v);
}

static void header(struct buf *b, unsigned flags, unsigned answers)
{
	buf_init(b, LIMIT_DNS_ANSWER);
	add16(b, 0x1234);
	add16(b, flags);
	add16(b, 1);
	add16(b, answers);
	add16(b, 0);
	add16(b, 0);
}

/* "a.b" as labels, with the final root. */
static void add_name(struct buf *b, const char *name)
{
	struct span rest = span_str(name);
	while (rest.n) {
		struct span label = span_cut(&rest, '.');
		buf_addc(b, (char)label.n);
		buf_addspan(b, label);
	}
	buf_addc(b, 0);
}

static void question(struct buf *b, const char *name, unsigned type)
{
	add_name(b, name);
	add16(b, type);
	add16(b, 1);
}

/* owner NULL: a pointer to the question. */
static void record(struct buf *b, const char *owner, unsigned type, const void *data, size_t n)
{
	if (owner)
		add_name(b, owner);
	else
		add16(b, 0xc00c);
	add16(b, type);
	add16(b, 1);
	add16(b, 0);
	add16(b, 300);
	add16(b, (unsigned)n);
	buf_add(b, data, n);
}

static void parse(struct arena *a, const struct buf *b, const char *name, int type, struct dns_answer *out)
{
	answer_parse(a, buf_span(b), span_str(name), type, out);
}

static void assert_name(struct span got, const char *want)
{
	char text[512];
	snprintf(text, sizeof text, "%.*s", SPAN_FMT(got));
	assert_string_equal(text, want);
}

static void test_mx(void **state)
{
	struct arena *a = *state;
	struct buf b;
	struct dns_answer ans;
	header(&b, 0x81a0, 3);
	question(&b, "Example.org", ns_t_mx);
	record(&b, NULL, ns_t_mx, "\0\x0a\2MX\xc0\x0c", 7);
	record(&b, "EXAMPLE.ORG", ns_t_mx, "\0\x14\0", 3);
	record(&b, "other.org", ns_t_mx, "\0\x14\0", 3);
	parse(a, &b, "example.ORG", ns_t_mx, &ans);
	assert_int_equal(ans.status, DNS_OK);
	assert_true(ans.ad);
	assert_int_equal(ans.n, 2);
	assert_int_equal(ans.rr[0].preference, 10);
	assert_name(ans.rr[0].name, "mx.example.org");
	assert_int_equal(ans.rr[0].ttl, 300);
	assert_name(ans.rr[1].name, "");
	buf_free(&b);
}

static void test_types(void **state)
{
	struct arena *a = *state;
	struct buf b;
	struct dns_answer ans;
	char text[64];
	header(&b, 0x8180, 6);
	question(&b, "x.example", ns_t_a);
	record(&b, NULL, ns_t_a, "\xc0\0\2\1", 4);
	record(&b, NULL, ns_t_aaaa, "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16);
	record(&b, NULL, ns_t_txt, "\5v=STS\3v1;", 10);
	record(&b, NULL, ns_t_srv, "\0\1\0\2\2\x4b\1a\0", 9);
	record(&b, NULL, 52, "\3\1\1abc", 6);
	record(&b, NULL, ns_t_ptr, "\4a.\0c\0", 6);
	parse(a, &b, "x.example", ns_t_a, &ans);
	net_addr_text(&ans.rr[0].addr, text, sizeof text);
	assert_string_equal(text, "192.0.2.1");
	parse(a, &b, "x.example", ns_t_aaaa, &ans);
	net_addr_text(&ans.rr[0].addr, text, sizeof text);
	assert_string_equal(text, "2001:db8::1");
	assert_false(ans.ad);
	parse(a, &b, "x.example", ns_t_txt, &ans);
	assert_name(ans.rr[0].data, "v=STSv1;");
	parse(a, &b, "x.example", ns_t_srv, &ans);
	assert_int_equal(ans.rr[0].port, 587);
	assert_name(ans.rr[0].name, "a");
	parse(a, &b, "x.example", 52, &ans);
	assert_int_equal(ans.rr[0].data.n, 6);
	/* A dot and a NUL inside a label are not a label's end, and never a C string's. */
	parse(a, &b, "x.example", ns_t_ptr, &ans);
	assert_name(ans.rr[0].name, "a\\046\\000c");
	parse(a, &b, "x.example", ns_t_mx, &ans);
	assert_int_equal(ans.status, DNS_NODATA);
	buf_free(&b);
}

static void test_aliases(void **state)
{
	struct arena *a = *state;
	struct buf b;
	struct dns_answer ans;
	header(&b, 0x8180, 3);
	question(&b, "a.example", ns_t_a);
	/* Out of order, as RFC 1034 allows. */
	record(&b, "c.example", ns_t_a, "\xc0\0\2\1", 4);
	record(&b, "b.example", ns_t_cname, "\1c\7example\0", 11);
	record(&b, NULL, ns_t_cname, "\1b\7example\0", 11);
	parse(a, &b, "a.example", ns_t_a, &ans);
	assert_int_equal(ans.status, DNS_OK);
	assert_int_equal(ans.n, 1);
	assert_name(ans.cname, "c.example");
	parse(a, &b, "a.example", ns_t_cname, &ans);
	assert_name(ans.rr[0].name, "b.example");
	assert_int_equal(ans.cname.n, 0);
	buf_free(&b);
	header(&b, 0x8180, 2);
	question(&b, "a.example", ns_t_a);
	record(&b, NULL, ns_t_cname, "\1b\7example\0", 11);
	record(&b, "b.example", ns_t_cname, "\1a\7example\0", 11);
	parse(a, &b, "a.example", ns_t_a, &ans);
	assert_int_equal(ans.status, DNS_SERVFAIL);
	assert_non_null(strstr(ans.why, "circle"));
	buf_free(&b);
	header(&b, 0x8183, 1);
	question(&b, "a.example", ns_t_a);
	record(&b, NULL, ns_t_cname, "\1b\7example\0", 11);
	parse(a, &b, "a.example", ns_t_a, &ans);
	assert_int_equal(ans.status, DNS_NXDOMAIN);
	assert_non_null(strstr(ans.why, "alias"));
	buf_free(&b);
}

static void test_rcodes(void **state)
{
	struct arena *a = *state;
	static const struct {
		unsigned flags;
		enum dns_status want;
		const char *why;
	} cases[] = {
		{ 0x8180, DNS_NODATA, "no such record" },
		{ 0x8181, DNS_SERVFAIL, "FORMERR" },
		{ 0x8182, DNS_SERVFAIL, "SERVFAIL" },
		{ 0x8183, DNS_NXDOMAIN, "does not exist" },
		{ 0x8185, DNS_SERVFAIL, "REFUSED" },
		{ 0x8189, DNS_SERVFAIL, "unknown code" },
		{ 0x8380, DNS_SERVFAIL, "cut off" },
		{ 0x0100, DNS_SERVFAIL, "malformed" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf b;
		struct dns_answer ans;
		header(&b, cases[i].flags, 0);
		question(&b, "a.example", ns_t_a);
		parse(a, &b, "a.example", ns_t_a, &ans);
		assert_int_equal(ans.status, cases[i].want);
		assert_non_null(strstr(ans.why, cases[i].why));
		buf_free(&b);
	}
}

/* Rdata of one record at the question's name that must not be accepted. */
static void test_malformed(void **state)
{
	struct arena *a = *state;
	static const struct {
		int type;
		struct span data;
	} cases[] = {
		{ ns_t_a, SPAN("\1\2\3") },
		{ ns_t_aaaa, SPAN("\1\2\3\4") },
		{ ns_t_mx, SPAN("\0") },
		{ ns_t_mx, SPAN("\0\1") },
		{ ns_t_mx, SPAN("\0\1\5abc") },       /* label past the record */
		{ ns_t_mx, SPAN("\0\1\300\377") },    /* pointer past itself */
		{ ns_t_mx, SPAN("\0\1\1a\300\053") }, /* pointer at itself's name */
		{ ns_t_mx, SPAN("\0\1\100a") },       /* reserved label type */
		{ ns_t_mx, SPAN("\0\1\200a") },
		{ ns_t_txt, SPAN("\5ab") },
		{ ns_t_srv, SPAN("\0\1\0\1\0") },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf b;
		struct dns_answer ans;
		header(&b, 0x8180, 1);
		question(&b, "a.example", (unsigned)cases[i].type);
		record(&b, NULL, (unsigned)cases[i].type, cases[i].data.p, cases[i].data.n);
		parse(a, &b, "a.example", cases[i].type, &ans);
		assert_int_equal(ans.status, DNS_SERVFAIL);
		assert_int_equal(ans.n, 0);
		/* Nor is any beginning of it. */
		for (size_t cut = 0; cut < b.len; cut++) {
			answer_parse(a, span_of(b.p, cut), SPAN("a.example"), cases[i].type, &ans);
			assert_int_equal(ans.status, DNS_SERVFAIL);
		}
		buf_free(&b);
	}
}

static void test_long_names(void **state)
{
	(void)state;
	/* 255 octets: 63 + 63 + 63 + 61 and their lengths and the root. One more is too much. */
	static const struct {
		size_t last;
		bool want;
	} cases[] = { { 61, true }, { 62, false } };
	for (size_t i = 0; i < 2; i++) {
		struct buf b, out;
		size_t at = 0;
		buf_init(&b, 1024);
		buf_init(&out, 1024);
		for (size_t k = 0; k < 4; k++) {
			size_t n = k < 3 ? 63 : cases[i].last;
			buf_addc(&b, (char)n);
			for (size_t j = 0; j < n; j++)
				buf_addc(&b, 'A');
		}
		buf_addc(&b, 0);
		assert_int_equal(answer_name(buf_span(&b), &at, &out), cases[i].want);
		if (cases[i].want)
			assert_int_equal(at, 255);
		buf_free(&b);
		buf_free(&out);
	}
}

static void test_many_records(void **state)
{
	struct arena *a = *state;
	struct buf b;
	struct dns_answer ans;
	header(&b, 0x8180, 4000);
	question(&b, "a.example", ns_t_a);
	for (unsigned i = 0; i < 4000; i++)
		record(&b, NULL, ns_t_a, "\xc0\0\2\1", 4);
	parse(a, &b, "a.example", ns_t_a, &ans);
	assert_int_equal(ans.status, DNS_OK);
	assert_int_equal(ans.n, LIMIT_DNS_RECORDS);
	buf_free(&b);
}

static int setup(void **state)
{
	*state = arena_new();
	return 0;
}

static int teardown(void **state)
{
	arena_free(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_mx, setup, teardown),
		cmocka_unit_test_setup_teardown(test_types, setup, teardown),
		cmocka_unit_test_setup_teardown(test_aliases, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rcodes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_malformed, setup, teardown),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test_setup_teardown(test_many_records, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
