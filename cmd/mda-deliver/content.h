/* SPDX-License-Identifier: ISC
 *
 * The content of one message while it is read: in memory, and from CONTENT_IN_MEMORY on in an unlinked temporary file.
 */
#ifndef MDA_DELIVER_CONTENT_H
#define MDA_DELIVER_CONTENT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

enum {
	CONTENT_IN_MEMORY = 1024 * 1024
};

struct content {
	const char *dir; /* of temporary files; borrowed */
	uint64_t max;    /* bytes, 0: no limit */
	struct buf held; /* what no file holds yet */
	int fd;          /* -1: everything is in held */
	int spare;       /* a temporary file of who can make none later, used for each message; -1: a new one */
	uint64_t size;
	void *map;
	size_t map_len;
	struct err failed; /* the first failure; ERR_LIMIT when it is over max */
};

void content_init(struct content *c, const char *dir, uint64_t max);
/* 0, or -1 from the first failure on. */
int content_add(struct content *c, struct span piece);
/* All of it; valid until reset. -1 with err, also for what add met. */
int content_get(struct content *c, struct span *out, struct err *err);
/* Empty again; the memory is kept for the next message. */
void content_reset(struct content *c);
void content_free(struct content *c);

#endif
