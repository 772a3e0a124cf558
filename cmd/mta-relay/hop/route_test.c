/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "mta-relay/hop/route.h"

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
		{ "a@x.below.example", "smtp://below:25 helo=x.example" },
		{ "a@y.x.below.example", "smtp://below:25 helo=x.example" },
		{ "a@hub.example", "mx:elsewhere.example" },
		{ "One@Exact.example", "smtp://one:25" },
		{ "one@x.exact.example", "smtp://other:25" },
		{ "a@policy.example", "mx:policy.example tls=verify tls-name=mail.example" },
		{ "a@chain.example", "mx:chain.example,smtp://spare:25,mx:spare.example ip=4" },
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
				     ".below.example smtp://below:25 helo=x.example\n"
				     "*              smtp://other:25\n"
				     "direct.example mx\n"
				     "hub.example    mx:Elsewhere.example\n"
				     "ONE@exact.example smtp://one:25\n"
				     "policy.example mx tls-name=mail.example\ttls=verify\n"
				     "chain.example  mx,smtp://spare:25,mx:spare.example ip=4\n"
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
		route_find(r, a, SPAN(""), span_str(cases[i].address), &got);
		if (strcmp(got.key, cases[i].key) != 0)
			fail_msg("%s: %s", cases[i].address, got.key);
		arena_free(a);
	}
	routes_close(r);
}

static void test_senders(void **state)
{
	static const struct {
		const char *from, *to, *key;
	} cases[] = {
		{ "me@one.example", "a@x.example", "smtp://me@hub:587" },
		{ "ME@One.Example", "a@x.example", "smtp://me@hub:587" },
		{ "you@one.example", "a@x.example", "smtp://one:25" },
		{ "you@two.example", "a@x.example", "smtp://other:25" },
		{ "you@sub.one.example", "a@x.example", "smtp://other:25" },
		{ "", "a@x.example", "mx:x.example" },
		{ "nobody", "a@x.example", "smtp://other:25" },
		{ "\"a@b\"@one.example", "a@x.example", "smtp://one:25" },
		{ "b\xc3\xbc@b\xc3\xbc"
		  "cher.example",
		    "a@x.example", "smtp://books:25" },
		/* What is said of the recipient comes first. */
		{ "me@one.example", "a@exact.example", "smtp://exact:25" },
		{ "me@one.example", "a@b.below.example", "smtp://below:25" },
		{ "me@one.example", "a@local.example", "lmtp:unix:/run/mda" },
	};
	struct err err = { 0 };
	struct routes *r = with_file("from:me@one.example smtp://me@hub:587\n"
				     "from:@one.example   smtp://one:25\n"
				     "from:@b\xc3\xbc"
				     "cher.example smtp://books:25\n"
				     "from:<>             mx\n"
				     "exact.example       smtp://exact:25\n"
				     ".below.example      smtp://below:25\n"
				     "*                   smtp://other:25\n",
	    &err);
	(void)state;
	if (!r)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct arena *a = arena_new();
		struct route got;
		route_find(r, a, span_str(cases[i].from), span_str(cases[i].to), &got);
		if (strcmp(got.key, cases[i].key) != 0)
			fail_msg("%s to %s: %s", cases[i].from, cases[i].to, got.key);
		arena_free(a);
	}
	routes_close(r);
}

/* What *out points to lives as long as the routes. */
static struct routes *find_in(const struct route_config *c, struct arena *a, const char *to, struct route *out)
{
	struct err err = { 0 };
	struct routes *r = routes_open(c, &err);
	if (!r)
		fail_msg("%s", err.text);
	route_find(r, a, SPAN("me@one.example"), span_str(to), out);
	assert_non_null(out->key);
	return r;
}

