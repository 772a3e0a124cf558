/* SPDX-License-Identifier: ISC
 *
 * May this client send to this recipient, and what becomes of the address here? Three ways in: the domain is ours, the
 * domain is one that we relay to, or the client may relay anywhere (a trusted network, an authenticated user).
 * Everything else is refused with 550 5.7.1: never an open relay.
 *
 * No descriptors, no protocol: tables in, a verdict out.
 */
#ifndef MTA_RELAY_POLICY_H
#define MTA_RELAY_POLICY_H

#include "base/arena.h"
#include "smtp/server.h"
#include "users/aliases.h"
#include "users/domains.h"
#include "users/users.h"

struct relay_policy {
	const struct domains *domains, *relay_to; /* NULL: none */
	struct users *users;                      /* NULL: the MDA knows who exists */
	const struct aliases *aliases;            /* NULL: none */
	const char *delimiters;
};

/* A row that is no recipient, but tells the queue that the sender is to have a report about an alias (RFC 3461 5.2.7).
 */
enum relay_report {
	REPORT_NONE,
	REPORT_EXPANDED,  /* it led to several */
	REPORT_DELIVERED, /* it is a list */
};

/* One address that a recipient became. */
struct relay_target {
	enum relay_report report;
	const char *addr;  /* local@domain, as it goes on the wire */
	bool local;        /* for the MDA; otherwise it must travel on */
	struct span owner; /* the new sender, "" for the message's own */
	struct span notify, orcpt;
	struct span original; /* the address in RCPT, when it is another one */
};
struct relay_targets {
	struct relay_target *v;
	size_t n;
};

/* Fills out (in the arena), or the answer that refuses. may_relay: the client may send anywhere. */
void policy_rcpt(const struct relay_policy *p, struct arena *a, bool may_relay, const struct smtp_env_rcpt *r,
    struct relay_targets *out, struct smtp_answer *answer);

/* Is the address one of the user's: the row that it finds in the users file, or an alias that leads there? */
bool policy_owns(const struct relay_policy *p, struct arena *a, struct span user, const struct addr *sender);

#endif
