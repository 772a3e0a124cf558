/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/net.h"

static void test_literals(void **state)
{
	(void)state;
	static const struct {
		const char *in, *text, *literal;
		bool loopback;
	} cases[] = {
		{ "192.0.2.1", "192.0.2.1", "192.0.2.1", false },
		{ "127.1.2.3", "127.1.2.3", "127.1.2.3", true },
		{ "2001:DB8::1", "2001:db8::1", "IPv6:2001:db8::1", false },
		{ "[::1]", "::1", "IPv6:::1", true },
		{ "::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1", false },
		{ "::ffff:127.0.0.1", "127.0.0.1", "127.0.0.1", true },
		{ "192.0.2", NULL, NULL, false },
		{ "192.0.2.1.", NULL, NULL, false },
		{ "0x7f.0.0.1", NULL, NULL, false },
		{ "3221225985", NULL, NULL, false },
		{ "[::1", NULL, NULL, false },
		{ "[]", NULL, NULL, false },
		{ "", NULL, NULL, false },
		{ "::1%nosuchzone", NULL, NULL, false },
		{ "example.org", NULL, NULL, false },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct net_addr a;
		char text[64];
		assert_int_equal(net_addr_parse(cases[i].in, 2525, &a), cases[i].text != NULL);
		if (!cases[i].text)
			continue;
		net_addr_text(&a, text, sizeof text);
		assert_string_equal(text, cases[i].text);
		net_addr_literal(&a, text, sizeof text);
		assert_string_equal(text, cases[i].literal);
		assert_int_equal(net_addr_port(&a), 2525);
		assert_int_equal(net_addr_is_loopback(&a), cases[i].loopback);
	}
}

static void test_unicast(void **state)
{
	static const char *const yes[] = { "192.0.2.1", "127.0.0.1", "1.0.0.0", "223.255.255.255", "::1", "2001:db8::1",
		"::ffff:192.0.2.1" };
	static const char *const no[] = { "0.0.0.0", "0.1.2.3", "224.0.0.1", "240.0.0.1", "255.255.255.255",
		"::", "ff02::1", "::ffff:0.0.0.0", "::ffff:224.0.0.1" };
	struct net_addr a = { 0 };
	(void)state;
	assert_false(net_addr_is_unicast(&a));
	for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
		assert_true(net_addr_parse(yes[i], 25, &a) && net_addr_is_unicast(&a));
	for (size_t i = 0; i < sizeof no / sizeof *no; i++)
		assert_true(net_addr_parse(no[i], 25, &a) && !net_addr_is_unicast(&a));
}

static void test_lists(void **state)
{
	(void)state;
	static const struct {
		const char *list, *ip;
		bool want;
	} cases[] = {
		{ "127.0.0.0/8, ::1", "127.9.9.9", true },
		{ "127.0.0.0/8, ::1", "128.0.0.1", false },
		{ "127.0.0.0/8, ::1", "::1", true },
		{ "192.0.2.0/25", "192.0.2.127", true },
		{ "192.0.2.0/25", "192.0.2.128", false },
		{ "192.0.2.77/24", "192.0.2.1", true },
		{ "192.0.2.1", "::ffff:192.0.2.1", true },
		{ "::ffff:192.0.2.0/120", "192.0.2.9", true },
		{ "0.0.0.0/0", "203.0.113.5", true },
		{ "0.0.0.0/0", "2001:db8::1", false },
		{ "::/0", "192.0.2.1", true },
		{ "2001:db8::/33", "2001:db8:7fff::1", true },
		{ "2001:db8::/33", "2001:db8:8000::1", false },
		{ "[2001:db8::]/32\n10.0.0.0/8", "10.1.1.1", true },
		{ "", "127.0.0.1", false },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct err err;
		struct net_addr a;
		struct net_list *l = net_list_parse(cases[i].list, &err);
		assert_non_null(l);
		assert_true(net_addr_parse(cases[i].ip, 0, &a));
		assert_int_equal(net_list_match(l, &a), cases[i].want);
		net_list_free(l);
	}
	static const char *const bad[] = { "127.0.0.1/33", "::1/129", "example.org", "10.0.0.0/", "10.0.0.0/-1", "10/8",
		"/8" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct err err;
		assert_null(net_list_parse(bad[i], &err));
		assert_int_equal(err.class, ERR_USAGE);
	}
}

static void test_urls(void **state)
{
	(void)state;
	static const struct {
		const char *in, *scheme, *user, *host, *path;
		unsigned port;
	} cases[] = {
		{ "smtp://mail.example", "smtp", "", "mail.example", "", 0 },
		{ "SMTPS://u@mail.example:465", "smtps", "u", "mail.example", "", 465 },
		{ "imaps://u@example.org@imap.example/INBOX/a%20b", "imaps", "u@example.org", "imap.example",
		    "INBOX/a b", 0 },
		{ "imap://u%3Aser@[2001:db8::1]:143/", "imap", "u:ser", "2001:db8::1", "", 143 },
		{ "lmtp://::1", "lmtp", "", "::1", "", 0 },
		{ "smtp://host/a@b:c", "smtp", "", "host", "a@b:c", 0 },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct url u;
		struct err err;
		assert_int_equal(url_parse(cases[i].in, &u, &err), 0);
		assert_string_equal(u.scheme, cases[i].scheme);
		assert_string_equal(u.user, cases[i].user);
		assert_string_equal(u.host, cases[i].host);
		assert_string_equal(u.path, cases[i].path);
		assert_int_equal(u.port, cases[i].port);
		url_free(&u);
	}
	static const char *const bad[] = { "mail.example", "://h", "1x://h", "smtp://", "smtp://u@", "smtp://h:0",
		"smtp://h:65536", "smtp://h:", "smtp://h:2x", "smtp://[::1", "smtp://[::1]x", "smtp://u%zz@h",
		"smtp://u%00@h", "smtp://u%0a@h", "smtp://h/%4", "smtp://u:secret@h", "smtp://a b", "smtp://u\r\n@h" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct url u;
		struct err err;
		assert_int_equal(url_parse(bad[i], &u, &err), -1);
		assert_int_equal(err.class, ERR_USAGE);
		assert_null(strstr(err.text, "secret"));
	}
}

