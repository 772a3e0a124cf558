/* SPDX-License-Identifier: ISC
 *
 * No secret gets through, however its command is written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "io/redact.h"

static void redact_one(struct redact *r, char dir, const char *line, const char *want)
{
	struct buf b;
	buf_init(&b, 4096);
	redact_line(r, dir, span_str(line), &b);
	assert_string_equal(b.p, want);
	buf_free(&b);
}

static void test_single_lines(void **state)
{
	(void)state;
	static const struct {
		const char *line, *want;
	} cases[] = {
		{ "AUTH PLAIN AGEAc2VjcmV0", "AUTH PLAIN ***" },
		{ "auth plain =", "auth plain ***" },
		{ "AUTH PLAIN", "AUTH PLAIN" },
		{ "AUTH", "AUTH" },
		{ "AUTH\tLOGIN\tc2VjcmV0", "AUTH\tLOGIN ***" },
		{ "AUTH c2VjcmV0", "AUTH ***" },
		{ "AUTH SCRAM-SHA-256 biwsbj11c2Vy", "AUTH SCRAM-SHA-256 ***" },
		{ "  AUTH XOAUTH2 dG9rZW4=", "  AUTH XOAUTH2 ***" },
		{ "PASS secret with blanks", "PASS ***" },
		{ "pAsS secret", "pAsS ***" },
		{ "PASSsecret", "PASS ***" },
		{ "PASS\tsecret", "PASS ***" },
		{ "APOP mrose c4c9334bac560ecc979e58001b3e22fb", "APOP ***" },
		{ "a1 LOGIN smith sesame", "a1 LOGIN ***" },
		{ "a1 login \"smith\" \"se same\"", "a1 login ***" },
		{ "a1  LoGiN smith {6}", "a1  LoGiN ***" },
		{ "LOGIN smith sesame", "LOGIN ***" },
		{ "a1 AUTHENTICATE PLAIN AGEAc2VjcmV0", "a1 AUTHENTICATE PLAIN ***" },
		{ "AUTHENTICATE \"PLAIN\" \"AGEAc2VjcmV0\"", "AUTHENTICATE \"PLAIN\" ***" },
		{ "AUTHENTICATE \"PLAIN\" {16+}", "AUTHENTICATE \"PLAIN\" ***" },
		/* what must stay readable */
		{ "EHLO client.example", "EHLO client.example" },
		{ "250-AUTH PLAIN LOGIN", "250-AUTH PLAIN LOGIN" },
		{ "250 AUTH PLAIN LOGIN", "250 AUTH PLAIN LOGIN" },
		{ "a1 OK LOGIN completed", "a1 OK LOGIN completed" },
		{ "* CAPABILITY IMAP4rev1 AUTH=PLAIN LOGINDISABLED",
		    "* CAPABILITY IMAP4rev1 AUTH=PLAIN LOGINDISABLED" },
		{ "MAIL FROM:<a@b.example> AUTH=<>", "MAIL FROM:<a@b.example> AUTH=<>" },
		{ "USER mrose", "USER mrose" },
		{ "", "" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct redact r = { 0 };
		redact_one(&r, '<', cases[i].line, cases[i].want);
	}
}

/* Each dialogue line is direction and text; what a watcher sees of it follows. */
struct said {
	char dir;
	const char *line, *want;
};

static void run_dialogue(const struct said *d, size_t n)
{
	struct redact r = { 0 };
	for (size_t i = 0; i < n; i++)
		redact_one(&r, d[i].dir, d[i].line, d[i].want);
}

static void test_exchanges(void **state)
{
	(void)state;
	static const struct said smtp[] = {
		{ '<', "AUTH LOGIN", "AUTH LOGIN" },
		{ '>', "334 VXNlcm5hbWU6", "334 VXNlcm5hbWU6" },
		{ '<', "dXNlcg==", "***" },
		{ '>', "334 UGFzc3dvcmQ6", "334 UGFzc3dvcmQ6" },
		{ '<', "c2VjcmV0", "***" },
		{ '>', "235 2.7.0 welcome", "235 2.7.0 welcome" },
		{ '<', "MAIL FROM:<a@b.example>", "MAIL FROM:<a@b.example>" },
	};
	static const struct said imap[] = {
		{ '>', "a LOGIN {5}", "a LOGIN ***" },
		{ '<', "+ go on", "+ go on" },
		{ '>', "smith {6}", "***" },
		{ '<', "+ go on", "+ go on" },
		{ '>', "sesame", "***" },
		{ '>', "b SELECT INBOX", "b SELECT INBOX" },
	};
	static const struct said pop3[] = {
		{ '>', "PASS secret", "PASS ***" },
		{ '>', "STAT", "STAT" },
		{ '<', "+OK", "+OK" },
		{ '>', "AUTH PLAIN", "AUTH PLAIN" },
		{ '<', "+ ", "+ " },
		{ '>', "AGEAc2VjcmV0", "***" },
		{ '<', "+OK in", "+OK in" },
		{ '>', "STAT", "STAT" },
	};
	static const struct said sieve[] = {
		{ '<', "AUTHENTICATE \"SCRAM-SHA-256\" {24+}", "AUTHENTICATE \"SCRAM-SHA-256\" ***" },
		{ '<', "biwsbj11c2VyLHI9c2VjcmV0", "***" },
		{ '>', "{4}", "{4}" },
		{ '>', "cj1y", "cj1y" },
		{ '<', "LISTSCRIPTS", "LISTSCRIPTS" },
	};
	run_dialogue(smtp, sizeof smtp / sizeof *smtp);
	run_dialogue(imap, sizeof imap / sizeof *imap);
	run_dialogue(pop3, sizeof pop3 / sizeof *pop3);
	run_dialogue(sieve, sizeof sieve / sizeof *sieve);
}

/* Every capitalisation of every verb, in front of a secret that must not come out. */
static void test_no_capitalisation_gets_through(void **state)
{
	(void)state;
	static const char *const verbs[] = { "AUTH", "PASS", "APOP", "LOGIN", "a AUTHENTICATE", "a LOGIN",
		"AUTHENTICATE" };
	for (size_t v = 0; v < sizeof verbs / sizeof *verbs; v++) {
		size_t n = strlen(verbs[v]);
		for (unsigned mask = 0; mask < 1u << n; mask++) {
			struct redact r = { 0 };
			struct buf in, out;
			buf_init(&in, 256);
			buf_init(&out, 256);
			for (size_t i = 0; i < n; i++)
				buf_addc(&in, mask >> i & 1 ? ascii_lower(verbs[v][i]) : verbs[v][i]);
			buf_adds(&in, " PLAIN OPENSESAME");
			redact_line(&r, '<', buf_span(&in), &out);
			assert_true(span_find(buf_span(&out), SPAN("OPENSESAME")) < 0);
			assert_true(span_find(buf_span(&out), SPAN("***")) > 0);
			buf_free(&in);
			buf_free(&out);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_single_lines),
		cmocka_unit_test(test_exchanges),
		cmocka_unit_test(test_no_capitalisation_gets_through),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
