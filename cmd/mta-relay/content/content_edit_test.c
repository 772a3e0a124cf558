/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/limits.h"
#include "base/xalloc.h"
#include "mta-relay/content/content_edit.h"

struct fixture {
	struct content c;
	struct content_edit e;
	struct arena *a;
	struct buf out;
	struct err err;
};

static void begin(struct fixture *f, const char *text)
{
	*f = (struct fixture){ .a = arena_new() };
	buf_init(&f->out, 8 * CONTENT_MEMORY);
	content_init(&f->c);
	assert_int_equal(content_add(&f->c, span_str(text)), 0);
	assert_int_equal(content_edit_begin(&f->e, &f->c, f->a, &f->err), 0);
}

static void end(struct fixture *f)
{
	content_free(&f->c);
	buf_free(&f->out);
	arena_free(f->a);
}

static const char *commit(struct fixture *f)
{
	struct span piece;
	assert_int_equal(content_edit_commit(&f->e, &f->err), 0);
	buf_reset(&f->out);
	content_rewind(&f->c);
	while (content_read(&f->c, &piece, &f->err) > 0)
		buf_addspan(&f->out, piece);
	return f->out.p;
}

#define S(text) span_str(text)

static void test_nothing_changes(void **state)
{
	static const char *const texts[] = { "A: 1\r\nB: 2\r\n\tmore\r\n\r\nbody\r\n", "A: 1\r\n\r\n", "A: 1\r\n",
		"A: 1\r\njunk line\r\nB: 2\r\n\r\nbody\r\n\r\n" };
	struct fixture f;
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		begin(&f, texts[i]);
		assert_string_equal(commit(&f), texts[i]);
		end(&f);
	}
}

static void test_headless(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f, "just text\r\n\r\nA: 1\r\n");
	assert_int_equal(f.e.n, 0);
	assert_int_equal(content_edit_insert(&f.e, 0, S("X"), S("y"), false, &f.err), 0);
	assert_string_equal(commit(&f), "X: y\r\n\r\njust text\r\n\r\nA: 1\r\n");
	end(&f);
	begin(&f, "");
	assert_int_equal(content_edit_insert(&f.e, 7, S("X"), S("y"), true, &f.err), 0);
	assert_string_equal(commit(&f), "X:y\r\n");
	end(&f);
}

static void test_fields(void **state)
{
	struct fixture f;
	struct header_field h;
	(void)state;
	begin(&f, "A: 1\r\nB: 2\r\nA: 3\r\nC: 4\r\n\r\nbody\r\n");
	assert_int_equal(content_edit_find(&f.e, S("a"), 0), 0);
	assert_int_equal(content_edit_find(&f.e, S("a"), 1), 2);
	assert_int_equal(content_edit_find(&f.e, S("a"), 2), -1);
	assert_int_equal(content_edit_insert(&f.e, 1, S("New"), S("x\n y\nz\r\n\r\n\tw\n"), false, &f.err), 0);
	assert_int_equal(content_edit_change(&f.e, 3, S("A"), S(" three"), true, &f.err), 0);
	content_edit_delete(&f.e, 2);
	assert_int_equal(content_edit_insert(&f.e, 99, S("Last"), S(""), false, &f.err), 0);
	content_edit_field(&f.e, 1, &h);
	assert_true(span_eqs(h.name, "New"));
	assert_string_equal(
	    commit(&f), "A: 1\r\nNew: x\r\n y\r\n\tz\r\n\tw\r\nA: three\r\nC: 4\r\nLast: \r\n\r\nbody\r\n");
	end(&f);
}

/* No value and no name can be anything but the value or the name of one field. */
static void test_injection(void **state)
{
	static const char *const names[] = { "", "A B", "A:", "A\r\nB", "\303\244" };
	struct fixture f;
	(void)state;
	begin(&f, "A: 1\r\n\r\nbody\r\n");
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		assert_int_equal(content_edit_insert(&f.e, 0, S(names[i]), S("x"), false, &f.err), -1);
		assert_int_equal(f.err.class, ERR_DATA);
	}
	assert_int_equal(content_edit_insert(&f.e, 0, S("X"), SPAN("a\r\n\r\nEvil: 1\0\rb\n"), false, &f.err), 0);
	assert_string_equal(commit(&f), "X: a\r\n\tEvil: 1b\r\nA: 1\r\n\r\nbody\r\n");
	end(&f);
}

static void test_above(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f, "A: 1\r\n\r\nbody\r\n");
	assert_int_equal(content_edit_above(&f.e, S("X"), S("1"), false, &f.err), 0);
	assert_int_equal(content_edit_above(&f.e, S("X"), S("2"), false, &f.err), 0);
	assert_string_equal(commit(&f), "A: 1\r\n\r\nbody\r\n");
	assert_string_equal(f.c.above.p, "X: 2\r\nX: 1\r\n");
	assert_int_equal(content_edit_begin(&f.e, &f.c, f.a, &f.err), 0);
	assert_int_equal(content_edit_above(&f.e, S("X"), S("3"), false, &f.err), 0);
	commit(&f);
	assert_string_equal(f.c.above.p, "X: 3\r\nX: 2\r\nX: 1\r\n");
	content_reset(&f.c);
	assert_int_equal(f.c.above.len, 0);
	end(&f);
}

