/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/listen/proxy.h"

#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define TEN "1234567890"
#define BYTES(lit)                                                                                                     \
	{                                                                                                              \
		lit, sizeof(lit) - 1                                                                                   \
	}

static void name(const struct net_addr *a, char *out, size_t n)
{
	char ip[64];
	net_addr_text(a, ip, sizeof ip);
	snprintf(out, n, "%s %u", ip, (unsigned)net_addr_port(a));
}

static const struct {
	struct span in;
	enum proxy_result want;
	const char *src, *dst; /* NULL: own */
	size_t rest;
} cases[] = {
	{ BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 40000 25\r\n"), PROXY_OK, "192.0.2.1 40000", "198.51.100.2 25", 0 },
	{ BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 0 65535\r\nEHLO a\r\n"), PROXY_OK, "192.0.2.1 0",
	    "198.51.100.2 65535", 8 },
	{ BYTES("PROXY TCP6 2001:db8::1 2001:db8::2 40000 25\r\n"), PROXY_OK, "2001:db8::1 40000", "2001:db8::2 25",
	    0 },
	{ BYTES("PROXY UNKNOWN\r\n"), PROXY_OK, NULL, NULL, 0 },
	{ BYTES("PROXY UNKNOWN ffff::1 what ever\r\nx"), PROXY_OK, NULL, NULL, 1 },
	{ BYTES(""), PROXY_MORE, NULL, NULL, 0 },
	{ BYTES("P"), PROXY_MORE, NULL, NULL, 0 },
	{ BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 40000 25\r"), PROXY_MORE, NULL, NULL, 0 },
	{ BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 40000 25\n"), PROXY_BAD, NULL, NULL, 0 },
	{ BYTES("PROXY TCP4  192.0.2.1 198.51.100.2 40000 25\r\n"), PROXY_BAD, NULL, NULL, 0 },
	{ BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 40000 25 \r\n"), PROXY_BAD, NULL, NULL, 0 },
	{ BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 40000\r\n"), PROXY_BAD, NULL, NULL, 0 },
	{ BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 040 25\r\n"), PROXY_BAD, NULL, NULL, 0 },
	{ BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 65536 25\r\n"), PROXY_BAD, NULL, NULL, 0 },
	{ BYTES("PROXY TCP4 192.0.2.1 2001:db8::2 40000 25\r\n"), PROXY_BAD, NULL, NULL, 0 },
	{ BYTES("PROXY TCP6 192.0.2.1 192.0.2.1 40000 25\r\n"), PROXY_BAD, NULL, NULL, 0 },
	{ BYTES("PROXY TCP4 192.0.2.256 198.51.100.2 40000 25\r\n"), PROXY_BAD, NULL, NULL, 0 },
	{ BYTES("PROXY TCP6 fe80::1%lo fe80::2 40000 25\r\n"), PROXY_BAD, NULL, NULL, 0 },
	{ BYTES("PROXY TCP6 [2001:db8::1] 2001:db8::2 40000 25\r\n"), PROXY_BAD, NULL, NULL, 0 },
	{ BYTES("PROXY UDP4 192.0.2.1 198.51.100.2 40000 25\r\n"), PROXY_BAD, NULL, NULL, 0 },
	{ BYTES("PROXY tcp4 192.0.2.1 198.51.100.2 40000 25\r\n"), PROXY_BAD, NULL, NULL, 0 },
	{ BYTES("PROXY\r\n"), PROXY_BAD, NULL, NULL, 0 },
	{ BYTES("PROXX"), PROXY_BAD, NULL, NULL, 0 },
	{ BYTES("EHLO a\r\n"), PROXY_BAD, NULL, NULL, 0 },
	/* 107 bytes are the most, with CRLF. */
	{ BYTES("PROXY UNKNOWN " TEN TEN TEN TEN TEN TEN TEN TEN TEN "1\r\n"), PROXY_OK, NULL, NULL, 0 },
	{ BYTES("PROXY UNKNOWN " TEN TEN TEN TEN TEN TEN TEN TEN TEN "12\r\n"), PROXY_BAD, NULL, NULL, 0 },
	{ BYTES("PROXY UNKNOWN " TEN TEN TEN TEN TEN TEN TEN TEN TEN "123"), PROXY_BAD, NULL, NULL, 0 },
	{ BYTES(SIG "\x21\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\2\x9c\x40\0\x19"), PROXY_OK, "192.0.2.1 40000",
	    "198.51.100.2 25", 0 },
	{ BYTES(SIG "\x21\x11\0\x13\xc0\0\2\1\xc6\x33\x64\2\x9c\x40\0\x19\x04\0\4abcdEHLO"), PROXY_OK,
	    "192.0.2.1 40000", "198.51.100.2 25", 4 },
	{ BYTES(SIG "\x21\x21\0\x24 \1\r\xb8\0\0\0\0\0\0\0\0\0\0\0\1 \1\r\xb8\0\0\0\0\0\0\0\0\0\0\0\2\x9c\x40\0\x19"),
	    PROXY_OK, "2001:db8::1 40000", "2001:db8::2 25", 0 },
	{ BYTES(SIG "\x20\0\0\0x"), PROXY_OK, NULL, NULL, 1 },
	{ BYTES(SIG "\x20\x11\0\1x"), PROXY_OK, NULL, NULL, 0 },
	{ BYTES(SIG "\x21\0\0\0"), PROXY_OK, NULL, NULL, 0 },
	{ BYTES(SIG "\x21\x31\0\2ab"), PROXY_OK, NULL, NULL, 0 },
	{ BYTES(SIG), PROXY_MORE, NULL, NULL, 0 },
	{ BYTES(SIG "\x21\x11\0\x0c\xc0\0\2\1"), PROXY_MORE, NULL, NULL, 0 },
	{ BYTES(SIG "\x21\x11\0\x0b\xc0\0\2\1\xc6\x33\x64\2\x9c\x40\0"), PROXY_BAD, NULL, NULL, 0 },
	{ BYTES(SIG "\x21\x12\0\x0c\xc0\0\2\1\xc6\x33\x64\2\x9c\x40\0\x19"), PROXY_BAD, NULL, NULL, 0 },
	{ BYTES(SIG "\x22\x11\0\x0c"), PROXY_BAD, NULL, NULL, 0 },
	{ BYTES(SIG "\x11\x11\0\x0c"), PROXY_BAD, NULL, NULL, 0 },
	{ BYTES(SIG "\x21\x11\xff\xff"), PROXY_BAD, NULL, NULL, 0 },
	{ BYTES("\r\n\r\n\0\r\nQUIT\r"), PROXY_BAD, NULL, NULL, 0 },
};
enum {
	CASES = sizeof cases / sizeof *cases
};

static void parsing(void **state)
{
	(void)state;
	for (size_t i = 0; i < CASES; i++) {
		struct proxy_header h;
		size_t used;
		char text[128];
		enum proxy_result r = proxy_parse(cases[i].in, &h, &used);
		if (r != cases[i].want)
			fail_msg("case %zu: %d", i, (int)r);
		if (r != PROXY_OK)
			continue;
		assert_int_equal(cases[i].in.n - used, cases[i].rest);
		assert_int_equal(h.own, !cases[i].src);
		if (h.own)
			continue;
		name(&h.src, text, sizeof text);
		assert_string_equal(text, cases[i].src);
		name(&h.dst, text, sizeof text);
		assert_string_equal(text, cases[i].dst);
	}
}

/* In one piece, and a byte at a time by a slow child; what follows stays in the socket. */
static void from_a_socket(void **state)
{
	(void)state;
	for (size_t i = 0; i < CASES; i++) {
		for (int slow = 0; slow < 2; slow++) {
			struct span in = cases[i].in;
			struct proxy_header h;
			struct err err = { 0 };
			char rest[64];
			int fds[2];
			assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
			if (fork() == 0) {
				close(fds[0]);
				for (size_t at = 0; at < in.n; at += slow ? 1 : in.n)
					if (send(fds[1], in.p + at, slow ? 1 : in.n, MSG_NOSIGNAL) < 0)
						break;
				_exit(0);
			}
			close(fds[1]);
			int rc = proxy_accept(fds[0], 20000, &h, &err);
			if (rc != (cases[i].want == PROXY_OK ? 0 : -1))
				fail_msg("case %zu: %s", i, err.text);
			if (rc == 0) {
				ssize_t n, all = 0;
				while ((n = read(fds[0], rest, sizeof rest)) > 0)
					all += n;
				assert_int_equal(all, cases[i].rest);
			} else {
				assert_int_equal(err.class, ERR_PROTO);
			}
			close(fds[0]);
		}
	}
}

static void patience(void **state)
{
	(void)state;
	struct proxy_header h;
	struct err err = { 0 };
	int fds[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(write(fds[1], "PROXY ", 6), 6);
	assert_int_equal(proxy_accept(fds[0], 50, &h, &err), -1);
	assert_int_equal(err.class, ERR_TEMP);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "PROXY UNKNOWN\r\n", 15), 15);
	assert_int_equal(proxy_accept(fds[0], 5000, &h, &err), -1); /* no socket */
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parsing),
		cmocka_unit_test(from_a_socket),
		cmocka_unit_test(patience),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
