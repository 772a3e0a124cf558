/* SPDX-License-Identifier: ISC
 *
 * The content in one BDAT chunk: what leaves when, and which reply belongs to what.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "smtp/client_dialogue.h"

#define BINARY "220 mx.example\r\n250-mx.example\r\n250-CHUNKING\r\n250 BINARYMIME\r\n"

static const struct dialogue dialogues[] = {
	{ .name = "BINARYMIME: by BDAT, after the last reply where commands are not pipelined",
	    .rcpt = { "a@x", "b@x" },
	    .code = { 250, 550 },
	    .binary = true,
	    .eightbit = true,
	    .alive = true,
	    .server = BINARY "250 ok\r\n250 ok\r\n550 no\r\n250 stored\r\n",
	    .client = HELLO "MAIL FROM:<me@y> BODY=BINARYMIME\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x>\r\n" BDAT },
	{ .name = "BINARYMIME, all refused: no chunk where commands are not pipelined",
	    .rcpt = { "a@x" },
	    .code = { 550 },
	    .binary = true,
	    .alive = true,
	    .server = BINARY "250 ok\r\n550 no\r\n",
	    .client = HELLO "MAIL FROM:<me@y> BODY=BINARYMIME\r\nRCPT TO:<a@x>\r\n" },
	{ .name = "BINARYMIME to who has CHUNKING only: nothing is sent",
	    .rcpt = { "a@x" },
	    .code = { 554 },
	    .binary = true,
	    .alive = true,
	    .server = CHUNK,
	    .client = HELLO },
	{ .name = "BINARYMIME to who has BINARYMIME only: nothing is sent",
	    .rcpt = { "a@x" },
	    .code = { 554 },
	    .binary = true,
	    .alive = true,
	    .server = "220 mx.example\r\n250-mx.example\r\n250 BINARYMIME\r\n",
	    .client = HELLO },
	{ .name = "BDAT: the content leaves with the envelope, undotted",
	    .rcpt = { "a@x", "b@x", "c@x" },
	    .code = { 250, 550, 452 },
	    .exact = true,
	    .lmtp = true,
	    .alive = true,
	    .server = CHUNK "250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n250 stored\r\n452 full\r\n",
	    .client = LHLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x>\r\nRCPT TO:<c@x>\r\n" BDAT },
	{ .name = "BDAT, an address that can't be sent: the rest at once",
	    .rcpt = { "a@x", "b x", "c@x" },
	    .code = { 250, 501, 250 },
	    .exact = true,
	    .lmtp = true,
	    .alive = true,
	    .server = CHUNK "250 ok\r\n250 ok\r\n250 ok\r\n250 stored\r\n250 stored\r\n",
	    .client = LHLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nRCPT TO:<c@x>\r\n" BDAT },
	{ .name = "BDAT, only addresses that can't be sent: no chunk",
	    .rcpt = { "a x" },
	    .code = { 501 },
	    .exact = true,
	    .lmtp = true,
	    .alive = true,
	    .server = CHUNK "250 ok\r\n",
	    .client = LHLO "MAIL FROM:<me@y>\r\n" },
	{ .name = "BDAT, all refused, LMTP gives no reply to the chunk",
	    .rcpt = { "a@x" },
	    .code = { 550 },
	    .exact = true,
	    .lmtp = true,
	    .alive = true,
	    .server = CHUNK "250 ok\r\n550 no\r\n250-mx\r\n250 PIPELINING\r\n",
	    .client = LHLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\n" BDAT LHLO },
	{ .name = "BDAT, all refused, and the chunk too",
	    .rcpt = { "a@x" },
	    .code = { 550 },
	    .exact = true,
	    .lmtp = true,
	    .alive = true,
	    .server = CHUNK "250 ok\r\n550 no\r\n503 no recipients\r\n250-mx\r\n250 PIPELINING\r\n",
	    .client = LHLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\n" BDAT LHLO },
	{ .name = "BDAT, all refused, the chunk taken all the same: still refused, still in step",
	    .rcpt = { "a@x" },
	    .code = { 550 },
	    .exact = true,
	    .lmtp = true,
	    .alive = true,
	    .server = CHUNK "250 ok\r\n550 no\r\n250 stored\r\n250-mx\r\n250 PIPELINING\r\n",
	    .client = LHLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\n" BDAT LHLO },
	{ .name = "BDAT, all refused, out of step afterwards: the end",
	    .rcpt = { "a@x" },
	    .code = { 550 },
	    .exact = true,
	    .lmtp = true,
	    .server = CHUNK "250 ok\r\n550 no\r\n503 no\r\n503 again no\r\n250-mx\r\n250 PIPELINING\r\n",
	    .client = LHLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\n" BDAT LHLO },
	{ .name = "BDAT, MAIL refused",
	    .rcpt = { "a@x" },
	    .code = { 552 },
	    .exact = true,
	    .lmtp = true,
	    .alive = true,
	    .server = CHUNK "552 no\r\n503 no\r\n503 no\r\n250-mx\r\n250 PIPELINING\r\n",
	    .client = LHLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\n" BDAT LHLO },
	{ .name = "BDAT over SMTP: one reply for all",
	    .rcpt = { "a@x", "b@x" },
	    .code = { 250, 250 },
	    .exact = true,
	    .alive = true,
	    .server = CHUNK "250 ok\r\n250 ok\r\n250 ok\r\n250 queued\r\n",
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x>\r\n" BDAT },
	{ .name = "BDAT over SMTP, all refused",
	    .rcpt = { "a@x" },
	    .code = { 550 },
	    .exact = true,
	    .alive = true,
	    .server = CHUNK "250 ok\r\n550 no\r\n503 no recipients\r\n",
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\n" BDAT },
	{ .name = "BDAT breaks between two answers",
	    .rcpt = { "a@x", "b@x" },
	    .code = { 250, 0 },
	    .exact = true,
	    .lmtp = true,
	    .rc = -1,
	    .class = ERR_TEMP,
	    .server = CHUNK "250 ok\r\n250 ok\r\n250 ok\r\n250 stored\r\n",
	    .client = LHLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x>\r\n" BDAT },
	{ .name = "CHUNKING without PIPELINING: DATA",
	    .rcpt = { "a@x" },
	    .code = { 250 },
	    .exact = true,
	    .alive = true,
	    .server = "220 hi\r\n250-mx\r\n250 CHUNKING\r\n250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n",
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nDATA\r\nSubject: x\r\n\r\n..i\r\n.\r\n" },
	{ .name = "more content than was told: the chunk is never whole",
	    .rcpt = { "a@x" },
	    .code = { 0 },
	    .exact = true,
	    .size = 17,
	    .rc = -1,
	    .class = ERR_BUG,
	    .server = CHUNK "250 ok\r\n250 ok\r\n250 stored\r\n",
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nBDAT 17 LAST\r\n" },
	{ .name = "less content than was told: the chunk is never whole",
	    .rcpt = { "a@x" },
	    .code = { 0 },
	    .exact = true,
	    .size = 19,
	    .rc = -1,
	    .class = ERR_BUG,
	    .server = CHUNK "250 ok\r\n250 ok\r\n250 stored\r\n",
	    .client = HELLO "MAIL FROM:<me@y>\r\nRCPT TO:<a@x>\r\nBDAT 19 LAST\r\n" EXACT },
};

static void all_dialogues(void **state)
{
	(void)state;
	play_all(dialogues, sizeof dialogues / sizeof *dialogues);
}

/* A large chunk waits until somebody takes it. */
static void large_chunk(void **state)
{
	(void)state;
	enum {
		SIZE = 100000
	};
	struct smtp_client_config config = { .lmtp = true, .helo = "me.example", .starttls = STARTTLS_NEVER };
	struct buf text;
	buf_init(&text, SIZE + 1);
	while (text.len < SIZE)
		buf_adds(&text, "12345678\r\n");
	for (int taken = 0; taken < 2; taken++) {
		struct stream *s;
		struct smtp_rcpt rcpt;
		struct content content;
		struct smtp_client *c =
		    open_mem(taken ? CHUNK "250 ok\r\n250 ok\r\n250 stored\r\n" : CHUNK "250 ok\r\n550 no\r\n", &config,
			&s, NULL);
		struct smtp_message m = one_message(&rcpt, &content);
		content.text = text.p;
		m.size = SIZE;
		m.exact = true;
		assert_int_equal(smtp_client_send(c, &m, NULL), 0);
		assert_int_equal(rcpt.result.class, taken ? ERR_NONE : ERR_PERM);
		struct span said = stream_mem_output(s);
		assert_int_equal(span_find(said, SPAN("BDAT 100000 LAST\r\n1234")) >= 0, taken);
		assert_int_equal(span_ends(said, "12345678\r\n"), taken);
		assert_true(smtp_client_alive(c));
		smtp_client_close(c, false);
	}
	buf_free(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_dialogues),
		cmocka_unit_test(large_chunk),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
