/* SPDX-License-Identifier: ISC */
#include "io/listen/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "io/stream.h"
#include "io/stream_int.h"

static const char signature[] = "\r\n\r\n\0\r\nQUIT\n"; /* version 2's first 12 bytes */
enum {
	SIGNATURE = sizeof signature - 1,
	FIXED = 16, /* signature, version and command, family, length */
};

/* ---- version 1 ---- */

/* Decimal without leading zeros. */
static bool port_of(struct span s, uint16_t *out)
{
	uint64_t n;
	if (!span_u64(s, 65535, &n) || (s.n > 1 && s.p[0] == '0'))
		return false;
	*out = (uint16_t)n;
	return true;
}

static bool address(struct span ip, struct span port, int family, struct net_addr *out)
{
	char text[64];
	uint16_t number;
	if (ip.n >= sizeof text || span_has_ctl(ip) || span_chr(ip, '%') >= 0 || span_chr(ip, '[') >= 0)
		return false;
	memcpy(text, ip.p, ip.n);
	text[ip.n] = '\0';
	return port_of(port, &number) && net_addr_parse(text, number, out) && out->sa.ss_family == family;
}

/* "PROXY TCP4 192.0.2.1 192.0.2.2 40000 25"; "PROXY UNKNOWN" and anything. */
static bool parse_line(struct span line, struct proxy_header *out)
{
	span_cut(&line, ' ');
	struct span family = span_cut(&line, ' ');
	if (span_eqs(family, "UNKNOWN")) {
		out->own = true;
		return true;
	}
	int want = span_eqs(family, "TCP4") ? AF_INET : span_eqs(family, "TCP6") ? AF_INET6 : -1;
	struct span src = span_cut(&line, ' '), dst = span_cut(&line, ' '), port = span_cut(&line, ' ');
	return want >= 0 && address(src, port, want, &out->src) && address(dst, line, want, &out->dst);
}

static enum proxy_result parse_v1(struct span bytes, struct proxy_header *out, size_t *used)
{
	static const char begin[] = "PROXY ";
	size_t n = bytes.n < sizeof begin - 1 ? bytes.n : sizeof begin - 1;
	if (memcmp(bytes.p, begin, n) != 0)
		return PROXY_BAD;
	ptrdiff_t end = span_chr(bytes, '\n');
	if (end < 0)
		return bytes.n < PROXY_V1_MAX ? PROXY_MORE : PROXY_BAD;
	*used = (size_t)end + 1;
	/* UNSAFE: "PROXY " stands before the end. */
	if (*used > PROXY_V1_MAX || bytes.p[end - 1] != '\r')
		return PROXY_BAD;
	return parse_line(span_slice(bytes, 0, (size_t)end - 1), out) ? PROXY_OK : PROXY_BAD;
}

/* ---- version 2 ---- */

static void set_v4(struct net_addr *a, const char *ip, const char *port)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	memcpy(&in.sin_addr, ip, 4);
	memcpy(&in.sin_port, port, 2);
	memcpy(&a->sa, &in, sizeof in);
	a->len = sizeof in;
}

static void set_v6(struct net_addr *a, const char *ip, const char *port)
{
	struct sockaddr_in6 in = { .sin6_family = AF_INET6 };
	memcpy(&in.sin6_addr, ip, 16);
	memcpy(&in.sin6_port, port, 2);
	memcpy(&a->sa, &in, sizeof in);
	a->len = sizeof in;
}

/* Source and destination address, source and destination port. */
static bool read_addresses(unsigned family, struct span body, struct proxy_header *out)
{
	switch (family) {
	case 0x11: /* TCP over IPv4 */
		if (body.n < 12)
			return false;
		set_v4(&out->src, body.p, body.p + 8);
		set_v4(&out->dst, body.p + 4, body.p + 10);
		return true;
	case 0x21: /* TCP over IPv6 */
		if (body.n < 36)
			return false;
		set_v6(&out->src, body.p, body.p + 32);
		set_v6(&out->dst, body.p + 16, body.p + 34);
		return true;
	case 0x00: /* unspecified */
	case 0x31: /* a Unix socket at the proxy */
		out->own = true;
		return true;
	default: /* datagrams, and what is not defined */
		return false;
	}
}

