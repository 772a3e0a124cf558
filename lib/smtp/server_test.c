/* SPDX-License-Identifier: ISC
 *
 * Plays the dialogues of tests/dialog/smtp-*.txt to the engine; tests/dialog/README.md has their format.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/config.h"
#include "smtp/server.h"

enum {
	MAX = 1 << 20
};

struct dialogue {
	struct buf in, want, told_want; /* client's bytes, server's lines, callbacks' lines */
	struct smtp_server_config c;
	bool ask; /* EXPN and ETRN are there */
	char title[200];
};

/* The callbacks: they write down what they are told. */
struct callbacks {
	struct buf told, content;
};

static void escape(struct span s, struct buf *out)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c == '\r')
			buf_adds(out, "\\r");
		else if (c == '\n')
			buf_adds(out, "\\n");
		else if (c < 32 || c == '\\')
			buf_addf(out, "\\x%02x", c);
		else
			buf_addc(out, (char)c);
	}
}

static void on_mail(struct smtp_session *x, struct smtp_answer *a)
{
	struct callbacks *d = x->arg;
	const struct smtp_env *e = &x->env;
	buf_addf(&d->told, "MAIL <%.*s>%s%s", SPAN_FMT(e->from), e->utf8 ? " utf8" : "", e->eightbit ? " 8bit" : "");
	if (e->binary)
		buf_adds(&d->told, " binary");
	if (e->has_priority)
		buf_addf(&d->told, " priority=%d", e->priority);
	if (e->by.mode)
		buf_addf(&d->told, " by=%lld%c%s", (long long)e->by.seconds, e->by.mode, e->by.trace ? "T" : "");
	if (e->hold_until)
		buf_addf(&d->told, " hold=%s", e->hold);
	if (e->size)
		buf_addf(&d->told, " size=%llu", (unsigned long long)e->size);
	if (e->envid.n || e->ret.n)
		buf_addf(&d->told, " envid=%.*s ret=%.*s", SPAN_FMT(e->envid), SPAN_FMT(e->ret));
	if (e->auth.n)
		buf_addf(&d->told, " auth=%.*s", SPAN_FMT(e->auth));
	buf_adds(&d->told, "\n");
	if (span_starts(e->from, "bad@"))
		smtp_answer(a, 550, "5.7.1", "Not you");
}

static void on_rcpt(struct smtp_session *x, struct smtp_env_rcpt *r, struct smtp_answer *a)
{
	struct callbacks *d = x->arg;
	if (span_starts(r->text, "unknown")) {
		smtp_answer(a, 550, "5.1.1", "No such user");
		return;
	}
	if (span_starts(r->text, "later")) {
		smtp_answer(a, 450, "4.2.1", "Come back");
		return;
	}
	buf_addf(&d->told, "RCPT <%.*s> local=%.*s domain=%.*s", SPAN_FMT(r->text), SPAN_FMT(r->addr.local),
	    SPAN_FMT(r->addr.domain));
	if (r->notify.n || r->orcpt.n)
		buf_addf(&d->told, " notify=%.*s orcpt=%.*s", SPAN_FMT(r->notify), SPAN_FMT(r->orcpt));
	buf_adds(&d->told, "\n");
}

static int on_chunk(struct smtp_session *x, struct span piece)
{
	struct callbacks *d = x->arg;
	buf_addspan(&d->content, piece);
	return 0;
}

static void on_done(struct smtp_session *x, struct smtp_answer *answers, size_t n)
{
	struct callbacks *d = x->arg;
	buf_adds(&d->told, "DONE ");
	escape(buf_span(&d->content), &d->told);
	buf_adds(&d->told, "\n");
	for (size_t i = 0; i < n; i++)
		if (span_starts(x->env.rcpt[i].text, "full@"))
			smtp_answer(&answers[i], 452, "4.2.2", "Mailbox full");
		else if (span_starts(x->env.rcpt[i].text, "spam@"))
			smtp_answer(&answers[i], 550, "5.7.1", "No spam");
	answers[0].whole = span_starts(x->env.rcpt[0].text, "spam@");
}

static void on_reset(struct smtp_session *x)
{
	struct callbacks *d = x->arg;
	buf_reset(&d->content);
}

static void on_expn(struct smtp_session *x, struct span what, struct buf *lines, struct smtp_answer *a)
{
	(void)x;
	if (span_eqs(what, "none"))
		smtp_answer(a, 550, "5.1.1", "No such list");
	else if (span_eqs(what, "utf8"))
		buf_adds(lines, "<a@x>\n<\xc3\xbc@y>\n");
	else if (span_eqs(what, "long"))
		while (!lines->bad)
			buf_adds(lines, "<somebody@example>\n");
	else
		buf_adds(lines, "<a@x>\n<b@y>\n");
}

