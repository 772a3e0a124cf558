/* SPDX-License-Identifier: ISC
 *
 * One message and one destination: sends, records what became of each recipient, and, when nobody else works on the
 * message, finishes it: gives up what is too old, tells the sender, removes the file or sets when it is due again.
 */
#ifndef MTA_RELAY_RUN_DELIVER_H
#define MTA_RELAY_RUN_DELIVER_H

#include "mta-relay/hop/hop.h"
#include "mta-relay/hop/route.h"
#include "mta-relay/run/bounce.h"

struct deliver {
	struct spool *s;
	struct routes *routes;
	struct hop *hop;
	struct bounce_config bounce;
	int64_t retry_min, retry_max; /* seconds */
};
/* One message's recipients at one destination. */
struct deliver_job {
	const char *id, *key;
	uint32_t from; /* the first recipient whose turn it is */
	bool finish;   /* this is the message's last destination */
	bool share;    /* others wait for this destination: one transaction only */
};
struct deliver_done {
	bool left;        /* it stays in the queue, due then */
	int64_t due;      /* seconds since 1970 */
	uint32_t more;    /* recipients from this one on are left, nothing was finished; 0: none */
	bool reached;     /* the destination could be talked to, or refuses all mail */
	bool unreachable; /* the destination could not be reached at all */
	char why[400];    /* then: the reason */
	char site[256];   /* of the destination, see struct hop_result; "" when it is not known */
};

/* The recipients that are not settled and whose route has this key, some hundreds at most. */
void deliver_send(struct deliver *d, const struct deliver_job *job, struct deliver_done *out);
/* All of them, without trying: the destination is known to be unreachable, for the reason given. */
void deliver_defer(struct deliver *d, const struct deliver_job *job, const char *why, struct deliver_done *out);
/* After all destinations had their turn. */
void deliver_finish(struct deliver *d, const char *id, struct deliver_done *out);
/* When a message is to be looked at again (seconds). */
int64_t deliver_next_due(const struct deliver *d, const struct spool_envelope *env, int64_t now);
/* Is it too late for another attempt? */
bool deliver_expired(const struct deliver *d, const struct spool_envelope *env, int64_t now);

#endif
