/* SPDX-License-Identifier: ISC
 *
 * What a trace file holds: the fields' order, escapes, the cut of long lines, nesting, and no secret.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/limits.h"
#include "io/trace.h"

static char path[64];

static void slurp(struct buf *b)
{
	struct err err;
	buf_init(b, 1 << 20);
	assert_int_equal(config_slurp(path, b, &err), 0);
}

/* The last line of the trace, parsed; *raw (may be NULL) is its text, to be freed. */
static json_t *last_event(char **raw)
{
	struct buf b;
	slurp(&b);
	assert_true(b.len > 0 && b.p[b.len - 1] == '\n');
	struct span text = span_slice(buf_span(&b), 0, b.len - 1);
	ptrdiff_t nl = span_rchr(text, '\n');
	struct span line = nl < 0 ? text : span_from(text, (size_t)nl + 1);
	assert_true(line.n < LIMIT_TRACE_LINE);
	json_error_t why;
	json_t *j = json_loadb(line.p, line.n, JSON_ALLOW_NUL, &why);
	assert_non_null(j);
	if (raw)
		*raw = strndup(line.p, line.n);
	buf_free(&b);
	return j;
}

static const char *text_of(json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));
	return s ? s : "";
}

static void test_order(void **state)
{
	(void)state;
	static const char *const keys[] = { "t", "prog", "role", "pid", "conv", "mid", "qid", "env", "ev", "dir",
		"line", "peer", "tls", "result", "code", "why", "rfc", "ms" };
	trace_begin("192.0.2.1:25");
	trace_mid(SPAN("<a@b>"));
	trace_qid("Q1");
	trace_env(SPAN("E1"));
	trace_tls("TLSv1.3");
	trace_event(&(struct trace_event){ .ev = "line",
	    .dir = '<',
	    .line = SPAN("NOOP"),
	    .result = "ok",
	    .code = 250,
	    .why = "because",
	    .rfc = "5321#4.1.1.9" });
	json_t *j = last_event(NULL);
	const char *key;
	json_t *value;
	size_t i = 0;
	json_object_foreach(j, key, value) assert_string_equal(key, keys[i++]);
	assert_int_equal(i, sizeof keys / sizeof *keys);
	assert_string_equal(text_of(j, "prog"), "test");
	assert_int_equal(strlen(text_of(j, "t")), strlen("2026-11-22T03:10:00.000000Z"));
	assert_int_equal(json_integer_value(json_object_get(j, "code")), 250);
	json_decref(j);
	trace_end();
}

static void test_nesting(void **state)
{
	(void)state;
	char outer[32];
	assert_string_equal(trace_conv(), "");
	trace_begin("192.0.2.1:25");
	snprintf(outer, sizeof outer, "%s", trace_conv());
	trace_mid(SPAN("<outer@b>"));
	trace_begin("192.0.2.2:24");
	assert_string_not_equal(trace_conv(), outer);
	trace_qid("INNER");
	trace_why("route", "ok", NULL, "to %s", "there");
	json_t *j = last_event(NULL);
	assert_string_equal(text_of(j, "mid"), "<outer@b>");
	assert_string_equal(text_of(j, "why"), "to there");
	assert_string_equal(text_of(j, "peer"), "192.0.2.2:24");
	json_decref(j);
	trace_end();
	assert_string_equal(trace_conv(), outer);
	trace_why("accept", "ok", NULL, "done");
	j = last_event(NULL);
	assert_null(json_object_get(j, "qid"));
	json_decref(j);
	trace_end();
	trace_end();
	assert_string_equal(trace_conv(), "");
}

static void test_leaving(void **state)
{
	(void)state;
	char inner[32];
	trace_begin("first client");
	trace_begin("lmtp:unix:/mda");
	snprintf(inner, sizeof inner, "%s", trace_conv());
	struct trace_talk *talk = trace_leave();
	trace_end();
	assert_string_equal(trace_conv(), "");
	trace_begin("second client");
	trace_qid("Q2");
	trace_enter(talk);
	trace_why("accept", "ok", NULL, "done");
	json_t *j = last_event(NULL);
	assert_string_equal(text_of(j, "conv"), inner);
	assert_string_equal(text_of(j, "peer"), "lmtp:unix:/mda");
	assert_string_equal(text_of(j, "qid"), "Q2");
	json_decref(j);
	talk = trace_leave();
	trace_end();
	trace_enter(talk);
	trace_why("conn.close", "ok", NULL, "over");
	j = last_event(NULL);
	assert_string_equal(text_of(j, "conv"), inner);
	assert_null(json_object_get(j, "qid"));
	json_decref(j);
	trace_end();
	assert_null(trace_leave());
	trace_enter(NULL);
	trace_end();
	assert_string_equal(trace_conv(), "");
}

