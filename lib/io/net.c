/* SPDX-License-Identifier: ISC */
#include "io/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/xalloc.h"

/* UNSAFE: the casts below hold because sockaddr_storage is made to be read as each family's own type. */
static const struct sockaddr_in *as_v4(const struct net_addr *a)
{
	return (const struct sockaddr_in *)(const void *)&a->sa;
}

static const struct sockaddr_in6 *as_v6(const struct net_addr *a)
{
	return (const struct sockaddr_in6 *)(const void *)&a->sa;
}

static const struct sockaddr *as_sa(const struct net_addr *a)
{
	return (const struct sockaddr *)(const void *)&a->sa;
}

static void set_v4(struct net_addr *out, struct in_addr ip, uint16_t port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = ip };
	*out = (struct net_addr){ .len = sizeof sin };
	memcpy(&out->sa, &sin, sizeof sin);
}

/* host may carry a %zone, which is cut off it. */
static bool parse_v6(char *host, uint16_t port, struct net_addr *out)
{
	struct sockaddr_in6 sin = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	char *zone = strchr(host, '%');
	if (zone) {
		*zone++ = '\0';
		sin.sin6_scope_id = if_nametoindex(zone);
		if (!sin.sin6_scope_id)
			return false;
	}
	if (inet_pton(AF_INET6, host, &sin.sin6_addr) != 1)
		return false;
	*out = (struct net_addr){ .len = sizeof sin };
	memcpy(&out->sa, &sin, sizeof sin);
	return true;
}

bool net_addr_parse(const char *text, uint16_t port, struct net_addr *out)
{
	struct span s = span_str(text);
	bool bracketed = s.n >= 2 && s.p[0] == '[' && s.p[s.n - 1] == ']';
	if (bracketed)
		s = span_slice(s, 1, s.n - 1);
	char host[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];
	if (!s.n || s.n >= sizeof host)
		return false;
	memcpy(host, s.p, s.n);
	host[s.n] = '\0';
	struct in_addr v4;
	if (inet_pton(AF_INET, host, &v4) == 1) {
		set_v4(out, v4, port);
		return true;
	}
	return parse_v6(host, port, out);
}

/* The IPv4 address inside a v4-mapped one. */
static bool mapped_v4(const struct net_addr *a, struct in_addr *v4)
{
	if (a->sa.ss_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&as_v6(a)->sin6_addr))
		return false;
	memcpy(v4, as_v6(a)->sin6_addr.s6_addr + 12, 4);
	return true;
}

void net_addr_text(const struct net_addr *a, char *out, size_t n)
{
	struct in_addr v4;
	const char *text = NULL;
	if (a->len && a->sa.ss_family == AF_INET)
		text = inet_ntop(AF_INET, &as_v4(a)->sin_addr, out, (socklen_t)n);
	else if (a->len && mapped_v4(a, &v4))
		text = inet_ntop(AF_INET, &v4, out, (socklen_t)n);
	else if (a->len && a->sa.ss_family == AF_INET6)
		text = inet_ntop(AF_INET6, &as_v6(a)->sin6_addr, out, (socklen_t)n);
	if (!text)
		snprintf(out, n, "%s", a->len && a->sa.ss_family == AF_UNIX ? "unix" : "unknown");
}

uint16_t net_addr_port(const struct net_addr *a)
{
	if (a->len && a->sa.ss_family == AF_INET)
		return ntohs(as_v4(a)->sin_port);
	if (a->len && a->sa.ss_family == AF_INET6)
		return ntohs(as_v6(a)->sin6_port);
	return 0;
}

bool net_addr_is_loopback(const struct net_addr *a)
{
	struct in_addr v4;
	if (!a->len)
		return false;
	if (a->sa.ss_family == AF_INET)
		v4 = as_v4(a)->sin_addr;
	else if (!mapped_v4(a, &v4))
		return a->sa.ss_family == AF_UNIX ||
		       (a->sa.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&as_v6(a)->sin6_addr));
	return ntohl(v4.s_addr) >> 24 == 127;
}

