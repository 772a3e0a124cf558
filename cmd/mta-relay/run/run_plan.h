/* SPDX-License-Identifier: ISC
 *
 * The messages in hand, at most PLAN_MESSAGES, as jobs: one for each destination of each message. Destinations belong
 * to sites, the servers that are really meant (all domains whose mail the same MX hosts take are one site); as long as
 * the site is not known the destination is one of its own. Sites take turns, in each its destinations, and for each
 * destination two lines of jobs. A site is approached by few workers at first, one more for each success and one less
 * for each failure to reach it; when all who try at once fail it is down for a while, the longer the more often, and
 * then probed by one (the idea is Postfix's). Knows no files, no processes and no clock.
 */
#ifndef MTA_RELAY_RUN_PLAN_H
#define MTA_RELAY_RUN_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mta-relay/spool/spool.h"

enum {
	PLAN_MESSAGES = 20000, /* in hand */
	PLAN_JOBS = 60000,
	PLAN_PER_DEST = 50,     /* jobs waiting for one destination that are never too many */
	PLAN_FIRST_WORKERS = 4, /* at once for a site of which nothing is known */
	PLAN_PROMPT_TURNS = 4,  /* jobs of PLAN_PROMPT for one of PLAN_BULK when both wait */
	PLAN_IDLE = 10000,      /* destinations that are remembered without a job */
	PLAN_KEEP = 3600,       /* seconds that they are */
	PLAN_LOOK_AGAIN = 1,    /* seconds until a message for a crowded destination is looked at again, at least */
	PLAN_PUT_OFF = 600,     /* and at most */
};

/* Which line of its destination a job waits in. */
enum plan_line {
	PLAN_URGENT, /* of a priority above 0 (RFC 6710): before all others */
	PLAN_PROMPT,
	PLAN_BULK, /* mass mail, retries, notifications */
	PLAN_LINES
};
struct plan_config {
	unsigned per_dest;                /* workers at once for one site */
	int64_t backoff_min, backoff_max; /* seconds that a site is left alone */
};

struct plan_job;
struct plan_msg {
	char id[SPOOL_ID_SIZE];
	unsigned open; /* jobs that are not done */
	struct plan_msg *chain;
};
struct plan_site {
	char *name; /* its first destination's key, or its hosts */
	bool unlimited;
	unsigned destinations;
	unsigned running, allowed; /* workers */
	double failed;             /* part of a cohort that failed in a row */
	bool probing;              /* it was down: one worker tries */
	int64_t down_until;        /* seconds; 0: not known to be down */
	int64_t backoff;           /* seconds it was down the last time */
	char *why;
	struct plan_dest *ring; /* its destinations that have jobs; the next in turn */
	struct plan_site *chain;
	struct plan_site *next, *prev; /* the ring of those with jobs that may run */
	bool in_ring;
};
struct plan_dest {
	char *key; /* "" for the jobs that only finish a message */
	uint32_t hash;
	struct plan_site *site;
	struct plan_job *first[PLAN_LINES], *last[PLAN_LINES];
	unsigned queued, running, prompt_turns;
	int64_t used;          /* when its last job ended */
	int64_t crowded, slot; /* since when; when the next put off is to be looked at again (ms) */
	unsigned served;       /* jobs done since */
	struct plan_dest *chain;
	struct plan_dest *next, *prev; /* its site's ring, or the idle ones from the oldest on */
	bool in_ring, idle;
};
struct plan_job {
	struct plan_msg *msg;
	struct plan_dest *dest;
	enum plan_line line;
	uint32_t from; /* recipients before this one had their turn */
	bool finish;   /* the message has no other open job: whoever does this one finishes it */
	struct plan_job *next;
};

struct plan;
struct plan *plan_new(const struct plan_config *c);
void plan_free(struct plan *p);

size_t plan_count(const struct plan *p); /* messages in hand */
bool plan_full(const struct plan *p);
bool plan_waiting(const struct plan *p); /* a job may run */
bool plan_has(const struct plan *p, const char *id);
/* 0, or when to look again (seconds) at a message for this destination (plan_hash of its key) that would only wait in a
 * long line: one destination takes at most a quarter of the room that all leave. Messages put off one after another
 * come back as quickly as the destination takes them. */
int64_t plan_put_off(struct plan *p, uint32_t hash, int64_t now);
uint32_t plan_hash(const char *key);
/* Is it known to be down? Then until when. */
int64_t plan_down_until(const struct plan *p, const char *key);
/* keys: distinct; n 0 for a message that has only to be finished. */
void plan_add(struct plan *p, const char *id, const char *const *keys, size_t n, enum plan_line line);

/* Up to max jobs of one destination, for one worker: of `prefer` or another of its site when they have some, else of
 * the next in turn. A worker that took some ends with plan_leave. Few are given while many may work. */
size_t plan_take(struct plan *p, const char *prefer, struct plan_job **out, size_t max);
void plan_leave(struct plan *p, struct plan_dest *d, int64_t now);
/* The key of the destination whose turn is next; NULL when none may run. */
const char *plan_next(const struct plan *p);
/* Has it or its site a job that may run? */
bool plan_ready(const struct plan *p, const char *key);
/* Do other sites than this one's wait? */
bool plan_others_wait(const struct plan *p, const char *key);
/* The job is done and freed. True when the message is no longer in hand; false when other jobs of it are open, or one
 * that finishes it was added. */
bool plan_done(struct plan *p, struct plan_job *job);
/* It was not tried: to the front of its line. */
void plan_back(struct plan *p, struct plan_job *job);
/* Recipients from this one on are left: to the end of the line of mass mail. */
void plan_more(struct plan *p, struct plan_job *job, uint32_t from);

/* A worker reached the destination, or could not. site: the hosts that it belongs to, "" when not known. */
void plan_reached(struct plan *p, struct plan_dest *d, const char *site);
void plan_unreached(struct plan *p, struct plan_dest *d, const char *site, const char *why, int64_t now);
/* Nobody is known to be down any more. */
void plan_forget_down(struct plan *p);
/* How many sites are known to be down. */
unsigned plan_down(const struct plan *p);
/* Ends the time of those that were down, frees destinations that nobody needs. */
void plan_expire(struct plan *p, int64_t now);
/* Every site that has jobs or is down. */
void plan_each(const struct plan *p, void (*fn)(void *arg, const struct plan_site *s, size_t queued), void *arg);

#endif
