/* SPDX-License-Identifier: ISC
 *
 * What a service tells its manager: sd_notify(3)'s protocol, datagrams to NOTIFY_SOCKET (a path, or "@" and an abstract
 * name), and the watchdog of WATCHDOG_USEC and WATCHDOG_PID. All do nothing where no manager listens, and never fail:
 * the manager's own timeouts judge what does not arrive. A process-wide singleton for the main process alone: children
 * do not speak for the service (NotifyAccess=main).
 */
#ifndef WP_IO_NOTIFY_H
#define WP_IO_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/* Reads the environment and takes the variables out of it, so that children of ours do not take them for theirs.
 * Before the first fork; again it does nothing. */
void notify_open(void);

/* A manager listens. */
bool notify_heard(void);
void notify_ready(void);
/* RELOADING=1 with MONOTONIC_USEC, which Type=notify-reload needs; notify_ready ends it. */
void notify_reloading(void);
void notify_stopping(void);
/* One line for people. Sent when it differs from the last one, and not more often than every NOTIFY_STATUS_MS: call it
 * at each turn of the loop. */
void notify_status(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Tells the watchdog that the main loop turns, when half of its time has passed since the last time. */
void notify_watchdog(void);
/* Milliseconds until notify_watchdog has something to do; -1: never. */
int64_t notify_watchdog_wait(void);

enum {
	NOTIFY_STATUS_MS = 3000
};

#endif
