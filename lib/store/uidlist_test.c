/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "store/uidlist.h"

#define GUID "3085f01b7f11094c501100008c4a11c1"

static void parse_and_format(void **state)
{
	(void)state;
	static const struct {
		const char *text, *again; /* NULL: the header is refused; "": as it was */
		size_t n;
	} t[] = {
		{ "3 V1275660208 N25022 G" GUID "\n", "", 0 },
		{ "3 V1 N7 G" GUID "\n5 :a.b.c,S=3,W=4\n6 W2481 S20 P1a :d.e.f\n", "", 2 },
		/* flags that a name should not have, a UID beyond N, an unfinished line */
		{ "3 V1 N2 G" GUID "\n1 :a:2,S\n9 :b\n10 :c", "3 V1 N10 G" GUID "\n1 :a\n9 :b\n", 2 },
		/* records that are passed over: not ascending, twice the same file, no name, no UID, a path */
		{ "3 V1 N9 G" GUID "\n2 :a\n2 :b\n1 :c\n3 :a\n4 :\n:x\nx :y\n5\n6 :g/h\n7 :z\n",
		    "3 V1 N9 G" GUID "\n2 :a\n7 :z\n", 2 },
		{ "1 1275660208 12\n3 a.b.c:2,S\n7 d.e.f\n", NULL, 2 },
		{ "", NULL, 0 },
		{ "3\n1 :a\n", NULL, 0 },
		{ "3 V0 N1\n", NULL, 0 },
		{ "3 V1 Nx\n1 :a\n", NULL, 0 },
		{ "2 V1 N1\n1 :a\n", NULL, 0 },
		{ "3 V1 N1", NULL, 0 },
	};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct uidlist u;
		struct buf out;
		uidlist_init(&u);
		buf_init(&out, 1000);
		buf_adds(&u.text, t[i].text);
		bool ok = uidlist_parse(&u);
		bool v1 = t[i].text[0] == '1';
		if (ok != (t[i].again != NULL || v1) || u.n != t[i].n)
			fail_msg("%s: %d, %zu records", t[i].text, ok, u.n);
		assert_int_equal(u.uidvalidity != 0, ok);
		uidlist_format(&u, &out);
		if (t[i].again)
			assert_string_equal(out.p, t[i].again[0] ? t[i].again : t[i].text);
		if (v1) {
			assert_int_equal(u.uidvalidity, 1275660208);
			assert_int_equal(u.uidnext, 12);
			assert_true(span_eqs(u.rec[0].name, "a.b.c"));
		}
		buf_free(&out);
		uidlist_free(&u);
	}
}

static void add_find_keep(void **state)
{
	(void)state;
	struct uidlist u;
	static bool keep[5000];
	char name[32];
	uidlist_init(&u);
	uidlist_fresh(&u, 42);
	for (unsigned i = 1; i <= 5000; i++) {
		snprintf(name, sizeof name, "m%u", i);
		assert_int_equal(uidlist_add(&u, span_str(name)), i);
		keep[i - 1] = i % 3 == 0;
	}
	assert_int_equal(uidlist_find(&u, SPAN("m4321"))->uid, 4321);
	assert_null(uidlist_find(&u, SPAN("m5001")));
	uidlist_keep(&u, keep);
	assert_int_equal(u.n, 1666);
	assert_null(uidlist_find(&u, SPAN("m1")));
	assert_int_equal(uidlist_find(&u, SPAN("m3"))->uid, 3);
	assert_int_equal(uidlist_add(&u, SPAN("new")), 5001);
	u.uidnext = UINT32_MAX;
	assert_int_equal(uidlist_add(&u, SPAN("last")), 0);
	uidlist_free(&u);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(parse_and_format), cmocka_unit_test(add_find_keep) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
