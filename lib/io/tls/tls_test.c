/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "io/tls/tls_test.h"

static char dir[] = "/tmp/tls_test.XXXXXX";
static char ca_pem[64], srv_pem[64], srv_key[64], other_pem[64], cli_pem[64], live_pem[64];

static unsigned char srv_digest[32];

static int setup(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	if (!mkdtemp(dir))
		return -1;
	snprintf(ca_pem, sizeof ca_pem, "%s/ca.pem", dir);
	snprintf(srv_pem, sizeof srv_pem, "%s/srv.pem", dir);
	snprintf(srv_key, sizeof srv_key, "%s/srv.key", dir);
	snprintf(other_pem, sizeof other_pem, "%s/other.pem", dir);
	snprintf(cli_pem, sizeof cli_pem, "%s/cli.pem", dir);
	snprintf(live_pem, sizeof live_pem, "%s/live.pem", dir);
	struct identity ca = make("Test CA", NULL, NULL);
	struct identity srv = make("mx.example", "DNS:mx.example,DNS:*.wild.example,IP:192.0.2.7", &ca);
	struct identity other = make("self.example", "DNS:mx.example", NULL);
	struct identity cli = make("client one", "email:me@example.org", &ca);
	save(&ca, ca_pem, ca_pem);
	save(&srv, srv_pem, srv_key);
	save(&other, other_pem, other_pem);
	save(&cli, cli_pem, cli_pem);
	save(&srv, live_pem, live_pem);
	X509_digest(srv.cert, EVP_sha256(), srv_digest, NULL);
	drop(&ca);
	drop(&srv);
	drop(&other);
	drop(&cli);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	const char *all[] = { ca_pem, srv_pem, srv_key, other_pem, cli_pem, live_pem };
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		unlink(all[i]);
	return rmdir(dir);
}

static struct tls_ctx *server(const char *cert, const char *key)
{
	struct err err = { 0 };
	struct tls_ctx *ctx = tls_server_new(&(struct tls_server_config){ .cert_file = cert, .key_file = key }, &err);
	if (!ctx)
		fail_msg("%s", err.text);
	return ctx;
}

static struct tls_ctx *client(struct tls_client_config c)
{
	struct err err = { 0 };
	struct tls_ctx *ctx = tls_client_new(&c, &err);
	if (!ctx)
		fail_msg("%s", err.text);
	return ctx;
}

/* ---- a server process that answers lines ---- */

struct peer {
	pid_t pid;
	int fd;
};

/* INFO tells what the server knows; BIG n sends n bytes; COUNT n reads n bytes; others are echoed. */
static void serve_line(struct stream *s, struct span line)
{
	uint64_t n;
	const struct tls_info *i = stream_tls(s);
	unsigned char bind[64];
	if (span_eqs(line, "INFO")) {
		stream_printf(s, "%s peer=%s sni=%s alpn=%s verified=%d\r\n", i->version, i->peer_name, i->sni, i->alpn,
		    i->verified);
	} else if (span_eqs(line, "BIND")) {
		tls_exporter(s, bind);
		stream_write(s, (const char *)bind, 32);
		stream_write(s, (const char *)bind, (size_t)tls_server_end_point(s, bind));
	} else if (span_starts(line, "BIG ") && span_u64(span_from(line, 4), 1 << 24, &n)) {
		char *big = calloc(1, n);
		stream_write(s, big, n);
		free(big);
	} else if (span_starts(line, "COUNT ") && span_u64(span_from(line, 6), 1 << 24, &n)) {
		struct span got;
		for (; n && stream_peek(s, &got) > 0; n -= got.n)
			stream_consume(s, got.n);
		stream_printf(s, "left %d\r\n", (int)n);
	} else {
		stream_span(s, line);
		stream_puts(s, "\r\n");
	}
}

