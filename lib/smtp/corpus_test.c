/* SPDX-License-Identifier: ISC
 *
 * Public corpora beside the repository, held against the engines; skipped where there are none: replies of servers,
 * which the client must understand; what curl says to a server, which ours must take; scripts of sessions with a
 * server; servers that want to talk a client out of TLS.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fnmatch.h>
#include <ftw.h>
#include <glob.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/config.h"
#include "msg/codec.h"
#include "smtp/client.h"
#include "smtp/server.h"

#define CORPUS "../shared/corpus/"

enum {
	MAX = 1 << 22
};

/* ---- files ---- */

static void load(const char *path, struct buf *out)
{
	struct err err = { 0 };
	buf_init(out, MAX);
	if (config_slurp(path, out, &err) < 0)
		fail_msg("%s", err.text);
}

/* Lines end with CRLF afterwards. */
static void crlf(struct span text, struct buf *out)
{
	while (text.n) {
		struct span line = span_cut(&text, '\n');
		if (span_ends(line, "\r"))
			line.n--;
		buf_addspan(out, line);
		buf_adds(out, "\r\n");
	}
}

/* What stands between <tag...> and </tag> in `text`; empty when there is none. */
static struct span element(struct span text, const char *tag)
{
	char open[40], close[40];
	snprintf(open, sizeof open, "<%s", tag);
	snprintf(close, sizeof close, "</%s>", tag);
	ptrdiff_t a = span_find(text, span_str(open)), b = span_find(text, span_str(close));
	if (a < 0 || b < a)
		return SPAN("");
	struct span inner = span_slice(text, (size_t)a, (size_t)b);
	span_cut(&inner, '\n');
	return inner;
}

static size_t each(const char *pattern, bool (*check)(const char *path))
{
	glob_t found;
	size_t n = 0;
	if (glob(pattern, 0, NULL, &found))
		return 0;
	for (size_t i = 0; i < found.gl_pathc; i++)
		n += check(found.gl_pathv[i]);
	globfree(&found);
	return n;
}

/* ---- replies ---- */

static bool check_reply(const char *path)
{
	struct buf text, wire;
	load(path, &text);
	if (!text.len || !ascii_isdigit(text.p[0])) {
		buf_free(&text);
		return false; /* the README */
	}
	buf_init(&wire, MAX);
	crlf(buf_span(&text), &wire);
	for (size_t chunk = 0; chunk < 3; chunk++) {
		struct stream *s = stream_from_mem(buf_span(&wire), chunk);
		struct smtp_reply r;
		struct span in;
		smtp_reply_init(&r);
		while (stream_peek(s, &in) > 0) {
			struct err err = { 0 };
			if (smtp_reply_read(s, &r, false, &err) < 0)
				fail_msg("%s: %s", path, err.text);
			assert_in_range(r.code, 200, 599);
			assert_true(r.lines > 0);
		}
		smtp_reply_free(&r);
		stream_close(s);
	}
	/* What answers EHLO opens a session or says why not. */
	if (strstr(path, "ehlo")) {
		struct smtp_client_config config = { .helo = "me.example", .starttls = STARTTLS_NEVER, .lmtp = true };
		struct buf all;
		struct err err = { 0 };
		buf_init(&all, MAX);
		buf_adds(&all, "220 mx.example\r\n");
		buf_addspan(&all, buf_span(&wire));
		struct smtp_client *c = smtp_client_open(stream_from_mem(buf_span(&all), 0), &config, &err);
		if ((c != NULL) != (wire.p[0] == '2'))
			fail_msg("%s: %s", path, err.text);
		if (c && strstr(wire.p, "PIPELINING"))
			assert_true(smtp_client_exts(c) & SMTP_PIPELINING);
		if (c && strstr(wire.p, "AUTH"))
			assert_true(smtp_client_exts(c) & SMTP_AUTH);
		smtp_client_close(c, false);
		buf_free(&all);
	}
	buf_free(&wire);
	buf_free(&text);
	return true;
}

