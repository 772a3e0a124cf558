/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <time.h>

#include "base/limits.h"
#include "msg/mime.h"

/* "text/plain(body)" for a leaf, "multipart/mixed[child child]" for the others. */
static void describe(const struct mime_part *p, struct buf *out)
{
	buf_addf(out, "%.*s/%.*s", SPAN_FMT(p->type), SPAN_FMT(p->subtype));
	if (p->kind == MIME_LEAF) {
		buf_addc(out, '(');
		buf_addspan(out, p->body);
		buf_addc(out, ')');
		return;
	}
	buf_addc(out, '[');
	for (const struct mime_part *c = p->children; c; c = c->next) {
		describe(c, out);
		if (c->next)
			buf_addc(out, ' ');
	}
	buf_addc(out, ']');
}

#define MULTI(b) "Content-Type: multipart/mixed; boundary=" b "\n\n"

static const struct {
	const char *name, *in, *want;
} trees[] = {
	{ "plain", "Subject: x\n\nbody\n", "text/plain(body\n)" },
	{ "empty", "", "text/plain()" },
	{ "type", "Content-Type: Text/HTML; charset=x\n\n<p>", "text/html(<p>)" },
	{ "type with blanks", "Content-Type: text / html (c) ; x=y\n\n", "text/html()" },
	{ "malformed type", "Content-Type: text\n\nx", "text/plain(x)" },
	{ "first type counts", "Content-Type: a/b\nContent-Type: c/d\n\n", "a/b()" },
	{ "two parts", MULTI("b") "pre\n--b\n\none\n--b\nContent-Type: a/b\n\ntwo\n\n--b--\nepilogue\n",
	    "multipart/mixed[text/plain(one) a/b(two\n)]" },
	{ "CRLF", "Content-Type: multipart/mixed; boundary=\"b c\"\r\n\r\n--b c\r\n\r\none\r\n--b c--\r\n",
	    "multipart/mixed[text/plain(one)]" },
	{ "blanks after the delimiter", MULTI("b") "--b \t\n\none\n--b--  \n", "multipart/mixed[text/plain(one)]" },
	{ "a delimiter with more behind it (RFC 2046 5.1.1)", MULTI("b") "--b\n\none\n--bc\n\ntwo\n--b--x\nepilogue",
	    "multipart/mixed[text/plain(one) text/plain(two)]" },
	{ "not a delimiter", MULTI("b") "--b\n\none\n--\n-b\n --b\n--a--\n--b--",
	    "multipart/mixed[text/plain(one\n--\n-b\n --b\n--a--)]" },
	{ "no end", MULTI("b") "--b\n\none\n", "multipart/mixed[text/plain(one\n)]" },
	{ "no parts", MULTI("b") "text\n", "multipart/mixed[]" },
	{ "no boundary", "Content-Type: multipart/mixed\n\ntext\n", "multipart/mixed(text\n)" },
	{ "empty part", MULTI("b") "--b\n\n--b\n--b--\n", "multipart/mixed[text/plain() text/plain()]" },
	{ "no header in a part", MULTI("b") "--b\nno: header? no, text\nline\n--b\nreally no\n\nx\n--b--",
	    "multipart/mixed[text/plain() text/plain(really no\n\nx)]" },
	{ "header cut by a delimiter", MULTI("b") "--b\nContent-Type: a/b\n--b--\n", "multipart/mixed[a/b()]" },
	{ "nested", MULTI("a") "--a\n" MULTI("ab") "--ab\n\none\n--ab--\ninner epilogue\n--a\n\ntwo\n--a--\n",
	    "multipart/mixed[multipart/mixed[text/plain(one)] text/plain(two)]" },
	{ "the outer boundary is longer", MULTI("ab") "--ab\n" MULTI("a") "--a\n\none\n--a--\n--ab\n\ntwo\n--ab--\n",
	    "multipart/mixed[multipart/mixed[text/plain(one)] text/plain(two)]" },
	{ "text instead of a message", "Content-Type: message/rfc822\n\njust text\n",
	    "message/rfc822[text/plain(just text\n)]" },
	{ "a message from an mbox", "Content-Type: message/rfc822\n\n>From a b\nSubject: x\n\ny\n",
	    "message/rfc822[text/plain(y\n)]" },
	{ "inner never closed", MULTI("a") "--a\n" MULTI("b") "--b\n\none\n--a\n\ntwo\n--a--\n",
	    "multipart/mixed[multipart/mixed[text/plain(one)] text/plain(two)]" },
	{ "closed boundary is text", MULTI("a") "--a\n" MULTI("b") "--b\n\none\n--b--\n--b\n\nx\n--a--\n",
	    "multipart/mixed[multipart/mixed[text/plain(one)]]" },
	{ "digest", "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: x\n\ninner\n--b--",
	    "multipart/digest[message/rfc822[text/plain(inner)]]" },
	{ "message", "Content-Type: message/rfc822\n\nContent-Type: a/b\n\ninner", "message/rfc822[a/b(inner)]" },
	{ "encoded message is a leaf",
	    "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nQTogYgo=", "message/rfc822(QTogYgo=)" },
	{ "message with parts in a part",
	    MULTI("a") "--a\nContent-Type: message/rfc822\n\n" MULTI("b") "--b\n\none\n--b--\n--a\n\ntwo\n--a--",
	    "multipart/mixed[message/rfc822[multipart/mixed[text/plain(one)]] text/plain(two)]" },
};

