/* SPDX-License-Identifier: ISC
 *
 * The process's commit log, if it uses one, as io/durable sees it (internal to io/durable).
 */
#ifndef WP_IO_DURABLE_LOG_H
#define WP_IO_DURABLE_LOG_H

#include <stdbool.h>

#include "base/err.h"
#include "io/durable/commitlog.h"
#include "io/durable/commitlog_file.h"

/* Where root (a directory that exists) lies below the log's tree: allocated, "" for the tree itself, otherwise with a
 * slash at its end. NULL: not below it, or there is no log. */
char *durable_log_prefix(const char *root);
/* Should records of so many bytes in all go by the log now? */
bool durable_log_preferred(size_t bytes);
/* Can they? Does it hold anything, so that what is changed must be told to it? */
bool durable_log_usable(size_t bytes);
bool durable_log_empty(void);
/* The file of fd and path (commitlog_file_at), when it lies on the file system that the log syncs. */
bool durable_log_identify(int fd, const char *path, struct commitlog_file *file);
/* Appends, returns when they are on disk. -1 with err: *wrote tells whether the log may hold them, in which case there
 * is no other way left; otherwise the caller may go the plain way. */
int durable_log_commit(
    const struct commitlog_record *r, size_t n, struct commitlog_ticket *t, bool *wrote, struct err *err);
/* After what was committed is done as well: does the log still stand for it? */
bool durable_log_covers(const struct commitlog_ticket *t);
/* Syncs the tree and drops the log: for what can't go by the log, but touches what may have gone by it. */
int durable_log_settle(struct err *err);
/* Drops what it holds, as durable_idle does, however busy others are. */
void durable_log_checkpoint(void);

#endif
