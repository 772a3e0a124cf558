/* SPDX-License-Identifier: ISC
 *
 * Each event in both formats.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "mta-relay/events/events.h"

#define CLIENT .client = "192.0.2.1", .name = "mx.example"

static const struct {
	struct event e;
	const char *native, *postfix; /* the lines behind "PROG[PID]: "; Postfix's with the part before them */
} cases[] = {
	{ { EVENT_CONNECT, CLIENT, .port = 4711 }, "connect client=192.0.2.1 name=mx.example port=4711\n",
	    "smtpd: connect from mx.example[192.0.2.1]\n" },
	/* A name that would be taken for an address. */
	{ { EVENT_CONNECT, .client = "192.0.2.1", .name = "x[192.0.2.9]" }, "connect client=192.0.2.1\n",
	    "smtpd: connect from unknown[192.0.2.1]\n" },
	{ { EVENT_CONNECT, .client = "2001:db8::1" }, "connect client=2001:db8::1\n",
	    "smtpd: connect from unknown[2001:db8::1]\n" },
	{ { EVENT_CONNECT, .client = "unix" }, "connect client=unix\n", "smtpd: connect from localhost[127.0.0.1]\n" },
	{ { EVENT_DISCONNECT, CLIENT, .counts = SPAN("ehlo=1 commands=1"), .stage = "EHLO", .lost = true,
	      .seconds = 9 },
	    "disconnect client=192.0.2.1 name=mx.example messages=0 refused=0 seconds=9 commands=\"ehlo=1 commands=1\" "
	    "stage=EHLO\n",
	    "smtpd: lost connection after EHLO from mx.example[192.0.2.1]\n"
	    "smtpd: disconnect from mx.example[192.0.2.1] ehlo=1 commands=1\n" },
	{ { EVENT_DISCONNECT, CLIENT, .lost = true, .timeout = true, .text = SPAN("timeout") },
	    "disconnect client=192.0.2.1 name=mx.example messages=0 refused=0 seconds=0 why=\"timeout\"\n",
	    "smtpd: timeout after CONNECT from mx.example[192.0.2.1]\nsmtpd: disconnect from mx.example[192.0.2.1]\n" },
	{ { EVENT_AUTH, CLIENT, .user = SPAN("joe"), .mech = SPAN("PLAIN") },
	    "auth ok client=192.0.2.1 name=mx.example user=\"joe\" mech=\"PLAIN\"\n", "" },
	{ { EVENT_AUTH_FAILED, CLIENT, .user = SPAN("j\"oe"), .mech = SPAN("LOGIN"),
	      .text = SPAN("wrong\npass\xc2\x9bw\xc3\xb6rd\xff") },
	    "auth failed client=192.0.2.1 name=mx.example user=\"j\\\"oe\" mech=\"LOGIN\" "
	    "why=\"wrong\\x0apass\\xc2\\x9bw\\xc3\\xb6rd\\xff\"\n",
	    "smtpd: warning: mx.example[192.0.2.1]: SASL LOGIN authentication failed: wrong?pass?w\xc3\xb6rd?, "
	    "sasl_username=j\"oe\n" },
	{ { EVENT_REFUSE, CLIENT, .stage = "RCPT", .code = 550, .enh = "5.1.1", .from = SPAN("a@b"), .to = SPAN("c@d"),
	      .helo = SPAN("h"), .proto = "ESMTP", .text = SPAN("<c@d>: no such user here") },
	    "refuse client=192.0.2.1 name=mx.example stage=RCPT code=550 dsn=5.1.1 from=\"a@b\" to=\"c@d\" helo=\"h\" "
	    "why=\"<c@d>: no such user here\"\n",
	    "smtpd: NOQUEUE: reject: RCPT from mx.example[192.0.2.1]: 550 5.1.1 <c@d>: Recipient address rejected: "
	    "User unknown; from=<a@b> to=<c@d> proto=ESMTP helo=<h>\n" },
	/* A local part that would end the address, and be fields of its own. */
	{ { EVENT_REFUSE, CLIENT, .stage = "RCPT", .code = 550, .enh = "5.7.1", .to = SPAN("\"x>: \r\"@d") },
	    "refuse client=192.0.2.1 name=mx.example stage=RCPT code=550 dsn=5.7.1 to=\"\\\"x>: \\x0d\\\"@d\"\n",
	    "smtpd: NOQUEUE: reject: RCPT from mx.example[192.0.2.1]: 550 5.7.1 <\"x?: ?\"@d>: Relay access denied; "
	    "from=<> to=<\"x?: ?\"@d> proto=SMTP\n" },
	{ { EVENT_REFUSE, CLIENT, .stage = "END-OF-MESSAGE", .code = 452, .enh = "4.2.2", .text = SPAN("Full") },
	    "refuse client=192.0.2.1 name=mx.example stage=END-OF-MESSAGE code=452 dsn=4.2.2 why=\"Full\"\n",
	    "smtpd: NOQUEUE: reject: END-OF-MESSAGE from mx.example[192.0.2.1]: 452 4.2.2 <END-OF-MESSAGE>: Full; "
	    "from=<> "
	    "proto=SMTP\n" },
	{ { EVENT_REFUSE, CLIENT, .stage = "EHLO", .code = 554, .enh = "5.5.0" },
	    "refuse client=192.0.2.1 name=mx.example stage=EHLO code=554 dsn=5.5.0\n",
	    "smtpd: improper command pipelining after EHLO from mx.example[192.0.2.1]\n" },
	{ { EVENT_REFUSE, CLIENT, .stage = "RCPT", .code = 421, .enh = "4.7.0" },
	    "refuse client=192.0.2.1 name=mx.example stage=RCPT code=421 dsn=4.7.0\n",
	    "smtpd: too many errors after RCPT from mx.example[192.0.2.1]\n" },
	{ { EVENT_REFUSE, CLIENT, .stage = "UNKNOWN", .code = 500, .enh = "5.5.1" },
	    "refuse client=192.0.2.1 name=mx.example stage=UNKNOWN code=500 dsn=5.5.1\n", "" },
	{ { EVENT_ACCEPT, CLIENT, .qid = "Q1", .user = SPAN("joe"), .mech = SPAN("PLAIN"), .rcpts = 2, .size = 10,
	      .how = "queued", .mid = SPAN("<1@x>") },
	    "accept qid=Q1 client=192.0.2.1 name=mx.example user=\"joe\" from=\"\" rcpts=2 size=10 how=queued "
	    "mid=\"<1@x>\"\n",
	    "smtpd: Q1: client=mx.example[192.0.2.1], sasl_method=PLAIN, sasl_username=joe\n"
	    "cleanup: Q1: message-id=<1@x>\nqmgr: Q1: from=<>, size=10, nrcpt=2 (queue active)\n" },
	{ { EVENT_ACCEPT, .client = "local", .uid = 7, .qid = "Q1", .from = SPAN("a@b"), .rcpts = 1, .size = 1,
	      .how = "injected" },
	    "accept qid=Q1 client=local uid=7 from=\"a@b\" rcpts=1 size=1 how=injected\n",
	    "pickup: Q1: uid=7 from=<a@b>\nqmgr: Q1: from=<a@b>, size=1, nrcpt=1 (queue active)\n" },
	{ { EVENT_DELIVER, .qid = "Q1", .to = SPAN("a@b"), .orig_to = SPAN("o@b"), .relay = SPAN("m[192.0.2.3]:25"),
	      .delay = 12345678, .tried = 2345678, .status = "relayed", .code = 250, .enh = "2.0.0",
	      .text = SPAN("ok, (queued)") },
	    "deliver qid=Q1 to=\"a@b\" orig_to=\"o@b\" relay=\"m[192.0.2.3]:25\" delay=12 status=relayed code=250 "
	    "dsn=2.0.0 reply=\"ok, (queued)\"\n",
	    "smtp: Q1: to=<a@b>, orig_to=<o@b>, relay=m[192.0.2.3]:25, delay=12, delays=0/10/0/2.3, dsn=2.0.0, "
	    "status=sent (250 2.0.0 ok, (queued))\n" },
	{ { EVENT_DELIVER, .qid = "Q1", .to = SPAN("a@b"), .relay = SPAN("lmtp:|deliver -x"), .delay = 50000,
	      .tried = 50000, .status = "failed", .code = 550, .enh = "5.1.1", .text = SPAN("No") },
	    "deliver qid=Q1 to=\"a@b\" relay=\"lmtp:|deliver -x\" delay=0 status=failed code=550 dsn=5.1.1 "
	    "reply=\"No\"\n",
	    "lmtp: Q1: to=<a@b>, relay=lmtp:|deliver, delay=0.05, delays=0/0/0/0.05, dsn=5.1.1, status=bounced (host "
	    "lmtp:|deliver said: 550 5.1.1 No)\n" },
	{ { EVENT_DELIVER, .qid = "Q1", .to = SPAN("a@b"), .status = "deferred", .text = SPAN("nobody there") },
	    "deliver qid=Q1 to=\"a@b\" delay=0 status=deferred reply=\"nobody there\"\n",
	    "smtp: Q1: to=<a@b>, relay=none, delay=0, delays=0/0/0/0, dsn=4.0.0, status=deferred (nobody there)\n" },
	{ { EVENT_DELIVER, .qid = "Q1", .to = SPAN("a@b"), .status = "failed", .text = SPAN("no route") },
	    "deliver qid=Q1 to=\"a@b\" delay=0 status=failed reply=\"no route\"\n",
	    "error: Q1: to=<a@b>, relay=none, delay=0, delays=0/0/0/0, dsn=5.0.0, status=bounced (no route)\n" },
	{ { EVENT_EXPIRE, .qid = "Q1", .from = SPAN("a@b"), .to = SPAN("c@d") },
	    "expire qid=Q1 from=\"a@b\" to=\"c@d\"\n", "qmgr: Q1: from=<a@b>, status=expired, returned to sender\n" },
	{ { EVENT_REPORT, .qid = "Q1", .as = "Q2", .to = SPAN("a@b"), .rcpts = 1, .status = "failed" },
	    "report qid=Q1 as=Q2 to=\"a@b\" rcpts=1 status=failed\n",
	    "bounce: Q1: sender non-delivery notification: Q2\n" },
	{ { EVENT_DROP, .qid = "Q1", .rcpts = 2, .text = SPAN("x") }, "drop qid=Q1 rcpts=2 why=\"x\"\n",
	    "bounce: warning: Q1: undeliverable notification for 2 recipients dropped\n" },
	{ { EVENT_REMOVE, .qid = "Q1" }, "remove qid=Q1\n", "qmgr: Q1: removed\n" },
};

