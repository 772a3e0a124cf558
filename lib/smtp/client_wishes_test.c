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

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(all_dialogues) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
