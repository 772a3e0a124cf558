/* SPDX-License-Identifier: ISC
 *
 * Opening a session: servers that speak too early, TLS that is required, tried, or attacked, and authentication.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "smtp/client.h"

#define HELLO "EHLO me.example\r\n"

/* What a session that could not be opened has said: the stream is gone then, so a pipe keeps it. */
static void open_says(const struct smtp_client_config *config, const char *server, const char *client,
    enum err_class class, const char *enh)
{
	int fd[2];
	char said[4096];
	size_t n = 0;
	struct err err = { 0 };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	assert_int_equal(write(fd[1], server, strlen(server)), (ssize_t)strlen(server));
	shutdown(fd[1], SHUT_WR);
	struct smtp_client *c = smtp_client_open(stream_from_fds(fd[0], fd[0]), config, &err);
	smtp_client_close(c, false);
	for (ssize_t got; (got = read(fd[1], said + n, sizeof said - 1 - n)) > 0;)
		n += (size_t)got;
	close(fd[1]);
	said[n] = '\0';
	assert_string_equal(said, client);
	assert_int_equal(c != NULL, class == ERR_NONE);
	assert_int_equal(err.class, class);
	if (enh)
		assert_string_equal(err.enh, enh);
}

/* On a socket a server must not speak before it is asked: what it says in advance could pass for the reply to a
 * command that was not yet sent. */
static void early_talkers(void **state)
{
	(void)state;
	struct smtp_client_config config = { .helo = "me.example", .starttls = STARTTLS_NEVER };
	open_says(&config, "220 hi\r\n250-x\r\n250 AUTH LOGIN\r\n", "", ERR_PROTO, NULL);
	open_says(&config, "220 hi\r\n421 busy\r\n", "", ERR_TEMP, NULL);
	open_says(&config, "220 hi\n", "", ERR_PROTO, NULL);
	open_says(&config, "", "", ERR_TEMP, NULL);
	config.helo = "me example";
	open_says(&config, "220 hi\r\n", "QUIT\r\n", ERR_CONFIG, NULL);
}

static struct smtp_client *open_mem(
    const char *server, const struct smtp_client_config *config, struct stream **s, struct err *err)
{
	*s = stream_from_mem(span_str(server), 0);
	return smtp_client_open(*s, config, err);
}

static void tls_required(void **state)
{
	(void)state;
	static const char *const servers[] = {
		"220 hi\r\n250-x\r\n250 PIPELINING\r\n221 bye\r\n",              /* not offered */
		"220 hi\r\n250-x\r\n250 STARTTLS\r\n454 not now\r\n221 bye\r\n", /* refused */
		"220 hi\r\n250-x\r\n250 STARTTLS\r\n502 never\r\n221 bye\r\n",
		"220 hi\r\n502 no EHLO\r\n250 x\r\n221 bye\r\n",
		/* Bytes after the reply in the clear, which must not pass for the EHLO reply inside TLS. */
		"220 hi\r\n250-x\r\n250 STARTTLS\r\n220 go\r\n250-x\r\n250 AUTH LOGIN\r\n",
	};
	struct tls_client_config tls = { .verify = TLS_VERIFY_NONE };
	struct tls_ctx *ctx = tls_client_new(&tls, NULL);
	struct sasl_client_config auth = { .user = "u", .password = "p" };
	for (size_t i = 0; i < sizeof servers / sizeof *servers; i++) {
		struct smtp_client_config config = {
			.helo = "me.example", .starttls = STARTTLS_REQUIRE, .tls = ctx, .host = "mx.example"
		};
		struct stream *s;
		struct err err = { 0 };
		assert_null(open_mem(servers[i], &config, &s, &err));
		assert_int_equal(err.class, ERR_TEMP);
		assert_true(!strcmp(err.enh, "4.7.4") || !strcmp(err.enh, "4.7.5"));
		config.starttls = STARTTLS_TRY;
		config.auth = &auth;
		err_clear(&err);
		assert_null(open_mem(servers[i], &config, &s, &err));
	}
	tls_ctx_free(ctx);
}

static void tls_tried(void **state)
{
	(void)state;
	struct smtp_client_config config = { .helo = "me.example", .starttls = STARTTLS_TRY, .host = "mx.example" };
	struct stream *s;
	struct smtp_client *c = open_mem("220 hi\r\n250-x\r\n250 STARTTLS\r\n454 not now\r\n", &config, &s, NULL);
	assert_non_null(c);
	assert_true(span_eqs(stream_mem_output(s), HELLO "STARTTLS\r\n"));
	smtp_client_close(c, false);
}

#define LONG_USER                                                                                                      \
	"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"         \
	"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"         \
	"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"         \
	"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"