bool net_addr_is_unicast(const struct net_addr *a)
{
	struct in_addr v4 = { 0 };
	if (!a->len)
		return false;
	if (a->sa.ss_family == AF_INET6 && !mapped_v4(a, &v4))
		return !IN6_IS_ADDR_UNSPECIFIED(&as_v6(a)->sin6_addr) && !IN6_IS_ADDR_MULTICAST(&as_v6(a)->sin6_addr);
	if (a->sa.ss_family == AF_INET)
		v4 = as_v4(a)->sin_addr;
	unsigned first = ntohl(v4.s_addr) >> 24;
	return first > 0 && first < 224;
}

void net_addr_literal(const struct net_addr *a, char *out, size_t n)
{
	char ip[INET6_ADDRSTRLEN];
	net_addr_text(a, ip, sizeof ip);
	snprintf(out, n, "%s%s", strchr(ip, ':') ? "IPv6:" : "", ip);
}

static bool port_of(struct span s, uint16_t *port)
{
	uint64_t v;
	if (!span_u64(s, 65535, &v) || v == 0)
		return false;
	*port = (uint16_t)v;
	return true;
}

/* Splits "[V6]:PORT", "V6", "HOST:PORT", "HOST" into host (brackets off) and port text; port.p NULL when there is no
 * ':'. False when brackets don't match. */
static bool split_host(struct span s, struct span *host, struct span *port)
{
	*port = (struct span){ NULL, 0 };
	*host = s;
	if (s.n && s.p[0] == '[') {
		ptrdiff_t close = span_chr(s, ']');
		if (close < 0)
			return false;
		*host = span_slice(s, 1, (size_t)close);
		s = span_from(s, (size_t)close + 1);
		if (s.n && s.p[0] != ':')
			return false;
		if (s.n)
			*port = span_from(s, 1);
		return true;
	}
	ptrdiff_t first = span_chr(s, ':');
	if (first < 0 || first != span_rchr(s, ':'))
		return true; /* no port, or an IPv6 address without brackets */
	*host = span_slice(s, 0, (size_t)first);
	*port = span_from(s, (size_t)first + 1);
	return true;
}

int net_split_port(const char *text, uint16_t otherwise, char host[256], uint16_t *port, struct err *err)
{
	struct span h, p;
	if (!split_host(span_str(text), &h, &p) || !h.n || h.n > LIMIT_DOMAIN)
		return err_set(err, ERR_USAGE, "'%s' is no HOST[:PORT]", text);
	*port = otherwise;
	if (p.p && !port_of(p, port))
		return err_set(err, ERR_USAGE, "'%s' has no port from 1 to 65535", text);
	memcpy(host, h.p, h.n);
	host[h.n] = '\0';
	return 0;
}

/* Networks: all kept as 128 bits, IPv4 as v4-mapped, so that one comparison serves both. */
struct network {
	uint8_t ip[16];
	unsigned bits;
};
struct net_list {
	size_t n;
	struct network *v;
};

