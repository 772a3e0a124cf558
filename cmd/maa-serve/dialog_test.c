/* SPDX-License-Identifier: ISC
 *
 * Plays tests/dialog/imap-*.txt and pop3-*.txt to the engines over a Maildir of their own, whole and byte by byte;
 * tests/dialog/README.md has the format.
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
#include "base/log.h"
#include "imap.h"
#include "pop3.h"
#include "testbed.h"

enum {
	MAX = 1 << 22,
	MAILS = 20
};

struct dialogue {
	bool imap;
	struct buf in, want;
	struct maa_config c;
	struct testbed_mail mail[MAILS];
	struct buf text[MAILS]; /* theirs */
	size_t n_mail;
	char title[200];
};

static int unescape_one(struct span *s)
{
	static const char from[] = "rnt0\\", to[] = "\r\n\t\0\\";
	char c = s->p[0];
	size_t used = 1;
	if (c == '\\' && s->n > 1) {
		const char *at = strchr(from, s->p[1]);
		if (at && *at) {
			c = to[at - from];
			used = 2;
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
	struct span name = span_word(&s);
	s = span_trim(s);
	if (span_eqs(name, "login")) {
		d->c.preauth = NULL;
	} else if (span_eqs(name, "plain")) {
		d->c.allow_plaintext = true;
	} else if (span_eqs(name, "size")) {
		span_u64(s, MAX, &d->c.max_size);
	} else if (span_eqs(name, "mail")) {
		assert_true(d->n_mail < MAILS);
		struct span file = span_word(&s);
		snprintf(d->mail[d->n_mail].name, sizeof d->mail[0].name, "%.*s", SPAN_FMT(file));
		buf_init(&d->text[d->n_mail], MAX);
		unescape(span_trim(s), &d->text[d->n_mail]);
		d->mail[d->n_mail].text = buf_span(&d->text[d->n_mail]);
		d->n_mail++;
	} else {
		fail_msg("%s: unknown option %.*s", d->title, SPAN_FMT(name));
	}
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
	} else if (span_starts(line, "%")) {
		option(d, span_from(line, 1));
	} else if (line.n && !span_starts(line, "#")) {
		fail_msg("%s: not understood: %.*s", d->title, SPAN_FMT(line));
	}
}

static void compare(const struct dialogue *d, size_t step, struct span got)
{
	struct span want = buf_span(&d->want), all = got;
	for (int n = 1; want.n || got.n; n++) {
		struct span w = span_cut(&want, '\n'), g = span_cut(&got, '\n');
		if (span_ends(g, "\r"))
			g.n--;
		bool any = span_ends(w, "...");
		if (any ? span_eq(span_slice(w, 0, w.n - 3), span_slice(g, 0, w.n - 3)) : span_eq(w, g))
			continue;
		if (getenv("DIALOG_SHOW"))
			fprintf(stderr, "%.*s", SPAN_FMT(all));
		fail_msg(
		    "%s, step %zu, line %d: wanted '%.*s', got '%.*s'", d->title, step, n, SPAN_FMT(w), SPAN_FMT(g));
	}
}

static void play(struct dialogue *d, size_t step)
{
	struct maa_session x;
	struct err err = { 0 };
	struct testbed bed;
	testbed_make(&bed, d->mail, d->n_mail);
	d->c.mail = span_str(bed.mail);
	d->c.users = users_open(bed.users, &err);
	assert_non_null(d->c.users);
	struct stream *s = stream_from_mem(buf_span(&d->in), step);
	maa_session_begin(&x, &d->c, s, "local");
	(d->imap ? imap_run : pop3_run)(&x, &err);
	compare(d, step, stream_mem_output(s));
	maa_session_end(&x);
	stream_close(s);
	users_close(d->c.users);
	testbed_remove(&bed);
}

static void play_both(const char *file, int n, struct span script)
{
	struct dialogue d = { .imap = strstr(file, "imap-") != NULL };
	d.c = (struct maa_config){ .hostname = "maa.example",
		.preauth = "bob",
		.login_attempts = 3,
		.max_size = 1000000,
		.durable = DURABLE_NONE };
	snprintf(d.title, sizeof d.title, "%s dialogue %d", file, n);
	buf_init(&d.in, MAX);
	buf_init(&d.want, MAX);
	while (script.n)
		script_line(&d, span_cut(&script, '\n'));
	play(&d, 0);
	play(&d, 1);
	buf_free(&d.in);
	buf_free(&d.want);
	for (size_t i = 0; i < d.n_mail; i++)
		buf_free(&d.text[i]);
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

static void play_files(const char *pattern)
{
	glob_t found;
	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++)
		play_file(found.gl_pathv[i]);
	globfree(&found);
}

static void test_imap(void **state)
{
	(void)state;
	play_files("tests/dialog/imap-*.txt");
}

static void test_pop3(void **state)
{
	(void)state;
	play_files("tests/dialog/pop3-*.txt");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_imap), cmocka_unit_test(test_pop3) };
	setenv("TZ", "UTC", 1);
	log_open("dialog_test", LOG_TO_NONE, LOG_LVL_ERR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
