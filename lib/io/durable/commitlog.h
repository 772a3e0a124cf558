/* SPDX-License-Identifier: ISC
 *
 * The commit log: many processes of one node append what they publish to one preallocated file and share one fdatasync
 * (group commit); the files themselves get no sync of their own. After a crash the log is replayed before anything else
 * is read. Used by io/durable only; nobody else sees it.
 *
 * A log lives in a directory of its own below the tree that it serves, one for each node and user id. What the
 * processes share while they run (mutexes, positions) is in a small tmpfs file, so nothing on a shared file system is
 * mapped, and its absence tells that the node was restarted: then the log is replayed, unless its segments were written
 * under the boot, and the mount of its file system, that still last. Each process, also a forked one, may use a log
 * that its parent opened, but not after it has become another user. The tree's file system must keep inode numbers
 * (commitlog_file.h).
 *
 * Which files may go by the log: those under a name that was never used before (PUT), and what happens to them (APPEND,
 * RENAME, REMOVE). What is replaced under the same name never does: after a crash nobody could tell what another
 * program put there later from what was there before.
 *
 * Others that change the same tree without this log (another user, another node, a process without it, other programs)
 * are not known to a replay. It guarantees that
 *   - what they put under any name, also one of which the log speaks, stays: files are known by identity, not by name;
 *   - a Maildir file that they renamed within its new/ and cur/ stays under their name.
 * It can't know of a removal, or of a rename to elsewhere: when the node crashes before the next checkpoint (a segment
 * full, or durable_idle, at most some seconds on a busy node) what they removed is there again, what they moved is
 * there twice. A tree that stops using its log is opened with it once more and closed, or no replay must follow.
 *
 * Errors: ERR_TEMP. The first failed fdatasync breaks the log for good: who waited gets the error, and commitlog_usable
 * says no, so that everybody publishes the plain way from then on. The first failed sync of the tree also makes
 * commitlog_settle fail for good.
 */
#ifndef WP_IO_COMMITLOG_H
#define WP_IO_COMMITLOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "io/durable/commitlog_record.h"

struct commitlog;

/* root: the tree; dir: the log's directory below it, made when missing; state_dir: a tmpfs directory ("/dev/shm").
 * Replays first when no process of this boot has it open. NULL with err. */
struct commitlog *commitlog_open(const char *root, const char *dir, const char *state_dir, struct err *err);
/* Does some process use the log in dir, or does it hold records? */
enum {
	COMMITLOG_USED = 1,
	COMMITLOG_HOLDS = 2
};
unsigned commitlog_look(const char *dir);
/* The last process that closes it makes everything durable (syncfs) and leaves no log behind. */
void commitlog_close(struct commitlog *l);
/* May it be used now (not broken), for records of this many bytes in all? */
bool commitlog_usable(const struct commitlog *l, size_t bytes);

/* Has it ever been appended to since it was opened first? */
bool commitlog_begun(const struct commitlog *l);
/* Does no record speak of anything, so that what is durable by a sync of its own stays as it is? */
bool commitlog_empty(const struct commitlog *l);

/* Where records ended; compared with what is on disk. */
struct commitlog_ticket {
	uint64_t segment, end;
};
/* Appends n records, one behind the other. An APPEND or REMOVE has been done already: a checkpoint may sync the tree
 * and drop the record at any moment from here on. A PUT or RENAME is done after commitlog_wait, and then
 * commitlog_covers is asked. */
int commitlog_append(
    struct commitlog *l, const struct commitlog_record *r, size_t n, struct commitlog_ticket *t, struct err *err);
/* Returns when the ticket's records are on disk: by our own fdatasync or by another process's. */
int commitlog_wait(struct commitlog *l, const struct commitlog_ticket *t, struct err *err);
/* After a PUT's or RENAME's file was given its name: does its record still stand, or else will a checkpoint sync the
 * file? If not, the caller syncs file and directory himself. */
bool commitlog_covers(const struct commitlog *l, const struct commitlog_ticket *t);
/* Makes all that was published durable and drops what the log holds of it, if that is worth while now. */
enum commitlog_when {
	COMMITLOG_BUSY, /* a segment is full, or has records of half a minute ago */
	COMMITLOG_IDLE, /* or the caller has time and nobody has appended for a second */
	COMMITLOG_NOW   /* or anything is logged */
};
void commitlog_checkpoint(struct commitlog *l, enum commitlog_when when);
/* The same at any cost, also with a broken log: from 0 on everything that was done in the tree before is durable, and
 * no record speaks of it. Once it has failed it always fails: the disk lost what only the log still has, until a
 * restart replays it. */
int commitlog_settle(struct commitlog *l, struct err *err);

/* Replays every segment of dir below root and syncs; the caller has the log for itself. Counts the records. */
int commitlog_replay(const char *root, const char *dir, uint64_t *records, struct err *err);

#endif
