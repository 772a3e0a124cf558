/* SPDX-License-Identifier: ISC
 *
 * The insides of policy.h: one judgement, between the files that make it.
 */
#ifndef MTA_RELAY_POLICY_INT_H
#define MTA_RELAY_POLICY_INT_H

#include "mta-relay/policy/policy.h"

struct judge {
	const struct relay_policy *p;
	struct arena *arena;
	const struct relay_client *who; /* of policy_rcpt */
	struct err trouble;             /* the first table that could not be asked: nothing else counts then */
};

/* Is it in the set? False too when nobody knows: judge.trouble says so. */
bool judge_domain(struct judge *j, const struct domains *d, struct span domain);
/* local@domain as it stands in an address, quoted where needed. */
const char *judge_address(struct arena *a, struct span local, struct span domain);
/* What it is without aliases: struct alias_context's place; arg is the judge. */
enum alias_place judge_place(void *judge, struct span local, struct span domain);

/* A row of the table for the address: as it is, without its detail, its @domain. */
enum judge_row {
	ROW_NONE,
	ROW_ADDRESS,
	ROW_BASE, /* of the address without its detail */
	ROW_DOMAIN
};
enum judge_row judge_row(struct judge *j, struct table *t, struct span local, struct span domain, struct span *value);
/* Is it the key of a domain alone, or its @domain? */
bool judge_row_of_domain(struct judge *j, struct table *t, struct span domain);
/* "error:[CODE [STATUS]] text" as an answer; false when the value is something else. */
bool judge_error(struct span value, struct smtp_answer *answer);

/* An address that has rows, virtual or alias: what it leads to. False when none has one: out is empty then. With
 * an answer when it leads nowhere. */
bool judge_expand(
    struct judge *j, struct span local, struct span domain, struct alias_list *out, struct smtp_answer *answer);

#endif
