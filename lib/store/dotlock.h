/* SPDX-License-Identifier: ISC
 *
 * FILE.lock beside a file, created O_EXCL, holding "pid:host" as Dovecot's do: it excludes other programs and other
 * nodes. A lock is stale when its process on this host is gone, or when nobody has touched it for DOTLOCK_STALE_MS.
 * Errors: ERR_TEMP when it stays taken.
 */
#ifndef WP_STORE_DOTLOCK_H
#define WP_STORE_DOTLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

enum {
	DOTLOCK_STALE_MS = 120 * 1000,
	DOTLOCK_WAIT_MS = 60 * 1000,
	DOTLOCK_EMPTY_MS = 5 * 1000,
};

struct dotlock {
	char *path; /* NULL: not held */
	dev_t dev;
	ino_t ino;
	bool named;
};

/* Waits at most wait_ms. err->sys is EACCES or EROFS when no lock can be made in that directory at all. */
int dotlock_take(struct dotlock *l, const char *file, int64_t wait_ms, struct err *err);
/* The same where all who take such locks write their name at once, as in a Maildir: one that is still empty after
 * DOTLOCK_EMPTY_MS is of somebody who was killed before that. (Some locks of an mbox stay empty.) */
int dotlock_take_named(struct dotlock *l, const char *file, int64_t wait_ms, struct err *err);
/* Removes it if it is still ours. */
void dotlock_release(struct dotlock *l);

#endif