static struct peer start(struct tls_ctx *ctx)
{
	int fd[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	pid_t pid = fork();
	if (pid == 0) {
		close(fd[0]);
		struct stream *s = stream_from_fds(fd[1], fd[1]);
		struct line l;
		stream_set_timeout(s, 60000);
		int ok = tls_accept(s, ctx, NULL);
		while (ok == 0 && stream_line(s, 1000, &l) == LINE_CRLF)
			serve_line(s, l.text);
		stream_close(s);
		_exit(ok != 0);
	}
	close(fd[1]);
	return (struct peer){ pid, fd[0] };
}

static int finish(struct peer p)
{
	int status;
	assert_int_equal(waitpid(p.pid, &status, 0), p.pid);
	return WEXITSTATUS(status);
}

static void ask(struct stream *s, const char *command, const char *want)
{
	struct line l;
	stream_puts(s, command);
	assert_int_equal(stream_line(s, 1000, &l), LINE_CRLF);
	if (!span_eqs(l.text, want))
		fail_msg("%s: %.*s", command, SPAN_FMT(l.text));
}

static const struct row {
	const char *name, *cert, *ca, *host, *pin, *error;
	bool verify, verified;
} rows[] = {
	{ "name", srv_pem, ca_pem, "mx.example", NULL, NULL, true, true },
	{ "wildcard", srv_pem, ca_pem, "a.wild.example", NULL, NULL, true, true },
	{ "address", srv_pem, ca_pem, "192.0.2.7", NULL, NULL, true, true },
	{ "wrong name", srv_pem, ca_pem, "mail.example", NULL,
	    "certificate verify failed: hostname mismatch (host mail.example)", true, false },
	{ "wrong address", srv_pem, ca_pem, "192.0.2.8", NULL,
	    "certificate verify failed: IP address mismatch (host 192.0.2.8)", true, false },
	{ "self-signed", other_pem, ca_pem, "mx.example", NULL,
	    "certificate verify failed: self-signed certificate (host mx.example)", true, false },
	{ "unknown issuer", srv_pem, NULL, "mx.example", NULL,
	    "certificate verify failed: unable to get local issuer certificate (host mx.example)", true, false },
	{ "opportunistic", other_pem, ca_pem, "mx.example", NULL, NULL, false, false },
	{ "pin", other_pem, NULL, "mx.example",
	    "00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff",
	    "the certificate's fingerprint is not the expected one but ", true, false },
};

static void test_verification(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct row *r = &rows[i];
		struct err err = { 0 };
		struct tls_ctx *sctx = server(r->cert, r->cert == srv_pem ? srv_key : NULL);
		struct tls_ctx *cctx = client((struct tls_client_config){
		    .verify = r->verify ? TLS_VERIFY_NAME : TLS_VERIFY_NONE, .ca_file = r->ca, .fingerprint = r->pin });
		struct peer p = start(sctx);
		struct stream *s = stream_from_fds(p.fd, p.fd);
		int got = tls_connect(s, cctx, r->host, &err);
		if (got != (r->error ? -1 : 0) || (r->error && !span_starts(span_str(err.text), r->error)))
			fail_msg("%s: %d %s", r->name, got, err.text);
		if (!r->error) {
			assert_int_equal(stream_tls(s)->verified, r->verified);
			ask(s, "hello\r\n", "hello");
		}
		stream_close(s);
		finish(p);
		tls_ctx_free(sctx);
		tls_ctx_free(cctx);
	}
}