static void structure(void **state)
{
	struct arena *a = arena_new();
	(void)state;
	for (size_t i = 0; i < sizeof trees / sizeof *trees; i++) {
		struct buf out;
		buf_init(&out, 4096);
		describe(mime_parse(a, span_str(trees[i].in)), &out);
		if (!span_eqs(buf_span(&out), trees[i].want))
			fail_msg("%s: %s", trees[i].name, out.p);
		buf_free(&out);
	}
	arena_free(a);
}

static void fields(void **state)
{
	struct arena *a = arena_new();
	struct mime_part *p = mime_parse(
	    a, SPAN("Content-ID: <1@x>\nContent-Description: a b\nContent-Language: de\nContent-Location: y\n"
		    "Content-MD5: z==\nContent-Transfer-Encoding: Quoted-Printable\nContent-Disposition: ATTACHMENT; "
		    "filename=q\n"
		    "\none\ntwo\nthree"));
	struct span v;
	(void)state;
	assert_true(span_eqs(p->id, "<1@x>") && span_eqs(p->description, "a b") && span_eqs(p->language, "de"));
	assert_true(span_eqs(p->location, "y") && span_eqs(p->md5, "z=="));
	assert_true(span_eqs(p->encoding, "quoted-printable") && p->codec == CODEC_QP);
	assert_true(span_eqs(p->disposition, "attachment"));
	assert_true(mime_param(&p->disposition_params, "FileName", &v) && span_eqs(v, "q"));
	assert_int_equal(p->lines, 2);
	p = mime_parse(a, SPAN(MULTI("b") "--b\r\n\r\na\r\nb\r\n--b\r\n\r\n\r\n--b--\r\n"));
	assert_int_equal(p->children->lines, 1);
	assert_int_equal(p->children->next->lines, 0);
	assert_int_equal(p->children->next->number, 2);
	assert_int_equal(p->lines, 8);
	assert_ptr_equal(mime_next(p), p->children);
	assert_ptr_equal(mime_next(p->children), p->children->next);
	assert_null(mime_next(p->children->next));
	arena_free(a);
}

