/* SPDX-License-Identifier: ISC
 *
 * One message and one destination: sends, records what became of each recipient, and, when nobody else works on the
 * message, finishes it: gives up what is too old, tells the sender, removes the file or sets when it is due again.
 */
#ifndef MTA_RELAY_RUN_DELIVER_H
#define MTA_RELAY_RUN_DELIVER_H

#include "mta-relay/bounce.h"
#include "mta-relay/route.h"
#include "mta-relay/run_hop.h"

struct deliver {
	struct spool *s;
	const struct routes *routes;
	struct hop *hop;
	struct bounce_config bounce;
	int64_t retry_min, retry_max; /* seconds */
};
struct deliver_done {
	bool left;        /* it stays in the queue, due then */
	int64_t due;      /* seconds since 1970 */
	bool unreachable; /* the destination could not be reached at all */
	char why[400];    /* then: the reason */
	char site[256];   /* of the destination, see struct hop_result; "" when it is not known */
};

/* Every recipient that is not settled and whose route has this key. finish: this was the message's last destination. */
void deliver_send(struct deliver *d, const char *id, const char *key, bool finish, struct deliver_done *out);
/* The same without trying: the destination is known to be unreachable, for the reason given. */
void deliver_defer(
    struct deliver *d, const char *id, const char *key, const char *why, bool finish, struct deliver_done *out);
/* After all destinations had their turn. */
void deliver_finish(struct deliver *d, const char *id, struct deliver_done *out);

#endif