static void test_pin(void **state)
{
	(void)state;
	char hex[65] = "";
	for (size_t i = 0; i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", srv_digest[i]);
	struct tls_ctx *sctx = server(srv_pem, srv_key),
		       *cctx = client((struct tls_client_config){ .fingerprint = hex });
	struct peer p = start(sctx);
	struct stream *s = stream_from_fds(p.fd, p.fd);
	assert_int_equal(tls_connect(s, cctx, "anything.example", NULL), 0);
	assert_true(stream_tls(s)->verified);
	stream_close(s);
	assert_int_equal(finish(p), 0);
	tls_ctx_free(sctx);
	tls_ctx_free(cctx);
	struct err err = { 0 };
	hex[63] = 'x';
	assert_null(tls_client_new(&(struct tls_client_config){ .fingerprint = hex }, &err));
	assert_int_equal(err.class, ERR_USAGE);
}

static void test_both_sides_know(void **state)
{
	(void)state;
	struct tls_server_config sc = { .cert_file = srv_pem,
		.key_file = srv_key,
		.client_ca_file = ca_pem,
		.alpn = (const char *const[]){ "imap", NULL } };
	struct tls_ctx *sctx = tls_server_new(&sc, NULL);
	struct tls_ctx *cctx = client((struct tls_client_config){ .verify = TLS_VERIFY_NAME,
	    .ca_file = ca_pem,
	    .cert_file = cli_pem,
	    .alpn = (const char *const[]){ "pop3", "imap", NULL } });
	struct peer p = start(sctx);
	struct stream *s = stream_from_fds(p.fd, p.fd);
	assert_int_equal(tls_connect(s, cctx, "mx.example", NULL), 0);
	ask(s, "INFO\r\n", "TLSv1.3 peer=client one sni=mx.example alpn=imap verified=1");
	assert_string_equal(stream_tls(s)->alpn, "imap");
	assert_string_equal(stream_tls(s)->peer_name, "mx.example");
	assert_string_equal(stream_tls(s)->version, "TLSv1.3");
	char theirs[64];
	unsigned char ours[64];
	stream_puts(s, "BIND\r\n");
	assert_int_equal(stream_read_full(s, theirs, 64), 0);
	assert_int_equal(tls_exporter(s, ours), 0);
	assert_memory_equal(ours, theirs, 32);
	assert_int_equal(tls_server_end_point(s, ours), 32);
	assert_memory_equal(ours, theirs + 32, 32);
	assert_memory_equal(ours, srv_digest, 32);
	stream_close(s);
	assert_int_equal(finish(p), 0);
	tls_ctx_free(cctx);
	cctx = client((struct tls_client_config){ .alpn = (const char *const[]){ "http/1.1", NULL } });
	p = start(sctx);
	s = stream_from_fds(p.fd, p.fd);
	assert_int_equal(tls_connect(s, cctx, "mx.example", NULL), -1);
	stream_close(s);
	assert_int_equal(finish(p), 1);
	tls_ctx_free(cctx);
	tls_ctx_free(sctx);
}

static void test_bulk(void **state)
{
	(void)state;
	struct tls_ctx *sctx = server(srv_pem, srv_key),
		       *cctx = client((struct tls_client_config){ .verify = TLS_VERIFY_NONE });
	struct peer p = start(sctx);
	struct stream *s = stream_from_fds(p.fd, p.fd);
	assert_int_equal(tls_connect(s, cctx, "mx.example", NULL), 0);
	size_t n = 3000000;
	char *big = calloc(1, n);
	stream_puts(s, "BIG 3000000\r\n");
	assert_int_equal(stream_read_full(s, big, n), 0);
	stream_puts(s, "COUNT 3000000\r\n");
	assert_int_equal(stream_write(s, big, n), 0);
	ask(s, "", "left 0");
	free(big);
	stream_close(s);
	assert_int_equal(finish(p), 0);
	tls_ctx_free(sctx);
	tls_ctx_free(cctx);
}

static void test_injection(void **state)
{
	(void)state;
	struct tls_ctx *sctx = server(srv_pem, srv_key);
	struct stream *s = stream_from_mem(SPAN("STARTTLS\r\nRSET\r\n"), 0);
	struct line l;
	struct err err = { 0 };
	assert_int_equal(stream_line(s, 100, &l), LINE_CRLF);
	assert_int_equal(tls_accept(s, sctx, &err), -1);
	assert_int_equal(err.class, ERR_PROTO);
	assert_null(stream_tls(s));
	stream_close(s);
	tls_ctx_free(sctx);
}

static void test_not_tls(void **state)
{
	(void)state;
	struct tls_ctx *sctx = server(srv_pem, srv_key);
	static const char *const inputs[] = { "EHLO client.example\r\n", "", "\x16\x03\x01\x02\x00\x01" };
	for (size_t i = 0; i < 3; i++) {
		struct stream *s = stream_from_mem(span_str(inputs[i]), 0);
		struct err err = { 0 };
		assert_int_equal(tls_accept(s, sctx, &err), -1);
		assert_true(span_starts(span_str(err.text), "TLS handshake failed: "));
		assert_int_equal(stream_puts(s, "220 never in the clear\r\n"), -1);
		stream_close(s);
	}
	tls_ctx_free(sctx);
}

/* A plain OpenSSL client that offers the session of an earlier connection; returns the one it got. */
static SSL_SESSION *raw_client(struct tls_ctx *sctx, SSL_SESSION *offer, bool *reused)
{
	struct peer p = start(sctx);
	SSL_CTX *c = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(c);
	char got[8];
	SSL_set_fd(ssl, p.fd);
	if (offer)
		SSL_set_session(ssl, offer);
	assert_int_equal(SSL_connect(ssl), 1);
	assert_int_equal(SSL_write(ssl, "hi\r\n", 4), 4);
	assert_int_equal(SSL_read(ssl, got, sizeof got), 4);
	*reused = SSL_session_reused(ssl);
	SSL_SESSION *session = SSL_get1_session(ssl);
	SSL_shutdown(ssl);
	SSL_free(ssl);
	SSL_CTX_free(c);
	close(p.fd);
	assert_int_equal(finish(p), 0);
	return session;
}

/* The server forks for each connection, as workers do: resumption needs the keys to be shared. */
static void test_tickets_and_reload(void **state)
{
	(void)state;
	bool reused;
	struct err err = { 0 };
	struct tls_ctx *sctx = server(live_pem, NULL);
	SSL_SESSION *one = raw_client(sctx, NULL, &reused);
	assert_false(reused);
	SSL_SESSION *two = raw_client(sctx, one, &reused);
	assert_true(reused);
	assert_int_equal(tls_server_reload(sctx, &err), 0);
	struct identity fresh = make("fresh.example", "DNS:fresh.example", NULL);
	save(&fresh, live_pem, live_pem);
	drop(&fresh);
	assert_int_equal(tls_server_reload(sctx, &err), 0);
	SSL_SESSION *three = raw_client(sctx, NULL, &reused);
	char cn[64];
	X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_SESSION_get0_peer(three)), NID_commonName, cn, sizeof cn);
	assert_string_equal(cn, "fresh.example");
	SSL_SESSION *four = raw_client(sctx, two, &reused);
	assert_true(reused);
	FILE *f = fopen(live_pem, "w");
	fputs("garbage\n", f);
	fclose(f);
	assert_int_equal(tls_server_reload(sctx, &err), -1);
	assert_int_equal(err.class, ERR_CONFIG);
	SSL_SESSION *five = raw_client(sctx, NULL, &reused);
	SSL_SESSION_free(one);
	SSL_SESSION_free(two);
	SSL_SESSION_free(three);
	SSL_SESSION_free(four);
	SSL_SESSION_free(five);
	tls_ctx_free(sctx);
}