static const struct {
	const char *in, *want;
} params[] = {
	{ "text/plain; charset=utf-8; format=flowed", "text/plain charset=utf-8 format=flowed" },
	{ "a; B=\"x; \\\"y\\\"\" ; c=z", "a b=x; \"y\" c=z" },
	{ "a;x=1;x=2", "a x=1" },
	{ "a; name=my file.pdf; b=c", "a name=my file.pdf b=c" },
	{ "a (comment; x=y); b=c (d)", "a b=c" },
	{ "a; b=\"unclosed; c=d", "a b=unclosed; c=d" },
	{ "a;;; b ;=c; d=", "a d=" },
	{ "(x) a (y) / (z) b (c); d=e", "a/b d=e" },
	{ "a/b c", "a/b" },
	{ "a/b c=d", "a/b c=d" },
	{ "a/b c; d=e", "a/b d=e" },
	{ "a; b=\"c\" d=e", "a b=c d=e" },
	{ "a; b=c\n d=e", "a b=c d=e" },
	{ "a; b=c d=e", "a b=c d=e" },
	{ "/;a=b", "/ a=b" },
	{ "a; b=\"q\"junk; c=d", "a b=q c=d" },
	{ "", "" },
	/* RFC 2231 3 and 4 */
	{ "message/external-body; access-type=URL; URL*0=\"ftp://\"; URL*1=\"cs.utk.edu/pub\"",
	    "message/external-body access-type=URL url=ftp://cs.utk.edu/pub" },
	{ "application/x-stuff; title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A",
	    "application/x-stuff title=This is ***fun***" },
	{ "application/x-stuff; title*0*=us-ascii'en'This%20is%20even%20more%20; title*1*=%2A%2A%2Afun%2A%2A%2A%20; "
	  "title*2=\"isn't it!\"",
	    "application/x-stuff title=This is even more ***fun*** isn't it!" },
	{ "a; n*1=b; n*0=a; n*3=d", "a n=ab" },
	{ "a; n*0=a; n*0=x; n*1=b", "a n=ab" },
	{ "a; n*1=b", "a n=b" },
	{ "a; n=old; n*=utf-8''%C3%A4", "a n=\xc3\xa4" },
	{ "a; n=old; n*0=x; n*1=y", "a n=xy" },
	{ "a; n*=iso-8859-1''%E4%zz%4", "a n=\xc3\xa4%zz%4" },
	{ "a; n*=no quotes%20here", "a n=no quotes here" },
	{ "a; n*x=1", "a n*x=1" },
	{ "a; n=\xe4", "a n=\xc3\xa4" },
	{ "a; z=1; b=2; y=3", "a z=1 b=2 y=3" },
};

static void parameters(void **state)
{
	struct arena *a = arena_new();
	(void)state;
	for (size_t i = 0; i < sizeof params / sizeof *params; i++) {
		struct span first;
		struct mime_params p;
		struct buf out;
		buf_init(&out, 1000);
		mime_parse_params(a, span_str(params[i].in), &first, &p);
		buf_addspan(&out, first);
		for (size_t k = 0; k < p.n; k++)
			buf_addf(&out, " %.*s=%.*s", SPAN_FMT(p.v[k].name), SPAN_FMT(p.v[k].value));
		if (!span_eqs(buf_span(&out), params[i].want))
			fail_msg("%s: %s", params[i].in, out.p);
		buf_free(&out);
	}
	arena_free(a);
}

static void file_names(void **state)
{
	static const char *const cases[][2] = {
		{ "Content-Disposition: attachment; filename=a.txt", "a.txt" },
		{ "Content-Type: a/b; name=\"=?utf-8?q?=C3=A4?=.txt\"", "\xc3\xa4.txt" },
		{ "Content-Type: a/b; name=x\nContent-Disposition: attachment; filename=y", "y" },
		{ "Content-Disposition: attachment; filename*=utf-8''..%2F..%2Fetc%2Fpasswd", ".._.._etc_passwd" },
		{ "Content-Disposition: attachment; filename*=utf-8''a%1B%5B2J%C2%9Bb%0A", "a_[2J_b" },
		{ "Content-Disposition: attachment; filename=..", "__" },
		{ "Content-Disposition: attachment; filename=\"c:\\\\x\"", "c:_x" },
		{ "Content-Disposition: attachment", "" },
	};
	struct arena *a = arena_new();
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf out;
		buf_init(&out, 1000);
		mime_filename(mime_parse(a, span_str(cases[i][0])), &out);
		assert_string_equal(out.p, cases[i][1]);
		buf_free(&out);
	}
	arena_free(a);
}

