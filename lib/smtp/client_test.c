/* SPDX-License-Identifier: ISC
 *
 * Whole dialogues from memory: what the server says, what the client must have said, and what became of each recipient.
 * Each runs whole and one byte at a time.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "smtp/client_dialogue.h"

static const struct dialogue dialogues[] = {
	{ .name = "one recipient, step by step",
	    .rcpt = { "a@x" },
	    .code = { 250 },
	    .alive = true,
	    .server = BASIC "250 ok\r\n250 ok\r\n354 go\r\n250 2.0.0 queued\r\n",
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nDATA\r\n" CONTENT },
	{ .name = "pipelined",
	    .rcpt = { "a@x", "b@x" },
	    .code = { 250, 250 },
	    .alive = true,
	    .server = PIPE "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 queued\r\n",
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n" CONTENT },
	{ .name = "one of three refused",
	    .rcpt = { "a@x", "b@x", "c@x" },
	    .code = { 250, 550, 250 },
	    .alive = true,
	    .server = PIPE "250 ok\r\n250 ok\r\n550 5.1.1 no\r\n251 ok\r\n354 go\r\n250 queued\r\n",
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x>\r\nRCPT TO:<c@x>\r\nDATA\r\n" CONTENT },
	{ .name = "552 behind one that was taken: too many",
	    .rcpt = { "a@x", "b@x", "c@x" },
	    .code = { 250, 452, 452 },
	    .alive = true,
	    .server = PIPE "250 ok\r\n250 ok\r\n552 too many\r\n552 5.5.3 too many\r\n354 go\r\n250 queued\r\n",
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x>\r\nRCPT TO:<c@x>\r\nDATA\r\n" CONTENT },
	{ .name = "552 with a reason of its own",
	    .rcpt = { "a@x", "b@x" },
	    .code = { 250, 552 },
	    .alive = true,
	    .server = PIPE "250 ok\r\n250 ok\r\n552 5.2.2 full\r\n354 go\r\n250 queued\r\n",
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n" CONTENT },
	{ .name = "552 for the first: what it says",
	    .rcpt = { "a@x" },
	    .code = { 552 },
	    .alive = true,
	    .server = BASIC "250 ok\r\n552 no room\r\n",
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\n" },
	{ .name = "all refused, DATA refused too",
	    .rcpt = { "a@x", "b@x" },
	    .code = { 550, 450 },
	    .alive = true,
	    .server = PIPE "250 ok\r\n550 no\r\n450 later\r\n503 no recipients\r\n",
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n" },
	{ .name = "all refused, DATA accepted: a lone dot",
	    .rcpt = { "a@x" },
	    .code = { 550 },
	    .alive = true,
	    .server = PIPE "250 ok\r\n550 no\r\n354 go\r\n554 no valid recipients\r\n",
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nDATA\r\n.\r\n" },
	{ .name = "all refused, the lone dot accepted: still refused",
	    .rcpt = { "a@x" },
	    .code = { 550 },
	    .alive = true,
	    .server = PIPE "250 ok\r\n550 no\r\n354 go\r\n250 queued\r\n",
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nDATA\r\n.\r\n" },
	{ .name = "without pipelining no DATA when all are refused",
	    .rcpt = { "a@x" },
	    .code = { 550 },
	    .alive = true,
	    .server = BASIC "250 ok\r\n550 no\r\n",
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\n" },
	{ .name = "without pipelining nothing after a refused MAIL",
	    .rcpt = { "a@x" },
	    .code = { 552 },
	    .alive = true,
	    .server = BASIC "552 too much\r\n",
	    .client = HELLO "MAIL FROM:<me@y>\r\n" },
	{ .name = "MAIL refused, RCPT accepted all the same",
	    .rcpt = { "a@x", "b@x" },
	    .code = { 451, 451 },
	    .alive = true,
	    .server = PIPE "451 4.7.1 later\r\n250 ok\r\n250 ok\r\n354 go\r\n250 queued\r\n",
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n.\r\n" },
	{ .name = "DATA refused",
	    .rcpt = { "a@x" },
	    .code = { 452 },
	    .alive = true,
	    .server = PIPE "250 ok\r\n250 ok\r\n452 disk full\r\n",
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nDATA\r\n" },
	{ .name = "DATA answered 250: out of step",
	    .rcpt = { "a@x" },
	    .code = { 0 },
	    .rc = -1,
	    .class = ERR_PROTO,
	    .server = PIPE "250 ok\r\n250 ok\r\n250 ok\r\n",
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nDATA\r\n" },
	{ .name = "the message refused",
	    .rcpt = { "a@x", "b@x" },
	    .code = { 554, 554 },
	    .alive = true,
	    .server = PIPE "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n554 5.6.0 spam\r\n",
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n" CONTENT },
	{ .name = "354 after the dot is no yes",
	    .rcpt = { "a@x" },
	    .code = { 354 },
	    .alive = true,
	    .server = PIPE "250 ok\r\n250 ok\r\n354 go\r\n354 go on\r\n",
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nDATA\r\n" CONTENT },
	{ .name = "421 in place of the greeting",
	    .rcpt = { "a@x" },
	    .rc = 2,
	    .class = ERR_TEMP,
	    .server = "421 too busy\r\n" },
	{ .name = "554 in place of the greeting",
	    .rcpt = { "a@x" },
	    .rc = 2,
	    .class = ERR_PERM,
	    .server = "554 no mail here\r\n" },
	{ .name = "a greeting that is none",
	    .rcpt = { "a@x" },
	    .rc = 2,
	    .class = ERR_PROTO,
	    .server = "250 ok\r\n250 ok\r\n" },
	{ .name = "another protocol's greeting",
	    .rcpt = { "a@x" },
	    .rc = 2,
	    .class = ERR_PROTO,
	    .server = "* OK IMAP4rev1\r\n" },
	{ .name = "421 to EHLO", .rcpt = { "a@x" }, .rc = 2, .class = ERR_TEMP, .server = "220 hi\r\n421 bye\r\n" },
	{ .name = "421 to RCPT",
	    .rcpt = { "a@x", "b@x" },
	    .code = { 421, 421 },
	    .rc = -1,
	    .class = ERR_TEMP,
	    .server = PIPE "250 ok\r\n421 bye\r\n",
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n" },
	{ .name = "421 to the second RCPT: the first is not delivered",
	    .rcpt = { "a@x", "b@x" },
	    .code = { 421, 421 },
	    .rc = -1,
	    .class = ERR_TEMP,
	    .server = PIPE "250 ok\r\n250 ok\r\n421 bye\r\n",
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n" },
	{ .name = "421 after the dot",
	    .rcpt = { "a@x" },
	    .code = { 421 },
	    .server = PIPE "250 ok\r\n250 ok\r\n354 go\r\n421 shutting down\r\n",
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nDATA\r\n" CONTENT },
	{ .name = "closed after the dot: not delivered",
	    .rcpt = { "a@x" },
	    .code = { 0 },
	    .rc = -1,
	    .class = ERR_TEMP,
	    .server = PIPE "250 ok\r\n250 ok\r\n354 go\r\n",
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nDATA\r\n" CONTENT },
	{ .name = "a broken reply after the dot",
	    .rcpt = { "a@x" },
	    .code = { 0 },
	    .rc = -1,
	    .class = ERR_TEMP,
	    .server = PIPE "250 ok\r\n250 ok\r\n354 go\r\n250-queu",
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nDATA\r\n" CONTENT },
	{ .name = "fewer replies than commands",
	    .rcpt = { "a@x", "b@x" },
	    .code = { 0, 550 },
	    .rc = -1,
	    .class = ERR_TEMP,
	    .server = PIPE "250 ok\r\n250 ok\r\n550 no\r\n",
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n" },
	{ .name = "a malformed reply to RCPT",
	    .rcpt = { "a@x" },
	    .code = { 0 },
	    .rc = -1,
	    .class = ERR_PROTO,
	    .server = PIPE "250 ok\r\n2500 ok\r\n354 go\r\n250 ok\r\n",
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nDATA\r\n" },
	{ .name = "EHLO unknown: HELO",
	    .rcpt = { "a@x" },
	    .code = { 250 },
	    .alive = true,
	    .server = "220 hi\r\n502 what?\r\n250 hello\r\n250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n",
	    .client = HELLO "HELO me.example\r\nMAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nDATA\r\n" CONTENT },
	{ .name = "EHLO and HELO refused",
	    .rcpt = { "a@x" },
	    .rc = 2,
	    .class = ERR_PERM,
	    .server = "220 hi\r\n502 what?\r\n550 go away\r\n221 bye\r\n" },
	{ .name = "EHLO put off",
	    .rcpt = { "a@x" },
	    .rc = 2,
	    .class = ERR_TEMP,
	    .server = "220 hi\r\n451 not now\r\n221 bye\r\n" },
	{ .name = "SIZE is told and kept",
	    .rcpt = { "a@x" },
	    .code = { 250 },
	    .size = 1000,
	    .alive = true,
	    .server = "220 hi\r\n250-x\r\n250 SIZE 1000\r\n250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n",
	    .client = HELLO "MAIL FROM:<me@y> SIZE=1000\r\nRCPT TO:<a@x>\r\nDATA\r\n" CONTENT },
	{ .name = "too large for SIZE: nothing is sent",
	    .rcpt = { "a@x" },
	    .code = { 552 },
	    .size = 1001,
	    .alive = true,
	    .server = "220 hi\r\n250-x\r\n250 SIZE 1000\r\n",
	    .client = HELLO },
	{ .name = "SIZE 0 is no limit",
	    .rcpt = { "a@x" },
	    .code = { 250 },
	    .size = 1001,
	    .alive = true,
	    .server = "220 hi\r\n250-x\r\n250 size 0\r\n250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n",
	    .client = HELLO "MAIL FROM:<me@y> SIZE=1001\r\nRCPT TO:<a@x>\r\nDATA\r\n" CONTENT },
	{ .name = "8BITMIME lacking",
	    .rcpt = { "a@x" },
	    .code = { 554 },
	    .eightbit = true,
	    .alive = true,
	    .server = BASIC,
	    .client = HELLO },
	{ .name = "8BITMIME offered",
	    .rcpt = { "a@x" },
	    .code = { 250 },
	    .eightbit = true,
	    .alive = true,
	    .server = "220 hi\r\n250-x\r\n250 8BITMIME\r\n250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n",
	    .client = HELLO "MAIL FROM:<me@y> BODY=8BITMIME\r\nRCPT TO:<a@x>\r\nDATA\r\n" CONTENT },
	{ .name = "SMTPUTF8 lacking",
	    .rcpt = { "\xc3\xa4@x" },
	    .code = { 550 },
	    .utf8 = true,
	    .alive = true,
	    .server = BASIC,
	    .client = HELLO },
	{ .name = "SMTPUTF8 offered",
	    .rcpt = { "\xc3\xa4@x" },
	    .code = { 250 },
	    .utf8 = true,
	    .alive = true,
	    .server = "220 hi\r\n250-x\r\n250 SMTPUTF8\r\n250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n",
	    .client = HELLO "MAIL FROM:<me@y> SMTPUTF8\r\nRCPT TO:<\xc3\xa4@x>\r\nDATA\r\n" CONTENT },
	{ .name = "DSN parameters",
	    .rcpt = { "a@x" },
	    .code = { 250 },
	    .notify = "NEVER",
	    .envid = "e+2B1",
	    .alive = true,
	    .server = "220 hi\r\n250-x\r\n250 DSN\r\n250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n",
	    .client = HELLO "MAIL FROM:<me@y> RET=HDRS ENVID=e+2B1\r\nRCPT TO:<a@x> NOTIFY=NEVER\r\nDATA\r\n" CONTENT },
	{ .name = "DSN lacking: no parameters",
	    .rcpt = { "a@x" },
	    .code = { 250 },
	    .notify = "NEVER",
	    .envid = "e",
	    .alive = true,
	    .server = BASIC "250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n",
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nDATA\r\n" CONTENT },
	{ .name = "further parameters",
	    .rcpt = { "a@x" },
	    .code = { 250 },
	    .extra = "REQUIRETLS BY=1;R",
	    .alive = true,
	    .server = BASIC "250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n",
	    .client = HELLO "MAIL FROM:<me@y> REQUIRETLS BY=1;R\r\nRCPT TO:<a@x>\r\nDATA\r\n" CONTENT },
	{ .name = "the null sender",
	    .rcpt = { "\"a b\\\"\"@x" },
	    .code = { 250 },
	    .from = "",
	    .alive = true,
	    .server = BASIC "250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n",
	    .client = HELLO "MAIL FROM:<>\r\nRCPT TO:<\"a b\\\"\"@x>\r\nDATA\r\n" CONTENT },
	{ .name = "dots",
	    .rcpt = { "a@x" },
	    .code = { 250 },
	    .text = ".\n..\r\n.x\ny",
	    .alive = true,
	    .server = BASIC "250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n",
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nDATA\r\n..\r\n...\r\n..x\r\ny\r\n.\r\n" },
	{ .name = "an empty message",
	    .rcpt = { "a@x" },
	    .code = { 250 },
	    .text = "",
	    .alive = true,
	    .server = BASIC "250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n",
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nDATA\r\n.\r\n" },
	{ .name = "injection in the sender",
	    .rcpt = { "a@x" },
	    .code = { 501 },
	    .from = "me@y> SIZE=0",
	    .alive = true,
	    .server = BASIC,
	    .client = HELLO },
	{ .name = "a line end in the sender",
	    .rcpt = { "a@x" },
	    .code = { 501 },
	    .from = "me@y\r\nRCPT TO:<z@x>",
	    .alive = true,
	    .server = BASIC,
	    .client = HELLO },
	{ .name = "a line end in a parameter",
	    .rcpt = { "a@x" },
	    .code = { 501 },
	    .extra = "A=B\r\nRSET",
	    .alive = true,
	    .server = BASIC,
	    .client = HELLO },
	{ .name = "an unfinished quote",
	    .rcpt = { "a@x" },
	    .code = { 501 },
	    .from = "\"me@y",
	    .alive = true,
	    .server = BASIC,
	    .client = HELLO },
	{ .name = "injection in recipients: only those fail",
	    .rcpt = { "a@x\r\nDATA", "b@x", "c@x> NOTIFY=NEVER" },
	    .code = { 501, 250, 501 },
	    .alive = true,
	    .server = PIPE "250 ok\r\n250 ok\r\n354 go\r\n250 queued\r\n",
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<b@x>\r\nDATA\r\n" CONTENT },
	{ .name = "LMTP answers for each",
	    .rcpt = { "a@x", "b@x", "c@x" },
	    .code = { 250, 550, 452 },
	    .lmtp = true,
	    .alive = true,
	    .server = PIPE "250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n250 stored\r\n452 full\r\n",
	    .client = "LHLO me.example\r\n"
		      "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x>\r\nRCPT TO:<c@x>\r\nDATA\r\n" CONTENT },
	{ .name = "LMTP breaks between two answers",
	    .rcpt = { "a@x", "b@x" },
	    .code = { 250, 0 },
	    .lmtp = true,
	    .rc = -1,
	    .class = ERR_TEMP,
	    .server = PIPE "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 stored\r\n",
	    .client = "LHLO me.example\r\n"
		      "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n" CONTENT },
	{ .name = "LMTP has no HELO",
	    .rcpt = { "a@x" },
	    .lmtp = true,
	    .rc = 2,
	    .class = ERR_PERM,
	    .server = "220 hi\r\n500 what?\r\n221 bye\r\n" },
};

static void all_dialogues(void **state)
{
	(void)state;
	play_all(dialogues, sizeof dialogues / sizeof *dialogues);
}

static void several_transactions(void **state)
{
	(void)state;
	struct smtp_client_config config = { .helo = "me.example", .starttls = STARTTLS_NEVER };
	struct stream *s;
	struct smtp_client *c = open_mem(BASIC "250 ok\r\n250 ok\r\n354 go\r\n250 queued\r\n"
					       "250 ok\r\n550 no\r\n"
					       "250 reset\r\n250 ok\r\n250 ok\r\n354 go\r\n250 queued\r\n"
					       "221 bye\r\n",
	    &config, &s, NULL);
	struct smtp_rcpt rcpt;
	struct content content;
	static const bool good[] = { true, false, true };
	for (int i = 0; i < 3; i++) {
		struct smtp_message m = one_message(&rcpt, &content);
		assert_int_equal(smtp_client_send(c, &m, NULL), 0);
		assert_int_equal(rcpt.result.class == ERR_NONE, good[i]);
	}
	assert_true(
	    span_eqs(stream_mem_output(s), HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nDATA\r\nhi\r\n.\r\n"
						 "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\n"
						 "RSET\r\nMAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nDATA\r\nhi\r\n.\r\n"));
	smtp_client_close(c, true);
}

static void content_that_fails(void **state)
{
	(void)state;
	struct smtp_client_config config = { .helo = "me.example", .starttls = STARTTLS_NEVER };
	struct stream *s;
	struct smtp_rcpt rcpt;
	struct content content;
	struct err err = { 0 };
	struct smtp_client *c = open_mem(BASIC "250 ok\r\n250 ok\r\n354 go\r\n250 queued\r\n", &config, &s, NULL);
	struct smtp_message m = one_message(&rcpt, &content);
	content.text = NULL;
	assert_int_equal(smtp_client_send(c, &m, &err), -1);
	assert_int_equal(rcpt.result.class, ERR_TEMP);
	assert_false(smtp_client_alive(c));
	/* Neither the dot nor anything that could pass for content was sent. */
	assert_true(span_ends(stream_mem_output(s), "DATA\r\n"));
	assert_int_equal(smtp_client_send(c, &m, &err), -1);
	smtp_client_close(c, true);
}