static char path[] = "/tmp/events_test.XXXXXX";

/* What was logged since the last time, lines without time, host, "mta-relay" or "postfix/", and process. */
static void logged(char *out, size_t size)
{
	FILE *f = fopen(path, "r+");
	char line[4000];
	size_t n = 0;
	assert_non_null(f);
	*out = '\0';
	while (fgets(line, sizeof line, f)) {
		char host[300], tag[100];
		int at = 0, pid;
		assert_int_equal(sscanf(line, "%*s %*d %*d:%*d:%*d %299s %99[a-z/-][%d]: %n", host, tag, &pid, &at), 3);
		const char *part = strncmp(tag, "postfix/", 8) ? "" : tag + 8;
		n += (size_t)snprintf(out + n, size - n, "%s%s%s", part, *part ? ": " : "", line + at);
	}
	assert_int_equal(ftruncate(fileno(f), 0), 0);
	fclose(f);
}

static void both(void **state)
{
	struct err err = { 0 };
	char out[8000];
	(void)state;
	log_open("mta-relay", LOG_TO_STDERR, LOG_LVL_INFO);
	assert_int_equal(events_open(EVENTS_NATIVE, "smtpd", path, &err), 0);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		event(&cases[i].e);
		logged(out, sizeof out);
		assert_string_equal(out, cases[i].native);
	}
	assert_int_equal(events_open(EVENTS_POSTFIX, "smtpd", path, &err), 0);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		event(&cases[i].e);
		logged(out, sizeof out);
		assert_string_equal(out, cases[i].postfix);
	}
}

