/* SPDX-License-Identifier: ISC
 *
 * What run_plan.c (jobs and turns) and run_plan_site.c (sites, and how many may work for them) share.
 */
#ifndef MTA_RELAY_RUN_PLAN_INT_H
#define MTA_RELAY_RUN_PLAN_INT_H

#include "mta-relay/run/run_plan.h"

enum {
	PLAN_BUCKETS = 8192
};

struct plan {
	struct plan_config c;
	size_t messages, jobs, in_ring, down, idle;
	struct plan_msg *msg[PLAN_BUCKETS];
	struct plan_dest *dest[PLAN_BUCKETS];
	struct plan_site *site[PLAN_BUCKETS];
	struct plan_site *ring;            /* the next in turn; circular */
	struct plan_dest *oldest, *newest; /* of the idle ones */
};

struct plan_dest *plan_find(const struct plan *p, const char *key);
/* The one that is called so, made if there is none. */
struct plan_site *plan_site(struct plan *p, const char *name);
void plan_site_drop_if_unused(struct plan *p, struct plan_site *s);
/* A destination has got its first job or lost its last one, a worker came or went, or the limit changed. */
void plan_update(struct plan *p, struct plan_dest *d);
void plan_update_site(struct plan *p, struct plan_site *s);
void plan_leave_site_ring(struct plan_dest *d);

#endif
