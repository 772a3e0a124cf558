/* SPDX-License-Identifier: ISC
 *
 * A folder of the queue, entry by entry, in no order and without ever holding its names: a queue may be long. What
 * comes or goes meanwhile may be met or not.
 */
#ifndef MTA_RELAY_SPOOL_WALK_H
#define MTA_RELAY_SPOOL_WALK_H

#include <time.h>

#include "mta-relay/spool/spool_dir.h"

struct spool_entry {
	const char *id;          /* until the next one */
	int64_t due;             /* seconds */
	int64_t size;            /* of the whole file */
	struct timespec changed; /* anything about it */
	bool held;
};
struct spool_walk;
/* folder: "msg", "hold" or "tmp". NULL with err. */
struct spool_walk *spool_walk_open(struct spool *s, const char *folder, struct err *err);
/* 1 with *out; 0 at the end. */
int spool_walk_next(struct spool_walk *w, struct spool_entry *out);
/* The same without looking at the file: id alone is set. */
int spool_walk_name(struct spool_walk *w, struct spool_entry *out);
/* NULL is fine. */
void spool_walk_close(struct spool_walk *w);

#endif
