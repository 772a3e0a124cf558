/* SPDX-License-Identifier: ISC
 *
 * The next hop: a conversation with the destination of a route, opened when it is needed and kept for the messages that
 * follow. MX hosts by preference and each of their addresses in turn (RFC 5321 5.1), TLS by the destination's policy,
 * the smarthost with AUTH, the MDA over LMTP. A conversation with an MX host serves all domains whose best host it is.
 * One per process; borrows its configuration.
 */
#ifndef MTA_RELAY_HOP_H
#define MTA_RELAY_HOP_H

#include "dns/dns.h"
#include "mta-relay/hop/route.h"
#include "smtp/client.h"

struct hop_config {
	const char *hostname;
	const char *resolver;         /* NULL: the system's */
	uint16_t port;                /* of MX hosts: 25 */
	const char *password_file;    /* of the smarthost's user; NULL: none */
	const char *password_command; /* the same */
	int64_t mda_timeout;          /* ms */
	struct broker *broker;        /* starts commands; NULL: we do */
};
struct hop;

struct hop *hop_new(const struct hop_config *c, struct err *err);
void hop_free(struct hop *h);
/* Ends the conversation, if there is one, politely. */
void hop_hang_up(struct hop *h);

enum {
	HOP_SERVERS = 5 /* that put the same recipients off, in one attempt */
};
struct hop_result {
	char relay[320];  /* "mx.example.net[192.0.2.1]:25", "lmtp:..."; "" when no host was reached */
	bool dsn;         /* it reports success itself */
	bool deliver_by;  /* it knows of BY */
	bool final;       /* an MDA: what it took is delivered */
	bool unreachable; /* no conversation could be opened: the next message will fare no better now */
	char tls[96];     /* "TLSv1.3 TLS_AES_256_GCM_SHA384 verified resumed", "" in the clear */
	char site[256];   /* the best MX hosts of the domain (route_site), "" when they are not known */
};

enum {
	HOP_TRIES = 10 /* addresses in one attempt */
};
struct hop_target {
	char host[256]; /* its name; an address where it has none */
	struct net_addr addr;
};
/* Whom a call goes to, in order. */
struct hop_targets {
	struct hop_target v[HOP_TRIES];
	size_t n;
	const struct mx_result *mx; /* ROUTE_MX: what the DNS said, until the next question; NULL otherwise */
	bool implicit_tls;
	struct err absent;    /* a host has no address: that counts as a try */
	bool absent_may_pass; /* one of them may have one later */
};
/* For the route alone, not for those behind it. -1 with err: nobody can be called. */
int hop_targets(struct hop *h, const struct route *r, struct hop_targets *out, struct err *err);
/* What each server said that was spoken with; at least one row, which may be of none. A recipient's mark is the row of
 * the server that its result is from. */
struct hop_results {
	struct hop_result of[HOP_SERVERS];
	unsigned n;
};
/* One transaction: the recipients' results as smtp_client_send gives them. Those that an MX host puts off are offered
 * to the next one (RFC 5321 5.1), in a transaction of their own. eightbit tells whether the content has bytes above
 * 127; it is asked only when the next hop can't take them. -1 with err when the conversation failed. rewind makes
 * m->read begin anew. */
struct hop_message {
	struct smtp_message m;
	void (*rewind)(void *arg); /* m.arg */
	bool (*has_eightbit)(void *arg);
	const bool *begun; /* m.read was called since the last rewind */
	/* Makes m what a server with these extensions (enum smtp_ext) is to get, before each transaction with one; an
	 * MDA gets it as it is. -1 with err: it can't be sent now. NULL: it is the same for all. */
	int (*suit)(struct smtp_message *m, unsigned exts, struct err *err);
};
int hop_send(struct hop *h, const struct route *r, struct hop_message *m, struct hop_results *out, struct err *err);

#endif
