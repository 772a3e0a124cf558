/* SPDX-License-Identifier: ISC
 *
 * The client's engine against the server's over a real TLS session: STARTTLS and implicit TLS, SCRAM bound to the
 * channel, the second attempt for users without SCRAM keys, a man in the middle between two sessions.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "smtp/client.h"
#include "smtp/server.h"

static char pem[] = "/tmp/client_tls_test.XXXXXX";
static struct tls_ctx *server_ctx, *client_ctx;

/* A certificate for "mx.example" that is its own authority, with its key, in one file. */
static int setup(void **state)
{
	(void)state;
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:mx.example");
	X509_set_version(cert, 2);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(
	    X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const unsigned char *)"mx.example", -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(cert));
	X509_add_ext(cert, san, -1);
	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
	FILE *f = fdopen(mkstemp(pem), "w");
	assert_non_null(f);
	PEM_write_X509(f, cert);
	PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
	fclose(f);
	X509_EXTENSION_free(san);
	X509_free(cert);
	EVP_PKEY_free(key);
	struct tls_server_config sc = { .cert_file = pem };
	struct tls_client_config cc = { .verify = TLS_VERIFY_NAME, .ca_file = pem };
	server_ctx = tls_server_new(&sc, NULL);
	client_ctx = tls_client_new(&cc, NULL);
	return server_ctx && client_ctx ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	tls_ctx_free(server_ctx);
	tls_ctx_free(client_ctx);
	return unlink(pem);
}

static enum users_result lookup(void *arg, struct span name, struct user *out, struct err *err)
{
	(void)arg;
	(void)err;
	*out = (struct user){ .name = name };
	if (span_eqs(name, "plain"))
		out->secret = span_str("{PLAIN}sesame");
	else if (span_eqs(name, "crypt")) /* openssl passwd -5 -salt salt sesame */
		out->secret = span_str("$5$salt$OxrE/YB.T.kfQ1.N18zgYj6WnkiUTfkNCacavC5DfVC");
	return out->secret.n ? USERS_OK : USERS_UNKNOWN;
}

/* The conversation's user goes back to the test through a pipe. */
static int report = -1;

static void mail(struct smtp_session *x, struct smtp_answer *a)
{
	(void)a;
	dprintf(report, "%s %.*s", x->tls ? "tls" : "clear", (int)x->user.n, x->user.p);
}

static int serve(int fd, bool implicit)
{
	static const struct sasl_server_ops sasl = { .lookup = lookup };
	static const struct smtp_server_ops ops = { .mail = mail, .sasl = &sasl };
	struct smtp_server_config config = {
		.security = &smtp_server_security, .hostname = "mx.example", .tls = server_ctx, .implicit_tls = implicit
	};
	struct smtp_session x = { .s = stream_from_fds(fd, fd), .peer_ip = "local", .peer_name = "" };
	smtp_server_run(&config, &ops, &x, NULL);
	stream_close(x.s);
	return 0;
}

struct server {
	int fd, report;
	pid_t pid;
};

static struct server start(bool implicit)
{
	int sock[2], back[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sock), 0);
	assert_int_equal(pipe(back), 0);
	pid_t pid = fork();
	if (pid == 0) {
		close(sock[0]);
		close(back[0]);
		report = back[1];
		_exit(serve(sock[1], implicit));
	}
	close(sock[1]);
	close(back[1]);
	return (struct server){ sock[0], back[0], pid };
}

static void finish(struct server *sv, char *said, size_t n)
{
	size_t have = 0;
	for (ssize_t got; (got = read(sv->report, said + have, n - 1 - have)) > 0;)
		have += (size_t)got;
	said[have] = '\0';
	close(sv->report);
	waitpid(sv->pid, NULL, 0);
}

static int read_content(void *arg, struct span *out, struct err *err)
{
	(void)err;
	*out = SPAN("Subject: x\n\nhi\n");
	return !(*(int *)arg)++;
}