static void authentication(void **state)
{
	(void)state;
	static const struct {
		const char *mech, *user, *server, *said; /* after the EHLO */
		enum err_class class;
	} cases[] = {
		{ NULL, "u", "250-x\r\n250 AUTH LOGIN PLAIN\r\n235 yes\r\n", "AUTH PLAIN AHUAcA==\r\n", ERR_NONE },
		{ NULL, "u", "250-x\r\n250 AUTH=PLAIN\r\n235 yes\r\n", "AUTH PLAIN AHUAcA==\r\n", ERR_NONE },
		{ "LOGIN", "u", "250-x\r\n250 AUTH LOGIN\r\n334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n235 yes\r\n",
		    "AUTH LOGIN\r\ndQ==\r\ncA==\r\n", ERR_NONE },
		{ "LOGIN", "u", "250-x\r\n250 AUTH LOGIN\r\n334 Username:\r\n334 Password:\r\n235 yes\r\n",
		    "AUTH LOGIN\r\ndQ==\r\ncA==\r\n", ERR_NONE },
		{ "EXTERNAL", "", "250-x\r\n250 AUTH EXTERNAL\r\n235 yes\r\n", "AUTH EXTERNAL =\r\n", ERR_NONE },
		{ NULL, "u", "250-x\r\n250 AUTH PLAIN\r\n535 5.7.8 no\r\n221 bye\r\n",
		    "AUTH PLAIN AHUAcA==\r\nQUIT\r\n", ERR_ACCESS },
		{ NULL, "u", "250-x\r\n250 AUTH PLAIN\r\n454 4.7.0 later\r\n221 bye\r\n",
		    "AUTH PLAIN AHUAcA==\r\nQUIT\r\n", ERR_TEMP },
		{ NULL, "u", "250-x\r\n250 AUTH GSSAPI\r\n221 bye\r\n", "QUIT\r\n", ERR_ACCESS },
		{ NULL, "u", "250-x\r\n250 PIPELINING\r\n221 bye\r\n", "QUIT\r\n", ERR_ACCESS },
		{ NULL, "u", "502 no EHLO\r\n221 bye\r\n", "QUIT\r\n", ERR_PERM },
		/* More questions than the mechanism has, and what is not base64: cancelled. */
		{ NULL, "u", "250-x\r\n250 AUTH PLAIN\r\n334 \r\n501 cancelled\r\n221 bye\r\n",
		    "AUTH PLAIN AHUAcA==\r\n*\r\nQUIT\r\n", ERR_PROTO },
		{ "SCRAM-SHA-256", "u", "250-x\r\n250 AUTH SCRAM-SHA-256\r\n334 !!!\r\n501 cancelled\r\n221 bye\r\n",
		    NULL, ERR_PROTO },
		{ "XOAUTH2", "u",
		    "250-x\r\n250 AUTH XOAUTH2\r\n334 eyJzdGF0dXMiOiI0MDEifQ==\r\n535 5.7.8 no\r\n221 bye\r\n",
		    "AUTH XOAUTH2 dXNlcj11AWF1dGg9QmVhcmVyIHABAQ==\r\n\r\nQUIT\r\n", ERR_ACCESS },
		/* Said yes without the proof that SCRAM asks for. */
		{ "SCRAM-SHA-256", "u", "250-x\r\n250 AUTH SCRAM-SHA-256\r\n235 yes\r\n", NULL, ERR_ACCESS },
		/* An initial response too long for a command line waits for the challenge. */
		{ "PLAIN", LONG_USER, "250-x\r\n250 AUTH PLAIN\r\n334 \r\n235 yes\r\n", NULL, ERR_NONE },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct sasl_client_config auth = {
			.user = cases[i].user, .password = "p", .mech = cases[i].mech, .allow_plaintext = true
		};
		struct smtp_client_config config = { .helo = "me.example", .starttls = STARTTLS_NEVER, .auth = &auth };
		char server[1024];
		struct stream *s;
		struct err err = { 0 };
		snprintf(server, sizeof server, "220 hi\r\n%s", cases[i].server);
		struct smtp_client *c = open_mem(server, &config, &s, &err);
		assert_int_equal(err.class, cases[i].class);
		assert_int_equal(c != NULL, cases[i].class == ERR_NONE);
		if (c && cases[i].said) {
			struct span said = stream_mem_output(s);
			assert_true(
			    span_starts(said, HELLO) && span_eqs(span_from(said, strlen(HELLO)), cases[i].said));
		} else if (c) {
			assert_true(span_starts(stream_mem_output(s), HELLO "AUTH PLAIN\r\nADAx"));
		}
		smtp_client_close(c, false);
	}
}

static void endless_challenges(void **state)
{
	(void)state;
	struct buf server;
	struct sasl_client_config auth = { .user = "u", .password = "p", .mech = "XOAUTH2", .allow_plaintext = true };
	struct smtp_client_config config = { .helo = "me.example", .starttls = STARTTLS_NEVER, .auth = &auth };
	struct stream *s;
	struct err err = { 0 };
	buf_init(&server, 1 << 22);
	buf_adds(&server, "220 hi\r\n250-x\r\n250 AUTH XOAUTH2\r\n");
	for (int i = 0; i < 1000; i++)
		buf_adds(&server, "334 \r\n");
	assert_null(open_mem(server.p, &config, &s, &err));
	assert_int_equal(err.class, ERR_PROTO);
	buf_reset(&server);
	buf_adds(&server, "220 hi\r\n250-x\r\n250 AUTH XOAUTH2\r\n334 ");
	for (int i = 0; i < 1 << 20; i++)
		buf_addc(&server, 'A');
	buf_adds(&server, "\r\n");
	assert_null(open_mem(server.p, &config, &s, &err));
	assert_int_equal(err.class, ERR_LIMIT);
	buf_free(&server);
}

static void plaintext_is_not_shown(void **state)
{
	(void)state;
	struct sasl_client_config auth = { .user = "u", .password = "p" };
	struct smtp_client_config config = { .helo = "me.example", .starttls = STARTTLS_NEVER, .auth = &auth };
	struct stream *s;
	struct err err = { 0 };
	assert_null(open_mem("220 hi\r\n250-x\r\n250 AUTH PLAIN LOGIN\r\n221 bye\r\n", &config, &s, &err));
	assert_int_equal(err.class, ERR_ACCESS);
	assert_int_equal(err.code, 0); /* it was us who refused */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(early_talkers),
		cmocka_unit_test(tls_required),
		cmocka_unit_test(tls_tried),
		cmocka_unit_test(authentication),
		cmocka_unit_test(endless_challenges),
		cmocka_unit_test(plaintext_is_not_shown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