/* ---- our server ---- */

static enum users_result lookup(void *arg, struct span name, struct user *out, struct err *err)
{
	(void)arg;
	(void)err;
	*out = (struct user){ .name = name, .secret = span_str("{PLAIN}secret") };
	return USERS_OK;
}

struct seen {
	struct buf content;
	unsigned messages;
};

static int on_chunk(struct smtp_session *x, struct span piece)
{
	struct seen *seen = x->arg;
	buf_addspan(&seen->content, piece);
	return 0;
}

static void on_done(struct smtp_session *x, struct smtp_answer *answers, size_t n)
{
	struct seen *seen = x->arg;
	(void)answers;
	(void)n;
	seen->messages++;
}

/* Plays the client's bytes; the replies' codes, "220 250 ", one for each. */
static void converse(struct span said, struct seen *seen, struct buf *codes)
{
	static const struct sasl_server_ops sasl = { .lookup = lookup };
	static const struct smtp_server_ops ops = { .chunk = on_chunk, .done = on_done, .sasl = &sasl };
	struct smtp_server_config c = { .security = &smtp_server_security,
		.hostname = "mx.example",
		.early_input_ok = true,
		.auth_without_tls = true };
	struct smtp_session x = { .s = stream_from_mem(said, 0), .peer_ip = "192.0.2.1", .peer_name = "", .arg = seen };
	buf_init(&seen->content, MAX);
	buf_init(codes, MAX);
	smtp_server_run(&c, &ops, &x, NULL);
	struct span out = stream_mem_output(x.s);
	while (out.n) {
		struct span line = span_cut(&out, '\n');
		if (line.n > 4 && line.p[3] == ' ')
			buf_addf(codes, "%.3s ", line.p);
	}
	stream_close(x.s);
	buf_free(&seen->content);
}

/* "%b64[text]b64%", with %00 in the text for a NUL; false when it is something else. */
static bool encoded(struct span *text, struct buf *out)
{
	ptrdiff_t end = span_find(*text, SPAN("]b64%"));
	if (!span_starts(*text, "%b64[") || end < 0)
		return false;
	struct buf plain;
	buf_init(&plain, MAX);
	for (struct span in = span_slice(*text, 5, (size_t)end); in.n;
	     in = span_from(in, span_starts(in, "%00") ? 3 : 1))
		buf_addc(&plain, span_starts(in, "%00") ? '\0' : in.p[0]);
	base64_encode(buf_span(&plain), NULL, out);
	buf_free(&plain);
	*text = span_from(*text, (size_t)end + 5);
	return true;
}

/* curl's: a test's numbers and marks, as far as they can be known here; false when they can't. */
static bool fill_in(struct span text, struct buf *out)
{
	static const struct {
		const char *name, *value;
	} known[] = { { "%TESTNUMBER", "100" }, { "%LT", "<" }, { "%GT", ">" }, { "%AMP", "&" }, { "%CR", "" },
		{ "%SP", " " } };
	while (text.n) {
		size_t k = 0;
		while (k < sizeof known / sizeof *known && !span_starts(text, known[k].name))
			k++;
		if (k < sizeof known / sizeof *known) {
			buf_adds(out, known[k].value);
			text = span_from(text, strlen(known[k].name));
		} else if (text.p[0] == '%') {
			if (!encoded(&text, out))
				return false;
		} else {
			buf_addc(out, text.p[0]);
			text = span_from(text, 1);
		}
	}
	return true;
}

/* The client's lines with the content where it belongs. */
static void with_upload(struct span lines, struct span upload, struct buf *out)
{
	while (lines.n) {
		struct span line = span_cut(&lines, '\n');
		if (span_ends(line, "\r"))
			line.n--;
		buf_addspan(out, line);
		buf_adds(out, "\r\n");
		if (span_eqs(line, "DATA"))
			crlf(upload, out);
	}
}

