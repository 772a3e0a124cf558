/* SPDX-License-Identifier: ISC
 *
 * What a message needs, and the same message needing nothing: read back, it is the same content.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/arena.h"
#include "msg/downgrade.h"
#include "msg/mime.h"
#include "msg/param2231.h"

static void needs(void **state)
{
	(void)state;
	static const struct {
		struct span in;
		struct msg_needs want;
		size_t size;
	} cases[] = {
		{ SPAN("A: b\n\nc\n"), { 0 }, 11 },
		{ SPAN("A: b\r\n\r\nc\r\n"), { 0 }, 11 },
		{ SPAN("A: b\n\nc"), { 0 }, 11 },
		{ SPAN(""), { 0 }, 0 },
		{ SPAN("A: \xc3\xa4\n\nc\n"), { .eightbit = true, .eightbit_header = true }, 12 },
		{ SPAN("A: b\n\n\xff\n"), { .eightbit = true }, 11 },
		{ SPAN("A: b\n\na\0b\n"), { .nul = true }, 13 },
		{ SPAN("A: b\n\na\rb\n"), { .bare_cr = true }, 13 },
		{ SPAN("A: b\n\na\r\r\n"), { .bare_cr = true }, 12 },
		{ SPAN("A: b\n\na\r"), { .bare_cr = true }, 12 },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct msg_needs n;
		msg_scan(cases[i].in, &n);
		assert_memory_equal(&n, &cases[i].want, sizeof n);
		if (i != 9)
			assert_int_equal(msg_wire_size(cases[i].in), cases[i].size);
	}
	char line[1100];
	memset(line, 'x', sizeof line);
	memcpy(line, "A: b\n\n", 6);
	for (size_t n = 997; n < 1001; n++) {
		struct msg_needs got;
		memcpy(line + 6 + n, "\r\n", 2);
		msg_scan(span_of(line, 6 + n + 2), &got);
		assert_int_equal(got.long_line, n > 998);
		memset(line + 6 + n, 'x', 2);
	}
}

static void table(void **state)
{
	(void)state;
	static const struct {
		const char *in, *want; /* want NULL: refused with enh */
		const char *enh;
	} cases[] = {
		{ "A: b\n\nc\n", "A: b\n\nc\n", NULL },
		{ "A: b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nna\xc3\xafve text "
		  "here =\n",
		    "A: b\nContent-Type: text/plain; charset=utf-8\nMIME-Version: 1.0\n"
		    "Content-Transfer-Encoding: quoted-printable\n\nna=C3=AFve text here =3D\n",
		    NULL },
		{ "A: b\r\n\r\n\xe4 latin text here\r\n",
		    "A: b\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n"
		    "Content-Transfer-Encoding: quoted-printable\r\n\r\n=E4 latin text here\r\n",
		    NULL },
		{ "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n\xc3\xa4\xc3\xb6\n",
		    "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
		    "Content-Transfer-Encoding: base64\n\nw6TDtg0K\n",
		    NULL },
		{ "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: 8bit\n\n"
		  "pre\xff\n--b\nContent-Type: application/x\n\n\x80\x81\n--b\n\nplain\n--b--\nepi\n",
		    "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n"
		    "pre?\n--b\nContent-Type: application/x\nContent-Transfer-Encoding: base64\n\ngIE=\n\n"
		    "--b\n\nplain\n--b--\nepi\n",
		    NULL },
		{ "MIME-Version: 1.0\nContent-Type: message/rfc822\nContent-Transfer-Encoding: 8bit\n\n"
		  "Subject: in\xc3\xa4r\n\nbody \xc3\xa4 of it, long\n",
		    "MIME-Version: 1.0\nContent-Type: message/rfc822\n\n"
		    "Subject: =?utf-8?b?aW7DpHI=?=\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
		    "Content-Transfer-Encoding: quoted-printable\n\nbody =C3=A4 of it, long\n",
		    NULL },
		{ "From: J\xc3\xb6rg <j@x>, b@y\nContent-Type: text/plain; name=\"\xc3\xa4.txt\"\n\nc\n",
		    "From: =?utf-8?b?SsO2cmc=?= <j@x>, <b@y>\nContent-Type: text/plain; "
		    "name*=UTF-8''%C3%A4.txt\n\nc\n",
		    NULL },
		{ "To: Fri\xc3\xa9nds: a@x, b@y;, c@z\n\n", "To: =?utf-8?q?Fri=C3=A9nds?=: <a@x>, <b@y>; <c@z>\n\n",
		    NULL },
		{ "From: \xc3\xa4@x\n\nc\n", NULL, "5.6.7" },
		{ "Content-Type: multipart/signed; boundary=b\n\n--b\n\n\xff\n--b\n\nsig\n--b--\n", NULL, "5.6.3" },
		{ "Content-Type: multipart/signed; boundary=b\n\n--b\n\nok\n--b\n\nsig\n--b--\n",
		    "Content-Type: multipart/signed; boundary=b\n\n--b\n\nok\n--b\n\nsig\n--b--\n", NULL },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf out;
		struct err err = { 0 };
		buf_init(&out, 1 << 20);
		int rc = msg_downgrade(span_str(cases[i].in), 0, &out, &err);
		if (cases[i].want) {
			assert_string_equal(out.p, cases[i].want);
			assert_int_equal(rc, 0);
		} else {
			assert_int_equal(rc, -1);
			assert_string_equal(err.enh, cases[i].enh);
		}
		buf_free(&out);
	}
}