/* What --tls, --starttls and the kind of destination make of a line without tls=. */
static void test_tls_of_destinations(void **state)
{
	static const struct {
		const char *smarthost;
		enum route_starttls starttls;
		enum route_tls tls, want;
	} cases[] = {
		{ NULL, ROUTE_STARTTLS_UNSET, ROUTE_TLS_UNSET, ROUTE_TLS_MAY },
		{ NULL, ROUTE_STARTTLS_UNSET, ROUTE_TLS_ENCRYPT, ROUTE_TLS_ENCRYPT },
		{ NULL, ROUTE_STARTTLS_REQUIRE, ROUTE_TLS_UNSET, ROUTE_TLS_MAY },
		{ "smtp://hub", ROUTE_STARTTLS_UNSET, ROUTE_TLS_UNSET, ROUTE_TLS_MAY },
		{ "smtp://hub", ROUTE_STARTTLS_UNSET, ROUTE_TLS_ENCRYPT, ROUTE_TLS_ENCRYPT },
		{ "smtp://hub", ROUTE_STARTTLS_REQUIRE, ROUTE_TLS_MAY, ROUTE_TLS_VERIFY },
		{ "smtp://hub", ROUTE_STARTTLS_NEVER, ROUTE_TLS_ENCRYPT, ROUTE_TLS_NONE },
		{ "smtp://me@hub", ROUTE_STARTTLS_UNSET, ROUTE_TLS_NONE, ROUTE_TLS_VERIFY },
		{ "smtp://me@hub", ROUTE_STARTTLS_TRY, ROUTE_TLS_VERIFY, ROUTE_TLS_MAY },
		{ "smtps://hub", ROUTE_STARTTLS_NEVER, ROUTE_TLS_MAY, ROUTE_TLS_VERIFY },
	};
	struct arena *a = arena_new();
	struct route got;
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct routes *r = find_in(
		    &(struct route_config){
			.smarthost = cases[i].smarthost, .starttls = (int)cases[i].starttls, .tls = cases[i].tls },
		    a, "a@x.example", &got);
		if (got.s.tls != cases[i].want)
			fail_msg("%zu: %s", i, route_tls_names[got.s.tls]);
		routes_close(r);
	}
	arena_free(a);
}

