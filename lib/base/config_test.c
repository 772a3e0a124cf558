/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/config.h"

/* Lines as "section/key=value;". */
static int record(void *arg, const struct config_line *line, struct err *err)
{
	struct buf *out = arg;
	if (span_eqs(line->key, "stop"))
		return 7;
	if (span_eqs(line->key, "bad"))
		return err_set(err, ERR_USAGE, "no such key");
	buf_addspan(out, line->section);
	buf_addc(out, '/');
	buf_addspan(out, line->key);
	buf_addc(out, '=');
	buf_addspan(out, line->value);
	buf_addc(out, ';');
	return 0;
}

static void reading(void **state)
{
	static const struct {
		const char *in, *want;
		int rc;
		const char *error;
	} cases[] = {
		{ "", "", 0, "" },
		{ "a = b\n", "common/a=b;", 0, "" },
		{ "a=b", "common/a=b;", 0, "" },
		{ "\n \t\n# c\n  # c\na = b # c\n", "common/a=b;", 0, "" },
		{ "a = b#c", "common/a=b#c;", 0, "" },
		{ "a = b\r\n[x]\r\nc = d\r\n", "common/a=b;x/c=d;", 0, "" },
		{ "[ account work ]\na=1\n[b]\na=2", "account work/a=1;b/a=2;", 0, "" },
		{ "a = \" b # c \"", "common/a= b # c ;", 0, "" },
		{ "a = \"q\\\"\\\\\\n\" # c", "common/a=q\"\\n;", 0, "" },
		{ "a =", "common/a=;", 0, "" },
		{ "a = b = c", "common/a=b = c;", 0, "" },
		{ "a = 1\nstop = 1\nb = 2", "common/a=1;", 7, "" },
		{ "a = 1\n\nbad = 1\n", "common/a=1;", -1, "f:3: no such key" },
		{ "[x\n", "", -1, "f:1: a section is written [NAME]" },
		{ "nonsense\n", "", -1, "f:1: expected KEY = VALUE" },
		{ "= x\n", "", -1, "f:1: no key before '='" },
		{ "a = \"x\n", "", -1, "f:1: the quote is never closed" },
		{ "a = \"x\" y\n", "", -1, "f:1: text after the closing quote" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf out;
		struct err err = { 0 };
		buf_init(&out, 1000);
		int rc = config_read_text(span_str(cases[i].in), "f", record, &out, &err);
		if (rc != cases[i].rc || !span_eqs(buf_span(&out), cases[i].want) ||
		    !span_eqs(span_str(err.text), cases[i].error))
			fail_msg("%s: %d %s %s", cases[i].in, rc, out.p, err.text);
		buf_free(&out);
	}
	struct err err;
	assert_int_equal(config_read_text(SPAN("a = \0b"), "f", record, NULL, &err), -1);
	assert_int_equal(err.class, ERR_CONFIG);
}

static void files(void **state)
{
	char path[] = "/tmp/config_test_XXXXXX";
	struct buf out;
	struct err err;
	int fd = mkstemp(path);
	(void)state;
	buf_init(&out, 10);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "a = 123\n", 8), 8);
	close(fd);
	assert_int_equal(config_slurp(path, &out, &err), 0);
	assert_string_equal(out.p, "a = 123\n");
	buf_free(&out);
	buf_init(&out, 7);
	assert_int_equal(config_slurp(path, &out, &err), -1);
	assert_int_equal(err.class, ERR_CONFIG);
	buf_free(&out);
	buf_init(&out, 100);
	assert_int_equal(config_read_file(path, record, &out, &err), 0);
	assert_string_equal(out.p, "common/a=123;");
	unlink(path);
	assert_int_equal(config_read_file(path, record, &out, &err), -1);
	assert_int_equal(err.sys, ENOENT);
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reading),
		cmocka_unit_test(files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
