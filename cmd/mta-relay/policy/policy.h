/* SPDX-License-Identifier: ISC
 *
 * May this client send to this recipient, and what becomes of the address here? Ways in: the domain is ours, or only
 * virtual, or one that we relay to, the address is a rewritten sender of ours (srs.h), or the client may relay anywhere
 * (a trusted network, an authenticated user). Everything else is refused with 550 5.7.1: never an open relay. When a
 * table can't be asked now, or was replaced by one out of reach, the answer is 451, never that there is no such
 * address.
 *
 * No descriptors of its own, no protocol: tables in, a verdict out. policy.c has the verdict, policy_expand.c what an
 * address leads to.
 */
#ifndef MTA_RELAY_POLICY_H
#define MTA_RELAY_POLICY_H

#include "base/arena.h"
#include "mta-relay/policy/address_options.h"
#include "smtp/server.h"
#include "users/aliases.h"
#include "users/domains.h"
#include "users/users.h"

struct relay_policy {
	const struct domains *domains, *relay_to; /* NULL: none */
	struct users *users;                      /* NULL: the MDA knows who exists */
	const struct aliases *aliases;            /* NULL: none */
	const char *delimiters;
	const struct address_tables *tables; /* NULL: none */
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
	bool list;         /* the owner is a list's: for its members it is another message */
	struct span owner; /* the new sender, "" for the message's own */
	struct span notify, orcpt;
	struct span original; /* the address in RCPT, when it is another one */
};
struct relay_targets {
	struct relay_target *v;
	size_t n;
};

/* Who asks. */
struct relay_client {
	bool may_relay;            /* may send anywhere */
	const struct addr *sender; /* NULL: the null sender, or not known */
};

/* Fills out (in the arena), or the answer that refuses. */
void policy_rcpt(const struct relay_policy *p, struct arena *a, const struct relay_client *who,
    const struct smtp_env_rcpt *r, struct relay_targets *out, struct smtp_answer *answer);

/* Why anybody may send there, in words: "its domain is ours". For an address that was taken. */
const char *policy_standing(const struct relay_policy *p, struct arena *a, const struct smtp_env_rcpt *r);

/* May the user send as this address? When the table of owners has it (or its @domain) its row names them; otherwise it
 * is his when it finds his row in the users file, or an alias leads there. */
enum policy_owner {
	OWNER_NO,
	OWNER_YES,
	OWNER_UNKNOWN /* a table can't be asked now */
};
enum policy_owner policy_owns(
    const struct relay_policy *p, struct arena *a, struct span user, const struct addr *sender);

#endif