static void common_name(SSL_SESSION *session, char cn[64])
{
	X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_SESSION_get0_peer(session)), NID_commonName, cn, 64);
	SSL_SESSION_free(session);
}

/* A renewed certificate is noticed without a word from anybody. */
static void test_renewal(void **state)
{
	(void)state;
	char cn[64] = "";
	bool reused;
	struct identity id = make("old.example", "DNS:old.example", NULL);
	save(&id, live_pem, live_pem);
	drop(&id);
	struct tls_ctx *sctx = server(live_pem, NULL);
	common_name(raw_client(sctx, NULL, &reused), cn);
	assert_string_equal(cn, "old.example");
	id = make("renewed.example", "DNS:renewed.example", NULL);
	save(&id, live_pem, live_pem);
	drop(&id);
	/* The first look sees that something changes, the second that it rests. */
	assert_false(tls_server_tend(sctx, 1));
	assert_true(tls_server_tend(sctx, 2));
	common_name(raw_client(sctx, NULL, &reused), cn);
	assert_string_equal(cn, "old.example");
	assert_int_equal(tls_server_reload(sctx, NULL), 0);
	assert_false(tls_server_tend(sctx, 3));
	common_name(raw_client(sctx, NULL, &reused), cn);
	assert_string_equal(cn, "renewed.example");
	tls_ctx_free(sctx);
}