static bool to_128(const struct net_addr *a, uint8_t out[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	if (a->len && a->sa.ss_family == AF_INET6) {
		memcpy(out, as_v6(a)->sin6_addr.s6_addr, 16);
		return true;
	}
	if (!a->len || a->sa.ss_family != AF_INET)
		return false;
	memcpy(out, mapped, 12);
	memcpy(out + 12, &as_v4(a)->sin_addr, 4);
	return true;
}

static bool parse_network(struct span item, struct network *out)
{
	char text[INET6_ADDRSTRLEN + IF_NAMESIZE + 3];
	struct net_addr a;
	uint64_t bits;
	ptrdiff_t slash = span_rchr(item, '/');
	struct span ip = slash < 0 ? item : span_slice(item, 0, (size_t)slash);
	if (ip.n >= sizeof text)
		return false;
	memcpy(text, ip.p, ip.n);
	text[ip.n] = '\0';
	if (!net_addr_parse(text, 0, &a) || !to_128(&a, out->ip))
		return false;
	unsigned width = a.sa.ss_family == AF_INET ? 32 : 128;
	bits = width;
	if (slash >= 0 && !span_u64(span_from(item, (size_t)slash + 1), width, &bits))
		return false;
	out->bits = 128 - width + (unsigned)bits;
	return true;
}

static struct span next_item(struct span *rest)
{
	size_t a = 0, b;
	while (a < rest->n && strchr(", \t\r\n", rest->p[a]))
		a++;
	for (b = a; b < rest->n && !strchr(", \t\r\n", rest->p[b]);)
		b++;
	struct span item = span_slice(*rest, a, b);
	*rest = span_from(*rest, b);
	return item;
}

struct net_list *net_list_parse(const char *text, struct err *err)
{
	struct net_list *l = xcalloc(1, sizeof *l);
	struct span rest = span_str(text), item;
	while ((item = next_item(&rest)).n) {
		struct network net;
		if (!parse_network(item, &net)) {
			err_set(err, ERR_USAGE, "'%.*s' is no network", SPAN_FMT(item));
			net_list_free(l);
			return NULL;
		}
		l->v = xreallocarray(l->v, l->n + 1, sizeof *l->v);
		l->v[l->n++] = net;
	}
	return l;
}

static bool in_network(const struct network *net, const uint8_t ip[16])
{
	size_t whole = net->bits / 8;
	unsigned rest = net->bits % 8;
	if (memcmp(net->ip, ip, whole) != 0)
		return false;
	return !rest || (net->ip[whole] ^ ip[whole]) >> (8 - rest) == 0;
}

bool net_list_match(const struct net_list *l, const struct net_addr *a)
{
	uint8_t ip[16];
	if (!l || !to_128(a, ip))
		return false;
	for (size_t i = 0; i < l->n; i++)
		if (in_network(&l->v[i], ip))
			return true;
	return false;
}

void net_list_free(struct net_list *l)
{
	if (!l)
		return;
	free(l->v);
	free(l);
}

/* NULL when an escape is malformed or gives a control character. */
static char *percent_decode(struct span s)
{
	char *out = xmalloc(s.n + 1);
	size_t k = 0;
	for (size_t i = 0; i < s.n; i++) {
		int c = (unsigned char)s.p[i];
		if (c == '%') {
			int hi = i + 1 < s.n ? ascii_hex(s.p[i + 1]) : -1,
			    lo = i + 2 < s.n ? ascii_hex(s.p[i + 2]) : -1;
			c = hi < 0 || lo < 0 ? 0 : hi * 16 + lo;
			i += 2;
		}
		if (c < ' ' || c == 127) {
			free(out);
			return NULL;
		}
		out[k++] = (char)c;
	}
	out[k] = '\0';
	return out;
}

static bool scheme_ok(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_isalnum(s.p[i]) && !memchr("+-.", s.p[i], 3))
			return false;
	return s.n && ascii_isalpha(s.p[0]);
}

static bool host_ok(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 127 || memchr("@[]\"\\<>", s.p[i], 7))
			return false;
	return s.n && s.n <= LIMIT_DOMAIN;
}

static char *lower_dup(struct span s)
{
	char *out = xstrndup(s.p, s.n);
	for (char *p = out; *p; p++)
		*p = ascii_lower(*p);
	return out;
}