static void submissions(void **state)
{
	(void)state;
	static const struct {
		const char *user, *password, *mech, *host, *want; /* want "": the session does not open */
		bool implicit;
		enum err_class class;
	} cases[] = {
		{ "plain", "sesame", NULL, "mx.example", "tls plain", false, 0 },
		{ "plain", "sesame", NULL, "mx.example", "tls plain", true, 0 },
		{ "plain", "sesame", "SCRAM-SHA-256-PLUS", "mx.example", "tls plain", false, 0 },
		{ "plain", "sesame", "SCRAM-SHA-256", "mx.example", "tls plain", false, 0 },
		{ "plain", "sesame", "LOGIN", "mx.example", "tls plain", true, 0 },
		{ "crypt", "sesame", NULL, "mx.example", "tls crypt", false, 0 },
		{ "crypt", "sesame", "SCRAM-SHA-256", "mx.example", "", false, ERR_ACCESS },
		{ "crypt", "wrong", NULL, "mx.example", "", false, ERR_ACCESS },
		{ "plain", "wrong", NULL, "mx.example", "", false, ERR_ACCESS },
		{ "nobody", "sesame", NULL, "mx.example", "", true, ERR_ACCESS },
		{ "plain", "sesame", NULL, "other.example", "", false, ERR_TEMP },
		{ "plain", "sesame", NULL, "other.example", "", true, ERR_TEMP },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct sasl_client_config auth = {
			.user = cases[i].user, .password = cases[i].password, .mech = cases[i].mech
		};
		struct smtp_client_config config = { .helo = "me.example",
			.starttls = STARTTLS_REQUIRE,
			.implicit_tls = cases[i].implicit,
			.tls = client_ctx,
			.host = cases[i].host,
			.auth = &auth };
		struct server sv = start(cases[i].implicit);
		struct err err = { 0 };
		char said[100];
		int given = 0;
		struct smtp_client *c = smtp_client_open(stream_from_fds(sv.fd, sv.fd), &config, &err);
		assert_int_equal(err.class, cases[i].class);
		assert_int_equal(c != NULL, cases[i].want[0] != '\0');
		if (c) {
			struct smtp_rcpt rcpt = { .address = "a@x.example" };
			struct smtp_message m = {
				.from = "me@y.example", .rcpt = &rcpt, .n_rcpt = 1, .read = read_content, .arg = &given
			};
			assert_int_equal(smtp_client_send(c, &m, &err), 0);
			assert_int_equal(rcpt.result.class, ERR_NONE);
		}
		smtp_client_close(c, true);
		finish(&sv, said, sizeof said);
		assert_string_equal(said, cases[i].want);
	}
}

/* A TLS session whose server end lives in a child that waits for its end. */
static struct stream *session(struct server *sv)
{
	*sv = start(true);
	struct stream *s = stream_from_fds(sv->fd, sv->fd);
	assert_int_equal(tls_connect(s, client_ctx, "mx.example", NULL), 0);
	return s;
}