/* Nothing that a peer sends makes a line that is cut within what stands after it. */
static void longest(void **state)
{
	static char text[4000];
	struct span s = { text, sizeof text };
	char out[8000];
	(void)state;
	memset(text, 'x', sizeof text);
	event(&(struct event){ EVENT_DELIVER, .qid = "Q1", .to = s, .orig_to = s, .relay = s, .status = "failed",
	    .code = 550, .enh = "5.1.1", .text = s });
	logged(out, sizeof out);
	assert_non_null(strstr(out, "status=bounced (host x"));
	assert_string_equal(out + strlen(out) - 3, "x)\n");
	event(&(struct event){ EVENT_REFUSE, .client = "192.0.2.1", .stage = "MAIL", .code = 550, .enh = "5.7.7",
	    .from = s, .to = s, .helo = s, .text = s });
	logged(out, sizeof out);
	assert_string_equal(out + strlen(out) - 3, "x>\n");
}

static void counting(void **state)
{
	struct err err = { 0 };
	(void)state;
	struct metrics *m = events_count(NULL, "mta", &err);
	assert_non_null(m);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		event(&cases[i].e);
	assert_int_equal(metrics_get(m, COUNT_RELAYED), 1);
	assert_int_equal(metrics_get(m, COUNT_FAILED), 2);
	assert_int_equal(metrics_get(m, COUNT_DEFERRED), 1);
	assert_int_equal(metrics_get(m, COUNT_SESSIONS_LOST), 2);
	assert_int_equal(metrics_get(m, COUNT_ACCEPTED), 2);
	assert_int_equal(metrics_get(m, COUNT_BYTES), 11);
	assert_int_equal(metrics_get(m, COUNT_REFUSED_PERM), 4);
	assert_int_equal(metrics_get(m, COUNT_REFUSED_TEMP), 2);
	assert_int_equal(metrics_get(m, COUNT_AUTH_OK), 1);
	assert_int_equal(metrics_get(m, COUNT_AUTH_FAILED), 1);
	metrics_free(m);
	m = events_count(NULL, "run", &err);
	assert_non_null(m);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		event(&cases[i].e);
	assert_int_equal(metrics_get(m, COUNT_RELAYED), 1);
	assert_int_equal(metrics_get(m, COUNT_REMOVED), 1);
	assert_int_equal(metrics_get(m, COUNT_EXPIRED), 1);
	assert_int_equal(metrics_get(m, COUNT_REPORTS), 1);
	assert_int_equal(metrics_get(m, COUNT_QUEUE), 0);
	metrics_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(both), cmocka_unit_test(longest),
		cmocka_unit_test(counting) };
	int fd = mkstemp(path);
	if (fd < 0)
		return 1;
	close(fd);
	int rc = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return rc;
}