/* [USER@]HOST[:PORT] */
static int parse_authority(struct span s, struct url *out, struct err *err)
{
	struct span host, port;
	ptrdiff_t at = span_rchr(s, '@');
	struct span user = at < 0 ? span_str("") : span_slice(s, 0, (size_t)at);
	if (span_chr(user, ':') >= 0)
		return err_set(
		    err, ERR_USAGE, "a URL must not hold a password: others can read it in the process list");
	out->user = percent_decode(user);
	if (!out->user)
		return err_set(err, ERR_USAGE, "malformed %%XX or control character before '@'");
	if (!split_host(at < 0 ? s : span_from(s, (size_t)at + 1), &host, &port) || !host_ok(host))
		return err_set(err, ERR_USAGE, "'%.*s' is no HOST[:PORT]", SPAN_FMT(s));
	if (port.p && !port_of(port, &out->port))
		return err_set(err, ERR_USAGE, "'%.*s' is no port from 1 to 65535", SPAN_FMT(port));
	out->host = xstrndup(host.p, host.n);
	return 0;
}

static int parse_url(struct span s, struct url *out, struct err *err)
{
	ptrdiff_t sep = span_find(s, SPAN("://"));
	if (sep < 0 || !scheme_ok(span_slice(s, 0, (size_t)sep)))
		return err_set(err, ERR_USAGE, "no scheme:// at its start");
	out->scheme = lower_dup(span_slice(s, 0, (size_t)sep));
	struct span rest = span_from(s, (size_t)sep + 3);
	struct span authority = span_cut(&rest, '/');
	out->path = percent_decode(rest);
	if (!out->path)
		return err_set(err, ERR_USAGE, "malformed %%XX or control character in the path");
	return parse_authority(authority, out, err);
}

int url_parse(const char *text, struct url *out, struct err *err)
{
	*out = (struct url){ 0 };
	if (parse_url(span_str(text), out, err) == 0)
		return 0;
	url_free(out);
	/* The text is not repeated: it may hold a password. */
	return err_prefix(err, "URL");
}

void url_free(struct url *u)
{
	free(u->scheme);
	free(u->user);
	free(u->host);
	free(u->path);
	*u = (struct url){ 0 };
}

static int64_t now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Waits for a connection that is under way. 0, or -1 with errno. */
static int finish_connect(int fd, int64_t deadline)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLOUT };
		int64_t left = deadline - now_ms();
		int n = poll(&p, 1, left > 0 ? (int)(left < 3600000 ? left : 3600000) : 0);
		if (n > 0)
			break;
		if (n == 0 && now_ms() >= deadline)
			errno = ETIMEDOUT;
		if (n < 0 ? errno != EINTR : now_ms() >= deadline)
			return -1;
	}
	int why = 0;
	socklen_t len = sizeof why;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &len) < 0)
		return -1;
	errno = why;
	return why ? -1 : 0;
}

static int start_connect(int fd, const struct net_addr *to, const struct net_addr *src, int64_t deadline)
{
	if (src && src->len) {
		int one = 1; /* the port is chosen at connect, so that many connections may share a source address */
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
		if (bind(fd, as_sa(src), src->len) < 0)
			return -1;
	}
	if (connect(fd, as_sa(to), to->len) == 0)
		return 0;
	/* EAGAIN: a UNIX socket's backlog is full; waiting would not finish it. */
	if (errno != EINPROGRESS && errno != EINTR)
		return -1;
	return finish_connect(fd, deadline);
}

static void close_keeping_errno(int fd)
{
	int keep = errno;
	close(fd);
	errno = keep;
}