static void test_bytes(void **state)
{
	(void)state;
	char *raw;
	trace_line('<', span_of("a\0\r\n\t\"\\\x7f \xc3\xa9 \xff\xc0\x80 \xed\xa0\x80", 19), false);
	json_t *j = last_event(&raw);
	assert_non_null(
	    strstr(raw, "a\\u0000\\u000d\\u000a\\u0009\\\"\\\\\\u007f \xc3\xa9 \\u00ff\\u00c0\\u0080 \\u00ed"));
	free(raw);
	json_decref(j);
}

static void test_long_lines(void **state)
{
	(void)state;
	static const char *const units[] = { "x", "\x01", "\xc3\xa9", "\xf0\x9f\x93\xa7", "\"" };
	for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
		struct buf big;
		buf_init(&big, 1 << 17);
		for (size_t i = 0; i < 20000; i++)
			buf_adds(&big, units[u]);
		trace_begin(big.p);
		trace_mid(buf_span(&big));
		trace_qid(big.p);
		trace_env(buf_span(&big));
		trace_tls(big.p);
		trace_event(&(struct trace_event){ .ev = big.p,
		    .dir = '>',
		    .line = buf_span(&big),
		    .result = big.p,
		    .code = -2147483647,
		    .why = big.p,
		    .rfc = big.p });
		json_t *j = last_event(NULL);
		struct span line = span_str(text_of(j, "line"));
		assert_true(span_ends(line, "..."));
		assert_true(span_starts(line, units[u]));
		json_decref(j);
		trace_end();
		buf_free(&big);
	}
}

static void test_secrets(void **state)
{
	(void)state;
	struct buf big;
	buf_init(&big, 1 << 16);
	buf_adds(&big, "a LOGIN ");
	for (size_t i = 0; i < 5000; i++)
		buf_adds(&big, "OPENSESAME");
	buf_adds(&big, " {10}");
	trace_begin("imap");
	trace_line('<', SPAN("auth plain OPENSESAME"), false);
	trace_line('>', SPAN("235 ok"), false);
	trace_line('<', SPAN("OPENSESAME"), true);
	trace_line('<', buf_span(&big), false);
	trace_line('>', SPAN("+ ready"), false);
	trace_line('<', SPAN("OPENSESAME"), false);
	trace_line('<', SPAN("b NOOP"), false);
	trace_event(&(struct trace_event){ .ev = "line", .dir = '<', .line = SPAN("PASS OPENSESAME") });
	trace_end();
	json_t *j = last_event(NULL);
	assert_string_equal(text_of(j, "line"), "PASS ***");
	json_decref(j);
	struct buf all;
	slurp(&all);
	assert_true(span_find(buf_span(&all), SPAN("OPENSESAME")) < 0);
	assert_true(span_find(buf_span(&all), SPAN("b NOOP")) > 0);
	buf_free(&all);
	buf_free(&big);
}

static void test_open_fails(void **state)
{
	(void)state;
	struct err err;
	assert_int_equal(trace_open("test", "mta", "/nonexistent/trace", false, &err), -1);
	assert_non_null(strstr(err.text, "/nonexistent/trace"));
}

static int setup(void **state)
{
	(void)state;
	struct err err;
	snprintf(path, sizeof path, "/tmp/trace_test.XXXXXX");
	int fd = mkstemp(path);
	if (fd < 0)
		return -1;
	close(fd);
	unsetenv("WAYPOST_TRACE");
	/* Off: nothing happens, nothing is needed. */
	trace_begin("x");
	trace_why("route", NULL, NULL, "nowhere");
	trace_end();
	return trace_open("test", "mta", path, false, &err);
}

static int teardown(void **state)
{
	(void)state;
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_nesting),
		cmocka_unit_test(test_leaving),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_secrets),
		cmocka_unit_test(test_open_fails),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