/* What curl says when nothing goes wrong is taken as it is meant. */
static bool check_curl(const char *path)
{
	struct buf file, said, lines, upload, codes;
	struct seen seen = { 0 };
	load(path, &file);
	buf_init(&said, MAX);
	buf_init(&lines, MAX);
	buf_init(&upload, MAX);
	struct span text = buf_span(&file), protocol = element(text, "protocol");
	struct span reply = element(text, "reply");
	bool smtp = span_find(element(text, "keywords"), SPAN("SMTP\n")) >= 0;
	/* Tests of refusals are about what the client does then. */
	bool refused = span_find(reply, SPAN("REPLY MAIL")) >= 0 || span_find(reply, SPAN("REPLY RCPT")) >= 0 ||
		       span_find(reply, SPAN("REPLY DATA")) >= 0 || span_find(reply, SPAN("REPLY EHLO")) >= 0;
	bool other_auth = span_find(protocol, SPAN("AUTH ")) >= 0 && span_find(protocol, SPAN("AUTH PLAIN")) < 0 &&
			  span_find(protocol, SPAN("AUTH LOGIN")) < 0;
	bool usable = smtp && !refused && !other_auth && span_find(protocol, SPAN("DATA\n")) >= 0 &&
		      span_find(protocol, SPAN("STARTTLS")) < 0 && span_find(protocol, SPAN("QUIT\n")) >= 0 &&
		      fill_in(protocol, &lines) && fill_in(element(text, "upload"), &upload) && upload.len;
	if (usable) {
		with_upload(buf_span(&lines), buf_span(&upload), &said);
		converse(buf_span(&said), &seen, &codes);
		bool refusal = span_find(buf_span(&codes), SPAN(" 5")) >= 0;
		/* It asks for what it will be refused, or tries one mechanism after the other. */
		bool wanted = span_find(protocol, SPAN("invalid")) >= 0;
		bool auth = span_find(protocol, SPAN("AUTH ")) >= 0;
		if (!seen.messages || (refusal != wanted && !auth) || !span_ends(buf_span(&codes), "221 "))
			fail_msg("%s: %s", path, codes.p);
		buf_free(&codes);
	}
	buf_free(&upload);
	buf_free(&lines);
	buf_free(&said);
	buf_free(&file);
	return usable;
}

/* ---- scripts of sessions: "C: " and "S: " lines; a regular expression stands behind the code ---- */

static bool check_script(const char *path)
{
	struct buf file, said, want, codes;
	struct seen seen = { 0 };
	load(path, &file);
	buf_init(&said, MAX);
	buf_init(&want, MAX);
	for (struct span rest = buf_span(&file); rest.n;) {
		struct span line = span_cut(&rest, '\n');
		if (span_starts(line, "C:")) {
			buf_addspan(&said, span_from(line, line.n > 2 ? 3 : 2));
			buf_adds(&said, "\r\n");
		} else if (span_starts(line, "S: ") && line.n > 6 && line.p[6] == ' ') {
			buf_addf(&want, "%.3s ", line.p + 3);
		}
	}
	/* EHLO's own line is written "250.*". RFC 4954 4 wants EHLO before AUTH, and so do we: that one is left out. */
	bool usable = !strstr(path, "authplain");
	if (usable) {
		converse(buf_span(&said), &seen, &codes);
		struct span w = buf_span(&want), g = buf_span(&codes);
		while (w.n || g.n) {
			struct span a = span_cut(&w, ' '), b = span_cut(&g, ' ');
			if (a.n != b.n || a.p[0] != b.p[0])
				fail_msg("%s: wanted %s, got %s", path, want.p, codes.p);
		}
		buf_free(&codes);
	}
	buf_free(&want);
	buf_free(&said);
	buf_free(&file);
	return usable;
}

/* ---- servers that attack: RON files with the replies to some commands ---- */