/* A blocking, connected socket, or -1 with errno. */
static int connect_within(const struct net_addr *to, const struct net_addr *src, int64_t timeout_ms)
{
	int fd = socket(to->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	int flags;
	if (start_connect(fd, to, src, now_ms() + timeout_ms) < 0 || (flags = fcntl(fd, F_GETFL)) < 0 ||
	    fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0) {
		close_keeping_errno(fd);
		return -1;
	}
	return fd;
}

/* Whatever stands in the way of a connection may be gone later. */
static int connect_failed(struct err *err, const char *where, unsigned port)
{
	err_sys(err, port ? "connecting to %s port %u" : "connecting to %s", where, port);
	if (err)
		err->class = ERR_TEMP;
	return -1;
}

int net_connect(const struct net_addr *to, const struct net_addr *src, int64_t timeout_ms, struct err *err)
{
	char ip[INET6_ADDRSTRLEN];
	int fd = connect_within(to, src, timeout_ms);
	if (fd >= 0)
		return fd;
	net_addr_text(to, ip, sizeof ip);
	return connect_failed(err, ip, net_addr_port(to));
}

int net_connect_unix(const char *path, int64_t timeout_ms, struct err *err)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct net_addr to = { .len = sizeof sun };
	size_t n = strlen(path);
	if (n >= sizeof sun.sun_path)
		return err_set(err, ERR_CONFIG, "%s: too long for a socket's path", path);
	memcpy(sun.sun_path, path, n);
	memcpy(&to.sa, &sun, sizeof sun);
	int fd = connect_within(&to, NULL, timeout_ms);
	return fd >= 0 ? fd : connect_failed(err, path, 0);
}

static int resolve(const char *host, uint16_t port, struct addrinfo **list, struct err *err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
	char service[8];
	struct net_addr literal;
	if (net_addr_parse(host, port, &literal))
		hints.ai_flags |= AI_NUMERICHOST;
	snprintf(service, sizeof service, "%u", port);
	int rc = getaddrinfo(host, service, &hints, list);
	/* RFC 6761 6.3: localhost is the loopback interface, also where no hosts file says so. */
	if (rc != 0 && span_ieqs(span_str(host), "localhost"))
		rc = getaddrinfo(NULL, service, &hints, list);
	if (rc == 0)
		return 0;
	bool absent = rc == EAI_NONAME || rc == EAI_NODATA || rc == EAI_ADDRFAMILY;
	return err_set(err, absent ? ERR_NOHOST : ERR_TEMP, "%s: %s", host, gai_strerror(rc));
}

static struct net_addr from_info(const struct addrinfo *ai)
{
	struct net_addr a = { .len = ai->ai_addrlen };
	memcpy(&a.sa, ai->ai_addr, ai->ai_addrlen);
	return a;
}

int net_resolve(const char *host, uint16_t port, struct net_addr *out, size_t max, struct err *err)
{
	struct addrinfo *list;
	size_t n = 0;
	if (resolve(host, port, &list, err) < 0)
		return -1;
	for (const struct addrinfo *ai = list; ai && n < max; ai = ai->ai_next)
		out[n++] = from_info(ai);
	freeaddrinfo(list);
	return (int)n;
}

int net_connect_host(const char *host, uint16_t port, int64_t timeout_ms, struct net_addr *got, struct err *err)
{
	struct addrinfo *list;
	char bare[256];
	struct span h = span_str(host);
	if (h.n >= 2 && h.p[0] == '[' && h.p[h.n - 1] == ']')
		h = span_slice(h, 1, h.n - 1);
	snprintf(bare, sizeof bare, "%.*s", SPAN_FMT(h));
	/* The look-up has the resolver's own time limit; timeout_ms begins behind it. */
	if (resolve(bare, port, &list, err) < 0)
		return -1;
	struct err why = { 0 };
	int64_t deadline = now_ms() + timeout_ms, left = 0;
	int fd = -1;
	for (const struct addrinfo *ai = list; ai; ai = ai->ai_next)
		left++;
	for (const struct addrinfo *ai = list; ai && fd < 0; ai = ai->ai_next, left--) {
		struct net_addr to = from_info(ai);
		int64_t share =
		    (deadline - now_ms()) / left; /* so that a silent first address leaves time for the others */
		fd = net_connect(&to, NULL, share > 0 ? share : 1, &why);
		if (fd >= 0 && got)
			*got = to;
	}
	freeaddrinfo(list);
	if (fd < 0 && err)
		*err = why; /* of the last address; one that answered leaves err as it was */
	return fd < 0 ? err_prefix(err, "%s", bare) : fd;
}
