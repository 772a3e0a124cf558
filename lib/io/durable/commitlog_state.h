/* SPDX-License-Identifier: ISC
 *
 * What the processes that use one commit log share while they run: a small file mapped from tmpfs, with robust mutexes,
 * so that any of them may be killed at any instant. Positions count bytes over all segments: segment *
 * COMMITLOG_SEGMENT + offset, so they only grow.
 */
#ifndef WP_IO_COMMITLOG_STATE_H
#define WP_IO_COMMITLOG_STATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum {
	COMMITLOG_SEGMENT = 16 * 1024 * 1024,
	COMMITLOG_SLOTS = 64, /* segments that may wait for a checkpoint at once */
};

struct commitlog_state {
	uint32_t magic;
	char boot[40];             /* of the boot and the mount: a file of an earlier one says nothing */
	uint64_t dir_dev, dir_ino; /* of the log's directory: a new one of the same name is another log */
	pthread_mutex_t append;    /* segment, tail and the bytes behind them */
	pthread_mutex_t sync;      /* one process syncs for all */
	pthread_mutex_t checkpoint;
	_Atomic uint64_t segment;  /* the one that is appended to */
	_Atomic uint64_t tail;     /* its next free byte; 0 before the first segment is made */
	_Atomic int64_t began;     /* its first record's time, clock_coarse_ms */
	_Atomic int64_t appended;  /* the last record's */
	uint64_t nonce;            /* of the segment's records */
	_Atomic uint64_t synced;   /* position up to which all is on disk */
	_Atomic uint64_t dropping; /* segments below it are being dropped, or gone */
	_Atomic uint64_t dropped;  /* segments below it are gone */
	_Atomic uint32_t turn;     /* futex: grows after each sync */
	_Atomic uint32_t sleepers; /* who may wait on it; a killed one counts for ever, which costs a call */
	_Atomic uint32_t broken;   /* a sync of the log failed: it takes no records any more */
	_Atomic uint32_t lost;     /* a sync of the tree failed: the log holds what the disk may not */
};

/* Maps the state of the log in directory dir_fd. *fresh: it is not there, or of an earlier boot or mount; the caller,
 * who holds the log's lock and has seen that nobody uses it, calls commitlog_state_begin, replays, and calls
 * commitlog_state_ready. NULL with err. */
struct commitlog_state *commitlog_state_map(const char *state_dir, int dir_fd, bool *fresh, struct err *err);
int commitlog_state_begin(struct commitlog_state *st, int dir_fd, struct err *err);
void commitlog_state_ready(struct commitlog_state *st, uint64_t first_segment);
void commitlog_state_unmap(struct commitlog_state *st);
/* Removes the file: the last process did all there was to do. */
void commitlog_state_remove(const char *state_dir, int dir_fd);

/* Locks; a mutex whose owner died is taken over (what it guards is always in order: the last store decides). */
void commitlog_lock(pthread_mutex_t *m);
bool commitlog_trylock(pthread_mutex_t *m);
void commitlog_unlock(pthread_mutex_t *m);
/* Sleeps until st->turn is no longer seen, or ms pass (a leader may have died). */
void commitlog_sleep(struct commitlog_state *st, uint32_t seen, unsigned ms);
void commitlog_wake(struct commitlog_state *st);

#endif
