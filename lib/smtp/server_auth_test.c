/* SPDX-License-Identifier: ISC
 *
 * AUTH in the engine, with a mechanism that tells why it refuses: what is said, and what the ops are told.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "smtp/server.h"

static int token(void *arg, const struct sasl_token *t, struct buf *user, struct err *err)
{
	(void)arg;
	if (span_eqs(t->bearer, "later"))
		return err_set(err, ERR_TEMP, "nobody to ask");
	if (!span_eqs(t->bearer, "good"))
		return err_set(err, ERR_ACCESS, "no such token");
	buf_adds(user, "bob");
	return 0;
}

static void on_auth(struct smtp_session *x, struct span mech, struct smtp_answer *a)
{
	buf_addf(x->arg, "auth %.*s\n", SPAN_FMT(mech));
	if (span_eqs(x->helo, "locked"))
		smtp_answer(a, 454, "4.7.0", "Not now");
}

static void on_authenticated(struct smtp_session *x, struct span mech, const struct err *why)
{
	struct span who = why ? x->claimed : x->user;
	buf_addf(x->arg, "%.*s %.*s: %s\n", SPAN_FMT(mech), SPAN_FMT(who), why ? why->text : "ok");
}

#define EHLO "EHLO a\r\n"
/* user=bob^Aauth=Bearer good^A^A, and with the tokens bad and later. */
#define GOOD "AUTH XOAUTH2 dXNlcj1ib2IBYXV0aD1CZWFyZXIgZ29vZAEB\r\n"
#define BAD "AUTH XOAUTH2 dXNlcj1ib2IBYXV0aD1CZWFyZXIgYmFkAQE=\r\n"
#define LATER "AUTH XOAUTH2 dXNlcj1ib2IBYXV0aD1CZWFyZXIgbGF0ZXIBAQ==\r\n"
#define WHY "334 eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIn0=\r\n"

static const struct {
	const char *in, *want, *told;
} cases[] = {
	{ EHLO GOOD "QUIT\r\n", "235 2.7.0 Authentication successful\r\n221 ", "auth XOAUTH2\nXOAUTH2 bob: ok\n" },
	{ EHLO BAD "\r\n" GOOD, WHY "535 5.7.8 Authentication credentials invalid\r\n235 ",
	    "auth XOAUTH2\nXOAUTH2 bob: no such token\nauth XOAUTH2\nXOAUTH2 bob: ok\n" },
	/* Who breaks off after the refusal was refused nevertheless; one reply. */
	{ EHLO BAD "*\r\nQUIT\r\n", WHY "501 5.7.0 Authentication cancelled\r\n221 ",
	    "auth XOAUTH2\nXOAUTH2 bob: no such token\n" },
	{ EHLO BAD, WHY, "auth XOAUTH2\nXOAUTH2 bob: no such token\n" },
	{ EHLO BAD "*\r\n" BAD "*\r\n" BAD "*\r\n" GOOD,
	    WHY "501 5.7.0 Authentication cancelled\r\n" WHY "501 5.7.0 Authentication cancelled\r\n" WHY
		"501 5.7.0 Authentication cancelled\r\n421 4.7.0 mx.example: too many failures\r\n",
	    "auth XOAUTH2\nXOAUTH2 bob: no such token\nauth XOAUTH2\nXOAUTH2 bob: no such token\n"
	    "auth XOAUTH2\nXOAUTH2 bob: no such token\n" },
	{ EHLO LATER "QUIT\r\n", "454 4.7.0 Temporary authentication failure\r\n221 ",
	    "auth XOAUTH2\nXOAUTH2 bob: nobody to ask\n" },
	{ EHLO "AUTH XOAUTH2 =\r\nQUIT\r\n", "501 5.5.2 Malformed authentication message\r\n221 ",
	    "auth XOAUTH2\nXOAUTH2 : malformed XOAUTH2 message\n" },
	{ "EHLO locked\r\n" GOOD "QUIT\r\n", "454 4.7.0 Not now\r\n221 ", "auth XOAUTH2\n" },
	/* Nobody decides about these. */
	{ EHLO "AUTH EXTERNAL =\r\nAUTH PLAIN\r\nQUIT\r\n", "504 5.5.4 ", "" },
};

static void dialogues(void **state)
{
	(void)state;
	static const struct sasl_server_ops tokens = { .token = token };
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf told;
		struct smtp_server_config c = { .security = &smtp_server_security,
			.hostname = "mx.example",
			.early_input_ok = true,
			.auth_without_tls = true };
		struct smtp_server_ops ops = { .sasl = &tokens, .auth = on_auth, .authenticated = on_authenticated };
		struct smtp_session x = { .s = stream_from_mem(span_str(cases[i].in), 0),
			.peer_ip = "192.0.2.1",
			.peer_name = "",
			.arg = &told };
		buf_init(&told, 65536);
		smtp_server_run(&c, &ops, &x, NULL);
		struct span out = stream_mem_output(x.s);
		assert_true(span_find(out, SPAN("AUTH OAUTHBEARER XOAUTH2\r\n")) > 0);
		ptrdiff_t end = span_find(out, SPAN("250 HELP\r\n"));
		assert_true(end > 0);
		struct span after = span_from(out, (size_t)end + 10);
		if (!span_starts(after, cases[i].want))
			fail_msg("case %zu: %.*s", i, SPAN_FMT(after));
		assert_string_equal(told.p, cases[i].told);
		stream_close(x.s);
		buf_free(&told);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(dialogues) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