static enum proxy_result parse_v2(struct span bytes, struct proxy_header *out, size_t *used)
{
	const unsigned char *b = (const unsigned char *)bytes.p;
	size_t n = bytes.n < SIGNATURE ? bytes.n : SIGNATURE;
	if (memcmp(b, signature, n) != 0)
		return PROXY_BAD;
	if (bytes.n < FIXED)
		return PROXY_MORE;
	size_t body = (size_t)b[14] << 8 | b[15];
	if (b[12] >> 4 != 2 || (b[12] & 15) > 1 || body > PROXY_HEADER_MAX - FIXED)
		return PROXY_BAD;
	*used = FIXED + body;
	if (bytes.n < *used)
		return PROXY_MORE;
	if ((b[12] & 15) == 0) { /* LOCAL: whatever stands there */
		out->own = true;
		return PROXY_OK;
	}
	return read_addresses(b[13], span_slice(bytes, FIXED, *used), out) ? PROXY_OK : PROXY_BAD;
}

enum proxy_result proxy_parse(struct span bytes, struct proxy_header *out, size_t *used)
{
	*out = (struct proxy_header){ 0 };
	*used = 0;
	if (!bytes.n)
		return PROXY_MORE;
	return bytes.p[0] == 'P' ? parse_v1(bytes, out, used) : parse_v2(bytes, out, used);
}

/* ---- from a socket ---- */

/* Something to read; -1 with err. */
static int wait_for_it(int fd, int64_t end, struct err *err)
{
	struct pollfd p[2] = { { .fd = fd, .events = POLLIN }, { .fd = stream_interrupt_fd, .events = POLLIN } };
	for (;;) {
		int64_t left = end - stream_now();
		int n = left > 0 ? poll(p, 2, (int)left) : 0;
		if (n > 0 && p[1].revents)
			return err_set(err, ERR_TEMP, "shutting down");
		if (n > 0)
			return 0;
		if (n == 0)
			return err_set(err, ERR_TEMP, "no PROXY header came");
		if (errno != EINTR)
			return err_sys(err, "poll");
	}
}

/* Looks at what is there behind the `have` bytes of b, and takes what belongs to the header. */
static enum proxy_result take(int fd, char *b, size_t *have, struct proxy_header *out, struct err *err)
{
	size_t used;
	ssize_t n = recv(fd, b + *have, PROXY_HEADER_MAX - *have, MSG_PEEK | MSG_DONTWAIT);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return PROXY_MORE;
	if (n <= 0) {
		if (n < 0)
			err_sys(err, "PROXY header");
		else
			err_set(err, ERR_PROTO, "closed before the PROXY header's end");
		return PROXY_BAD;
	}
	size_t before = *have;
	enum proxy_result r = proxy_parse(span_of(b, before + (size_t)n), out, &used);
	if (r == PROXY_BAD) {
		err_set(err, ERR_PROTO, "what came is no PROXY header");
		return r;
	}
	*have = r == PROXY_OK ? used : before + (size_t)n;
	if (recv(fd, b + before, *have - before, MSG_DONTWAIT) != (ssize_t)(*have - before)) {
		err_set(err, ERR_TEMP, "the PROXY header went away");
		return PROXY_BAD;
	}
	return r;
}

int proxy_accept(int fd, int64_t timeout_ms, struct proxy_header *out, struct err *err)
{
	char b[PROXY_HEADER_MAX];
	size_t have = 0;
	int64_t end = stream_now() + timeout_ms;
	enum proxy_result r = PROXY_MORE;
	while (r == PROXY_MORE) {
		if (wait_for_it(fd, end, err))
			return -1;
		r = take(fd, b, &have, out, err);
	}
	return r == PROXY_OK ? 0 : -1;
}
