/* SPDX-License-Identifier: ISC
 *
 * The states that a crash may leave: of the first `upto` operations of a recording those that were made durable, and of
 * the others any choice.
 */
#ifndef WP_TESTS_CRASH_WORLD_H
#define WP_TESTS_CRASH_WORLD_H

#include <stdint.h>

#include "tests/crash/parts.h"
#include "tests/crash/recorder.h"

enum keep {
	KEEP_ALL,
	KEEP_NONE,
	KEEP_HALF,  /* of a write its first half */
	KEEP_ZEROS, /* of a write the file's size */
	KEEP_BYTES, /* of a write this number of bytes: choice.bytes */
};

struct choice {
	size_t upto;
	unsigned char *keep; /* for each operation below upto; read only for those that are pending */
	size_t bytes;
};

/* How many of the first values of enum keep make a difference to that operation. */
unsigned world_fates(size_t op);
/* Adds the part's pending ones at that point, as indices into rec.ops. */
void world_pending(size_t upto, size_t part, struct list *pending);
/* Of the log's those that can matter to a replay of that part: records about it, and what becomes of segments. */
void world_pending_log(size_t upto, size_t part, struct list *pending);
/* What it is a function of: two choices of one point with one signature leave the same in that part and in the log. */
uint64_t world_signature(const struct choice *c, size_t part);
/* Puts that state on the empty disk: the part's files and the log, or all files. */
void world_build_part(const struct choice *c, size_t part);
void world_build(const struct choice *c);
void world_free(void);

uint64_t world_hash(uint64_t h, uint64_t value);

#endif
