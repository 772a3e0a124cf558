/* SPDX-License-Identifier: ISC
 *
 * Which messages of the queue are meant: ids, or conditions that all have to hold, and going through them with memory
 * that does not depend on how many there are.
 */
#ifndef MTA_RELAY_QUEUE_SELECT_H
#define MTA_RELAY_QUEUE_SELECT_H

#include "mta-relay/spool/spool_msg.h"

struct queue_select {
	const char *domain;    /* of a recipient that is not settled; ".example": all below; NULL: any */
	const char *sender;    /* an address, "@domain", "" or "<>" for the null reverse-path */
	const char *recipient; /* an address, not settled */
	int64_t older, newer;  /* ms since it came; 0: any */
	bool held;             /* on hold only */
};
/* Is there a condition? */
bool queue_selects(const struct queue_select *s);
bool queue_matches(const struct queue_select *s, const struct spool_msg *m, int64_t now);

enum {
	QUEUE_WAITING = 1,
	QUEUE_HELD = 2,
	QUEUE_SORT_MAX = 100000 /* so many ids are sorted, the oldest first; more come as they stand in the directory */
};
/* Calls fn with the id of everything in these folders (QUEUE_WAITING, QUEUE_HELD or both). -1 with err, or what fn
 * returned when that was not 0. */
int queue_each(struct spool *s, unsigned folders, int (*fn)(void *arg, const char *id), void *arg, struct err *err);

#endif