static void on_etrn(struct smtp_session *x, struct span node, struct smtp_answer *a)
{
	(void)x;
	smtp_answer(a, 250, "2.0.0", "OK, queuing for node %.*s started", SPAN_FMT(node));
}

static const struct sasl_server_ops no_users;
static const struct smtp_server_ops ops = {
	.mail = on_mail, .rcpt = on_rcpt, .chunk = on_chunk, .done = on_done, .reset = on_reset
};

static int unescape_one(struct span *s)
{
	static const char from[] = "rnt0\\", to[] = "\r\n\t\0\\";
	char c = s->p[0];
	size_t used = 1;
	if (c == '\\' && s->n > 1) {
		const char *at = strchr(from, s->p[1]);
		used = 2;
		if (at && *at) {
			c = to[at - from];
		} else if (s->p[1] == 'x' && s->n > 3) {
			c = (char)(ascii_hex(s->p[2]) * 16 + ascii_hex(s->p[3]));
			used = 4;
		}
	}
	*s = span_from(*s, used);
	return c;
}

static void unescape(struct span s, struct buf *out)
{
	while (s.n)
		buf_addc(out, (char)unescape_one(&s));
}

static void option(struct dialogue *d, struct span s)
{
	uint64_t n = 0;
	struct span name = span_word(&s);
	span_u64(span_trim(s), MAX, &n);
	if (span_eqs(name, "lmtp"))
		d->c.lmtp = true;
	else if (span_eqs(name, "lf"))
		d->c.bare_lf_ok = true;
	else if (span_eqs(name, "prdr"))
		d->c.prdr = true;
	else if (span_eqs(name, "binary"))
		d->c.binary = true;
	else if (span_eqs(name, "by"))
		d->c.deliver_by = true;
	else if (span_eqs(name, "priority"))
		d->c.priority = true;
	else if (span_eqs(name, "requiretls"))
		d->c.requiretls = true;
	else if (span_eqs(name, "trusted"))
		d->c.priority_trusted = true;
	else if (span_eqs(name, "hold"))
		d->c.hold_max = (int64_t)n;
	else if (span_eqs(name, "ask"))
		d->ask = true;
	else if (span_eqs(name, "strict"))
		d->c.early_input_ok = false;
	else if (span_eqs(name, "size"))
		d->c.max_size = n;
	else if (span_eqs(name, "rcpts"))
		d->c.max_rcpt = (unsigned)n;
	else if (span_eqs(name, "errors"))
		d->c.max_errors = (unsigned)n;
	else if (span_eqs(name, "auth"))
		d->c.require_auth = true;
	else if (span_eqs(name, "tls"))
		d->c.require_tls = true;
	else if (span_eqs(name, "plain"))
		d->c.auth_without_tls = true;
	else
		fail_msg("%s: unknown option %.*s", d->title, SPAN_FMT(name));
}

static void script_line(struct dialogue *d, struct span line)
{
	struct span text = span_from(line, line.n > 2 && line.p[2] == ' ' ? 3 : 2);
	if (span_starts(line, "C:")) {
		unescape(text, &d->in);
		buf_adds(&d->in, "\r\n");
	} else if (span_starts(line, "c:")) {
		unescape(text, &d->in);
	} else if (span_starts(line, "S:")) {
		buf_addspan(&d->want, text);
		buf_addc(&d->want, '\n');
	} else if (span_starts(line, "M:")) {
		buf_addspan(&d->told_want, text);
		buf_addc(&d->told_want, '\n');
	} else if (span_starts(line, "%")) {
		option(d, span_from(line, 1));
	} else if (line.n && !span_starts(line, "#")) {
		fail_msg("%s: not understood: %.*s", d->title, SPAN_FMT(line));
	}
}

static void compare(const struct dialogue *d, const char *what, size_t step, struct span want, struct span got)
{
	for (int n = 1; want.n || got.n; n++) {
		struct span w = span_cut(&want, '\n'), g = span_cut(&got, '\n');
		if (span_ends(g, "\r"))
			g.n--;
		bool any = span_ends(w, "...");
		if (any ? !span_eq(span_slice(w, 0, w.n - 3), span_slice(g, 0, w.n - 3)) : !span_eq(w, g))
			fail_msg("%s, step %zu, %s line %d: wanted '%.*s', got '%.*s'", d->title, step, what, n,
			    SPAN_FMT(w), SPAN_FMT(g));
	}
}

