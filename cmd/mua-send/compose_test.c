/* SPDX-License-Identifier: ISC
 *
 * What is composed is taken apart again: the same text and files come out.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <unistd.h>

#include "msg/mime.h"
#include "mua-send/compose.h"
#include "mua-send/mime_types.h"

static char path[] = "/tmp/mua-send.XXXXXX.txt";

static int write_file(struct span content)
{
	int fd = mkstemps(path, 4);
	return fd >= 0 && write(fd, content.p, content.n) == (ssize_t)content.n ? close(fd) : -1;
}

static const struct {
	const char *name;
	struct span content;
	const char *encoding;
} files[] = {
	{ "text", SPAN("one\ntwo\n"), "7bit" },
	{ "no line end", SPAN("one\ntwo"), "base64" },
	{ "CRLF", SPAN("one\r\ntwo\r\n"), "base64" },
	{ "a few 8-bit characters", SPAN("na\xc3\xafve and long enough\n"), "quoted-printable" },
	{ "many", SPAN("\xc3\xa4\xc3\xb6\xc3\xbc\n"), "base64" },
	{ "bytes", SPAN("\0\1\2\xff\n"), "base64" },
	{ "nothing", SPAN(""), "7bit" },
	{ "blanks at the end", SPAN("gr\xc3\xbc\xc3\x9f dich, und mit Leerzeichen hinten  \n\n\n"),
	    "quoted-printable" },
};

static void test_files(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		const char *names[] = { path };
		struct mua_options o = mua_defaults;
		struct mail m = { .o = &o, .arena = arena_new() };
		char *to[] = { "b@x" };
		struct span out;
		struct buf got;
		memcpy(path + 14, "XXXXXX", 6);
		assert_int_equal(write_file(files[i].content), 0);
		o.subject = "x";
		o.attach = (struct opt_list){ names, 1 };
		assert_int_equal(compose(&m, SPAN("text\n"), to, 1, &out, NULL), 0);
		unlink(path);
		struct mime_part *root = mime_parse(m.arena, out), *text = root->children, *file = text->next;
		buf_init(&got, 10000);
		mime_content(text, false, &got);
		assert_string_equal(got.p, "text\n");
		buf_reset(&got);
		mime_content(file, false, &got);
		if (!span_eq(buf_span(&got), files[i].content) || !span_eqs(file->encoding, files[i].encoding))
			fail_msg("%s: %.*s '%s'", files[i].name, SPAN_FMT(file->encoding), got.p);
		assert_null(file->next);
		buf_free(&got);
		buf_free(&m.composed);
		arena_free(m.arena);
	}
}

static void test_types(void **state)
{
	(void)state;
	static const struct {
		const char *table, *file, *want;
	} cases[] = {
		{ "", "a.txt", "text/plain" },
		{ "", "a.PDF", "application/pdf" },
		{ "", "a", "application/octet-stream" },
		{ "", "a.unheard-of", "application/octet-stream" },
		{ "# x\ntext/x-own\t\town txt\n", "a.txt", "text/x-own" },
		{ "text/x-own other\n", "a.txt", "text/plain" },
		{ "broken txt\n", "a.txt", "text/plain" },
	};
	struct arena *a = arena_new();
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_string_equal(mime_type_of(a, span_str(cases[i].table), cases[i].file), cases[i].want);
	arena_free(a);
}

static void test_refused(void **state)
{
	(void)state;
	static const char *const subjects[] = { "two\nlines", "no \xff UTF-8" };
	for (size_t i = 0; i < 2; i++) {
		struct mua_options o = mua_defaults;
		struct mail m = { .o = &o, .arena = arena_new() };
		struct err err = { 0 };
		struct span out;
		o.subject = subjects[i];
		assert_int_equal(compose(&m, SPAN("x\n"), NULL, 0, &out, &err), -1);
		assert_int_equal(err.class, ERR_USAGE);
		buf_free(&m.composed);
		arena_free(m.arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
