/* SPDX-License-Identifier: ISC
 *
 * What must hold of any message's parse, held against every message of the corpora beside the repository; skipped where
 * there are none.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fnmatch.h>
#include <ftw.h>

#include "base/config.h"
#include "msg/addr.h"
#include "msg/charset.h"
#include "msg/date.h"
#include "msg/encword.h"
#include "msg/header.h"
#include "msg/mime.h"

static size_t files, parts, multiparts;

static bool within(struct span inner, struct span outer)
{
	return inner.p >= outer.p && inner.p + inner.n <= outer.p + outer.n;
}

static void check_header(struct span msg)
{
	struct span body, header = header_of(msg, &body), rest = header, at = header;
	struct header_field f;
	assert_ptr_equal(header.p + header.n, body.p);
	while (header_next(&rest, &f)) {
		assert_ptr_equal(f.raw.p, at.p);
		assert_true((!f.name.n || within(f.name, f.raw)) && within(f.value, f.raw));
		at = span_from(at, f.raw.n);
	}
	assert_true(at.n <= 2);
}

static size_t line_ends(struct span s)
{
	size_t n = 0;
	for (ptrdiff_t at; (at = span_chr(s, '\n')) >= 0; n++)
		s = span_from(s, (size_t)at + 1);
	return n;
}

static void check_part(struct mime_part *p, struct span msg, struct buf *out)
{
	assert_true(within(p->header, msg) && within(p->body, msg));
	assert_ptr_equal(p->header.p + p->header.n, p->body.p);
	assert_int_equal(line_ends(p->body), p->lines);
	assert_true(
	    p->kind == MIME_MESSAGE ? p->children && !p->children->next : p->kind == MIME_MULTIPART || !p->children);
	const char *end = p->body.p;
	unsigned number = 0;
	for (struct mime_part *c = p->children; c; c = c->next) {
		assert_ptr_equal(c->parent, p);
		assert_int_equal(c->number, ++number);
		assert_true(within(c->header, p->body) && within(c->body, p->body));
		assert_true(c->header.p >= end);
		end = c->body.p + c->body.n;
	}
	if (p->kind == MIME_LEAF) {
		buf_reset(out);
		mime_content(p, true, out);
		assert_true(utf8_valid(buf_span(out)));
	}
	buf_reset(out);
	mime_filename(p, out);
	assert_true(utf8_valid(buf_span(out)) && !span_has_ctl(buf_span(out)) && span_chr(buf_span(out), '/') < 0);
	parts++;
	multiparts += p->kind != MIME_LEAF;
}

static void check_fields(struct arena *a, struct span msg, struct buf *out)
{
	struct header_field f;
	struct addr_list list;
	int64_t t;
	int zone;
	for (struct span rest = msg; header_next(&rest, &f);) {
		buf_reset(out);
		encword_decode(f.value, out);
		assert_true(
		    utf8_valid(buf_span(out)) && !span_has_ctl(buf_span(out)) == !memchr(f.value.p, 0, f.value.n));
		addr_parse_list(a, f.value, &list);
		for (size_t i = 0; i < list.n; i++) {
			buf_reset(out);
			addr_format(&list.v[i], out);
			assert_false(span_has_ctl(buf_span(out)));
		}
		date_parse(f.value, &t, &zone);
	}
}

static void check_message(struct span msg)
{
	struct arena *a = arena_new();
	struct buf out;
	buf_init(&out, 4 * msg.n + 100);
	check_header(msg);
	for (struct mime_part *p = mime_parse(a, msg); p; p = mime_next(p))
		check_part(p, msg, &out);
	check_fields(a, msg, &out);
	buf_free(&out);
	arena_free(a);
	files++;
}

/* The same message with CRLF has the same tree. */
static void check_line_ends(struct span msg)
{
	struct arena *a = arena_new();
	struct buf crlf;
	buf_init(&crlf, 2 * msg.n + 1);
	for (size_t i = 0; i < msg.n; i++) {
		if (msg.p[i] == '\n')
			buf_addc(&crlf, '\r');
		buf_addc(&crlf, msg.p[i]);
	}
	struct mime_part *p = mime_parse(a, msg), *q = mime_parse(a, buf_span(&crlf));
	for (; p && q; p = mime_next(p), q = mime_next(q)) {
		assert_int_equal(p->kind, q->kind);
		assert_int_equal(p->depth, q->depth);
		assert_int_equal(p->lines, q->lines);
		assert_true(span_eq(p->type, q->type) && span_eq(p->subtype, q->subtype));
	}
	assert_true(!p && !q);
	buf_free(&crlf);
	arena_free(a);
}

static int visit(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	struct buf text;
	struct err err;
	(void)st;
	(void)ftw;
	if (type != FTW_F || fnmatch("*/corpus/m*-*/*", path, 0) != 0)
		return 0;
	buf_init(&text, 1u << 26);
	if (config_slurp(path, &text, &err) == 0) {
		check_message(buf_span(&text));
		if (!memchr(text.p, '\r', text.len))
			check_line_ends(buf_span(&text));
	}
	buf_free(&text);
	return 0;
}

static void corpora(void **state)
{
	(void)state;
	if (nftw("../shared/corpus", visit, 16, FTW_PHYS) < 0 || !files)
		skip();
	print_message("%zu files, %zu parts, %zu with children\n", files, parts, multiparts);
	assert_true(multiparts > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(corpora) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
