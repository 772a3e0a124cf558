/* SPDX-License-Identifier: ISC
 *
 * A file by which others see that a server is there and that its main loop turns: locked by the server as long as it
 * lives (the lock ends with the process however it dies, and is not inherited by children), and its modification
 * time set every HEARTBEAT_EVERY_MS. Best on /run: the time is written there without a disk. Errors: ERR_TEMP or
 * ERR_CONFIG by errno.
 */
#ifndef WP_IO_HEARTBEAT_H
#define WP_IO_HEARTBEAT_H

#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

enum {
	HEARTBEAT_EVERY_MS = 2000,
	HEARTBEAT_STALE_S = 10, /* without a beat: hung */
};

/* fd < 0: none; path is borrowed. The process may not open the file otherwise: closing it would end the lock. */
struct heartbeat {
	const char *path;
	int fd;
	int64_t last; /* ms */
};

/* Makes the file with this content, locked, under its name at once. */
int heartbeat_start(struct heartbeat *h, const char *path, struct span text, struct err *err);
/* At each turn of the loop; now in milliseconds, of any clock that only goes forward. */
void heartbeat_beat(struct heartbeat *h, int64_t now);
/* Removes the file, unless another server has put its own there. */
void heartbeat_stop(struct heartbeat *h);

/* 0: a server is there and its loop turns. -1 with ERR_TEMP and the reason. Needs only the right to read. */
int heartbeat_check(const char *path, struct err *err);

#endif
