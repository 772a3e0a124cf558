/* SPDX-License-Identifier: ISC
 *
 * The messages in hand, at most PLAN_MESSAGES, as jobs: one for each destination of each message, queued by
 * destination. Destinations take turns; each has a limit of workers, and may be known to be down. Knows no files, no
 * processes and no clock.
 */
#ifndef MTA_RELAY_RUN_PLAN_H
#define MTA_RELAY_RUN_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mta-relay/spool.h"

enum {
	PLAN_MESSAGES = 1000, /* in hand */
	PLAN_JOBS = 20000,
	PLAN_PER_DEST = 200, /* jobs waiting for one destination: others must find room */
};

struct plan_msg {
	char id[SPOOL_ID_SIZE];
	unsigned open; /* jobs that are not done */
	struct plan_msg *chain;
};
struct plan_dest {
	char *key; /* "" for the jobs that only finish a message */
	uint32_t hash;
	struct plan_job *first, *last;
	unsigned queued, running;
	int64_t down_until; /* seconds; 0: not known to be down */
	char *why;          /* it is down */
	struct plan_dest *chain;
	struct plan_dest *next, *prev; /* the ring of those with jobs that may run */
	bool in_ring;
};
struct plan_job {
	struct plan_msg *msg;
	struct plan_dest *dest;
	bool finish; /* the message has no other open job: whoever does this one finishes it */
	struct plan_job *next;
};

struct plan;
struct plan *plan_new(unsigned per_dest);
void plan_free(struct plan *p);

size_t plan_count(const struct plan *p); /* messages in hand */
bool plan_full(const struct plan *p);
bool plan_waiting(const struct plan *p); /* a job may run */
bool plan_has(const struct plan *p, const char *id);
/* Would another message for this destination (plan_hash of its key) only wait in a long line? */
bool plan_crowded(const struct plan *p, uint32_t hash);
uint32_t plan_hash(const char *key);
/* keys: distinct; n 0 for a message that has only to be finished. */
void plan_add(struct plan *p, const char *id, const char *const *keys, size_t n);
/* The next job: of the destination `prefer` when it has one (NULL: none), else of the next in turn. NULL when none may
 * run. */
struct plan_job *plan_take(struct plan *p, const char *prefer);
/* Has it a job that may run? */
bool plan_ready(const struct plan *p, const char *key);
/* Do other destinations than this one wait? */
bool plan_others_wait(const struct plan *p, const char *key);
/* The job is done and freed. True when the message is no longer in hand; false when other jobs of it are open, or one
 * that finishes it was added. */
bool plan_done(struct plan *p, struct plan_job *job);

/* Known to be down until then, for this reason. */
void plan_set_down(struct plan *p, struct plan_dest *d, int64_t until, const char *why);
/* Nobody is known to be down any more. */
void plan_forget_down(struct plan *p);
/* How many are known to be down. */
unsigned plan_down(const struct plan *p);
/* Frees destinations that nobody needs and whose time is over. */
void plan_expire(struct plan *p, int64_t now);

#endif