/* The client speaks on one session, a man in the middle hands its messages on over another: the bindings differ. */
static void man_in_the_middle(void **state)
{
	(void)state;
	static const struct sasl_server_ops ops = { .lookup = lookup };
	struct sasl_client_config auth = { .user = "plain", .password = "sesame" };
	struct server one, two;
	struct stream *a = session(&one), *b = session(&two);
	struct buf up, down;
	char said[10];
	buf_init(&up, 8192);
	buf_init(&down, 8192);
	for (int same = 0; same < 2; same++) {
		struct err err = { 0 };
		struct sasl_client *cl = sasl_client_new(&auth, SPAN("SCRAM-SHA-256-PLUS SCRAM-SHA-256"), a, &err);
		assert_string_equal(sasl_client_mech(cl), "SCRAM-SHA-256-PLUS");
		struct sasl_server *sv =
		    sasl_server_new(span_str(sasl_client_mech(cl)), same ? a : b, false, &ops, NULL);
		assert_non_null(sv);
		buf_reset(&up);
		buf_reset(&down);
		sasl_client_step(cl, SPAN(""), &up, &err);
		assert_int_equal(sasl_server_step(sv, true, buf_span(&up), &down, &err), SASL_CONTINUE);
		buf_reset(&up);
		sasl_client_step(cl, buf_span(&down), &up, &err);
		enum sasl_result r = sasl_server_step(sv, true, buf_span(&up), &down, &err);
		assert_int_equal(r, same ? SASL_OK : SASL_FAIL);
		assert_int_equal(err.class, same ? ERR_NONE : ERR_ACCESS);
		sasl_client_free(cl);
		sasl_server_free(sv);
	}
	/* -PLUS taken out of the list on the way: the client's "y" tells a server that did offer it. */
	struct err err = { 0 };
	struct sasl_client *cl = sasl_client_new(&auth, SPAN("SCRAM-SHA-256"), a, &err);
	struct sasl_server *sv = sasl_server_new(SPAN("SCRAM-SHA-256"), a, false, &ops, NULL);
	buf_reset(&up);
	sasl_client_step(cl, SPAN(""), &up, &err);
	assert_true(span_starts(buf_span(&up), "y,,"));
	assert_int_equal(sasl_server_step(sv, true, buf_span(&up), &down, &err), SASL_FAIL);
	assert_int_equal(err.class, ERR_ACCESS);
	sasl_client_free(cl);
	sasl_server_free(sv);
	buf_free(&up);
	buf_free(&down);
	stream_close(a);
	stream_close(b);
	finish(&one, said, sizeof said);
	finish(&two, said, sizeof said);
}

/* ---- a server that plays a script: '<' reads a line, 'T' begins TLS, '!' drops the connection without a word ---- */

static void note(struct span line)
{
	dprintf(report, "%.*s|", SPAN_FMT(line));
}

static void play_script(struct stream *s, const char *const *script)
{
	for (; *script; script++) {
		struct line line;
		if (**script == '<') {
			if (stream_line(s, 4096, &line) != LINE_CRLF)
				break;
			note(line.text);
		} else if (**script == 'T') {
			struct err err = { 0 };
			if (stream_flush(s) < 0 || tls_accept(s, server_ctx, &err) < 0)
				break;
			note(SPAN("TLS"));
		} else if (**script == '!') {
			stream_flush(s);
			stream_abandon(s);
			return;
		} else {
			stream_puts(s, *script);
		}
	}
	struct line rest;
	while (stream_line(s, 4096, &rest) == LINE_CRLF) {
		note(rest.text);
		if (span_eqs(rest.text, "QUIT"))
			break;
	}
	stream_close(s);
}

static struct server start_script(const char *const *script)
{
	int sock[2], back[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sock), 0);
	assert_int_equal(pipe(back), 0);
	pid_t pid = fork();
	if (pid == 0) {
		close(sock[0]);
		close(back[0]);
		report = back[1];
		play_script(stream_from_fds(sock[1], sock[1]), script);
		_exit(0);
	}
	close(sock[1]);
	close(back[1]);
	return (struct server){ sock[0], back[0], pid };
}

#define CLEAR "220 mx.example\r\n", "<", "250-mx.example\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n", "<"
#define SAID "EHLO me.example|STARTTLS|"
#define IN_TLS CLEAR, "220 go\r\n", "T", "<", "250-mx.example\r\n250 AUTH PLAIN\r\n", "<", "235 yes\r\n"
#define SAID_IN_TLS SAID "TLS|EHLO me.example|AUTH PLAIN AHUAcA==|"

