/* SPDX-License-Identifier: ISC
 *
 * The next hop: a conversation with the destination of a route, opened when it is needed and kept for the messages that
 * follow. MX hosts by preference and each of their addresses in turn (RFC 5321 5.1), opportunistic STARTTLS, the
 * smarthost with AUTH, the MDA over LMTP. One per process; borrows its configuration.
 */
#ifndef MTA_RELAY_RUN_HOP_H
#define MTA_RELAY_RUN_HOP_H

#include "dns/dns.h"
#include "mta-relay/route.h"
#include "smtp/client.h"

struct hop_config {
	const char *hostname;
	const char *resolver;         /* NULL: the system's */
	uint16_t port;                /* of MX hosts: 25 */
	int starttls;                 /* enum starttls_policy towards a smarthost; -1: require with a user, else try */
	const char *tls_ca;           /* NULL: the system's */
	const char *password_file;    /* of the smarthost's user; NULL: none */
	const char *password_command; /* the same */
	int64_t mda_timeout;          /* ms */
};
struct hop;

struct hop *hop_new(const struct hop_config *c, struct err *err);
void hop_free(struct hop *h);
/* Ends the conversation, if there is one, politely. */
void hop_hang_up(struct hop *h);

struct hop_result {
	char relay[320];  /* "mx.example.net[192.0.2.1]:25", "lmtp:..."; "" when no host was reached */
	bool dsn;         /* it reports success itself */
	bool final;       /* an MDA: what it took is delivered */
	bool unreachable; /* no conversation could be opened: the next message will fare no better now */
	char site[256];   /* the best MX hosts of the domain (route_site), "" when they are not known */
};
/* One transaction: the recipients' results as smtp_client_send gives them. eightbit tells whether the content has bytes
 * above 127; it is asked only when the next hop can't take them. -1 with err when the conversation failed. rewind
 * makes m->read begin anew. */
struct hop_message {
	struct smtp_message m;
	void (*rewind)(void *arg); /* m.arg */
	bool (*has_eightbit)(void *arg);
	const bool *begun; /* m.read was called since the last rewind */
};
int hop_send(struct hop *h, const struct route *r, struct hop_message *m, struct hop_result *out, struct err *err);

#endif
