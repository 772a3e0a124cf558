/* SPDX-License-Identifier: ISC
 *
 * A server's TLS beyond one certificate: names, versions, clients' certificates, the keys of tickets.
 */
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/tls/tls_int.h"
#include "io/tls/tls_test.h"

static char dir[] = "/tmp/tls_server_test.XXXXXX";
static char path[8][64];
enum {
	CA,
	MX,
	MAIL,
	WILD,
	EXACT,
	CLIENT,
	STRANGER,
	LIVE
};

static void write_one(int i, const char *cn, const char *san, const struct identity *ca, struct identity *keep)
{
	struct identity id = make(cn, san, ca);
	save(&id, path[i], path[i]);
	if (keep)
		*keep = id;
	else
		drop(&id);
}

static int setup(void **state)
{
	(void)state;
	struct identity ca;
	signal(SIGPIPE, SIG_IGN);
	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < sizeof path / sizeof *path; i++)
		snprintf(path[i], sizeof path[i], "%s/%zu.pem", dir, i);
	write_one(CA, "Test CA", NULL, NULL, &ca);
	write_one(MX, "mx", "DNS:mx.example", &ca, NULL);
	write_one(MAIL, "mail", "DNS:mail.example", &ca, NULL);
	write_one(WILD, "wild", "DNS:*.wild.example", &ca, NULL);
	write_one(EXACT, "exact", "DNS:a.wild.example", &ca, NULL);
	write_one(CLIENT, "Client Name", "DNS:host.example,email:client@example,email:other@example", &ca, NULL);
	write_one(STRANGER, "Client Name", "email:client@example", NULL, NULL);
	write_one(LIVE, "live", "DNS:live.example", &ca, NULL);
	drop(&ca);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof path / sizeof *path; i++)
		unlink(path[i]);
	return rmdir(dir);
}

static char sni[4][128];
static const char *sni_list[4];
static struct tls_server_settings more;

static struct tls_ctx *server(struct tls_server_config c)
{
	struct err err = { 0 };
	static const struct {
		const char *name;
		int file;
	} names[] = { { "mail.example", MAIL }, { "*.wild.example", WILD }, { "A.Wild.Example", EXACT },
		{ "live.example", LIVE } };
	for (int i = 0; i < 4; i++) {
		/* With the key in the same file, and said. */
		snprintf(sni[i], sizeof sni[i], i == 1 ? "%s=%s,%s" : "%s=%s", names[i].name, path[names[i].file],
		    path[names[i].file]);
		sni_list[i] = sni[i];
	}
	more.sni = (struct opt_list){ sni_list, 4 };
	c.cert_file = path[MX];
	c.more = &more;
	struct tls_ctx *ctx = tls_server_new(&c, &err);
	if (!ctx)
		fail_msg("%s", err.text);
	return ctx;
}

/* A process takes one connection on a TCP port of its own, or on the listening descriptor, and answers INFO. */
static pid_t answer(struct tls_ctx *ctx, int listener)
{
	pid_t pid = fork();
	if (pid)
		return pid;
	int fd = accept(listener, NULL, NULL);
	struct stream *s = stream_from_fds(fd, fd);
	struct line l;
	stream_set_timeout(s, 60000);
	int ok = tls_accept(s, ctx, NULL);
	while (ok == 0 && stream_line(s, 1000, &l) == LINE_CRLF) {
		const struct tls_info *i = stream_tls(s);
		stream_printf(
		    s, "%s|%s|%s|%d|%.8s\r\n", i->version, i->peer_cn, i->peer_email, i->verified, i->peer_fingerprint);
	}
	stream_close(s);
	_exit(ok != 0);
}

static int listen_somewhere(void)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
	assert_int_equal(listen(fd, 5), 0);
	return fd;
}

static int connect_there(int listener)
{
	struct sockaddr_in sa;
	socklen_t len = sizeof sa;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&sa, &len), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
	return fd;
}

/* What the client sees: "CN resumed INFO", "" when there is no TLS to be had. */
static const char *visit_at(struct tls_ctx *sctx, int listener, struct tls_ctx *cctx, const char *name)
{
	static char seen[400];
	struct err err = { 0 };
	struct line l;
	pid_t pid = answer(sctx, listener);
	int fd = connect_there(listener), status;
	struct stream *s = stream_from_fds(fd, fd);
	seen[0] = '\0';
	stream_set_timeout(s, 60000);
	if (tls_connect_again(s, cctx, name, "one", &err) == 0) {
		stream_puts(s, "INFO\r\n");
		if (stream_line(s, 300, &l) == LINE_CRLF)
			snprintf(seen, sizeof seen, "%s %s%.*s", stream_tls(s)->peer_name,
			    stream_tls(s)->resumed ? "resumed " : "", SPAN_FMT(l.text));
	}
	stream_close(s);
	waitpid(pid, &status, 0);
	return seen;
}

