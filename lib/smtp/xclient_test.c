/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "smtp/xclient.h"

static void good(void **state)
{
	(void)state;
	static const struct {
		const char *in;
		bool forward;
		enum xclient_attr which;
		const char *want;
	} cases[] = {
		{ "NAME=spike.porcupine.org ADDR=168.100.189.2", false, XCLIENT_ADDR, "168.100.189.2" },
		{ "name=a_b.example", false, XCLIENT_NAME, "a_b.example" },
		{ "ADDR=IPV6:2001:db8::1", false, XCLIENT_ADDR, "2001:db8::1" },
		{ "ADDR=ipv6:::1", false, XCLIENT_ADDR, "::1" },
		{ "ADDR=2001:db8::1", true, XCLIENT_ADDR, "2001:db8::1" },
		{ "ADDR=[UNAVAILABLE]", false, XCLIENT_ADDR, "" },
		{ "NAME=[tempunavail]", false, XCLIENT_NAME, "" },
		{ "  PORT=65535   PROTO=esmtp ", false, XCLIENT_PORT, "65535" },
		{ "HELO=[192.0.2.1]", false, XCLIENT_HELO, "[192.0.2.1]" },
		{ "HELO=+5BIPv6:::1+5D", false, XCLIENT_HELO, "[IPv6:::1]" },
		{ "LOGIN=bob+40here.example+20x", false, XCLIENT_LOGIN, "bob@here.example x" },
		{ "LOGIN=a LOGIN=b", false, XCLIENT_LOGIN, "b" },
		{ "DESTADDR=192.0.2.2 DESTPORT=25", false, XCLIENT_DESTADDR, "192.0.2.2" },
		{ "IDENT=4Rz1 SOURCE=LOCAL", true, XCLIENT_IDENT, "4Rz1" },
	};
	struct arena *a = arena_new();
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct xclient x = { 0 };
		struct err err = { 0 };
		if (xclient_parse(span_str(cases[i].in), cases[i].forward, a, &x, &err) < 0)
			fail_msg("%s: %s", cases[i].in, err.text);
		assert_true(x.given >> cases[i].which & 1);
		assert_true(span_eqs(x.v[cases[i].which], cases[i].want));
		assert_non_null(x.v[XCLIENT_HELO].p);
	}
	arena_free(a);
}

static void bad(void **state)
{
	(void)state;
	static const struct {
		const char *in;
		bool forward;
	} cases[] = { { "", false }, { "  ", true }, { "NAME", false }, { "NAME=", false }, { "=x", false },
		{ "WHAT=x", false }, { "IDENT=x", false }, { "LOGIN=x", true }, { "DESTADDR=192.0.2.1", true },
		{ "ADDR=192.0.2.256", false }, { "ADDR=localhost", false }, { "ADDR=fe80::1+25lo", false },
		{ "ADDR=[192.0.2.1]", false }, { "NAME=a+0Ab", false }, { "NAME=a+", false }, { "NAME=a+0", false },
		{ "NAME=-x", false }, { "NAME=a/b", false }, { "HELO=a+20b", false }, { "PORT=0", false },
		{ "PORT=65536", false }, { "PROTO=LMTP", false }, { "SOURCE=HERE", true }, { "LOGIN=a+00b", false },
		{ "NAME=good.example ADDR=bad", false } };
	struct arena *a = arena_new();
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct xclient x = { .given = 1, .v = { SPAN("old.example") } };
		struct err err = { 0 };
		if (xclient_parse(span_str(cases[i].in), cases[i].forward, a, &x, &err) == 0)
			fail_msg("%s", cases[i].in);
		assert_int_equal(err.code, 501);
		assert_string_equal(err.enh, "5.5.4");
		assert_int_equal(x.given, 1);
		assert_true(span_eqs(x.v[XCLIENT_NAME], "old.example"));
	}
	arena_free(a);
}

/* What a second command tells is added. */
static void twice(void **state)
{
	(void)state;
	struct arena *a = arena_new();
	struct xclient x = { 0 };
	assert_int_equal(xclient_parse(SPAN("NAME=a.example PORT=42"), false, a, &x, NULL), 0);
	assert_int_equal(xclient_parse(SPAN("ADDR=192.0.2.1 NAME=[UNAVAILABLE]"), false, a, &x, NULL), 0);
	assert_int_equal(x.given, 1 << XCLIENT_NAME | 1 << XCLIENT_PORT | 1 << XCLIENT_ADDR);
	assert_int_equal(x.v[XCLIENT_NAME].n, 0);
	assert_int_equal(xclient_port(&x, XCLIENT_PORT), 42);
	assert_int_equal(xclient_port(&x, XCLIENT_DESTPORT), 0);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good),
		cmocka_unit_test(bad),
		cmocka_unit_test(twice),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