static void test_settings_and_defaults(void **state)
{
	static const char hex[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
	char path[] = "/tmp/route_test.XXXXXX", text[400], ip[64];
	struct arena *a = arena_new();
	struct route_config c = { .file = path,
		.source = "192.0.2.9,2001:db8::9",
		.tls = ROUTE_TLS_ENCRYPT,
		.tls_ca = "/ca",
		.family = MX_V4_FIRST,
		.starttls = ROUTE_STARTTLS_UNSET };
	struct route got;
	(void)state;
	int fd = mkstemp(path),
	    n = snprintf(text, sizeof text,
		"one.example mx\n"
		"two.example mx,smtp://hub source=2001:db8::1 ip=6 tls-fingerprint=SHA256:%s "
		"password-file=%s helo=[192.0.2.1] auth=xoauth2 tls-key=/dev/null tls-cert=/dev/null\n"
		"three.example mx tls-ca=%s\n",
		hex, path, path);
	assert_int_equal(write(fd, text, (size_t)n), n);
	close(fd);
	struct routes *r = find_in(&c, a, "a@one.example", &got);
	assert_int_equal(got.s.tls, ROUTE_TLS_ENCRYPT);
	assert_int_equal(got.s.family, MX_V4_FIRST);
	net_addr_text(&got.s.source4, ip, sizeof ip);
	assert_string_equal(ip, "192.0.2.9");
	net_addr_text(&got.s.source6, ip, sizeof ip);
	assert_string_equal(ip, "2001:db8::9");
	assert_string_equal(got.s.tls_ca, "/ca");
	routes_close(r);
	/* The line's own source is all of it, and all of its destinations have its settings. */
	r = find_in(&c, a, "a@two.example", &got);
	for (const struct route *at = &got; at; at = at->next) {
		assert_int_equal(at->s.tls, ROUTE_TLS_FINGERPRINT);
		assert_int_equal(at->s.family, MX_V6_ONLY);
		assert_int_equal(at->s.source4.len, 0);
		net_addr_text(&at->s.source6, ip, sizeof ip);
		assert_string_equal(ip, "2001:db8::1");
	}
	snprintf(text, sizeof text,
	    "mx:two.example,smtp://hub tls=fingerprint tls-fingerprint=SHA256:%s source=2001:db8::1 ip=6 "
	    "helo=[192.0.2.1] password-file=%s auth=xoauth2 tls-cert=/dev/null tls-key=/dev/null",
	    hex, path);
	assert_string_equal(got.key, text);
	assert_string_equal(got.next->target, "smtp://hub");
	assert_null(got.next->next);
	routes_close(r);
	r = find_in(&c, a, "a@three.example", &got);
	assert_int_equal(got.s.tls, ROUTE_TLS_VERIFY);
	assert_string_equal(got.s.tls_ca, path);
	routes_close(r);
	unlink(path);
	arena_free(a);
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
		{ "* error:4.7.0 come back", "4.7.0", "come back", 450, ERR_TEMP },
		{ "* error:550 4.7.0 never", "5.7.0", "never", 550, ERR_PERM },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct err err = { 0 };
		struct routes *r = with_file(cases[i].line, &err);
		struct arena *a = arena_new();
		struct route got;
		assert_non_null(r);
		route_find(r, a, SPAN(""), SPAN("a@x.example"), &got);
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
		"\n\nx.example smtp://h password-file=/nonexistent/file\n",
		"\n\nx.example smtp://h password-file=\n",
		"\n\nx.example smtp://h auth=SKEY\n",
		"\n\nx.example smtp://h tls-key=/dev/null\n",
		"\n\nx.example smtp://h tls-cert=/nonexistent/file\n",
		"\n\nx.example smtp://h tls-cert=/dev/null tls=none\n",
		"\n\nx.example mx tls=perhaps\n",
		"\n\nx.example mx tls=fingerprint\n",
		"\n\nx.example mx tls-fingerprint=SHA256:00\n",
		("\n\nx.example mx tls-fingerprint="
		 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff tls=verify\n"),
		"\n\nx.example mx tls=encrypt tls-ca=/dev/null\n",
		"\n\nx.example mx tls=none tls-name=x\n",
		"\n\nx.example mx tls-name=a/b\n",
		"\n\nx.example mx source=here\n",
		"\n\nx.example mx source=192.0.2.1,192.0.2.2\n",
		"\n\nx.example mx ip=5\n",
		"\n\nx.example mx helo=\"x\n",
		"\n\nx.example smtps://h tls=none\n",
		"\n\nx.example smtp://g,smtps://h tls=may\n",
		"\n\nx.example mx:\n",
		"\n\nx.example smtp://a,,smtp://b\n",
		"\n\nx.example smtp://a,lmtp:unix:/x\n",
		"\n\nx.example smtp://a,smtp://b,smtp://c,smtp://d,smtp://e\n",
		"\n\nx.example lmtp:unix:/x tls=may\n",
		"\n\n@x.example mx\n",
		"\n\nfrom:x.example mx\n",
		"\n\nfrom: mx\n",
		"\nx.example mx\nX.example smtp://a\n",
		"from:a@x.example mx\n\nfrom:A@X.example smtp://a\n",
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct err err = { 0 };
		struct routes *r = with_file(cases[i], &err);
		if (r || !err.class || err.class != ERR_CONFIG || !strstr(err.text, ":3: "))
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
	route_find(r, a, SPAN(""), SPAN("a@x.example"), &got);
	assert_int_equal(got.kind, ROUTE_MX);
	assert_string_equal(got.target, "x.example");
	route_find(r, a, SPAN(""), SPAN("a@local.example"), &got);
	assert_int_equal(got.kind, ROUTE_ERROR);
	assert_int_equal(got.error.class, ERR_TEMP);
	routes_close(r);
	r = routes_open(&(struct route_config){ .smarthost = "smtps://me%40x@hub.example" }, &err);
	assert_non_null(r);
	route_find(r, a, SPAN(""), SPAN("a@x.example"), &got);
	assert_int_equal(got.kind, ROUTE_SMTP);
	assert_string_equal(got.target, "smtps://me%40x@hub.example");
	routes_close(r);
	assert_null(routes_open(&(struct route_config){ .smarthost = "hub.example" }, &err));
	assert_null(routes_open(&(struct route_config){ .smarthost = "lmtp:unix:/x" }, &err));
	assert_null(routes_open(&(struct route_config){ .source = "here" }, &err));
	assert_int_equal(err.class, ERR_USAGE);
	assert_null(routes_open(&(struct route_config){ .file = "/nonexistent/routes" }, &err));
	assert_int_equal(err.class, ERR_CONFIG);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choice),
		cmocka_unit_test(test_senders),
		cmocka_unit_test(test_tls_of_destinations),
		cmocka_unit_test(test_settings_and_defaults),
		cmocka_unit_test(test_errors_of_routes),
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_without_a_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
