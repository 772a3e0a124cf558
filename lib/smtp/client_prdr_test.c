/* SPDX-License-Identifier: ISC
 *
 * PRDR (draft-hall-prdr): whose yes counts, and when.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "smtp/client_dialogue.h"

#define PRDR "220 mx.example ESMTP\r\n250-mx.example\r\n250-PIPELINING\r\n250 PRDR\r\n"

static const struct dialogue dialogues[] = {
	{ .name = "each has his own reply",
	    .rcpt = { "a@x", "b@x", "c@x" },
	    .code = { 250, 452, 550 },
	    .alive = true,
	    .server = PRDR "250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n353 go on\r\n250 ok\r\n452 full\r\n550 "
			   "no\r\n250 for some\r\n",
	    .client =
		HELLO "MAIL FROM:<me@y> PRDR\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x>\r\nRCPT TO:<c@x>\r\nDATA\r\n" CONTENT },
	{ .name = "the last word is no: nobody has it",
	    .rcpt = { "a@x", "b@x", "c@x" },
	    .code = { 451, 452, 451 },
	    .alive = true,
	    .server = PRDR "250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n353 go on\r\n250 ok\r\n452 full\r\n250 "
			   "ok\r\n451 disk\r\n",
	    .client =
		HELLO "MAIL FROM:<me@y> PRDR\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x>\r\nRCPT TO:<c@x>\r\nDATA\r\n" CONTENT },
	{ .name = "refused by all, and for the message",
	    .rcpt = { "a@x", "b@x", "c@x" },
	    .code = { 550, 452, 550 },
	    .alive = true,
	    .server = PRDR "250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n353 go on\r\n550 no\r\n452 full\r\n550 "
			   "no\r\n450 none\r\n",
	    .client =
		HELLO "MAIL FROM:<me@y> PRDR\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x>\r\nRCPT TO:<c@x>\r\nDATA\r\n" CONTENT },
	{ .name = "broken off before the last word: a yes is none yet, a no is",
	    .rcpt = { "a@x", "b@x", "c@x" },
	    .code = { 0, 452, 0 },
	    .rc = -1,
	    .class = ERR_TEMP,
	    .server =
		PRDR "250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n353 go on\r\n250 ok\r\n452 full\r\n250 ok\r\n",
	    .client =
		HELLO "MAIL FROM:<me@y> PRDR\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x>\r\nRCPT TO:<c@x>\r\nDATA\r\n" CONTENT },
	{ .name = "broken off among the replies",
	    .rcpt = { "a@x", "b@x", "c@x" },
	    .code = { 0, 0, 0 },
	    .rc = -1,
	    .class = ERR_TEMP,
	    .server = PRDR "250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n353 go on\r\n250 ok\r\n",
	    .client =
		HELLO "MAIL FROM:<me@y> PRDR\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x>\r\nRCPT TO:<c@x>\r\nDATA\r\n" CONTENT },
	{ .name = "421 among the replies",
	    .rcpt = { "a@x", "b@x", "c@x" },
	    .code = { 421, 421, 421 },
	    .rc = -1,
	    .class = ERR_TEMP,
	    .server = PRDR "250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n353 go on\r\n250 ok\r\n421 bye\r\n",
	    .client =
		HELLO "MAIL FROM:<me@y> PRDR\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x>\r\nRCPT TO:<c@x>\r\nDATA\r\n" CONTENT },
	{ .name = "one reply for all in spite of it",
	    .rcpt = { "a@x", "b@x", "c@x" },
	    .code = { 554, 554, 554 },
	    .alive = true,
	    .server = PRDR "250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n554 spam\r\n",
	    .client =
		HELLO "MAIL FROM:<me@y> PRDR\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x>\r\nRCPT TO:<c@x>\r\nDATA\r\n" CONTENT },
	{ .name = "one yes for all in spite of it",
	    .rcpt = { "a@x", "b@x", "c@x" },
	    .code = { 250, 250, 250 },
	    .alive = true,
	    .server = PRDR "250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 queued\r\n",
	    .client =
		HELLO "MAIL FROM:<me@y> PRDR\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x>\r\nRCPT TO:<c@x>\r\nDATA\r\n" CONTENT },
	{ .name = "who was refused at RCPT has no reply in the block",
	    .rcpt = { "a@x", "b@x", "c@x" },
	    .code = { 250, 550, 452 },
	    .alive = true,
	    .server =
		PRDR "250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n353 go on\r\n250 ok\r\n452 full\r\n250 ok\r\n",
	    .client =
		HELLO "MAIL FROM:<me@y> PRDR\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x>\r\nRCPT TO:<c@x>\r\nDATA\r\n" CONTENT },
	{ .name = "353 among the replies is no yes",
	    .rcpt = { "a@x", "b@x", "c@x" },
	    .code = { 353, 250, 250 },
	    .alive = true,
	    .server = PRDR "250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n353 go on\r\n353 again\r\n250 ok\r\n250 "
			   "ok\r\n250 ok\r\n",
	    .client =
		HELLO "MAIL FROM:<me@y> PRDR\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x>\r\nRCPT TO:<c@x>\r\nDATA\r\n" CONTENT },
	{ .name = "a single recipient: not asked for",
	    .rcpt = { "a@x" },
	    .code = { 250 },
	    .alive = true,
	    .server = PRDR "250 ok\r\n250 ok\r\n354 go\r\n250 queued\r\n",
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nDATA\r\n" CONTENT },
	{ .name = "not asked for: 353 is no yes",
	    .rcpt = { "a@x" },
	    .code = { 353 },
	    .alive = true,
	    .server = PRDR "250 ok\r\n250 ok\r\n354 go\r\n353 go on\r\n",
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nDATA\r\n" CONTENT },
	{ .name = "with BDAT",
	    .rcpt = { "a@x", "b@x" },
	    .code = { 250, 452 },
	    .exact = true,
	    .alive = true,
	    .server = "220 mx\r\n250-mx\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 PRDR\r\n250 ok\r\n250 ok\r\n250 ok\r\n"
		      "353 go on\r\n250 ok\r\n452 full\r\n250 ok\r\n",
	    .client = HELLO "MAIL FROM:<me@y> PRDR\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x>\r\n" BDAT },
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
