/* SPDX-License-Identifier: ISC
 *
 * When each message is due: a heap of small rows, found by id through a hash. Some 45 bytes a message, so that a queue
 * of a hundred thousand needs few megabytes. Knows no files and no clock.
 */
#ifndef MTA_RELAY_SCHED_H
#define MTA_RELAY_SCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mta-relay/spool.h"

struct sched;
struct sched *sched_new(void);
void sched_free(struct sched *s);

/* Adds the message, or changes when it is due. dest: the destination it was last seen to wait for, 0 unknown. */
void sched_put(struct sched *s, const char *id, int64_t due, uint32_t dest);
/* The earliest that is due by now is taken out: true with id and dest. */
bool sched_take(struct sched *s, int64_t now, char id[SPOOL_ID_SIZE], uint32_t *dest);
/* When the earliest is due; INT64_MAX when there is none. */
int64_t sched_next(const struct sched *s);
size_t sched_count(const struct sched *s);

#endif