static const char *visit(struct tls_ctx *sctx, struct tls_ctx *cctx, const char *name)
{
	int listener = listen_somewhere();
	const char *seen = visit_at(sctx, listener, cctx, name);
	close(listener);
	return seen;
}

static struct tls_ctx *client(struct tls_client_config c)
{
	struct tls_ctx *ctx = tls_client_new(&c, NULL);
	assert_non_null(ctx);
	return ctx;
}

static void names(void **state)
{
	(void)state;
	struct tls_ctx *sctx = server((struct tls_server_config){ 0 });
	struct tls_ctx *strict = client((struct tls_client_config){ .verify = TLS_VERIFY_NAME, .ca_file = path[CA] });
	struct tls_ctx *any = client((struct tls_client_config){ .verify = TLS_VERIFY_NONE });
	assert_string_equal(visit(sctx, strict, "mx.example"), "mx TLSv1.3|||0|");
	assert_string_equal(visit(sctx, strict, "mail.example"), "mail TLSv1.3|||0|");
	assert_string_equal(visit(sctx, strict, "MAIL.Example"), "mail TLSv1.3|||0|");
	assert_string_equal(visit(sctx, strict, "b.wild.example"), "wild TLSv1.3|||0|");
	assert_string_equal(visit(sctx, strict, "a.wild.example"), "exact TLSv1.3|||0|");
	assert_string_equal(visit(sctx, strict, "b.c.wild.example"), "");
	assert_string_equal(visit(sctx, any, "b.c.wild.example"), "mx TLSv1.3|||0|");
	assert_string_equal(visit(sctx, any, "wild.example"), "mx TLSv1.3|||0|");
	assert_string_equal(visit(sctx, any, "other.example"), "mx TLSv1.3|||0|");
	assert_string_equal(visit(sctx, any, "127.0.0.1"), "mx TLSv1.3|||0|"); /* no name is asked for */
	tls_ctx_free(sctx);
	tls_ctx_free(strict);
	tls_ctx_free(any);
}

static void bad_settings(void **state)
{
	(void)state;
	static const char *const bad[] = { "x", "=f", "a.example=", "a b=f", "*.=f", "*=f", "a.example=/nonexistent",
		"a.example=,k" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct err err = { 0 };
		const char *list[] = { bad[i] };
		struct tls_server_settings m = { .sni = { list, 1 } };
		struct tls_server_config c = { .cert_file = path[MX], .more = &m };
		assert_null(tls_server_new(&c, &err));
		assert_true(err.class == ERR_USAGE || err.class == ERR_CONFIG);
	}
}

static void reload(void **state)
{
	(void)state;
	struct err err = { 0 };
	struct tls_ctx *sctx = server((struct tls_server_config){ 0 });
	struct tls_ctx *any = client((struct tls_client_config){ .verify = TLS_VERIFY_NONE });
	assert_false(tls_server_tend(sctx, 1));
	assert_false(tls_server_tend(sctx, 2));
	write_one(LIVE, "fresh", "DNS:live.example", NULL, NULL);
	assert_false(tls_server_tend(sctx, 3));
	assert_true(tls_server_tend(sctx, 4));
	assert_string_equal(visit(sctx, any, "live.example"), "live TLSv1.3|||0|");
	assert_int_equal(tls_server_reload(sctx, &err), 0);
	assert_string_equal(visit(sctx, any, "live.example"), "fresh TLSv1.3|||0|");
	assert_string_equal(visit(sctx, any, "mail.example"), "mail TLSv1.3|||0|");
	/* One bad file: all stay. */
	FILE *f = fopen(path[LIVE], "w");
	fputs("nothing\n", f);
	fclose(f);
	assert_false(tls_server_tend(sctx, 5));
	assert_true(tls_server_tend(sctx, 6));
	assert_int_equal(tls_server_reload(sctx, &err), -1);
	assert_int_equal(err.class, ERR_CONFIG);
	assert_false(tls_server_tend(sctx, 7)); /* said once */
	assert_string_equal(visit(sctx, any, "live.example"), "fresh TLSv1.3|||0|");
	assert_string_equal(visit(sctx, any, "x.example"), "mx TLSv1.3|||0|");
	write_one(LIVE, "live", "DNS:live.example", NULL, NULL);
	tls_ctx_free(sctx);
	tls_ctx_free(any);
}

