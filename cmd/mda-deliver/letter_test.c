/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "mda-deliver/letter.h"

static void taken_out(void **state)
{
	(void)state;
	static const struct {
		const char *in, *out;
	} t[] = {
		{ "", "" },
		{ "A: 1\n\nb\n", "A: 1\n\nb\n" },
		{ "Return-Path: <x>\nA: 1\n\nb\n", "A: 1\n\nb\n" },
		{ "A: 1\nReturn-Path: <x>\nB: 2\nreturn-path:\n <y>\n\tz\nC: 3\n\nReturn-Path: b\n",
		    "A: 1\nB: 2\nC: 3\n\nReturn-Path: b\n" },
		{ "A: 1\r\nReturn-Path : <x>\r\n\r\nb\r\n", "A: 1\r\n\r\nb\r\n" },
		{ "From a Mon\nA: 1\n\n", "A: 1\n\n" },
		{ ">From a Mon\nReturn-Path: x\n", "" },
		{ "Return-Path: x", "" },
		{ "Return-Path-2: x\n\n", "Return-Path-2: x\n\n" },
		{ "\nReturn-Path: x\n", "\nReturn-Path: x\n" },
	};
	struct arena *a = arena_new();
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct letter l;
		struct buf b;
		buf_init(&b, 10000);
		letter_read(&l, a, span_str(t[i].in));
		for (size_t k = 0; k < l.n; k++)
			buf_addspan(&b, l.piece[k]);
		if (!span_eqs(buf_span(&b), t[i].out))
			fail_msg("'%s' became '%s'", t[i].in, b.p);
		buf_free(&b);
	}
	arena_free(a);
}

static void loops(void **state)
{
	(void)state;
	struct arena *a = arena_new();
	struct letter l;
	struct err err = { 0 };
	letter_read(
	    &l, a, span_str("Delivered-To: a@x\nDelivered-To:\n B@x \nMessage-ID: <1@x>\n\nDelivered-To: c@x\n"));
	assert_true(span_eqs(l.message_id, "<1@x>"));
	assert_int_equal(letter_check_loop(&l, SPAN("a@x"), &err), -1);
	assert_int_equal(err.code, 554);
	assert_string_equal(err.enh, "5.4.6");
	assert_int_equal(letter_check_loop(&l, SPAN("b@X"), &err), -1);
	assert_int_equal(letter_check_loop(&l, SPAN("c@x"), &err), 0);
	struct buf b;
	buf_init(&b, 100000);
	for (int i = 0; i < 100; i++)
		buf_addf(&b, "Received: by %d\n", i);
	letter_read(&l, a, buf_span(&b));
	assert_int_equal(letter_check_loop(&l, SPAN("a@x"), &err), 0);
	buf_adds(&b, "Received: by one more\n");
	letter_read(&l, a, buf_span(&b));
	assert_int_equal(letter_check_loop(&l, SPAN("a@x"), &err), -1);
	buf_free(&b);
	arena_free(a);
}

static void trace_fields(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 10000);
	struct letter_trace t = { .sender = SPAN("a\nb@x"), .rcpt = SPAN("c@y\r\nX: 1") };
	letter_trace_fields(&t, 0, &b);
	assert_string_equal(b.p, "Return-Path: <a?b@x>\nDelivered-To: c@y??X: 1\n");
	buf_reset(&b);
	t = (struct letter_trace){ .sender = SPAN(""),
		.rcpt = SPAN("c@y"),
		.helo = SPAN("h"),
		.peer = "2001:db8::1",
		.hostname = "mx",
		.protocol = "LMTP",
		.id = "7" };
	letter_trace_fields(&t, 0, &b);
	assert_true(
	    span_starts(buf_span(&b), "Return-Path: <>\nDelivered-To: c@y\nReceived: from h ([IPv6:2001:db8::1])\n"
				      "\tby mx (waypost) with LMTP id 7\n\tfor <c@y>;\n\tThu, 01 Jan 1970 "));
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(taken_out), cmocka_unit_test(loops),
		cmocka_unit_test(trace_fields) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
