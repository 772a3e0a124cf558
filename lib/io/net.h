/* SPDX-License-Identifier: ISC
 *
 * Names of places on the network as users write them, and connecting to them. HOST:PORT, [V6]:PORT, unix:PATH,
 * and URLs scheme://[USER@]HOST[:PORT][/PATH].
 */
#ifndef WP_IO_NET_H
#define WP_IO_NET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "base/err.h"
#include "io/stream.h"

struct net_addr {
	struct sockaddr_storage sa;
	socklen_t len;
};

/* "192.0.2.1", "2001:db8::1", "[2001:db8::1]", "fe80::1%eth0", with the port in host order. False when it is no
 * literal. */
bool net_addr_parse(const char *text, uint16_t port, struct net_addr *out);
/* The address without its port ("192.0.2.1", "2001:db8::1", "unix"); out is NUL-terminated. A v4-mapped address is
 * written as the IPv4 address that it is. */
void net_addr_text(const struct net_addr *a, char *out, size_t n);
uint16_t net_addr_port(const struct net_addr *a);
/* 127.0.0.0/8, ::1, or a UNIX socket. */
bool net_addr_is_loopback(const struct net_addr *a);

/* Can it be another host's? False for 0.0.0.0/8 and :: (where connect finds ourselves), multicast, and what is reserved
 * or for broadcasts. */
bool net_addr_is_unicast(const struct net_addr *a);

/* SMTP's address literal (RFC 5321 4.1.3) without brackets: "192.0.2.1" or "IPv6:2001:db8::1". */
void net_addr_literal(const struct net_addr *a, char *out, size_t n);

/* HOST, HOST:PORT, [V6]:PORT or a bare V6 address. port is `otherwise` when none is given. host is NUL-terminated and
 * without brackets. -1 with ERR_USAGE. */
int net_split_port(const char *text, uint16_t otherwise, char host[256], uint16_t *port, struct err *err);

/* A list of networks, "127.0.0.0/8, ::1, 192.0.2.0/24"; IPv4 also matches v4-mapped IPv6. Bits below the prefix are
 * ignored. */
struct net_list;
struct net_list *net_list_parse(const char *text, struct err *err); /* NULL with ERR_USAGE */
bool net_list_match(const struct net_list *l, const struct net_addr *a);
void net_list_free(struct net_list *l);

/* scheme://[USER@]HOST[:PORT][/PATH]; USER and PATH are percent-decoded, PATH is without its first '/', HOST without
 * brackets; an '@' in USER may be bare. A password in it is refused: it would stand in argv. Fields are allocated; ""
 * when absent. */
struct url {
	char *scheme, *user, *host, *path;
	uint16_t port; /* 0: not given */
};
int url_parse(const char *text, struct url *out, struct err *err);
void url_free(struct url *u);

/* Connects within timeout_ms; src NULL or the address to bind first. A connected socket, or -1 with ERR_TEMP. */
int net_connect(const struct net_addr *to, const struct net_addr *src, int64_t timeout_ms, struct err *err);
int net_connect_unix(const char *path, int64_t timeout_ms, struct err *err);
/* By name through getaddrinfo (for servers that a user configured, not for MX hosts: those are lib/dns's), trying
 * each address in order; got (may be NULL) is the one that answered. ERR_NOHOST when the name has no address. */
int net_connect_host(const char *host, uint16_t port, int64_t timeout_ms, struct net_addr *got, struct err *err);
/* The addresses of such a name, in the system's order, at most max. Their number, or -1 as net_connect_host. */
int net_resolve(const char *host, uint16_t port, struct net_addr *out, size_t max, struct err *err);

#endif
