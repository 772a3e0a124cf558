/* SPDX-License-Identifier: ISC
 *
 * What `mta-relay run` tells others about itself at each turn of its loop: the service manager, the heartbeat of
 * --ready-file, the metrics.
 */
#ifndef MTA_RELAY_RUN_STATUS_H
#define MTA_RELAY_RUN_STATUS_H

#include <stdbool.h>

#include "base/err.h"

struct run;

/* Before the first worker: makes the ready file, begins to count. */
int run_status_open(struct run *r, struct err *err);
/* Each turn. scanned: the queue is known; the first time it is, we are ready. True when it is time to tell numbers. */
bool run_status_turn(struct run *r, bool scanned);
/* active: deliveries under way; down: destinations that are left alone. */
void run_status_numbers(struct run *r, unsigned active, unsigned down);
/* Milliseconds that the loop may wait at most. */
int run_status_wait(const struct run *r, int ms);
void run_status_reloading(void);
void run_status_stopping(struct run *r);
void run_status_close(struct run *r);

#endif
