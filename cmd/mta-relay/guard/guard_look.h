/* SPDX-License-Identifier: ISC
 *
 * Looking things up in the DNS for the guard, within one time for all of a command: lists (guard_lists.c) and names
 * (guard_names.c).
 */
#ifndef MTA_RELAY_GUARD_LOOK_H
#define MTA_RELAY_GUARD_LOOK_H

#include "mta-relay/guard/guard_int.h"

struct look {
	struct guard *g;
	const struct guard_settings *o;
	struct dns *dns;
	struct arena *arena;
	int64_t until; /* ms, of clock_coarse_ms */
};
struct look look_begin(struct relay_session *s, const struct smtp_session *x);
/* dns_query_many within what is left of the time. */
void look_up(struct look *k, struct dns_question *q, size_t n);

/* What the lists of one kind have to say. */
struct list_score lists_of_client(struct look *k, const struct net_addr *a);
struct list_score lists_of_domain(struct look *k, struct span domain);
/* "a.example, b.example": those that made the score what it is, three at most. */
void lists_names(const struct dnsbl *v, size_t n, const struct list_score *score, char *out, size_t size);

/* Can mail be sent to a domain? */
enum name_verdict {
	NAME_GOOD,
	NAME_NULL_MX, /* RFC 7505 */
	NAME_NONE,    /* no MX, no address */
	NAME_UNKNOWN, /* the DNS fails */
};
enum name_verdict name_of_mail(struct look *k, struct span domain);
/* The same of a host's name: an address or an MX. */
enum name_verdict name_of_host(struct look *k, struct span name);
/* Of an address: does it have a name, and (confirm) does one of its names have it? */
enum name_verdict name_of_client(struct look *k, const struct net_addr *a, bool confirm);

#endif
