/* SPDX-License-Identifier: ISC
 *
 * "From when this call returns, a file with this content stands at this path, whatever happens." Everything that is
 * promised to a peer or a caller is published here and nowhere else: queue files, Maildir files, uidlists, fetch
 * state. Nobody sees which way was taken. The plain way: tmp, fsync, rename or link, directory fsync. The fast way, for
 * small files under new names, of a process that uses a commit log: tmp, the content appended to a log that is synced
 * once for all processes that wait, rename or link (io/durable/commitlog.h).
 *
 * A durable_dir is the tree that makes one promise together (a queue, a store): every path given must lie below it. The
 * first fsync error is final (docs/ARCHITECTURE.md): the file is given up, the caller gets ERR_TEMP and nothing is left
 * at the final path.
 */
#ifndef WP_IO_DURABLE_H
#define WP_IO_DURABLE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/span.h"

struct durable_dir;
struct durable; /* a file being written */

enum durable_mode {
	DURABLE_FILE /* fsync each */,
	DURABLE_NONE /* no sync at all: tests and throw-away runs */
};

/* How a process publishes below a tree (--durability). */
enum durability {
	DURABILITY_FILE, /* the plain way; for programs that don't stay */
	DURABILITY_LOG,  /* by a commit log from the first file on, or an error where none can be used */
	DURABILITY_AUTO, /* by a commit log from the time on when that is worth while, where one can be trusted */
};
#define DURABILITY_CHOICES "file|log|auto" /* of an OPT_CHOICE */

/* From now on this process (and those that it forks) publishes below root so: before the first durable_open, by the
 * user who will publish. Whatever is asked for, what a crash left in a log there is replayed first, and a log that
 * others use is told what must not be undone. The last process that closes a log with records makes a sync of the whole
 * file system. -1 with err: ERR_TEMP, a log is there that could not be opened or replayed, and nothing may be published
 * below root, since a later replay would not know of it; where another user keeps us out, or could have made it
 * (waypost-log is his, a link, or writable by others), none of ours is there; ERR_CONFIG, DURABILITY_LOG where no log
 * can be, or our log in a place of our own has become another's. */
int durable_log_open(const char *root, enum durability how, struct err *err);
bool durable_log_is_open(void);
/* Also before the process becomes another user, who has no right to the log's files. */
void durable_log_close(void);
/* The process has nothing to do for a while: when all others are idle too, what the log holds is made durable and
 * dropped. Called by itself when a stream waits for its peer. */
void durable_idle(void);

/* root must exist. NULL with err. */
struct durable_dir *durable_open(const char *root, enum durable_mode mode, struct err *err);
void durable_close(struct durable_dir *d);

/* Begins a file at tmp_path (created O_EXCL with mode). */
struct durable *durable_begin(struct durable_dir *d, const char *tmp_path, mode_t mode, struct err *err);
/* Appends. Errors are kept and told by publish; the result tells early, for a caller that can stop reading. */
int durable_write(struct durable *f, struct span data);
/* Overwrites bytes already written (a length that was not known before). */
int durable_patch(struct durable *f, off_t at, struct span data);
off_t durable_size(const struct durable *f);
/* For content that is read again before publication (a filter, a DKIM signature): flushes and gives the descriptor. */
int durable_fd(struct durable *f, struct err *err);
/* Publishes at path, a name that nothing ever had (what is to be replaced goes by durable_replace: after a crash nobody
 * could tell what the log put there from what came later), and frees f, also on failure, when nothing is left.
 * exclusive: the name may be taken; fails with err->sys == EEXIST then (link, then unlink of tmp). */
int durable_publish(struct durable *f, const char *path, bool exclusive, struct err *err);
/* Several files of one message (one per recipient) with one sync each and one directory sync per directory: all are
 * published or, on failure, none (those already linked are removed again). Frees all. */
struct durable_pub {
	struct durable *f;
	const char *path;
};
int durable_publish_all(struct durable_pub *pubs, size_t n, bool exclusive, struct err *err);
/* Gives the file up: tmp is removed. NULL is fine. */
void durable_abort(struct durable *f);

/* A small file replaced whole (uidlist, subscriptions, state): tmp beside it, fsync, rename, directory fsync. */
int durable_replace(struct durable_dir *d, const char *path, struct span content, mode_t mode, struct err *err);
/* Appends to a file that one writer owns (queue outcomes), then fdatasync. All of data or, on failure, none of it
 * (truncated back). */
int durable_append(struct durable_dir *d, const char *path, struct span data, struct err *err);
/* Another name for a file that is durable already (err->sys EEXIST when the name is taken). Counts only once
 * durable_sync_dir has been through its directory: one sync for many names. */
int durable_link(struct durable_dir *d, const char *from, const char *to, struct err *err);
int durable_sync_dir(struct durable_dir *d, const char *dir, struct err *err);
/* Removal and renaming that stay done after a crash. ENOENT is success for unlink. */
int durable_unlink(struct durable_dir *d, const char *path, struct err *err);
/* Many, one after the other (ENOENT is an error); from 0 of the end on all stay removed. The end frees. */
struct durable_removals;
struct durable_removals *durable_removals_new(struct durable_dir *d);
int durable_remove(struct durable_removals *r, const char *path, struct err *err);
int durable_removals_end(struct durable_removals *r, struct err *err);
/* Removal that a crash may undo without harm, because what the file says makes it be removed again; no sync of its own.
 */
int durable_discard(struct durable_dir *d, const char *path, struct err *err);
int durable_rename(struct durable_dir *d, const char *from, const char *to, struct err *err);
/* mkdir -p below the root, with each new directory's parent synced. */
int durable_mkdir(struct durable_dir *d, const char *path, mode_t mode, struct err *err);

#endif