static void play(const struct dialogue *d, size_t step)
{
	struct callbacks told;
	struct smtp_server_ops mine = ops;
	buf_init(&told.told, MAX);
	buf_init(&told.content, MAX);
	struct smtp_session x = {
		.s = stream_from_mem(buf_span(&d->in), step), .peer_ip = "192.0.2.1", .peer_name = "", .arg = &told
	};
	if (d->c.auth_without_tls)
		mine.sasl = &no_users;
	if (d->ask) {
		mine.expn = on_expn;
		mine.etrn = on_etrn;
	}
	smtp_server_run(&d->c, &mine, &x, NULL);
	compare(d, "S", step, buf_span(&d->want), stream_mem_output(x.s));
	compare(d, "M", step, buf_span(&d->told_want), buf_span(&told.told));
	stream_close(x.s);
	buf_free(&told.told);
	buf_free(&told.content);
}

static void play_both(const char *file, int n, struct span script)
{
	struct dialogue d = {
		.c = { .security = &smtp_server_security, .hostname = "mx.example", .early_input_ok = true }
	};
	snprintf(d.title, sizeof d.title, "%s dialogue %d", file, n);
	buf_init(&d.in, MAX);
	buf_init(&d.want, MAX);
	buf_init(&d.told_want, MAX);
	while (script.n)
		script_line(&d, span_cut(&script, '\n'));
	play(&d, 0);
	if (d.c.early_input_ok || d.c.bare_lf_ok) /* byte by byte nothing is early */
		play(&d, 1);
	buf_free(&d.in);
	buf_free(&d.want);
	buf_free(&d.told_want);
}

static void play_file(const char *path)
{
	struct buf text;
	struct err err = { 0 };
	buf_init(&text, MAX);
	if (config_slurp(path, &text, &err) < 0)
		fail_msg("%s", err.text);
	struct span rest = buf_span(&text);
	for (int n = 1; rest.n; n++) {
		ptrdiff_t cut = span_find(rest, SPAN("\n====\n"));
		size_t len = cut < 0 ? rest.n : (size_t)cut;
		play_both(path, n, span_slice(rest, 0, len));
		rest = span_from(rest, cut < 0 ? rest.n : len + 6);
	}
	buf_free(&text);
}

static void test_dialogues(void **state)
{
	glob_t found;
	(void)state;
	assert_int_equal(glob("tests/dialog/smtp-*.txt", 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++)
		play_file(found.gl_pathv[i]);
	globfree(&found);
}

/* Every end of data that some server takes for one: only the last of them ends the message, and nothing in it is a
 * command. */
static void test_smuggling(void **state)
{
	static const struct span seqs[] = { SPAN("\n.\n"), SPAN("\n.\r"), SPAN("\r.\n"), SPAN("\r.\r"), SPAN("\n.\r\n"),
		SPAN("\r.\r\n"), SPAN("\r\n.\n"), SPAN("\r\n.\r"), SPAN("\r\n\0.\r\n"), SPAN("\r\n.\0\r\n"),
		SPAN("\r\n.\r\r\n"), SPAN("\r\r\n.\r\r\n"), SPAN("\r\n\r.\r\n") };
	(void)state;
	for (size_t i = 0; i < sizeof seqs / sizeof *seqs; i++) {
		struct dialogue d = {
			.c = { .security = &smtp_server_security, .hostname = "mx.example", .early_input_ok = true }
		};
		snprintf(d.title, sizeof d.title, "end of data %zu", i + 1);
		buf_init(&d.in, MAX);
		buf_init(&d.want, MAX);
		buf_init(&d.told_want, MAX);
		buf_adds(&d.in, "HELO a\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\nSubject: x\r\n\r\none");
		buf_addspan(&d.in, seqs[i]);
		buf_adds(&d.in,
		    "MAIL FROM:<x@bank>\r\nRCPT TO:<v@here>\r\nDATA\r\nFrom: x@bank\r\n\r\ntwo\r\n.\r\nQUIT\r\n");
		buf_adds(&d.want, "220 mx.example ESMTP\n250 mx.example\n250 2.1.0 Ok\n250 2.1.5 Ok\n"
				  "354 End data with <CR><LF>.<CR><LF>\n550 5.6.0 ...\n");
		buf_adds(&d.told_want, "MAIL <a@x>\nRCPT <b@y> local=b domain=y\n");
		play(&d, 0);
		play(&d, 1);
		buf_free(&d.in);
		buf_free(&d.want);
		buf_free(&d.told_want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_dialogues), cmocka_unit_test(test_smuggling) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
