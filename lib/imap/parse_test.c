/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "imap/format.h"
#include "imap/parse.h"

static struct arena *arena;

typedef bool parse_fn(struct imap_in *in, struct span *out);

/* want NULL: refused. rest: what must be left behind it. */
static const struct row {
	const char *name;
	parse_fn *fn;
	const char *input, *want, *rest;
} rows[] = {
	{ "tag", imap_tag, "a1 x", "a1", " x" },
	{ "tag without +", imap_tag, "+ x", NULL, NULL },
	{ "tag with ]", imap_tag, "]a x", "]a", " x" },
	{ "atom", imap_atom, "BODY[1] x", "BODY[1", "] x" },
	{ "atom ends at paren", imap_atom, "FLAGS)", "FLAGS", ")" },
	{ "no atom: 8-bit", imap_atom, "\xc3\xa4", NULL, NULL },
	{ "no atom: wildcard", imap_atom, "%", NULL, NULL },
	{ "astring atom with ]", imap_astring, "a]b c", "a]b", " c" },
	{ "quoted", imap_astring, "\"a b\" c", "a b", " c" },
	{ "quoted empty", imap_astring, "\"\"", "", "" },
	{ "quoted escapes", imap_astring, "\"a\\\"b\\\\c\"x", "a\"b\\c", "x" },
	{ "quoted bad escape", imap_astring, "\"a\\nb\"", NULL, NULL },
	{ "quoted ends in backslash", imap_astring, "\"a\\", NULL, NULL },
	{ "quoted open", imap_astring, "\"abc", NULL, NULL },
	{ "quoted LF", imap_astring, "\"a\nb\"", NULL, NULL },
	{ "literal", imap_astring, "{3}\r\na b c", "a b", " c" },
	{ "literal plus", imap_astring, "{3+}\r\na b", "a b", "" },
	{ "literal LF", imap_astring, "{1}\nab", "a", "b" },
	{ "literal empty", imap_astring, "{0}\r\n", "", "" },
	{ "literal cut", imap_astring, "{4}\r\nabc", NULL, NULL },
	{ "literal huge", imap_astring, "{99999999999999999999}\r\nabc", NULL, NULL },
	{ "literal no size", imap_astring, "{}\r\n", NULL, NULL },
	{ "literal no line end", imap_astring, "{1}a", NULL, NULL },
	{ "literal8", imap_string, "~{1}\r\na", "a", "" },
	{ "tilde is an atom", imap_astring, "~foo", "~foo", "" },
	{ "string is no atom", imap_string, "abc", NULL, NULL },
	{ "pattern", imap_list_mailbox, "a/%*] x", "a/%*]", " x" },
	{ "flag", imap_flag, "\\Seen)", "\\Seen", ")" },
	{ "flag star", imap_flag, "\\*)", "\\*", ")" },
	{ "flag keyword", imap_flag, "$Junk x", "$Junk", " x" },
	{ "flag alone", imap_flag, "\\ x", NULL, NULL },
};

static void test_tokens(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct row *r = &rows[i];
		struct imap_in in;
		struct span out;
		imap_in_init(&in, span_str(r->input), arena);
		bool ok = r->fn(&in, &out);
		if (ok != (r->want != NULL) || ok == (in.bad != NULL))
			fail_msg("%s: %s", r->name, in.bad ? in.bad : "taken");
		if (!ok)
			continue;
		if (!span_eqs(out, r->want) || !span_eqs(span_from(in.text, in.at), r->rest))
			fail_msg("%s: got '%.*s', left '%s'", r->name, SPAN_FMT(out), in.text.p + in.at);
	}
}

static void test_nul(void **state)
{
	(void)state;
	static const char text[] = "{3}\r\na\0b";
	struct imap_in in;
	struct span out;
	imap_in_init(&in, span_of(text, sizeof text - 1), arena);
	assert_false(imap_astring(&in, &out));
	imap_in_init(&in, span_of("a\0", 2), arena);
	assert_true(imap_atom(&in, &out));
	assert_false(imap_end(&in));
}

