/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "mua-send/recipients.h"

static void joined(const struct recipients *r, struct buf *out)
{
	for (size_t i = 0; i < r->n; i++)
		buf_addf(out, "%s%s", i ? " " : "", r->v[i].address);
}

static const struct {
	const char *in, *want; /* NULL: refused */
} lists[] = {
	{ "a@x", "a@x" },
	{ "a@x, Bob <b@y>", "a@x b@y" },
	{ "root", "root@own.example" },
	{ "Root <root>, b@y", "root@own.example b@y" },
	{ "\"a b\"@x", "\"a b\"@x" },
	{ "a@X, a@x, A@x", "a@X A@x" },
	{ "g: a@x, b@y;, c@z", "a@x b@y c@z" },
	{ "undisclosed-recipients:;", "" },
	{ "", "" },
	{ "a@[192.0.2.1]", "a@[192.0.2.1]" },
	{ "b@gr\xc3\xbcn.example", "b@xn--grn-ioa.example" },
	{ "gr\xc3\xbcn@x.example", "gr\xc3\xbcn@x.example" },
	{ "a@x, <<broken", NULL },
	{ "a@-", NULL },
	{ "a b", NULL },
	{ "a@b@c", NULL },
};

static void test_lists(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		struct err err = { 0 };
		struct buf got;
		struct recipients r = { .arena = arena_new(), .domain = "own.example" };
		buf_init(&got, 10000);
		int rc = recipients_add(&r, span_str(lists[i].in), "test", &err);
		joined(&r, &got);
		if (lists[i].want ? rc || strcmp(got.p, lists[i].want) : !rc || err.class != ERR_DATA)
			fail_msg("'%s': %d '%s' %s", lists[i].in, rc, got.p, err.text);
		buf_free(&got);
		arena_free(r.arena);
		recipients_free(&r);
	}
}

static const struct {
	const char *name, *in, *want;
} headers[] = {
	{ "all three", "To: a@x\nCC: b@x\nbcc: c@x,\n d@x\nReply-To: e@x\n\nTo: f@x\n", "a@x b@x c@x d@x" },
	{ "several fields", "To: a@x\nTo: b@x\n\n", "a@x b@x" },
	{ "resent", "Resent-To: a@x\nResent-Cc: b@x\nTo: c@x\n\n", "a@x b@x" },
	{ "resent twice: the last time counts",
	    "Resent-From: r@x\nResent-To: a@x\nReceived: x\nResent-To: b@x\nTo: c@x\n\n", "a@x" },
	{ "none", "From: a@x\n\nTo: b@x\n", "" },
};

static void test_headers(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
		struct buf got;
		struct recipients r = { .arena = arena_new(), .domain = "own.example" };
		buf_init(&got, 10000);
		assert_int_equal(recipients_from_header(&r, span_str(headers[i].in), NULL), 0);
		joined(&r, &got);
		if (strcmp(got.p, headers[i].want))
			fail_msg("%s: '%s'", headers[i].name, got.p);
		buf_free(&got);
		arena_free(r.arena);
		recipients_free(&r);
	}
}

/* Each once, however many, in their order. */
static void test_many(void **state)
{
	(void)state;
	enum {
		MANY = 20000
	};
	struct buf list;
	struct recipients r = { .arena = arena_new(), .domain = "own.example" };
	buf_init(&list, 1 << 22);
	for (int i = 0; i < MANY; i++)
		buf_addf(&list, "%su%d@x.example", i ? "," : "", i % (MANY / 2));
	assert_int_equal(recipients_add(&r, buf_span(&list), "test", NULL), 0);
	assert_int_equal(r.n, MANY / 2);
	assert_string_equal(r.v[MANY / 2 - 1].address, "u9999@x.example");
	buf_free(&list);
	arena_free(r.arena);
	recipients_free(&r);
}

static void test_normal(void **state)
{
	(void)state;
	struct arena *a = arena_new();
	struct err err = { 0 };
	assert_string_equal(recipients_normal(a, SPAN(""), "d", &err), "");
	assert_string_equal(recipients_normal(a, SPAN("<>"), "d", &err), "");
	assert_string_equal(recipients_normal(a, SPAN("joe"), "d", &err), "joe@d");
	assert_string_equal(recipients_normal(a, SPAN("Joe <joe@x>"), "d", &err), "joe@x");
	assert_null(recipients_normal(a, SPAN("a@x, b@y"), "d", &err));
	assert_int_equal(err.class, ERR_USAGE);
	assert_null(recipients_normal(a, SPAN("a@x>\r\nDATA"), "d", &err));
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_normal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
