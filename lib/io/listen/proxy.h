/* SPDX-License-Identifier: ISC
 *
 * The PROXY protocol, versions 1 and 2 (haproxy's proxy-protocol.txt): a proxy says before the conversation whose it
 * is. Only where it is asked for, and then nothing else will do. What stands behind the addresses in version 2 (TLVs)
 * is skipped.
 *
 * The parser knows no descriptors. proxy_accept takes exactly the header's bytes off a socket: what follows, a TLS
 * handshake perhaps, stays there.
 */
#ifndef WP_IO_PROXY_H
#define WP_IO_PROXY_H

#include "base/err.h"
#include "base/span.h"
#include "io/net.h"

enum {
	PROXY_V1_MAX = 107,      /* with CRLF */
	PROXY_HEADER_MAX = 4096, /* the standard's own limit is 65551; TLVs in use are far smaller */
};

struct proxy_header {
	/* The proxy speaks for itself (a health check), or for somebody without an IP address: the connection's own
	 * addresses count. */
	bool own;
	struct net_addr src, dst; /* when not own */
};

enum proxy_result {
	PROXY_MORE, /* all bytes so far belong to the header, which goes on */
	PROXY_OK,
	PROXY_BAD
};
/* *used: the header's length, on PROXY_OK. */
enum proxy_result proxy_parse(struct span bytes, struct proxy_header *out, size_t *used);

/* Reads the header within timeout_ms. -1 with ERR_PROTO or ERR_TEMP: the connection is to be closed. */
int proxy_accept(int fd, int64_t timeout_ms, struct proxy_header *out, struct err *err);

#endif
