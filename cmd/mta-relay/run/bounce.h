/* SPDX-License-Identifier: ISC
 *
 * Telling the sender: delivery status notifications (RFC 3461, 3464, 6522, 6533) about failure, delay and asked-for
 * success. One message about all recipients of whom there is something to say, from the null reverse-path, put into the
 * same queue. A message from the null reverse-path is never answered; its failure goes to the postmaster when one is
 * configured, once (a failure to reach the postmaster is told to nobody).
 */
#ifndef MTA_RELAY_BOUNCE_H
#define MTA_RELAY_BOUNCE_H

#include "base/buf.h"
#include "mta-relay/spool/spool_msg.h"

struct bounce_config {
	const char *hostname;
	const char *postmaster; /* gets what can't be returned; NULL: nobody */
	int64_t warn_after;     /* seconds until a delay is told; 0: never */
	int64_t expire;         /* seconds until a recipient is given up */
	uint64_t return_max;    /* bytes of content that a report returns whole; 0: any */
};

enum bounce_kind {
	BOUNCE_NOTHING,
	BOUNCE_FAILED,
	BOUNCE_DELAYED,
	BOUNCE_DELIVERED,
	BOUNCE_RELAYED,
	BOUNCE_EXPANDED
};

/* What is to be said of this recipient now and was not said yet (RFC 3461 6.2). */
enum bounce_kind bounce_due(const struct spool_msg *m, size_t rcpt, const struct bounce_config *c, int64_t now);
/* RFC 3461 4.1: does NOTIFY ask for a report of success? */
bool bounce_wants_success(struct span notify);
/* Puts the notification into the queue and records that it was: 0 when nothing was due or it is done. *failures: how
 * many recipients failed of whom nobody can be told. -1 with err: nothing is recorded, to be tried again. */
int bounce_report(struct spool_msg *m, const struct bounce_config *c, int64_t now, size_t *untold, struct err *err);

/* The text of a notification about the recipients whose kind is set, for bounce_report and its tests. */
struct bounce_text {
	const struct spool_msg *m;
	const struct bounce_config *c;
	const enum bounce_kind *kind; /* one per recipient */
	struct span to;               /* who is told */
	const char *id;               /* of the notification */
	int64_t now;
	bool utf8;     /* an address is not ASCII: RFC 6533's types */
	bool full;     /* the content follows whole, otherwise its header */
	uint64_t size; /* of the notification, when it is written */
};
/* Everything up to where the returned content or header begins, and what comes after it; CRLF line ends. */
void bounce_text_before(const struct bounce_text *t, struct buf *out);
void bounce_text_after(const struct bounce_text *t, struct buf *out);

#endif