static void test_sticky(void **state)
{
	(void)state;
	struct imap_in in;
	struct span out;
	uint32_t n;
	imap_in_init(&in, SPAN("( x"), arena);
	assert_false(imap_atom(&in, &out));
	const char *first = in.bad;
	assert_false(imap_eat(&in, '('));
	assert_int_equal(imap_peek(&in), 0);
	assert_false(imap_number(&in, &n));
	assert_ptr_equal(in.bad, first);
}

/* The set resolved with a largest number, as text; NULL: refused. */
static const struct set_row {
	const char *input;
	uint32_t largest;
	const char *want;
} set_rows[] = {
	{ "1", 9, "1-1" },
	{ "4:2", 9, "2-4" },
	{ "*", 9, "9-9" },
	{ "*:4", 9, "4-9" },
	{ "12:*", 9, "9-12" },
	{ "3,1,2,7:8,5:6", 9, "1-3 5-8" },
	{ "1:*,1:*,1:*", 9, "1-9" },
	{ "1:5,2:3", 9, "1-5" },
	{ "*:4294967295", 9, "9-4294967295" },
	{ "4294967295,1", 9, "1-1 4294967295-4294967295" },
	{ "0", 9, NULL },
	{ "0:3", 9, NULL },
	{ "4294967296", 9, NULL },
	{ "1:", 9, NULL },
	{ "1,", 9, NULL },
	{ ",1", 9, NULL },
	{ "", 9, NULL },
	{ "-1", 9, NULL },
};

static void test_sets(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof set_rows / sizeof *set_rows; i++) {
		const struct set_row *r = &set_rows[i];
		struct imap_in in;
		struct imap_set set;
		struct buf got;
		buf_init(&got, 1000);
		imap_in_init(&in, span_str(r->input), arena);
		bool ok = imap_sequence_set(&in, &set) && imap_end(&in);
		if (ok != (r->want != NULL))
			fail_msg("%s: %s", r->input, in.bad ? in.bad : "taken");
		if (ok)
			imap_set_resolve(&set, r->largest);
		for (size_t k = 0; ok && k < set.n; k++)
			buf_addf(&got, "%s%u-%u", k ? " " : "", set.v[k].first, set.v[k].last);
		if (ok)
			assert_string_equal(got.p, r->want);
		buf_free(&got);
	}
}

static void test_set_has(void **state)
{
	(void)state;
	struct imap_in in;
	struct imap_set set;
	imap_in_init(&in, SPAN("2,4:6,9:*"), arena);
	assert_true(imap_sequence_set(&in, &set));
	imap_set_resolve(&set, 12);
	static const bool want[] = { 0, 0, 1, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1, 0 };
	for (uint32_t n = 0; n < sizeof want; n++)
		assert_int_equal(imap_set_has(&set, n), want[n]);
}

static const struct date_row {
	const char *input;
	bool time;
	int64_t want; /* -1: refused */
} date_rows[] = {
	{ "1-Jan-1970", false, 0 },
	{ "\"02-jan-1970\"", false, 1 },
	{ "29-Feb-2024", false, 19782 },
	{ "29-Feb-2023", false, -1 },
	{ "31-Apr-2023", false, -1 },
	{ "0-Jan-2023", false, -1 },
	{ "1-Foo-2023", false, -1 },
	{ "1-Jan-23", false, -1 },
	{ "\"1-Jan-1970", false, -1 },
	{ "\" 1-Jan-1970 00:00:10 +0000\"", true, 10 },
	{ "\"01-Jan-1970 02:00:00 +0200\"", true, 0 },
	{ "\"31-Dec-1969 22:00:00 -0200\"", true, 0 },
	{ "\"01-Jan-1970 24:00:00 +0000\"", true, -1 },
	{ "\"01-Jan-1970 00:00:00 0000\"", true, -1 },
	{ "\"01-Jan-1970 00:00 +0000\"", true, -1 },
	{ "01-Jan-1970 00:00:00 +0000", true, -1 },
};

