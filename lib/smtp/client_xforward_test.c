/* SPDX-License-Identifier: ISC
 *
 * XFORWARD: only what is offered, in lines that are not too long, and a refusal changes nothing.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "smtp/client.h"

static void said(const char *server, const struct smtp_xforward *x, int rc, const char *want)
{
	struct stream *s = stream_from_mem(span_str(server), 0);
	const struct smtp_client_config config = { .helo = "me.example", .starttls = STARTTLS_NEVER };
	struct err err = { 0 };
	struct smtp_client *c = smtp_client_open(s, &config, &err);
	assert_non_null(c);
	assert_int_equal(smtp_client_xforward(c, x, &err), rc);
	stream_flush(s);
	assert_true(span_eqs(stream_mem_output(s), want));
	smtp_client_close(c, false);
}

static void test_xforward(void **state)
{
	char name[300], want[800];
	const struct smtp_xforward x = { .name = SPAN("client.example"),
		.addr = SPAN("192.0.2.1"),
		.helo = SPAN("a+b c"),
		.proto = SPAN("ESMTP"),
		.ident = SPAN("ID"),
		.source = SPAN("REMOTE"),
		.port = 1234 };
	(void)state;
	said("220 f\r\n250 f\r\n", &x, 0, "EHLO me.example\r\n");
	said("220 f\r\n250-f\r\n250 XFORWARD NAME ADDR PROTO HELO\r\n250 ok\r\n", &x, 0,
	    "EHLO me.example\r\nXFORWARD NAME=client.example ADDR=192.0.2.1 PROTO=ESMTP HELO=a+2Bb+20c\r\n");
	said("220 f\r\n250-f\r\n250 XFORWARD PORT IDENT SOURCE OTHER\r\n501 no\r\n", &x, 0,
	    "EHLO me.example\r\nXFORWARD PORT=1234 IDENT=ID SOURCE=REMOTE\r\n");
	said("220 f\r\n250-f\r\n250 XFORWARD PORT\r\n", &x, -1, "EHLO me.example\r\nXFORWARD PORT=1234\r\n");
	const struct smtp_xforward none = { .name = SPAN(""), .addr = SPAN(""), .helo = SPAN("") };
	said("220 f\r\n250-f\r\n250 XFORWARD NAME PORT\r\n250 ok\r\n", &none, 0,
	    "EHLO me.example\r\nXFORWARD NAME=[UNAVAILABLE] PORT=[UNAVAILABLE]\r\n");
	memset(name, 'x', 250);
	name[250] = '\0';
	const struct smtp_xforward large = {
		.name = span_str(name), .helo = span_str(name), .addr = SPAN("192.0.2.1")
	};
	snprintf(want, sizeof want, "EHLO me.example\r\nXFORWARD NAME=%s ADDR=192.0.2.1\r\nXFORWARD HELO=%s\r\n", name,
	    name);
	said("220 f\r\n250-f\r\n250 XFORWARD NAME ADDR HELO\r\n250 ok\r\n250 ok\r\n", &large, 0, want);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_xforward) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