static void test_body(void **state)
{
	struct fixture f;
	struct span piece;
	(void)state;
	begin(&f, "A: 1\r\n\r\nold\r\n");
	assert_int_equal(content_edit_body(&f.e, S("one\ntwo\r"), &f.err), 0);
	assert_int_equal(content_edit_body(&f.e, SPAN("\nth\0ree\r"), &f.err), 0);
	assert_int_equal(content_edit_body(&f.e, S("four\n\nfive"), &f.err), 0);
	/* What is read meanwhile is the old one. */
	content_edit_rewind(&f.e);
	assert_int_equal(content_edit_read(&f.e, &piece, &f.err), 1);
	assert_true(span_eqs(piece, "old\r\n"));
	assert_int_equal(content_edit_read(&f.e, &piece, &f.err), 0);
	assert_string_equal(commit(&f), "A: 1\r\n\r\none\r\ntwo\r\nthree\r\nfour\r\n\r\nfive\r\n");
	assert_int_equal(content_edit_begin(&f.e, &f.c, f.a, &f.err), 0);
	assert_int_equal(content_edit_body(&f.e, S("gone"), &f.err), 0);
	content_edit_end(&f.e);
	assert_int_equal(content_edit_begin(&f.e, &f.c, f.a, &f.err), 0);
	assert_int_equal(content_edit_body(&f.e, S(""), &f.err), 0);
	assert_string_equal(commit(&f), "A: 1\r\n\r\n");
	end(&f);
}

/* Bodies that lie in the temporary file, the old one's, the new one's, or both. */
static void test_large(void **state)
{
	struct fixture f;
	size_t size = 3 * CONTENT_MEMORY;
	char *text = xmalloc(size + 1);
	(void)state;
	for (size_t i = 0; i < size; i++)
		text[i] = i % 64 == 62 ? '\r' : i % 64 == 63 ? '\n' : (char)('a' + i % 23);
	text[size] = '\0';
	begin(&f, "A: 1\r\n\r\n");
	content_edit_end(&f.e);
	assert_int_equal(content_add(&f.c, span_of(text, size)), 0);
	assert_true(f.c.fd >= 0);
	assert_int_equal(content_edit_begin(&f.e, &f.c, f.a, &f.err), 0);
	assert_int_equal(content_edit_insert(&f.e, 0, S("X"), S("1"), false, &f.err), 0);
	commit(&f);
	assert_int_equal(f.out.len, size + 14);
	assert_memory_equal(f.out.p, "X: 1\r\nA: 1\r\n\r\n", 14);
	assert_memory_equal(f.out.p + 14, text, size);
	assert_int_equal(content_edit_begin(&f.e, &f.c, f.a, &f.err), 0);
	for (size_t at = 0; at < size; at += 65535)
		assert_int_equal(content_edit_body(&f.e, span_slice(span_of(text, size), at, at + 65535), &f.err), 0);
	assert_int_equal(content_edit_body(&f.e, S("end"), &f.err), 0);
	commit(&f);
	assert_int_equal(f.out.len, size + 19);
	assert_memory_equal(f.out.p + 14, text, size);
	assert_string_equal(f.out.p + 14 + size, "end\r\n");
	assert_int_equal(content_edit_begin(&f.e, &f.c, f.a, &f.err), 0);
	assert_int_equal(content_edit_body(&f.e, S("short"), &f.err), 0);
	assert_string_equal(commit(&f), "X: 1\r\nA: 1\r\n\r\nshort\r\n");
	assert_int_equal(f.c.fd, -1);
	end(&f);
	free(text);
}

static void test_limits(void **state)
{
	struct fixture f;
	char *text = xmalloc(CONTENT_MEMORY);
	(void)state;
	memset(text, 'x', CONTENT_MEMORY);
	begin(&f, "");
	content_edit_end(&f.e);
	/* A header that does not end in memory. */
	content_add(&f.c, S("A: "));
	content_add(&f.c, span_of(text, CONTENT_MEMORY));
	content_add(&f.c, S("\r\n\r\n"));
	assert_int_equal(content_edit_begin(&f.e, &f.c, f.a, &f.err), -1);
	assert_int_equal(f.err.class, ERR_LIMIT);
	end(&f);
	begin(&f, "A: 1\r\n\r\n");
	struct span big = span_of(text, LIMIT_HEADER_FIELD / 2);
	int rc = 0;
	for (int i = 0; i < 5 && rc == 0; i++)
		rc = content_edit_insert(&f.e, 0, S("X"), big, false, &f.err);
	assert_int_equal(rc, -1);
	assert_int_equal(content_edit_above(&f.e, S("X"), span_of(text, CONTENT_PREFIX), false, &f.err), -1);
	content_edit_end(&f.e);
	end(&f);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_nothing_changes), cmocka_unit_test(test_headless),
		cmocka_unit_test(test_fields), cmocka_unit_test(test_injection), cmocka_unit_test(test_above),
		cmocka_unit_test(test_body), cmocka_unit_test(test_large), cmocka_unit_test(test_limits) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
