/* SPDX-License-Identifier: ISC
 *
 * The states that a crash may leave: of the first `upto` operations of a recording those that were made durable, and of
 * the others any choice.
 */
#ifndef WP_TESTS_CRASH_WORLD_H
#define WP_TESTS_CRASH_WORLD_H

#include "tests/crash/recorder.h"

enum keep {
	KEEP_NONE,
	KEEP_ALL,
	KEEP_HALF,  /* of a write its first half */
	KEEP_ZEROS, /* of a write the file's size */
	KEEP_BYTES, /* of a write this number of bytes: choice.bytes */
};

struct choice {
	size_t upto;
	unsigned char *keep; /* for each operation below upto; read only for those that are pending */
	size_t bytes;
};

/* The pending ones at that point, as indices into rec.ops; returns how many. */
size_t world_pending(size_t upto, size_t *pending);
/* Makes that state below root, where the directories are already and no file is. */
void world_build(const struct choice *c, const char *root);

#endif
