/* SPDX-License-Identifier: ISC
 *
 * The insides of the next hop: hop.c keeps and uses the conversation, hop_targets.c finds whom to call,
 * hop_call.c calls them, hop_tls.c has the TLS contexts.
 */
#ifndef MTA_RELAY_HOP_INT_H
#define MTA_RELAY_HOP_INT_H

#include "mta-relay/hop/handoff.h"
#include "mta-relay/hop/hop.h"
#include "mta-relay/hop/route_site.h"

enum {
	HOP_CONTEXTS = 16,    /* TLS contexts: policies times authorities */
	HOP_DEAD = 16,        /* addresses that are remembered not to answer */
	HOP_DEAD_MS = 120000, /* for so long */
	HOP_MX = 32,          /* domains whose hosts are remembered */
	HOP_MX_SECONDS = 60,  /* for so long, or a shorter TTL */
	HOP_MX_FAILED_MS = 1000,
	HOP_PATIENCE_MS = 8000, /* for an address when there are others: three SYNs are sent meanwhile */
	HOP_PER_SESSION = 100,  /* messages: a peer may want to spread its load */
};

struct hop_context {
	char *key;
	struct tls_ctx *ctx;
};
struct hop_dead {
	char ip[64];
	int64_t until; /* CLOCK_MONOTONIC, ms */
};
struct hop_mx {
	char *domain;
	enum mx_family family;
	int64_t until; /* CLOCK_MONOTONIC, ms */
	struct arena *arena;
	struct mx_result mx;
};

struct hop {
	const struct hop_config *c;
	struct dns *dns;
	struct hop_context context[HOP_CONTEXTS];
	unsigned next_context;
	struct hop_dead dead[HOP_DEAD];
	unsigned next_dead;
	struct hop_mx mx[HOP_MX];
	unsigned next_mx;

	char *key; /* of the destination that is connected */
	char *own; /* its line's settings */
	struct smtp_client *client;
	struct mda *mda;
	bool by_mx;               /* the server is an MX host */
	struct hop_target server; /* of client */
	/* The addresses that were called in this attempt. */
	struct net_addr called[HOP_TRIES];
	size_t n_called;
	bool elsewhere; /* those are passed over */
	char relay[320];
	char tls[96];         /* struct hop_result's */
	char site[SITE_SIZE]; /* of the destination last looked up */
	unsigned sent;
};

/* The hosts of a domain, remembered for a while when there are any; NULL only when they can't be kept. */
const struct mx_result *hop_mx_find(struct hop *h, const char *domain, enum mx_family family);
void hop_mx_free(struct hop *h);
/* RFC 5321 5.1: how many hosts come before ourselves. */
size_t hop_before_ourselves(const struct hop *h, const struct mx_result *mx);

void hop_note_dead(struct hop *h, const struct net_addr *addr);
/* The context for this policy; NULL with err. */
struct tls_ctx *hop_tls(struct hop *h, const struct route_settings *s, bool with_user, struct err *err);
void hop_tls_free(struct hop *h);

/* A conversation with the route or the first of those behind it that can be reached: h->client, server, tls. -1 with
 * err. */
int hop_call(struct hop *h, const struct route *r, struct err *err);
void hop_note_called(struct hop *h, const struct net_addr *addr);

#endif