static void test_dates(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof date_rows / sizeof *date_rows; i++) {
		const struct date_row *r = &date_rows[i];
		struct imap_in in;
		int64_t got = -1;
		imap_in_init(&in, span_str(r->input), arena);
		bool ok = (r->time ? imap_date_time : imap_date)(&in, &got) && imap_end(&in);
		if (ok != (r->want >= 0) || (ok && got != r->want))
			fail_msg("%s: %lld %s", r->input, (long long)got, in.bad ? in.bad : "");
	}
}

static const struct literal_row {
	const char *line;
	bool found, sync, binary;
	uint64_t size;
} literal_rows[] = {
	{ "a LOGIN {5}", true, true, false, 5 },
	{ "a LOGIN {5+}", true, false, false, 5 },
	{ "a APPEND x ~{5+}", true, false, true, 5 },
	{ "{0}", true, true, false, 0 },
	{ "a {99999999999999999999+}", true, false, false, INT64_MAX },
	{ "a {5} ", false, false, false, 0 },
	{ "a {x}", false, false, false, 0 },
	{ "a {}", false, false, false, 0 },
	{ "a {5-}", false, false, false, 0 },
	{ "a 5}", false, false, false, 0 },
	{ "", false, false, false, 0 },
};

static void test_line_literals(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof literal_rows / sizeof *literal_rows; i++) {
		const struct literal_row *r = &literal_rows[i];
		struct imap_literal l;
		if (imap_line_literal(span_str(r->line), &l) != r->found)
			fail_msg("%s", r->line);
		if (r->found && (l.sync != r->sync || l.size != r->size || l.binary != r->binary))
			fail_msg("%s: %llu", r->line, (unsigned long long)l.size);
	}
}

static void test_flag_list(void **state)
{
	(void)state;
	struct imap_in in;
	struct imap_words w;
	imap_in_init(&in, SPAN("(\\Seen $Junk a) ()(a  b)"), arena);
	assert_true(imap_flag_list(&in, &w));
	assert_int_equal(w.n, 3);
	assert_true(span_eqs(w.v[0], "\\Seen") && span_eqs(w.v[2], "a"));
	assert_true(imap_sp(&in) && imap_flag_list(&in, &w));
	assert_int_equal(w.n, 0);
	assert_false(imap_flag_list(&in, &w));
}

static const struct {
	const char *text, *want;
	bool atom_ok;
} format_rows[] = {
	{ "abc", "abc", true },
	{ "abc", "\"abc\"", false },
	{ "NIL", "\"NIL\"", true },
	{ "", "\"\"", true },
	{ "a b", "\"a b\"", true },
	{ "a\"\\b", "\"a\\\"\\\\b\"", true },
	{ "\xc3\xa4", "{2}\r\n\xc3\xa4", true },
	{ "a\r\nb", "{4}\r\na\r\nb", false },
};

static void test_format(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof format_rows / sizeof *format_rows; i++) {
		struct buf b;
		struct imap_in in;
		struct span back;
		buf_init(&b, 100);
		imap_add_string(&b, span_str(format_rows[i].text), format_rows[i].atom_ok);
		assert_string_equal(b.p, format_rows[i].want);
		imap_in_init(&in, buf_span(&b), arena);
		assert_true(imap_astring(&in, &back) && imap_end(&in) && span_eqs(back, format_rows[i].text));
		buf_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_sticky),
		cmocka_unit_test(test_sets),
		cmocka_unit_test(test_set_has),
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_line_literals),
		cmocka_unit_test(test_flag_list),
		cmocka_unit_test(test_format),
	};
	arena = arena_new();
	int rc = cmocka_run_group_tests(tests, NULL, NULL);
	arena_free(arena);
	return rc;
}