static void content(void **state)
{
	static const struct {
		const char *in;
		bool as_text;
		const char *want;
	} cases[] = {
		{ "Content-Transfer-Encoding: base64\n\nSGk=\n", false, "Hi" },
		{ "Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: "
		  "quoted-printable\n\n=E4=\n=0D\r\n",
		    true, "\xc3\xa4\r\n" },
		{ "Content-Type: text/plain; charset=utf-8\n\n\xef\xbb\xbfx\r\n", true, "x\n" },
		{ "Content-Type: text/plain; charset=utf-8\n\n\xef\xbb\xbfx\r\n", false, "\xef\xbb\xbfx\r\n" },
		{ "\n\xe4", true, "\xc3\xa4" },
	};
	struct arena *a = arena_new();
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf out;
		buf_init(&out, 1000);
		mime_content(mime_parse(a, span_str(cases[i].in)), cases[i].as_text, &out);
		assert_string_equal(out.p, cases[i].want);
		buf_free(&out);
	}
	arena_free(a);
}

#define TYPED(type, text) "--b\nContent-Type: " type "\n\n" text "\n"
#define KIND(kind) "Content-Type: multipart/" kind "; boundary=b\n\n"

static void best_text(void **state)
{
	static const char *const cases[][2] = {
		{ "\nx", "x" },
		{ "Content-Type: image/png\n\nx", NULL },
		{ "Content-Disposition: attachment\n\nx", NULL },
		{ KIND("alternative") TYPED("text/plain", "p") TYPED("text/html", "h"), "p" },
		{ KIND("alternative") TYPED("text/html", "h") TYPED("image/png", "i"), "h" },
		{ KIND("alternative") TYPED("text/plain", "p") TYPED("text/plain", "q"), "q" },
		{ KIND("mixed") TYPED("image/png", "i") TYPED("text/html", "h") TYPED("text/plain", "p"), "h" },
		{ KIND("mixed") TYPED("text/plain\nContent-Disposition: attachment", "p") TYPED("text/html", "h"),
		    "h" },
		{ KIND("related; start=\"<2>\"") TYPED("text/plain", "p") TYPED("text/html\nContent-ID: <2>", "h"),
		    "h" },
		{ KIND("related") TYPED("image/png", "p") TYPED("text/html", "h"), "h" },
	};
	struct arena *a = arena_new();
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct mime_part *p = mime_best_text(mime_parse(a, span_str(cases[i][0])));
		if (!cases[i][1])
			assert_null(p);
		else if (!p || !span_eqs(span_trim(p->body), cases[i][1]))
			fail_msg("%s", cases[i][0]);
	}
	arena_free(a);
}

static unsigned deepest(struct mime_part *p)
{
	unsigned most = 0;
	for (; p; p = mime_next(p))
		most = p->depth > most ? p->depth : most;
	return most;
}

static void bounded(void **state)
{
	struct arena *a = arena_new();
	struct buf in;
	size_t n = 0;
	(void)state;
	buf_init(&in, 4000000);
	for (int i = 0; i < 1000; i++)
		buf_addf(&in, "--%d\nContent-Type: multipart/mixed; boundary=%d\n\n", i - 1, i);
	struct mime_part *root = mime_parse(a, span_from(buf_span(&in), strlen("---1\n")));
	assert_int_equal(deepest(root), LIMIT_MIME_DEPTH);
	assert_null(mime_best_text(root));
	buf_reset(&in);
	for (int i = 0; i < 1000; i++)
		buf_adds(&in, "Content-Type: message/rfc822\n\n");
	assert_int_equal(deepest(mime_parse(a, buf_span(&in))), LIMIT_MIME_DEPTH);
	buf_reset(&in);
	buf_adds(&in, KIND("mixed"));
	for (int i = 0; i < 100000; i++)
		buf_adds(&in, "--b\n\n");
	for (struct mime_part *p = mime_parse(a, buf_span(&in)); p; p = mime_next(p))
		n++;
	assert_int_equal(n, LIMIT_MIME_PARTS);
	buf_free(&in);
	arena_free(a);
}