static void test_wait_and_timeout(void **state)
{
	(void)state;
	struct tls_ctx *sctx = server(srv_pem, srv_key),
		       *cctx = client((struct tls_client_config){ .verify = TLS_VERIFY_NONE });
	struct peer p = start(sctx);
	struct stream *s = stream_from_fds(p.fd, p.fd);
	struct line l;
	assert_int_equal(tls_connect(s, cctx, "mx.example", NULL), 0);
	stream_puts(s, "one\r\n");
	assert_int_equal(stream_wait(s, -1, 5000), STREAM_READY);
	assert_int_equal(stream_line(s, 100, &l), LINE_CRLF);
	/* The session ticket has come by now; it is no input. */
	assert_int_equal(stream_wait(s, -1, 30), 0);
	stream_puts(s, "two\r\nthree\r\n");
	assert_int_equal(stream_wait(s, -1, 5000), STREAM_READY);
	assert_int_equal(stream_line(s, 100, &l), LINE_CRLF);
	assert_int_equal(stream_line(s, 100, &l), LINE_CRLF);
	stream_set_timeout(s, 20);
	assert_int_equal(stream_line(s, 100, &l), LINE_TIMEOUT);
	assert_int_equal(stream_err(s)->sys, ETIMEDOUT);
	stream_puts(s, "COUNT 3\r\nxyz");
	assert_int_equal(stream_flush(s), 0);
	stream_close(s);
	assert_int_equal(finish(p), 0);
	tls_ctx_free(sctx);
	tls_ctx_free(cctx);
}

static void test_bad_files(void **state)
{
	(void)state;
	struct err err = { 0 };
	assert_null(tls_server_new(&(struct tls_server_config){ .cert_file = "/nonexistent.pem" }, &err));
	assert_string_equal(err.text, "certificate /nonexistent.pem: No such file or directory");
	assert_null(tls_server_new(&(struct tls_server_config){ .cert_file = srv_pem, .key_file = other_pem }, &err));
	assert_int_equal(err.class, ERR_CONFIG);
	assert_null(tls_client_new(&(struct tls_client_config){ .ca_file = srv_key }, &err));
	assert_int_equal(err.class, ERR_CONFIG);
}

static void test_dane(void **state)
{
	(void)state;
	unsigned char wrong[32] = { 0 };
	struct tls_tlsa good = { 3, 0, 1, span_of((const char *)srv_digest, 32) };
	struct tls_tlsa bad = { 3, 0, 1, span_of((const char *)wrong, 32) };
	struct tls_tlsa pkix = { 1, 0, 1, span_of((const char *)wrong, 32) };
	struct {
		struct tls_tlsa rr;
		int result;
		bool usable, verified;
	} dane_rows[] = { { good, 0, true, true }, { bad, -1, true, false }, { pkix, 0, false, false } };
	for (size_t i = 0; i < 3; i++) {
		struct tls_ctx *sctx = server(srv_pem, srv_key), *cctx = client((struct tls_client_config){ 0 });
		struct peer p = start(sctx);
		struct stream *s = stream_from_fds(p.fd, p.fd);
		struct tls_dane d = { .rr = &dane_rows[i].rr, .n = 1 };
		assert_int_equal(tls_connect_dane(s, cctx, "elsewhere.example", &d, NULL), dane_rows[i].result);
		assert_int_equal(d.usable, dane_rows[i].usable);
		if (dane_rows[i].result == 0)
			assert_int_equal(stream_tls(s)->verified, dane_rows[i].verified);
		stream_close(s);
		finish(p);
		tls_ctx_free(sctx);
		tls_ctx_free(cctx);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verification),
		cmocka_unit_test(test_pin),
		cmocka_unit_test(test_both_sides_know),
		cmocka_unit_test(test_bulk),
		cmocka_unit_test(test_injection),
		cmocka_unit_test(test_not_tls),
		cmocka_unit_test(test_tickets_and_reload),
		cmocka_unit_test(test_renewal),
		cmocka_unit_test(test_wait_and_timeout),
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_dane),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
