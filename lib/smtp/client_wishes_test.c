/* SPDX-License-Identifier: ISC
 *
 * What a message asks of a server, and what becomes of that where the server does not offer it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "smtp/client_dialogue.h"

#define OFFER(line) "220 mx.example\r\n250-mx.example\r\n250 " line "\r\n"
#define ONE "250 ok\r\n250 ok\r\n354 go\r\n250 stored\r\n"
#define REST "RCPT TO:<a@x>\r\nDATA\r\n" CONTENT

static const struct dialogue dialogues[] = {
	{ .name = "BY: the time and the mode",
	    .rcpt = { "a@x" },
	    .code = { 250 },
	    .by = { 120, 'R', true },
	    .alive = true,
	    .server = OFFER("DELIVERBY 100") ONE,
	    .client = HELLO "MAIL FROM:<me@y> BY=120;RT\r\n" REST },
	{ .name = "BY R for less than the server promises: nothing is sent",
	    .rcpt = { "a@x" },
	    .code = { 550 },
	    .by = { 99, 'R', false },
	    .alive = true,
	    .server = OFFER("DELIVERBY 100"),
	    .client = HELLO },
	{ .name = "BY R to who does not know it: nothing is sent",
	    .rcpt = { "a@x" },
	    .code = { 550 },
	    .by = { 999, 'R', false },
	    .alive = true,
	    .server = BASIC,
	    .client = HELLO },
	{ .name = "BY N to who does not know it: without, but with word of delays",
	    .rcpt = { "a@x" },
	    .code = { 250 },
	    .by = { -5, 'N', false },
	    .alive = true,
	    .server = OFFER("DSN") ONE,
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x> NOTIFY=FAILURE,DELAY\r\nDATA\r\n" CONTENT },
	{ .name = "BY N to who does not know it: DELAY is added",
	    .rcpt = { "a@x" },
	    .code = { 250 },
	    .by = { 5, 'N', false },
	    .notify = "SUCCESS",
	    .alive = true,
	    .server = OFFER("DSN") ONE,
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x> NOTIFY=SUCCESS,DELAY\r\nDATA\r\n" CONTENT },
	{ .name = "BY N to who does not know it: never is never",
	    .rcpt = { "a@x" },
	    .code = { 250 },
	    .by = { 5, 'N', false },
	    .notify = "NEVER",
	    .alive = true,
	    .server = OFFER("DSN") ONE,
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x> NOTIFY=NEVER\r\nDATA\r\n" CONTENT },
	{ .name = "priority where it is offered",
	    .rcpt = { "a@x" },
	    .code = { 250 },
	    .priority = "-3",
	    .alive = true,
	    .server = OFFER("MT-PRIORITY MIXER") ONE,
	    .client = HELLO "MAIL FROM:<me@y> MT-PRIORITY=-3\r\n" REST },
	{ .name = "priority where it is not",
	    .rcpt = { "a@x" },
	    .code = { 250 },
	    .priority = "0",
	    .alive = true,
	    .server = BASIC ONE,
	    .client = HELLO "MAIL FROM:<me@y>\r\n" REST },
	{ .name = "to be held",
	    .rcpt = { "a@x" },
	    .code = { 250 },
	    .hold = "HOLDFOR=60",
	    .alive = true,
	    .server = OFFER("FUTURERELEASE 999 2030-01-01T00:00:00Z") ONE,
	    .client = HELLO "MAIL FROM:<me@y> HOLDFOR=60\r\n" REST },
	{ .name = "to be held by who can't: nothing is sent",
	    .rcpt = { "a@x" },
	    .code = { 550 },
	    .hold = "HOLDFOR=60",
	    .alive = true,
	    .server = BASIC,
	    .client = HELLO },
	{ .name = "REQUIRETLS",
	    .rcpt = { "a@x" },
	    .code = { 250 },
	    .requiretls = true,
	    .alive = true,
	    .server = OFFER("REQUIRETLS") ONE,
	    .client = HELLO "MAIL FROM:<me@y> REQUIRETLS\r\n" REST },
	{ .name = "REQUIRETLS to who does not know it: nothing is sent",
	    .rcpt = { "a@x" },
	    .code = { 550 },
	    .requiretls = true,
	    .alive = true,
	    .server = BASIC,
	    .client = HELLO },
	{ .name = "LIMITS RCPTMAX: who is too many is not asked for",
	    .rcpt = { "a@x", "b@x", "c@x" },
	    .code = { 250, 250, 452 },
	    .alive = true,
	    .server = OFFER("LIMITS MAILMAX=9 RCPTMAX=2") "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 stored\r\n",
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n" CONTENT },
	{ .name = "LIMITS RCPTDOMAINMAX: another domain waits",
	    .rcpt = { "a@x", "b@z", "c@X" },
	    .code = { 250, 452, 250 },
	    .alive = true,
	    .server = OFFER("LIMITS RCPTDOMAINMAX=1 X") "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 stored\r\n",
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nRCPT TO:<c@X>\r\nDATA\r\n" CONTENT },
	{ .name = "LIMITS of zero are none",
	    .rcpt = { "a@x" },
	    .code = { 250 },
	    .alive = true,
	    .server = OFFER("LIMITS RCPTMAX=0 RCPTDOMAINMAX=-1 MAILMAX=") ONE,
	    .client = HELLO "MAIL FROM:<me@y>\r\n" REST },
};

static void all_dialogues(void **state)
{
	(void)state;
	play_all(dialogues, sizeof dialogues / sizeof *dialogues);
}

/* RFC 4954 5: who submitted the message, to a server that knows who we are. */
static void submitter(void **state)
{
	static const struct {
		bool login;
		const char *auth, *said;
	} cases[] = {
		{ true, "e=mc2@x", "MAIL FROM:<me@y> AUTH=e+3Dmc2@x\r\n" },
		{ true, "\"a b+\"@x", "MAIL FROM:<me@y> AUTH=\"a+20b+2B\"@x\r\n" },
		{ true, "", "MAIL FROM:<me@y> AUTH=<>\r\n" },
		{ true, NULL, "MAIL FROM:<me@y>\r\n" },
		{ false, "a@x", "MAIL FROM:<me@y>\r\n" },
		{ false, "", "MAIL FROM:<me@y>\r\n" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct sasl_client_config auth = { .user = "u", .password = "p", .allow_plaintext = true };
		struct smtp_client_config config = {
			.helo = "me.example", .starttls = STARTTLS_NEVER, .auth = cases[i].login ? &auth : NULL
		};
		struct smtp_rcpt rcpt;
		struct content content;
		struct smtp_message m = one_message(&rcpt, &content);
		struct err err = { 0 };
		struct stream *s;
		m.auth = cases[i].auth;
		struct smtp_client *c =
		    open_mem(cases[i].login ? OFFER("AUTH PLAIN") "235 yes\r\n" ONE : OFFER("AUTH PLAIN") ONE, &config,
			&s, &err);
		assert_non_null(c);
		assert_int_equal(smtp_client_send(c, &m, &err), 0);
		struct span said = stream_mem_output(s);
		ptrdiff_t at = span_find(said, SPAN("MAIL"));
		assert_true(at > 0 && span_starts(span_from(said, (size_t)at), cases[i].said));
		smtp_client_close(c, false);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(all_dialogues), cmocka_unit_test(submitter) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