/* What the server may have heard; nothing with a password in the clear, or from capabilities told in the clear. */
static void hostile(void **state)
{
	(void)state;
	static const struct {
		const char *name, *script[20], *heard;
		enum err_class class; /* of opening, or of the message */
	} cases[] = {
		{ "replies behind the 220", { CLEAR, "220 go\r\n250-x\r\n250 AUTH PLAIN\r\n", NULL }, SAID, ERR_TEMP },
		{ "one byte behind the 220", { CLEAR, "220 go\r\n2", NULL }, SAID, ERR_TEMP },
		{ "a reply before the 220", { CLEAR, "250 x\r\n220 go\r\n", NULL }, SAID "QUIT|", ERR_TEMP },
		{ "a long 220",
		    { CLEAR, "220-250 AUTH PLAIN\r\n220 250 AUTH PLAIN\r\n", "T", "<", "250 mx.example\r\n", NULL },
		    SAID "TLS|EHLO me.example|QUIT|", ERR_ACCESS },
		{ "AUTH only in the clear", { CLEAR, "220 go\r\n", "T", "<", "250 mx.example\r\n", NULL },
		    SAID "TLS|EHLO me.example|QUIT|", ERR_ACCESS },
		{ "EHLO refused inside TLS", { CLEAR, "220 go\r\n", "T", "<", "502 no\r\n", NULL },
		    SAID "TLS|EHLO me.example|QUIT|", ERR_PERM },
		{ "454", { CLEAR, "454 not now\r\n", NULL }, SAID "QUIT|", ERR_TEMP },
		{ "501", { CLEAR, "501 no\r\n", NULL }, SAID "QUIT|", ERR_TEMP },
		{ "554", { CLEAR, "554 no\r\n", NULL }, SAID "QUIT|", ERR_TEMP },
		{ "250", { CLEAR, "250 ok\r\n", NULL }, SAID "QUIT|", ERR_TEMP },
		{ "221", { CLEAR, "221 bye\r\n", NULL }, SAID "QUIT|", ERR_TEMP },
		{ "354", { CLEAR, "354 go on\r\n", NULL }, SAID "QUIT|", ERR_TEMP },
		{ "530", { CLEAR, "530 5.7.0 no\r\n", NULL }, SAID "QUIT|", ERR_TEMP },
		{ "421", { CLEAR, "421 bye\r\n", NULL }, SAID, ERR_TEMP },
		{ "gone instead of the handshake", { CLEAR, "220 go\r\n", "!", NULL }, SAID, ERR_TEMP },
		{ "no handshake but text", { CLEAR, "220 go\r\n", "<", "250 x\r\n", NULL }, NULL, ERR_TEMP },
		{ "gone in the middle of the message's reply",
		    { IN_TLS, "<", "250 ok\r\n", "<", "250 ok\r\n", "!", NULL }, NULL, ERR_TEMP },
		{ "a whole message", { IN_TLS, "<", "250 ok\r\n", "<", "250 ok\r\n", "<", "354 go\r\n", "<", NULL },
		    NULL, ERR_TEMP },
	};
	struct sasl_client_config auth = { .user = "u", .password = "p" };
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct smtp_client_config config = { .helo = "me.example",
			.starttls = STARTTLS_REQUIRE,
			.tls = client_ctx,
			.host = "mx.example",
			.auth = &auth,
			/* Only the last one has nothing to say. */
			.timeout = i + 1 < sizeof cases / sizeof *cases ? 60000 : 1000 };
		struct server sv = start_script(cases[i].script);
		struct err err = { 0 };
		char said[4096];
		int given = 0;
		struct smtp_client *c = smtp_client_open(stream_from_fds(sv.fd, sv.fd), &config, &err);
		if (c) {
			struct smtp_rcpt rcpt = { .address = "a@x.example" };
			struct smtp_message m = {
				.from = "me@y.example", .rcpt = &rcpt, .n_rcpt = 1, .read = read_content, .arg = &given
			};
			/* Its reply never comes: that is no yes. */
			smtp_client_send(c, &m, &err);
			assert_int_not_equal(rcpt.result.class, ERR_NONE);
			smtp_client_close(c, false);
		}
		finish(&sv, said, sizeof said);
		if (err.class != cases[i].class || (cases[i].heard && strcmp(said, cases[i].heard) != 0))
			fail_msg("%s: class %d, heard '%s'", cases[i].name, err.class, said);
		const char *tls = strstr(said, "TLS|EHLO"), *password = strstr(said, "AHUAcA==");
		if (password && (!tls || tls > password))
			fail_msg("%s: the password in the clear: '%s'", cases[i].name, said);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(submissions),
		cmocka_unit_test(man_in_the_middle),
		cmocka_unit_test(hostile),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