/* The string behind `"key": ` or `key: `, unescaped; false when there is none. */
static bool ron_string(struct span text, const char *key, struct buf *out)
{
	char quoted[60];
	snprintf(quoted, sizeof quoted, "\"%s\": \"", key);
	ptrdiff_t at = span_ifind(text, span_str(quoted));
	size_t skip = strlen(quoted);
	if (at < 0) {
		snprintf(quoted, sizeof quoted, "%s: \"", key);
		at = span_find(text, span_str(quoted));
		skip = strlen(quoted);
	}
	if (at < 0)
		return false;
	for (struct span rest = span_from(text, (size_t)at + skip); rest.n && rest.p[0] != '"';
	     rest = span_from(rest, 1)) {
		bool escaped = rest.p[0] == '\\' && rest.n > 1;
		if (escaped)
			rest = span_from(rest, 1);
		buf_addc(out, !escaped ? rest.p[0] : rest.p[0] == 'r' ? '\r' : rest.p[0] == 'n' ? '\n' : rest.p[0]);
	}
	return true;
}

static size_t servers;

static int check_server(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)where;
	if (type != FTW_F || fnmatch("*/smtp/*.ron", path, 0) != 0 || strstr(path, "testcases_extra"))
		return 0;
	struct buf file, all;
	struct err err = { 0 };
	load(path, &file);
	buf_init(&all, MAX);
	struct span text = buf_span(&file);
	if (!ron_string(text, "greeting", &all))
		buf_adds(&all, "220 mx.example ESMTP\r\n");
	if (!ron_string(text, "ehlo", &all))
		buf_adds(&all, span_find(text, SPAN("StartTLS")) >= 0 ? "250-mx.example\r\n250 STARTTLS\r\n"
								      : "250 mx.example\r\n");
	if (span_ifind(text, SPAN("\"helo\"")) >= 0)
		ron_string(text, "HELO", &all);
	if (!ron_string(text, "starttls", &all) && !ron_string(text, "stls_response", &all))
		buf_adds(&all, "220 go\r\n");
	struct tls_client_config tls = { .verify = TLS_VERIFY_NONE };
	struct sasl_client_config auth = { .user = "u", .password = "p" };
	struct smtp_client_config config = { .helo = "me.example",
		.starttls = STARTTLS_REQUIRE,
		.tls = tls_client_new(&tls, NULL),
		.host = "mx.example",
		.auth = &auth };
	/* A pipe keeps what was said when the session does not open. */
	int fd[2];
	char said[8192];
	size_t n = 0;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	assert_int_equal(write(fd[1], all.p, all.len), (ssize_t)all.len);
	shutdown(fd[1], SHUT_WR);
	struct smtp_client *c = smtp_client_open(stream_from_fds(fd[0], fd[0]), &config, &err);
	for (ssize_t got; !c && (got = read(fd[1], said + n, sizeof said - 1 - n)) > 0;)
		n += (size_t)got;
	close(fd[1]);
	said[n] = '\0';
	if (c || err.class == ERR_NONE || strstr(said, "AUTH") || strstr(said, "MAIL"))
		fail_msg("%s: %s, said %s", path, err.text, said);
	tls_ctx_free(config.tls);
	buf_free(&all);
	buf_free(&file);
	servers++;
	return 0;
}

static void corpora(void **state)
{
	(void)state;
	size_t replies = each(CORPUS "smtp-mailkit/*", check_reply);
	if (!replies)
		skip();
	size_t curl = each(CORPUS "curl-mail/test*", check_curl),
	       scripts = each(CORPUS "smtp-james-mpt/*.test", check_script);
	nftw(CORPUS "starttls-fake-mail-server", check_server, 16, FTW_PHYS);
	print_message(
	    "%zu replies, %zu exchanges of curl, %zu scripts, %zu hostile servers\n", replies, curl, scripts, servers);
	assert_true(curl > 10 && scripts > 2 && servers > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(corpora) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
