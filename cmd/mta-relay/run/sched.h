/* SPDX-License-Identifier: ISC
 *
 * Which message is due next, in memory that does not grow with the queue: a window of the earliest rows, found by id
 * through a hash, earliest and latest through two heaps. What finds no room is forgotten, for it stands in the
 * directory; only the horizon is kept, before which no forgotten one is due. When the window runs low and the horizon
 * has come, the directory has to be read again. New mail and what was tried before have a window each and take turns.
 * Knows no files and no clock.
 */
#ifndef MTA_RELAY_SCHED_H
#define MTA_RELAY_SCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mta-relay/spool/spool.h"

enum {
	SCHED_WINDOW = 50000, /* rows of each kind, some 60 bytes each */
	SCHED_FRESH_TURNS = 3 /* messages never tried for one that was, when both are due */
};

struct sched;
/* window: rows of each kind. fresh_within: a message due less than so many seconds after it came (its id tells when)
 * was never tried. */
struct sched *sched_new(size_t window, int64_t fresh_within);
void sched_free(struct sched *s);

/* Adds the message, or changes when it is due. dest: the destination it was last seen to wait for, 0 unknown. */
void sched_put(struct sched *s, const char *id, int64_t due, uint32_t dest);
/* One that is due by now is taken out, of its kind the earliest: true with id and dest. */
bool sched_take(struct sched *s, int64_t now, char id[SPOOL_ID_SIZE], uint32_t *dest);
/* When the earliest is due, or a forgotten one may be; INT64_MAX when there is none. */
int64_t sched_next(const struct sched *s);
size_t sched_count(const struct sched *s);
/* No forgotten message is due before. */
int64_t sched_horizon(const struct sched *s);
/* Has the directory to be read again? */
bool sched_runs_low(const struct sched *s, int64_t now);
/* The directory is about to be read: everything in it will be put. */
void sched_rescan(struct sched *s);
/* Seconds since 1970 at which a message with this id came. */
int64_t sched_arrival(const char *id);

#endif
