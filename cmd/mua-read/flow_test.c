/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <locale.h>
#include <time.h>

#include "mua-read/flow.h"
#include "mua-read/part.h"
#include "mua-read/term.h"

static void html(void **state)
{
	static const char *const cases[][2] = {
		{ "", "" },
		{ "plain\n  text", "plain text\n" },
		{ "<p>a</p><p>b</p>", "a\n\nb\n" },
		{ "a<br>b<br><br>c", "a\nb\n\nc\n" },
		{ "<div>a<div>b</div></div>c", "a\nb\nc\n" },
		{ "a&nbsp;&amp;&lt;b&gt;&#65;&#x42;&eacute;&unknown;&", "a &<b>AB\xc3\xa9&unknown;&\n" },
		{ "&#0;&#xD800;&#99999999999;&#150;", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xe2\x80\x93\n" },
		{ "1 < 2 <3> <>", "1 < 2 <3> <>\n" },
		{ "<STYLE>x</Style>y<script>a</b></script>z", "yz\n" },
		{ "a<style>never closed", "a\n" },
		{ "a<!-- x > y -->b<!-- open", "ab\n" },
		{ "a<b title='>'>c</b", "ac\n" },
		{ "<pre>  a\n\n   b</pre>c", "  a\n \n   b\n\nc\n" },
		{ "<blockquote>a<blockquote>b</blockquote></blockquote>c", "> a\n\n>> b\n\nc\n" },
		{ "<a href='http://x/'>http://x/</a> <a href=mailto:a@b>a</a>", "http://x/ a\n" },
		{ "<a href=\"http://x/?a&amp;b\">here</a>", "here[1]\n\n[1] http://x/?a&b\n" },
		{ "<a href=http://x>one<a href=http://y>two", "one[1]two[2]\n\n[1] http://x\n[2] http://y\n" },
		{ "<a href='javascript:x'>click</a>", "click\n" },
		{ "<table><tr><td>a</td><td>b</td></tr><tr><td>c</table>", "a b\nc\n" },
		{ "<img alt='a &amp; b'><img src=x>", "[a & b]\n" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf out;
		buf_init(&out, 10000);
		flow_html(span_str(cases[i][0]), 60, &out);
		if (!span_eqs(buf_span(&out), cases[i][1]))
			fail_msg("%s: %s", cases[i][0], out.p);
		buf_free(&out);
	}
}

static void paragraphs(void **state)
{
	static const struct {
		const char *in;
		size_t quotes, width;
		const char *want;
	} cases[] = {
		{ "one two three", 0, 0, "one two three\n" },
		{ "one two three four five six", 0, 21, "one two three four\nfive six\n" },
		{ "one two three four five six seven", 2, 25, ">> one two three four\n>> five six seven\n" },
		{ "a-word-that-is-longer-than-the-line x", 0, 21, "a-word-that-is-longer-than-the-line\nx\n" },
		{ "", 0, 20, "\n" },
		{ "  indented", 0, 30, "  indented\n" },
		{ "\xe6\x97\xa5\xe6\x9c\xac \xe6\x97\xa5\xe6\x9c\xac \xe6\x97\xa5\xe6\x9c\xac \xe6\x97\xa5\xe6\x9c\xac "
		  "\xe6\x97\xa5\xe6\x9c\xac",
		    0, 21,
		    "\xe6\x97\xa5\xe6\x9c\xac \xe6\x97\xa5\xe6\x9c\xac \xe6\x97\xa5\xe6\x9c\xac "
		    "\xe6\x97\xa5\xe6\x9c\xac\n\xe6\x97\xa5\xe6\x9c\xac\n" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf out;
		buf_init(&out, 10000);
		flow_paragraph(span_str(cases[i].in), cases[i].quotes, cases[i].width, &out);
		if (!span_eqs(buf_span(&out), cases[i].want))
			fail_msg("%s: %s", cases[i].in, out.p);
		buf_free(&out);
	}
}

static void flowed(void **state)
{
	static const struct {
		const char *in;
		bool delsp;
		const char *want;
	} cases[] = {
		{ "a \nb\n", false, "a b\n" },
		{ "a \nb\n", true, "ab\n" },
		{ "a\nb\n", false, "a\nb\n" },
		{ "a \n> b\n", false, "a \n> b\n" },
		{ "> a \n> b\n>> c\n", false, "> a b\n>> c\n" },
		{ " >a\n  b\n", false, ">a\n b\n" },
		{ "a \n-- \nb\n", false, "a \n-- \nb\n" },
		{ "a \n", false, "a \n" },
		{ "\n\na", false, "\n\na\n" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf out;
		buf_init(&out, 1000);
		flow_flowed(span_str(cases[i].in), cases[i].delsp, 60, &out);
		if (!span_eqs(buf_span(&out), cases[i].want))
			fail_msg("%s: %s", cases[i].in, out.p);
		buf_free(&out);
	}
}

static void safe(void **state)
{
	static const struct {
		struct span in;
		const char *line, *lines;
	} cases[] = {
		{ SPAN("a\tb\nc"), "a b c", "a       b\nc" },
		{ SPAN("a\r\nb\rc"), "a b c", "a\nb^Mc" },
		{ SPAN("\0\x1b[2J\x7f"), "^@^[[2J^?", "^@^[[2J^?" },
		{ SPAN("\xc2\x9b\xe2\x80\xae\xe2\x81\xa6\xd8\x9c\xef\xbb\xbf"),
		    "<U+009B><U+202E><U+2066><U+061C><U+FEFF>", "<U+009B><U+202E><U+2066><U+061C><U+FEFF>" },
		{ SPAN("\xf3\xa0\x81\x81"), "<U+E0041>", "<U+E0041>" },
		{ SPAN("\xff\xc3"), "\xef\xbf\xbd\xef\xbf\xbd", "\xef\xbf\xbd\xef\xbf\xbd" },
		{ SPAN("\xc3\xa4\xe2\x80\x8d"), "\xc3\xa4\xe2\x80\x8d", "\xc3\xa4\xe2\x80\x8d" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf out;
		buf_init(&out, 1000);
		term_safe(cases[i].in, false, &out);
		assert_string_equal(out.p, cases[i].line);
		buf_reset(&out);
		term_safe(cases[i].in, true, &out);
		assert_string_equal(out.p, cases[i].lines);
		buf_free(&out);
	}
}

static void columns(void **state)
{
	(void)state;
	assert_int_equal(term_columns(SPAN("abc")), 3);
	assert_int_equal(term_columns(SPAN("\xe6\x97\xa5\xe6\x9c\xac")), 4);
	assert_int_equal(term_columns(SPAN("a\xcc\x88")), 1);
	assert_int_equal(term_fit(SPAN("abc"), 2), 2);
	assert_int_equal(term_fit(SPAN("\xe6\x97\xa5\xe6\x9c\xac"), 3), 3);
	assert_int_equal(term_fit(SPAN("a\xcc\x88"
				       "b"),
			     1),
	    3);
}

static void part_names(void **state)
{
	static const char message[] =
	    "Content-Type: multipart/mixed; boundary=a\n\n"
	    "--a\n\none\n"
	    "--a\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\ntwo\n--b\n\nthree\n--b--\n"
	    "--a\nContent-Type: message/rfc822\n\nSubject: x\n\nfour\n"
	    "--a\nContent-Type: message/rfc822\n\nContent-Type: multipart/mixed; boundary=c\n\n"
	    "--c\n\nfive\n--c--\n--a--\n";
	static const char *const want[] = { "", "1", "2", "2.1", "2.2", "3", "3.1", "4", "4", "4.1" };
	static const char *const none[] = { "", "0", "5", "1.1", "2.3", "3.2", "3.1.1", "x", "1.x", "-1", "." };
	struct arena *a = arena_new();
	struct mime_part *root = mime_parse(a, span_str(message)), *p = root;
	(void)state;
	for (size_t i = 0; i < sizeof want / sizeof *want; i++, p = mime_next(p)) {
		struct buf name;
		buf_init(&name, 100);
		assert_non_null(p);
		part_name(p, &name);
		assert_string_equal(name.p, want[i]);
		if (name.len && p->kind != MIME_MULTIPART)
			assert_ptr_equal(part_find(root, name.p), p);
		buf_free(&name);
	}
	assert_null(p);
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		assert_null(part_find(root, none[i]));
	assert_non_null(part_find(mime_parse(a, SPAN("\nx")), "1"));
	assert_null(part_find(mime_parse(a, SPAN("\nx")), "1.1"));
	arena_free(a);
}

static void adversarial(void **state)
{
	static const char *const units[] = { "<", "<a", "<a href='", "<!--", "<style>", "<title>", "</a>",
		"<a href=http://x>y", "&", "&#", "&amp", "<blockquote>", "<li>", "<pre>\n", "> ", ">", "a ", " ",
		"<a href=x = = ", "<br>", "\n" };
	clock_t start = clock();
	(void)state;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		struct buf in, out;
		buf_init(&in, 1100000);
		buf_init(&out, 100000000);
		while (in.len < 1000000)
			buf_adds(&in, units[i]);
		flow_html(buf_span(&in), 78, &out);
		assert_false(out.bad);
		buf_reset(&out);
		flow_flowed(buf_span(&in), false, 78, &out);
		assert_false(out.bad);
		buf_reset(&out);
		flow_fixed(buf_span(&in), 78, &out);
		assert_false(out.bad);
		buf_free(&in);
		buf_free(&out);
	}
	assert_true((clock() - start) / CLOCKS_PER_SEC < 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(html),
		cmocka_unit_test(paragraphs),
		cmocka_unit_test(flowed),
		cmocka_unit_test(safe),
		cmocka_unit_test(columns),
		cmocka_unit_test(part_names),
		cmocka_unit_test(adversarial),
	};
	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
