/* SPDX-License-Identifier: ISC
 *
 * What the parts of the spool share about its directory; private to them and to the runner.
 */
#ifndef MTA_RELAY_SPOOL_DIR_H
#define MTA_RELAY_SPOOL_DIR_H

#include "io/durable/durable.h"
#include "mta-relay/spool/spool.h"

struct spool {
	char *dir; /* QUEUE/NODE */
	struct durable_dir *d;
	bool logged; /* the process's commit log is this queue's */
};

/* Another node's queue: after its death, or for looking at it. */
struct spool *spool_open_node(const char *queue, const char *node, struct err *err);
/* Allocated; folder is "tmp", "msg", "hold" or "bad". */
char *spool_path(const struct spool *s, const char *folder, const char *id);
/* Microseconds since 1970. */
int64_t spool_now(void);

#endif
