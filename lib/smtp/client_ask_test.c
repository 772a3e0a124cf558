/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "smtp/client_dialogue.h"

#define LMTP "220 mda LMTP\r\n250-mda\r\n250 SIZE\r\n"

static const struct {
	const char *name, *server, *client, *rcpt;
	int rc, code;
	const char *enh;
	uint64_t size;
	bool alive;
} rows[] = {
	{ "yes", LMTP "250 ok\r\n250 ok\r\n250 reset\r\n", LHLO "MAIL FROM:<e@y> SIZE=5\r\nRCPT TO:<a@x>\r\nRSET\r\n",
	    "a@x", 0, 0, "", 5, true },
	{ "full", LMTP "250 ok\r\n452 4.2.2 full\r\n250 reset\r\n", LHLO "MAIL FROM:<e@y>\r\nRCPT TO:<a@x>\r\nRSET\r\n",
	    "a@x", 0, 452, "4.2.2", 0, true },
	{ "unknown", LMTP "250 ok\r\n550 5.1.1 who\r\n250 reset\r\n",
	    LHLO "MAIL FROM:<e@y>\r\nRCPT TO:<a@x>\r\nRSET\r\n", "a@x", 0, 550, "5.1.1", 0, true },
	{ "sender refused", LMTP "552 5.3.4 too big\r\n250 reset\r\n", LHLO "MAIL FROM:<e@y>\r\nRSET\r\n", "a@x", 0,
	    552, "5.3.4", 0, true },
	{ "421", LMTP "250 ok\r\n421 bye\r\n", LHLO "MAIL FROM:<e@y>\r\nRCPT TO:<a@x>\r\n", "a@x", -1, 0, "", 0,
	    false },
	{ "broke off", LMTP "250 ok\r\n", LHLO "MAIL FROM:<e@y>\r\nRCPT TO:<a@x>\r\n", "a@x", -1, 0, "", 0, false },
	{ "reset refused", LMTP "250 ok\r\n250 ok\r\n500 what\r\n", LHLO "MAIL FROM:<e@y>\r\nRCPT TO:<a@x>\r\nRSET\r\n",
	    "a@x", -1, 0, "", 0, false },
	{ "no address", LMTP, LHLO, "a@x> NOTIFY=NEVER", 0, 501, "5.1.3", 0, true },
};

static void ask(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct smtp_client_config config = { .helo = "me.example", .starttls = STARTTLS_NEVER, .lmtp = true };
		struct err err = { 0 }, result;
		struct stream *s;
		struct smtp_client *c = open_mem(rows[i].server, &config, &s, &err);
		const struct smtp_question q = { .from = "e@y", .rcpt = rows[i].rcpt, .size = rows[i].size };
		assert_non_null(c);
		if (smtp_client_ask(c, &q, &result, &err) != rows[i].rc)
			fail_msg("%s: %s", rows[i].name, err.text);
		if (rows[i].rc == 0) {
			assert_int_equal(result.code, rows[i].code);
			assert_int_equal(result.class == ERR_NONE, rows[i].code == 0);
			assert_string_equal(result.enh, rows[i].enh);
		}
		struct span said = stream_mem_output(s);
		if (said.n != strlen(rows[i].client) || memcmp(said.p, rows[i].client, said.n) != 0)
			fail_msg("%s: said %.*s", rows[i].name, SPAN_FMT(said));
		assert_int_equal(smtp_client_alive(c), rows[i].alive);
		smtp_client_close(c, false);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(ask) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