/* More recipients than the window: never more than it unanswered, all of them in order. */
static void many_recipients(void **state)
{
	(void)state;
	enum {
		N = 1000
	};
	struct smtp_client_config config = { .helo = "me.example", .starttls = STARTTLS_NEVER };
	struct smtp_rcpt *rcpt = calloc(N, sizeof *rcpt);
	struct content content = { .text = "hi\n" };
	struct buf server;
	struct stream *s;
	buf_init(&server, 1 << 20);
	buf_adds(&server, PIPE "250 ok\r\n");
	for (int i = 0; i < N; i++) {
		rcpt[i].address = "a@x";
		buf_adds(&server, i % 3 ? "250 ok\r\n" : "550 no\r\n");
	}
	buf_adds(&server, "354 go\r\n250 ok\r\n");
	struct smtp_client *c = open_mem(server.p, &config, &s, NULL);
	struct smtp_message m = { .from = "", .rcpt = rcpt, .n_rcpt = N, .read = read_content, .arg = &content };
	assert_int_equal(smtp_client_send(c, &m, NULL), 0);
	for (int i = 0; i < N; i++)
		assert_int_equal(rcpt[i].result.class == ERR_NONE, i % 3 != 0);
	smtp_client_close(c, true);
	buf_free(&server);
	free(rcpt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_dialogues),
		cmocka_unit_test(several_transactions),
		cmocka_unit_test(content_that_fails),
		cmocka_unit_test(many_recipients),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
