/* SPDX-License-Identifier: ISC
 *
 * Sessions that a client resumes, and certificates known by a fingerprint.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/tls/tls_test.h"

static char ca_pem[] = "/tmp/tls_session_test.ca.XXXXXX", srv_pem[] = "/tmp/tls_session_test.srv.XXXXXX";
static unsigned char srv_digest[32];

static int setup(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	close(mkstemp(ca_pem));
	close(mkstemp(srv_pem));
	struct identity ca = make("Test CA", NULL, NULL);
	struct identity srv = make("mx.example", "DNS:mx.example,DNS:*.wild.example", &ca);
	save(&ca, ca_pem, ca_pem);
	save(&srv, srv_pem, srv_pem);
	X509_digest(srv.cert, EVP_sha256(), srv_digest, NULL);
	drop(&ca);
	drop(&srv);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(ca_pem);
	return unlink(srv_pem);
}

static struct tls_ctx *server(void)
{
	return tls_server_new(&(struct tls_server_config){ .cert_file = srv_pem }, NULL);
}

static struct tls_ctx *client(struct tls_client_config c)
{
	struct err err = { 0 };
	struct tls_ctx *ctx = tls_client_new(&c, &err);
	if (!ctx)
		fail_msg("%s", err.text);
	return ctx;
}

/* A process that takes one connection and answers each line with "ok". */
static pid_t serve(struct tls_ctx *ctx, int fds[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	pid_t pid = fork();
	if (pid == 0) {
		close(fds[0]);
		struct stream *s = stream_from_fds(fds[1], fds[1]);
		struct line l;
		stream_set_timeout(s, 60000);
		int ok = tls_accept(s, ctx, NULL);
		while (ok == 0 && stream_line(s, 1000, &l) == LINE_CRLF)
			stream_puts(s, "ok\r\n");
		stream_close(s);
		_exit(ok != 0);
	}
	close(fds[1]);
	return pid;
}

/* One connection to a process of its own, as to another worker of a server: was the session resumed? -1 when the server
 * was refused. */
static int talk(struct tls_ctx *sctx, struct tls_ctx *cctx, const char *host, const char *address)
{
	int fds[2], resumed = -1;
	pid_t pid = serve(sctx, fds);
	struct stream *s = stream_from_fds(fds[0], fds[0]);
	struct line l;
	stream_set_timeout(s, 60000);
	if (tls_connect_again(s, cctx, host, address, NULL) == 0) {
		resumed = stream_tls(s)->resumed;
		assert_int_equal(stream_tls(s)->verified, true);
		stream_puts(s, "hello\r\n");
		assert_int_equal(stream_line(s, 1000, &l), LINE_CRLF);
	}
	stream_close(s);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return resumed;
}

static void test_sessions(void **state)
{
	(void)state;
	struct tls_client_config c = { .verify = TLS_VERIFY_NAME, .ca_file = ca_pem, .sessions = true };
	struct tls_ctx *sctx = server(), *cctx = client(c), *other = client(c), *none;
	c.sessions = false;
	none = client(c);
	assert_int_equal(talk(sctx, cctx, "mx.example", "192.0.2.1:25"), 0);
	/* The server that accepts now is another process, with the ticket keys that both were born with. */
	assert_int_equal(talk(sctx, cctx, "mx.example", "192.0.2.1:25"), 1);
	assert_int_equal(talk(sctx, cctx, "mx.example", "192.0.2.1:25"), 1);
	assert_int_equal(talk(sctx, cctx, "mx.example", "192.0.2.2:25"), 0);
	assert_int_equal(talk(sctx, cctx, "a.wild.example", "192.0.2.1:25"), 0);
	assert_int_equal(talk(sctx, cctx, "mx.example", NULL), 0);
	assert_int_equal(talk(sctx, other, "mx.example", "192.0.2.1:25"), 0);
	assert_int_equal(talk(sctx, none, "mx.example", "192.0.2.1:25"), 0);
	assert_int_equal(talk(sctx, none, "mx.example", "192.0.2.1:25"), 0);
	/* A name that was never verified has no session to hide behind. */
	assert_int_equal(talk(sctx, cctx, "mail.example", "192.0.2.1:25"), -1);
	assert_int_equal(talk(sctx, cctx, "mail.example", "192.0.2.1:25"), -1);
	/* Far more servers than are remembered. */
	for (int i = 0; i < 70; i++) {
		char at[32];
		snprintf(at, sizeof at, "192.0.2.3:%d", i);
		assert_int_equal(talk(sctx, cctx, "mx.example", at), 0);
	}
	assert_int_equal(talk(sctx, cctx, "mx.example", "192.0.2.1:25"), 0);
	assert_int_equal(talk(sctx, cctx, "mx.example", "192.0.2.3:69"), 1);
	tls_ctx_free(sctx);
	tls_ctx_free(cctx);
	tls_ctx_free(other);
	tls_ctx_free(none);
}

static void test_session_of_a_pinned_server(void **state)
{
	(void)state;
	char right[65] = "", wrong[65] = "";
	for (size_t i = 0; i < 32; i++) {
		snprintf(right + 2 * i, 3, "%02x", srv_digest[i]);
		snprintf(wrong + 2 * i, 3, "%02x", srv_digest[i] ^ 1);
	}
	struct tls_ctx *sctx = server(),
		       *yes = client((struct tls_client_config){ .fingerprint = right, .sessions = true }),
		       *no = client((struct tls_client_config){ .fingerprint = wrong, .sessions = true });
	assert_int_equal(talk(sctx, yes, "mx.example", "192.0.2.1:25"), 0);
	assert_int_equal(talk(sctx, yes, "mx.example", "192.0.2.1:25"), 1);
	assert_int_equal(talk(sctx, no, "mx.example", "192.0.2.1:25"), -1);
	assert_int_equal(talk(sctx, no, "mx.example", "192.0.2.1:25"), -1);
	tls_ctx_free(sctx);
	tls_ctx_free(yes);
	tls_ctx_free(no);
}

static void test_fingerprints(void **state)
{
	static const char hex[] = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";
	static const char colons[] =
	    "00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff";
	static const struct {
		const char *prefix, *hex, *suffix;
		bool ok;
	} cases[] = {
		{ "", hex, "", true },
		{ "", colons, "", true },
		{ "SHA256:", hex, "", true },
		{ "sha256:", colons, ",SHA256:00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF", true },
		{ "", hex, ",", true },
		{ "", hex, ",x", false },
		{ "", hex, "00", false },
		{ "00:", hex, "", false },
		{ "SHA1:", hex, "", false },
		{ "", "", "", false },
		{ "SHA256:", "", "", false },
		{ "", "0011:2233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF", "", false },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[256];
		struct err err = { 0 };
		snprintf(text, sizeof text, "%s%s%s", cases[i].prefix, cases[i].hex, cases[i].suffix);
		if ((tls_fingerprint_check(text, &err) == 0) != cases[i].ok)
			fail_msg("%s", text);
	}
}

static void test_pin_of_the_public_key(void **state)
{
	(void)state;
	char pins[200] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff,SHA256:";
	X509 *cert = NULL;
	unsigned char *der = NULL, digest[32];
	FILE *f = fopen(srv_pem, "r");
	assert_non_null(f);
	assert_non_null(PEM_read_X509(f, &cert, NULL, NULL));
	fclose(f);
	int len = i2d_PUBKEY(X509_get0_pubkey(cert), &der);
	assert_true(len > 0);
	assert_int_equal(EVP_Digest(der, (size_t)len, digest, NULL, EVP_sha256(), NULL), 1);
	for (size_t i = 0, at = strlen(pins); i < 32; i++, at += 2)
		snprintf(pins + at, 3, "%02X", digest[i]);
	OPENSSL_free(der);
	X509_free(cert);
	struct tls_ctx *sctx = server(), *cctx = client((struct tls_client_config){ .fingerprint = pins });
	assert_int_equal(talk(sctx, cctx, "anything.example", NULL), 0);
	tls_ctx_free(sctx);
	tls_ctx_free(cctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sessions),
		cmocka_unit_test(test_session_of_a_pinned_server),
		cmocka_unit_test(test_fingerprints),
		cmocka_unit_test(test_pin_of_the_public_key),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
