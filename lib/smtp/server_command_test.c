/* SPDX-License-Identifier: ISC
 *
 * What the op `command` is told of each command.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "smtp/server.h"

static void on_command(struct smtp_session *x, const struct smtp_command *c)
{
	buf_addf(x->arg, "%s %d", c->verb, c->code);
	if (c->line.n)
		buf_addf(x->arg, " [%.*s]", SPAN_FMT(c->line));
	if (c->code >= 400)
		buf_addf(x->arg, " %s %s", c->enh, c->answer);
	buf_adds(x->arg, "\n");
}

static void on_rcpt(struct smtp_session *x, struct smtp_env_rcpt *r, struct smtp_answer *a)
{
	(void)x;
	if (span_starts(r->text, "no@"))
		smtp_answer(a, 550, "5.1.1", "Not here");
}

static void no_talk(struct smtp_session *x, struct smtp_answer *a)
{
	(void)x;
	smtp_answer(a, 554, "5.7.1", "Go away");
}

static const struct sasl_server_ops no_users;

static const struct {
	const char *in, *want;
	bool refuse;
} cases[] = {
	{ "EHLO a\r\nMAIL FROM:<a@x>\r\nRCPT TO:<no@y>\r\nRCPT TO:<b@y>\r\nDATA\r\nline\r\n.\r\nquit\r\n",
	    "EHLO 250 [EHLO a]\nMAIL 250 [MAIL FROM:<a@x>]\nRCPT 550 [RCPT TO:<no@y>] 5.1.1 Not here\n"
	    "RCPT 250 [RCPT TO:<b@y>]\nDATA 250 [DATA]\nQUIT 221 [quit]\n",
	    false },
	{ "FOO bar\r\nMAIL FROM:<a>\r\nEHLO a\r\nAUTH PLAIN AHVzZXIAc2VjcmV0\r\n",
	    "UNKNOWN 500 [FOO bar] 5.5.1 Command not recognized\nMAIL 503 [MAIL FROM:<a>] 5.5.1 Send EHLO first\n"
	    "EHLO 250 [EHLO a]\nAUTH 538 5.7.11 Encryption required for this mechanism\n",
	    false },
	/* The content breaks off: no reply to it. */
	{ "EHLO a\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\nline\r\n",
	    "EHLO 250 [EHLO a]\nMAIL 250 [MAIL FROM:<a@x>]\nRCPT 250 [RCPT TO:<b@y>]\nDATA 354 [DATA]\n", false },
	{ "EHLO a\r\nbad\nNOOP\r\n", "EHLO 250 [EHLO a]\nUNKNOWN 500 5.5.2 A line must end with CRLF\n", false },
	{ "EHLO a\r\n", "CONNECT 554 5.7.1 Go away\n", true },
};

static void commands(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf told;
		struct smtp_server_config c = {
			.security = &smtp_server_security, .hostname = "mx.example", .early_input_ok = true
		};
		struct smtp_server_ops ops = { .rcpt = on_rcpt, .sasl = &no_users, .command = on_command };
		struct smtp_session x = { .s = stream_from_mem(span_str(cases[i].in), 0),
			.peer_ip = "192.0.2.1",
			.peer_name = "",
			.arg = &told };
		buf_init(&told, 65536);
		if (cases[i].refuse)
			ops.connect = no_talk;
		smtp_server_run(&c, &ops, &x, NULL);
		assert_string_equal(told.p, cases[i].want);
		stream_close(x.s);
		buf_free(&told);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(commands) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
