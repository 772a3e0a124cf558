/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "store/maildir.h"
#include "store/maildir_name.h"

#define NONE UINT64_MAX

static void names(void **state)
{
	(void)state;
	static const struct {
		const char *name, *base;
		unsigned flags;
		uint64_t keywords, size, vsize;
	} t[] = {
		{ "1.M2P3.host", "1.M2P3.host", 0, 0, NONE, NONE },
		{ "1.M2P3.host,S=5,W=6:2,FS", "1.M2P3.host,S=5,W=6", FLAG_FLAGGED | FLAG_SEEN, 0, 5, 6 },
		{ "1.host:2,DFPRST", "1.host", 63, 0, NONE, NONE },
		{ "1.host:2,az", "1.host", 0, 1 | 1 << 25, NONE, NONE },
		{ "1.host:2,", "1.host", 0, 0, NONE, NONE },
		{ "1.host:1,S", "1.host", 0, 0, NONE, NONE },
		{ "1.host,S=x,W=:2,S", "1.host,S=x,W=", FLAG_SEEN, 0, NONE, NONE },
		{ "1.host,U=7,S=99999999999999999999", "1.host,U=7,S=99999999999999999999", 0, 0, NONE, NONE },
		{ "", "", 0, 0, NONE, NONE },
		{ "S=3", "S=3", 0, 0, NONE, NONE },
	};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct maildir_name n;
		maildir_name_parse(span_str(t[i].name), &n);
		if (!span_eqs(n.base, t[i].base) || n.flags != t[i].flags || n.keywords != t[i].keywords ||
		    n.size != t[i].size || n.vsize != t[i].vsize)
			fail_msg("%s", t[i].name);
	}
}

static void flags_in_order(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 100);
	maildir_name_flags(63 | FLAG_RECENT, 5, SPAN("XSa:/Y"), &b);
	assert_string_equal(b.p, ":2,DFPRSTacXY");
	buf_free(&b);
}

static void order(void **state)
{
	(void)state;
	static const char *const sorted[] = { "9.M5P1.h", "10.M4P1.h", "10.M30P1.h", "10.M200P1.h", "11.h", "11.i" };
	for (size_t i = 0; i + 1 < sizeof sorted / sizeof *sorted; i++) {
		assert_true(maildir_name_order(span_str(sorted[i]), span_str(sorted[i + 1])) < 0);
		assert_true(maildir_name_order(span_str(sorted[i + 1]), span_str(sorted[i])) > 0);
	}
}

static void unique(void **state)
{
	(void)state;
	struct buf a, b;
	buf_init(&a, 1000);
	buf_init(&b, 1000);
	maildir_name_new(&a);
	maildir_name_new(&b);
	assert_false(span_eq(buf_span(&a), buf_span(&b)));
	assert_true(
	    span_chr(buf_span(&a), '/') < 0 && span_chr(buf_span(&a), ':') < 0 && span_chr(buf_span(&a), ',') < 0);
	buf_free(&a);
	buf_free(&b);
}

static void folders(void **state)
{
	(void)state;
	static const struct {
		const char *folder, *disk; /* NULL disk: refused */
	} t[] = {
		{ "INBOX", "" },
		{ "inbox", "" },
		{ "INBOX/x", ".INBOX.x" },
		{ "Work/2026", ".Work.2026" },
		{ "Entw\xc3\xbcrfe", ".Entw&APw-rfe" },
		{ "a b*%", ".a b*%" },
		{ "~root", ".~root" },
		{ "", NULL },
		{ "a.b", NULL },
		{ "..", NULL },
		{ "../x", NULL },
		{ "a//b", NULL },
		{ "/a", NULL },
		{ "a/", NULL },
		{ "a\tb", NULL },
		{ "\xff", NULL },
	};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct buf disk, back;
		struct err err = { 0 };
		buf_init(&disk, 4096);
		buf_init(&back, 4096);
		int rc = maildir_folder_to_disk(span_str(t[i].folder), &disk, &err);
		if ((rc == 0) != (t[i].disk != NULL))
			fail_msg("%s: %d", t[i].folder, rc);
		if (rc == 0) {
			assert_string_equal(disk.p, t[i].disk);
			assert_int_equal(maildir_folder_from_disk(buf_span(&disk), &back), disk.len > 0);
			if (disk.len)
				assert_string_equal(back.p, t[i].folder);
		}
		buf_free(&disk);
		buf_free(&back);
	}
	static const char *const none[] = { "cur", ".", "..", "...", ".a..b", ".a.", "..a", ".INBOX", ".&", ".\xc3\xbc",
		".&AC4-", ".&AC8-x" };
	for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
		struct buf back;
		buf_init(&back, 4096);
		if (maildir_folder_from_disk(span_str(none[i]), &back))
			fail_msg("%s is taken for a folder", none[i]);
		buf_free(&back);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(names), cmocka_unit_test(flags_in_order),
		cmocka_unit_test(order), cmocka_unit_test(unique), cmocka_unit_test(folders) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