/* An old client, which our own can't play. */
static bool old_version_ok(struct tls_ctx *sctx, int version)
{
	int listener = listen_somewhere();
	pid_t pid = answer(sctx, listener);
	int fd = connect_there(listener), status;
	SSL_CTX *c = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_max_proto_version(c, version);
	SSL_CTX_set_min_proto_version(c, version);
	SSL_CTX_set_security_level(c, 0);
	SSL *ssl = SSL_new(c);
	SSL_set_fd(ssl, fd);
	bool ok = SSL_connect(ssl) == 1;
	SSL_free(ssl);
	SSL_CTX_free(c);
	close(fd);
	close(listener);
	waitpid(pid, &status, 0);
	return ok;
}

static void versions(void **state)
{
	(void)state;
	for (int min = 0; min < 2; min++) {
		more.min = min;
		struct tls_ctx *sctx = server((struct tls_server_config){ 0 });
		assert_true(old_version_ok(sctx, TLS1_3_VERSION));
		assert_int_equal(old_version_ok(sctx, TLS1_2_VERSION), min == 0);
		assert_false(old_version_ok(sctx, TLS1_1_VERSION));
		tls_ctx_free(sctx);
	}
	more.min = 0;
}

/* With the authority, without one, and with none asked: what the server knows of who is there. */
static void clients(void **state)
{
	(void)state;
	static const struct {
		int cert, ca;
		const char *want;
	} cases[] = { { CLIENT, CA, "mx TLSv1.3|Client Name|client@example|1|" },
		{ STRANGER, CA, "mx TLSv1.3|Client Name|client@example|0|" },
		{ CLIENT, STRANGER, "mx TLSv1.3|Client Name|client@example|0|" },
		{ CLIENT, -1, "mx TLSv1.3|Client Name|client@example|0|" }, { -1, CA, "mx TLSv1.3|||0|" } };
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tls_ctx *sctx = server((struct tls_server_config){
		    .client_ca_file = cases[i].ca >= 0 ? path[cases[i].ca] : NULL, .ask_client = true });
		struct tls_ctx *cctx = client((struct tls_client_config){
		    .sessions = true, .cert_file = cases[i].cert >= 0 ? path[cases[i].cert] : NULL });
		for (int again = 0; again < 2; again++) { /* never resumed */
			const char *seen = visit(sctx, cctx, "x.example");
			if (!span_starts(span_str(seen), cases[i].want))
				fail_msg("case %zu: %s", i, seen);
			assert_int_equal(strlen(seen) - strlen(cases[i].want), cases[i].cert >= 0 ? 8 : 0);
		}
		tls_ctx_free(sctx);
		tls_ctx_free(cctx);
	}
}

static const int64_t hour = 3600 * 1000;

static void tickets(void **state)
{
	(void)state;
	struct tls_ctx *sctx = server((struct tls_server_config){ 0 });
	struct tls_client_config c = { .sessions = true };
	struct tls_ctx *one = client(c), *two = client(c), *three = client(c);
	int here = listen_somewhere(), there = listen_somewhere();
	assert_string_equal(visit_at(sctx, here, one, "mx.example"), "mx TLSv1.3|||0|");
	assert_string_equal(visit_at(sctx, here, one, "mx.example"), "mx resumed TLSv1.3|||0|");
	/* Another port is another service; the session that it gives is of no use here. */
	assert_string_equal(visit_at(sctx, there, one, "mx.example"), "mx TLSv1.3|||0|");
	assert_string_equal(visit_at(sctx, here, one, "mx.example"), "mx TLSv1.3|||0|");
	visit_at(sctx, here, two, "mx.example");
	visit_at(sctx, here, three, "mx.example");
	tls_server_tend(sctx, 1);
	tls_server_tend(sctx, hour);
	assert_string_equal(visit_at(sctx, here, one, "mx.example"), "mx resumed TLSv1.3|||0|");
	tls_server_tend(sctx, 1 + hour);
	tls_server_tend(sctx, 1 + 2 * hour);
	/* Two keys later a ticket is still good. */
	assert_string_equal(visit_at(sctx, here, two, "mx.example"), "mx resumed TLSv1.3|||0|");
	tls_server_tend(sctx, 1 + 3 * hour);
	assert_string_equal(visit_at(sctx, here, three, "mx.example"), "mx TLSv1.3|||0|");
	assert_string_equal(visit_at(sctx, here, two, "mx.example"), "mx resumed TLSv1.3|||0|");
	/* A new certificate for another name does not end them. */
	write_one(LIVE, "once more", "DNS:live.example", NULL, NULL);
	assert_int_equal(tls_server_reload(sctx, NULL), 0);
	assert_string_equal(visit_at(sctx, here, two, "mx.example"), "mx resumed TLSv1.3|||0|");
	close(here);
	close(there);
	tls_ctx_free(sctx);
	tls_ctx_free(one);
	tls_ctx_free(two);
	tls_ctx_free(three);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(bad_settings),
		cmocka_unit_test(reload),
		cmocka_unit_test(versions),
		cmocka_unit_test(clients),
		cmocka_unit_test(tickets),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
