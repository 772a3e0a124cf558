/* SPDX-License-Identifier: ISC
 *
 * A conversation with one server, opened as the policy asks: TLS required, tried or never, verified or not, with
 * authentication or without.
 */
#ifndef MUA_SEND_SESSION_H
#define MUA_SEND_SESSION_H

#include "io/net.h"
#include "mua-send/mua.h"

struct session {
	const struct mail *m;
	const char *host; /* as it is called; a path for a UNIX socket */
	uint16_t port;
	bool unix_socket, lmtp, implicit_tls;
	bool opportunistic;                    /* another host may be tried: TLS needs no verification */
	const struct net_addr *addr;           /* where; NULL: the host's addresses in turn */
	const struct sasl_client_config *auth; /* NULL: none */

	char name[320]; /* out: "localhost:587", "mx.example.org[192.0.2.1]:25" */
	struct smtp_client *client;
	struct tls_ctx *tls;
};

/* 0 with client, or -1 with err. A conversation that could not be opened can be tried again. */
int session_open(struct session *s, struct err *err);
/* Ends it politely. */
void session_close(struct session *s);
/* The trace's events about what became of each. */
void session_results(const struct session *s, const struct smtp_rcpt *rcpt, size_t n);

#endif