/* RFC 3030 3: binary MIME for who takes lines only. */
static void from_binary(void **state)
{
	(void)state;
	static const struct {
		struct span in;
		const char *eight, *seven; /* NULL: refused with 5.6.3 */
	} cases[] = {
		{ SPAN("A: b\r\n\r\nplain\r\n"), "A: b\r\n\r\nplain\r\n", "A: b\r\n\r\nplain\r\n" },
		/* Only the label is to be changed. */
		{ SPAN("MIME-Version: 1.0\r\nContent-Transfer-Encoding: Binary\r\n\r\nplain \xc3\xa4 text, more of "
		       "it\r\n"),
		    "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
		    "Content-Transfer-Encoding: 8bit\r\n\r\nplain \xc3\xa4 text, more of it\r\n",
		    "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
		    "Content-Transfer-Encoding: quoted-printable\r\n\r\nplain =C3=A4 text, more of it\r\n" },
		{ SPAN("Content-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\n\r\nplain\r\n"),
		    "Content-Type: text/plain\r\n\r\nplain\r\n", "Content-Type: text/plain\r\n\r\nplain\r\n" },
		/* A line end in binary data is data, in text too when it is none of the text's. */
		{ SPAN("MIME-Version: 1.0\r\nContent-Type: application/x\r\nContent-Transfer-Encoding: binary\r\n\r\n"
		       "a\n\0\r\r\n\xff"),
		    "MIME-Version: 1.0\r\nContent-Type: application/x\r\nContent-Transfer-Encoding: base64\r\n\r\n"
		    "YQoADQ0K/w==\r\n",
		    "MIME-Version: 1.0\r\nContent-Type: application/x\r\nContent-Transfer-Encoding: base64\r\n\r\n"
		    "YQoADQ0K/w==\r\n" },
		{ SPAN("MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\na\nb\r\n"),
		    "MIME-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: "
		    "base64\r\n\r\nYQpiDQo=\r\n",
		    "MIME-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n"
		    "YQpiDQo=\r\n" },
		{ SPAN("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n"
		       "Content-Transfer-Encoding: binary\r\n\r\n"
		       "--b\r\n\r\n\xc3\xa4 is a letter here\r\n--b\r\nContent-Type: image/x\r\n"
		       "Content-Transfer-Encoding: binary\r\n\r\n\n\0\r\n--b--\r\n"),
		    "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n"
		    "Content-Transfer-Encoding: 8bit\r\n\r\n"
		    "--b\r\n\r\n\xc3\xa4 is a letter here\r\n--b\r\nContent-Type: image/x\r\n"
		    "Content-Transfer-Encoding: base64\r\n\r\nCgA=\r\n\r\n--b--\r\n",
		    "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
		    "--b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A4 is a letter here\r\n"
		    "--b\r\nContent-Type: image/x\r\n"
		    "Content-Transfer-Encoding: base64\r\n\r\nCgA=\r\n\r\n--b--\r\n" },
		/* What belongs to no part, and what is signed. */
		{ SPAN("Content-Type: multipart/mixed; boundary=b\r\n\r\n\0\r\n--b\r\n\r\nx\r\n--b--\r\n"), NULL,
		    NULL },
		{ SPAN("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n\n"), NULL, NULL },
		{ SPAN(
		      "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\na\nb\r\n--b\r\n\r\ns\r\n--b--\r\n"),
		    NULL, NULL },
		{ SPAN("Content-Type: multipart/signed; boundary=b\r\n\r\n"
		       "--b\r\nContent-Transfer-Encoding: binary\r\n\r\nab\r\n--b\r\n\r\ns\r\n--b--\r\n"),
		    "Content-Type: multipart/signed; boundary=b\r\n\r\n"
		    "--b\r\nContent-Transfer-Encoding: binary\r\n\r\nab\r\n--b\r\n\r\ns\r\n--b--\r\n",
		    "Content-Type: multipart/signed; boundary=b\r\n\r\n"
		    "--b\r\nContent-Transfer-Encoding: binary\r\n\r\nab\r\n--b\r\n\r\ns\r\n--b--\r\n" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		for (unsigned keep = 0; keep <= MSG_KEEP_8BIT; keep++) {
			const char *want = keep ? cases[i].eight : cases[i].seven;
			struct buf out;
			struct err err = { 0 };
			buf_init(&out, 1 << 20);
			int rc = msg_downgrade(cases[i].in, MSG_FROM_BINARY | keep, &out, &err);
			assert_int_equal(rc, want ? 0 : -1);
			if (want)
				assert_string_equal(out.p, want);
			else
				assert_string_equal(err.enh, "5.6.3");
			buf_free(&out);
		}
	}
}

/* Bytes of all kinds come back from each kind of part. */
static void read_back(void **state)
{
	(void)state;
	static const char *const types[] = { "application/octet-stream", "text/plain; charset=iso-8859-1" };
	struct buf in, out, got;
	buf_init(&in, 1 << 20);
	buf_init(&out, 1 << 20);
	buf_init(&got, 1 << 20);
	for (int t = 0; t < 2; t++) {
		buf_reset(&in);
		buf_reset(&out);
		buf_reset(&got);
		buf_addf(&in, "MIME-Version: 1.0\r\nContent-Type: %s\r\n\r\n", types[t]);
		size_t start = in.len;
		for (int c = 0; c < 256; c++)
			if (t == 0 || (c != '\n' && c != '\r'))
				buf_addc(&in, (char)c);
		for (int n = 0; n < 2000; n++)
			buf_addc(&in, 'x');
		assert_int_equal(msg_downgrade(buf_span(&in), 0, &out, NULL), 0);
		struct msg_needs n;
		msg_scan(buf_span(&out), &n);
		assert_false(n.eightbit || n.nul || n.bare_cr || n.long_line);
		struct arena *a = arena_new();
		mime_content(mime_parse(a, buf_span(&out)), false, &got);
		assert_int_equal(got.len, in.len - start);
		assert_memory_equal(got.p, in.p + start, got.len);
		arena_free(a);
	}
	buf_free(&in);
	buf_free(&out);
	buf_free(&got);
}

static void parameters(void **state)
{
	(void)state;
	static const struct {
		const char *value, *want;
	} cases[] = {
		{ "a.txt", "; name=a.txt" },
		{ "a b.txt", "; name=\"a b.txt\"" },
		{ "a\"\\b", "; name=\"a\\\"\\\\b\"" },
		{ "", "; name=\"\"" },
		{ "a\r\nb", "; name=\"a__b\"" },
		{ "\xc3\xa4 1.txt", "; name*=UTF-8''%C3%A4%201.txt" },
		{ "0123456789012345678901234567890123456789012345678901234567890123456789",
		    "; name*0*=UTF-8''0123456789012345678901234567890123456789012345678901;"
		    " name*1*=234567890123456789" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf out;
		buf_init(&out, 1000);
		param2231_add("name", span_str(cases[i].value), NULL, &out);
		assert_string_equal(out.p, cases[i].want);
		struct arena *a = arena_new();
		struct buf line;
		struct mime_params params;
		struct span first, value;
		buf_init(&line, 1000);
		buf_addf(&line, "x/y%s", out.p);
		mime_parse_params(a, buf_span(&line), &first, &params);
		assert_true(mime_param(&params, "name", &value));
		if (i != 4)
			assert_true(span_eqs(value, cases[i].value));
		arena_free(a);
		buf_free(&line);
		buf_free(&out);
	}
}

static void test_crlf(void **state)
{
	static const struct {
		const char *text;
		bool want;
	} cases[] = { { "", true }, { "a", true }, { "a\r\n", true }, { "a\r\n\r\n", true }, { "\n", false },
		{ "a\r\nb\n", false }, { "a\r", false }, { "a\rb\r\n", false }, { "a\r\r\n", false } };
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (msg_is_crlf(span_str(cases[i].text)) != cases[i].want)
			fail_msg("case %zu", i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crlf),
		cmocka_unit_test(needs),
		cmocka_unit_test(table),
		cmocka_unit_test(from_binary),
		cmocka_unit_test(read_back),
		cmocka_unit_test(parameters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