/* A hundred boundaries that differ in their last byte only, and a megabyte of lines that almost match them all. */
static void long_boundaries(struct buf *in)
{
	char same[LIMIT_BOUNDARY];
	memset(same, 'x', sizeof same);
	for (int i = 0; i < LIMIT_MIME_DEPTH; i++)
		buf_addf(in, "%s%.*s%s%scontent-type: multipart/mixed; boundary=\"%.*s%c\"\n\n", i ? "--" : "",
		    i ? 1000 : 0, same, i ? (char[]){ (char)(i + 31), 0 } : "", i ? "\n" : "", 1000, same,
		    32 + i == '"' ? '_' : i + 32);
	while (in->len < 1500000)
		buf_addf(in, "--%.*s\n", 1001, same);
}

static void adversarial(void **state)
{
	static const struct {
		const char *head, *unit;
	} cases[] = {
		{ KIND("mixed"), "--b\n" },
		{ KIND("mixed"), "--b" },
		{ KIND("mixed"), "--b\n \n" },
		{ KIND("mixed"), "-" },
		{ KIND("mixed"), "--b-\n" },
		{ KIND("mixed"), "--b\nContent-Type: multipart/mixed; boundary=b\n\n" },
		{ "Content-Type: a/b", "; x=y" },
		{ "Content-Type: a/b", "; x*0=y; x*1=z" },
		{ "Content-Type: a/b", "; x*9999=\"" },
		{ "Content-Type: a/b;", "(" },
		{ "Content-Type: a/b;", "(x)" },
		{ "Content-Type: a/b; x=", "\"" },
		{ "Content-Type: a/b; x*=", "%" },
		{ "Content-Type: a/b; x*=", "'" },
		{ "Content-Type: a/b; x=", "\n " },
		{ "Content-Type: a/b; x=", "\n y" },
		{ "Content-Type: a/b; x=", "\n y=" },
		{ "Content-Type: a", " /" },
		{ "", "Content-Type: a/b; x=y\n" },
		{ "Content-Type: a/b\n", " \n" },
		{ KIND("mixed") "--b\nx", " \n x" },
	};
	struct arena *a = arena_new();
	struct buf in;
	clock_t start = clock();
	(void)state;
	buf_init(&in, 4000000);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		buf_reset(&in);
		buf_adds(&in, cases[i].head);
		while (in.len < 1000000)
			buf_adds(&in, cases[i].unit);
		mime_best_text(mime_parse(a, buf_span(&in)));
		arena_reset(a);
	}
	buf_reset(&in);
	long_boundaries(&in);
	mime_parse(a, buf_span(&in));
	/* Each parameter name another one, in an order that is none. */
	buf_reset(&in);
	buf_adds(&in, "Content-Type: a/b");
	for (uint32_t i = 0, x = 1; i < 100000; i++, x = x * 1664525u + 1013904223u)
		buf_addf(&in, "; n%08x=%u", x, i);
	struct mime_part *p = mime_parse(a, buf_span(&in));
	assert_int_equal(p->params.n, 100000);
	assert_true(span_eqs(p->params.v[99999].value, "99999"));
	assert_true((clock() - start) / CLOCKS_PER_SEC < 20);
	buf_free(&in);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(structure),
		cmocka_unit_test(fields),
		cmocka_unit_test(parameters),
		cmocka_unit_test(file_names),
		cmocka_unit_test(content),
		cmocka_unit_test(best_text),
		cmocka_unit_test(bounded),
		cmocka_unit_test(adversarial),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