static void test_split_port(void **state)
{
	(void)state;
	static const struct {
		const char *in, *host;
		unsigned port;
	} cases[] = { { "h", "h", 53 }, { "h:25", "h", 25 }, { "[::1]:5353", "::1", 5353 }, { "[::1]", "::1", 53 },
		{ "::1", "::1", 53 }, { "127.0.0.1:1", "127.0.0.1", 1 }, { "", NULL, 0 }, { "h:", NULL, 0 },
		{ "h:0", NULL, 0 }, { ":25", NULL, 0 }, { "[::1", NULL, 0 }, { "h:70000", NULL, 0 } };
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char host[256];
		uint16_t port;
		struct err err;
		int rc = net_split_port(cases[i].in, 53, host, &port, &err);
		assert_int_equal(rc, cases[i].host ? 0 : -1);
		if (rc < 0)
			continue;
		assert_string_equal(host, cases[i].host);
		assert_int_equal(port, cases[i].port);
	}
}

/* A listening socket on loopback; *addr is where. */
static int listener(const char *ip, struct net_addr *addr)
{
	assert_true(net_addr_parse(ip, 0, addr));
	int fd = socket(addr->sa.ss_family, SOCK_STREAM, 0);
	assert_true(fd >= 0);
	struct sockaddr *sa = (struct sockaddr *)(void *)&addr->sa;
	assert_int_equal(bind(fd, sa, addr->len), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, sa, &addr->len), 0);
	return fd;
}

static bool no_delay(int fd)
{
	int on = 0;
	socklen_t len = sizeof on;
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
	return on;
}

/* A reply behind a TLS ticket that was not acknowledged yet would wait 40 ms for that. */
static void test_streams_do_not_wait_for_acknowledgements(void **state)
{
	struct net_addr to;
	struct err err;
	(void)state;
	int l = listener("127.0.0.1", &to), fd = net_connect(&to, NULL, 60000, &err), peer = accept(l, NULL, NULL);
	assert_true(fd >= 0 && peer >= 0);
	struct stream *client = stream_from_fds(fd, fd), *server = stream_from_fds(peer, peer);
	assert_true(no_delay(fd));
	assert_true(no_delay(peer));
	stream_close(client);
	stream_close(server);
	close(l);
}

static void test_resolve(void **state)
{
	struct net_addr got[4];
	struct err err = { 0 };
	(void)state;
	assert_int_equal(net_resolve("192.0.2.7", 25, got, 4, &err), 1);
	assert_int_equal(net_addr_port(&got[0]), 25);
	assert_true(net_resolve("localhost", 587, got, 1, &err) == 1);
	assert_true(net_addr_is_loopback(&got[0]));
	assert_int_equal(net_resolve("name with blanks", 25, got, 4, &err), -1);
}

static void test_connect(void **state)
{
	(void)state;
	struct net_addr to, src, got;
	struct err err;
	int l = listener("127.0.0.1", &to);
	assert_true(net_addr_parse("127.0.0.9", 0, &src));
	int fd = net_connect(&to, &src, 60000, &err);
	assert_true(fd >= 0);
	socklen_t len = sizeof got.sa;
	int peer = accept(l, (struct sockaddr *)(void *)&got.sa, &len);
	got.len = len;
	char text[64];
	net_addr_text(&got, text, sizeof text);
	assert_string_equal(text, "127.0.0.9");
	close(peer);
	close(fd);
	fd = net_connect_host("[127.0.0.1]", net_addr_port(&to), 2000, &got, &err);
	assert_true(fd >= 0);
	assert_int_equal(net_addr_port(&got), net_addr_port(&to));
	close(fd);
	close(l);
	assert_int_equal(net_connect(&to, NULL, 60000, &err), -1);
	assert_int_equal(err.class, ERR_TEMP);
	assert_non_null(strstr(err.text, "127.0.0.1 port"));
	assert_int_equal(net_connect_host("::x", 25, 2000, NULL, &err), -1);
}

static void test_connect_unix(void **state)
{
	(void)state;
	char path[64] = "/tmp/net_test.XXXXXX";
	struct err err;
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	assert_non_null(mkdtemp(path));
	char *sock = malloc(100);
	snprintf(sock, 100, "%s/s", path);
	snprintf(sun.sun_path, sizeof sun.sun_path, "%s", sock);
	assert_int_equal(net_connect_unix(sock, 60000, &err), -1);
	assert_int_equal(err.class, ERR_TEMP);
	int l = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(l, (struct sockaddr *)(void *)&sun, sizeof sun), 0);
	assert_int_equal(listen(l, 1), 0);
	int fd = net_connect_unix(sock, 60000, &err);
	assert_true(fd >= 0);
	close(fd);
	close(l);
	unlink(sock);
	rmdir(path);
	free(sock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_literals),
		cmocka_unit_test(test_unicast),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_urls),
		cmocka_unit_test(test_split_port),
		cmocka_unit_test(test_streams_do_not_wait_for_acknowledgements),
		cmocka_unit_test(test_resolve),
		cmocka_unit_test(test_connect),
		cmocka_unit_test(test_connect_unix),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
