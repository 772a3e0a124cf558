/* SPDX-License-Identifier: ISC */
#include "io/durable/commitlog.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/xalloc.h"
#include "io/durable/commitlog_segment.h"
#include "io/durable/commitlog_state.h"
#include "io/durable/durable_fs.h"

enum {
	LEADER_MS = 20,        /* how long a leader's silence is taken for granted */
	QUIET_MS = 1000,       /* without a record: the node is idle */
	AGE_MS = 30000,        /* of the oldest record, about: removals by others may be undone for as long */
	RECORDS_MAX = 4 << 20, /* bytes of records in one append */
	LOCK_INIT = 0,         /* bytes of the lock file: opening and closing, one at a time; */
	LOCK_PRESENT = 1,      /* held shared by everybody who has the log open */
};

struct commitlog {
	char *root, *state_dir;
	int root_fd, dir_fd, lock_fd;
	int fd; /* of segment fd_segment, -1 when none is open */
	uint64_t fd_segment;
	struct commitlog_state *st;
	struct buf scratch;
};

/* ---- opening and closing ---- */

/* Open file description locks: they survive in forked children and end when the last of them is gone. */
static int lock_byte(int fd, short type, off_t byte, bool wait)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };
	int rc;
	do
		rc = fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &l);
	while (rc < 0 && errno == EINTR);
	return rc;
}

static int open_lock(int dir_fd)
{
	return openat(dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

static bool present(int lock_fd)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_PRESENT, .l_len = 1 };
	return fcntl(lock_fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;
}

unsigned commitlog_look(const char *dir)
{
	int dir_fd = fs_open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (dir_fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : COMMITLOG_HOLDS;
	int fd = openat(dir_fd, "lock", O_RDWR | O_CLOEXEC);
	unsigned seen = fd >= 0 && present(fd) ? COMMITLOG_USED : 0;
	uint64_t highest;
	if (segment_highest(dir_fd, &highest) < 0 || highest > 0)
		seen |= COMMITLOG_HOLDS;
	if (fd >= 0)
		close(fd);
	close(dir_fd);
	return seen;
}

/* The first process of this boot and mount: what a crash left is replayed before the log is used. */
static int start_fresh(struct commitlog *l, const char *dir, struct err *err)
{
	uint64_t records;
	if (lock_byte(l->lock_fd, F_WRLCK, LOCK_PRESENT, false) < 0)
		return err_set(err, ERR_TEMP, "%s: its shared state is gone while others use it", dir);
	if (commitlog_state_begin(l->st, l->dir_fd, err) < 0)
		return -1;
	/* Of this boot: nothing was lost, somebody has only removed the state. What the files say is newer. */
	if (!segment_any_of_other_boot(l->dir_fd, l->st->boot)) {
		if (fs_sync_all(l->root_fd) < 0)
			return err_sys(err, "%s", l->root);
	} else if (commitlog_replay(l->root, dir, &records, err) < 0) {
		return -1;
	}
	uint64_t highest;
	if (segment_highest(l->dir_fd, &highest) < 0)
		return err_sys(err, "%s", dir);
	if (segment_drop(l->dir_fd, highest + 1, err) < 0)
		return -1;
	commitlog_state_ready(l->st, highest + 1);
	return 0;
}

static int attach(struct commitlog *l, const char *dir, struct err *err)
{
	bool fresh;
	if (lock_byte(l->lock_fd, F_WRLCK, LOCK_INIT, true) < 0)
		return err_sys(err, "%s/lock", dir);
	l->st = commitlog_state_map(l->state_dir, l->dir_fd, &fresh, err);
	if (!l->st || (fresh && start_fresh(l, dir, err) < 0))
		return -1;
	if (lock_byte(l->lock_fd, F_RDLCK, LOCK_PRESENT, false) < 0 ||
	    lock_byte(l->lock_fd, F_UNLCK, LOCK_INIT, false) < 0)
		return err_sys(err, "%s/lock", dir);
	return 0;
}

static void release(struct commitlog *l)
{
	int fds[] = { l->fd, l->lock_fd, l->dir_fd, l->root_fd };
	if (l->st)
		commitlog_state_unmap(l->st);
	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	buf_free(&l->scratch);
	free(l->root);
	free(l->state_dir);
	free(l);
}

struct commitlog *commitlog_open(const char *root, const char *dir, const char *state_dir, struct err *err)
{
	struct commitlog *l = xcalloc(1, sizeof *l);
	*l = (struct commitlog){ .root = xstrdup(root), .state_dir = xstrdup(state_dir), .lock_fd = -1, .fd = -1 };
	buf_init(&l->scratch, RECORDS_MAX);
	l->root_fd = fs_open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	l->dir_fd = fs_open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (l->dir_fd >= 0)
		l->lock_fd = open_lock(l->dir_fd);
	int rc = l->root_fd < 0 || l->lock_fd < 0 ? err_sys(err, "commit log in %s", dir) : attach(l, dir, err);
	if (rc == 0)
		return l;
	release(l);
	return NULL;
}

/* Under LOCK_INIT: nobody is in the middle of opening it. */
static void end_log(struct commitlog *l)
{
	struct err ignored;
	if ((commitlog_empty(l) || commitlog_settle(l, &ignored) == 0) &&
	    segment_drop(l->dir_fd, UINT64_MAX, &ignored) == 0)
		commitlog_state_remove(l->state_dir, l->dir_fd);
}

void commitlog_close(struct commitlog *l)
{
	if (!l)
		return;
	/* Closing lets go of our share of LOCK_PRESENT, unless a forked process still has it; unlocking would not ask.
	 */
	close(l->lock_fd);
	l->lock_fd = open_lock(l->dir_fd);
	if (l->lock_fd >= 0 && lock_byte(l->lock_fd, F_WRLCK, LOCK_INIT, true) == 0 &&
	    lock_byte(l->lock_fd, F_WRLCK, LOCK_PRESENT, false) == 0)
		end_log(l);
	release(l);
}

/* ---- appending ---- */

static uint64_t position(uint64_t segment, uint64_t end)
{
	return segment * COMMITLOG_SEGMENT + end;
}

static void raise_to(_Atomic uint64_t *at, uint64_t value)
{
	uint64_t old = *at;
	while (old < value && !atomic_compare_exchange_weak(at, &old, value))
		;
}

bool commitlog_usable(const struct commitlog *l, size_t bytes)
{
	return !l->st->broken && !l->st->lost && bytes < RECORDS_MAX / 2 &&
	       l->st->segment - l->st->dropped < COMMITLOG_SLOTS - 2;
}

bool commitlog_begun(const struct commitlog *l)
{
	return l->st->tail > 0;
}

bool commitlog_empty(const struct commitlog *l)
{
	return l->st->tail <= COMMITLOG_HEADER && l->st->segment == l->st->dropped;
}

static int segment_fd(struct commitlog *l, uint64_t segment)
{
	if (l->fd >= 0 && l->fd_segment == segment)
		return l->fd;
	if (l->fd >= 0)
		close(l->fd);
	l->fd = segment_open(l->dir_fd, segment);
	l->fd_segment = segment;
	return l->fd;
}

static int break_log(struct commitlog *l, struct err *err)
{
	err_sys(err, "fdatasync of the commit log");
	l->st->broken = 1;
	return -1;
}

/* Goes on to a new segment, the old one synced so that a leader need only look at one. Holds the append lock. */
static int rotate(struct commitlog *l, struct err *err)
{
	struct commitlog_state *st = l->st;
	uint64_t nonce, next = st->tail ? st->segment + 1 : st->segment;
	if (st->tail) {
		int fd = segment_fd(l, st->segment);
		/* Gone: a process was killed when it had dropped everything (drop_all). */
		if (fd < 0 && (errno != ENOENT || st->segment >= st->dropping))
			return err_sys(err, "commit log segment");
		if (fd >= 0 && fs_datasync(fd) < 0)
			return break_log(l, err);
	}
	if (segment_create(l->dir_fd, next, st->boot, &nonce, err) < 0)
		return -1;
	/* A process killed between these leaves a segment that is full or one that is empty: both are in order. */
	st->tail = COMMITLOG_SEGMENT;
	st->segment = next;
	st->nonce = nonce;
	st->tail = COMMITLOG_HEADER;
	raise_to(&st->synced, position(next, 0));
	return 0;
}

static int append_locked(
    struct commitlog *l, const struct commitlog_record *r, size_t n, struct commitlog_ticket *t, struct err *err)
{
	struct commitlog_state *st = l->st;
	size_t need = 0;
	for (size_t i = 0; i < n; i++)
		need += commitlog_record_size(&r[i]);
	if ((!st->tail || st->tail + need > COMMITLOG_SEGMENT) && rotate(l, err) < 0)
		return -1;
	int fd = segment_fd(l, st->segment);
	if (fd < 0)
		return err_sys(err, "commit log segment");
	buf_reset(&l->scratch);
	for (size_t i = 0; i < n; i++)
		commitlog_record_encode(&r[i], st->nonce, st->tail + l->scratch.len, &l->scratch);
	if (l->scratch.bad)
		return err_set(err, ERR_LIMIT, "too much for one commit log append");
	if (fs_pwrite_all(fd, l->scratch.p, l->scratch.len, (off_t)st->tail) < 0)
		return err_sys(err, "commit log");
	st->appended = clock_coarse_ms();
	if (st->tail == COMMITLOG_HEADER)
		st->began = st->appended;
	st->tail += l->scratch.len;
	*t = (struct commitlog_ticket){ st->segment, st->tail };
	return 0;
}

int commitlog_append(
    struct commitlog *l, const struct commitlog_record *r, size_t n, struct commitlog_ticket *t, struct err *err)
{
	commitlog_lock(&l->st->append);
	int rc = l->st->broken ? err_set(err, ERR_TEMP, "the commit log is broken") : append_locked(l, r, n, t, err);
	commitlog_unlock(&l->st->append);
	return rc;
}

/* ---- group commit ---- */

/* One sync for everything that was appended up to now. Holds the sync lock. */
static int lead(struct commitlog *l, struct err *err)
{
	commitlog_lock(&l->st->append);
	uint64_t segment = l->st->segment, tail = l->st->tail;
	commitlog_unlock(&l->st->append);
	int fd = segment_fd(l, segment), why = errno;
	/* Full, synced and dropped by others since we looked. */
	if (l->st->synced >= position(segment, tail))
		return 0;
	errno = why;
	if (fd < 0)
		return err_sys(err, "commit log segment");
	if (fs_datasync(fd) < 0)
		return break_log(l, err);
	raise_to(&l->st->synced, position(segment, tail));
	return 0;
}

int commitlog_wait(struct commitlog *l, const struct commitlog_ticket *t, struct err *err)
{
	struct commitlog_state *st = l->st;
	uint64_t mine = position(t->segment, t->end);
	for (;;) {
		uint32_t turn = st->turn;
		if (st->synced >= mine)
			return 0;
		if (st->broken)
			return err_set(err, ERR_TEMP, "the commit log could not be synced");
		if (!commitlog_trylock(&st->sync)) {
			commitlog_sleep(st, turn, LEADER_MS);
			continue;
		}
		int rc = st->synced >= mine ? 0 : lead(l, err);
		commitlog_unlock(&st->sync);
		commitlog_wake(st);
		if (rc < 0)
			return -1;
	}
}

/* ---- checkpoint ---- */

/* Makes the tree durable and drops what lies below upto: whatever has a record there was done before that record was
 * appended, or its process looks at `dropping` after it has done it (commitlog_covers). Holds the checkpoint lock. */
static int drop_below(struct commitlog *l, uint64_t upto, struct err *err)
{
	struct commitlog_state *st = l->st;
	raise_to(&st->dropping, upto);
	if (fs_sync_all(l->root_fd) < 0) {
		err_sys(err, "sync of %s", l->root);
		st->lost = 1; /* the segments stay, to be replayed */
		return -1;
	}
	/* The segments' own bytes too: who comes to sync one finds it done, or gone. */
	raise_to(&st->synced, position(upto, 0));
	if (segment_drop(l->dir_fd, upto, err) < 0)
		return -1;
	raise_to(&st->dropped, upto);
	return 0;
}

/* Have the records of the present segment waited long enough? */
static bool over_due(const struct commitlog_state *st, enum commitlog_when when)
{
	int64_t now = clock_coarse_ms();
	if (st->tail <= COMMITLOG_HEADER || st->tail >= COMMITLOG_SEGMENT)
		return false;
	return when == COMMITLOG_NOW || now - st->began >= AGE_MS ||
	       (when == COMMITLOG_IDLE && now - st->appended >= QUIET_MS);
}

void commitlog_checkpoint(struct commitlog *l, enum commitlog_when when)
{
	struct commitlog_state *st = l->st;
	struct err ignored;
	bool full = st->segment > st->dropped, due = over_due(st, when);
	if (st->broken || st->lost || !(full || due) || !commitlog_trylock(&st->checkpoint))
		return;
	if (due) {
		commitlog_lock(&st->append);
		if (over_due(st, when))
			rotate(l, &ignored);
		commitlog_unlock(&st->append);
	}
	if (st->segment > st->dropped)
		drop_below(l, st->segment, &ignored);
	commitlog_unlock(&st->checkpoint);
}

/* Holds the checkpoint lock and the append lock. */
static int drop_all(struct commitlog *l, struct err *err)
{
	struct commitlog_state *st = l->st;
	uint64_t next = st->tail ? st->segment + 1 : st->segment;
	/* From here on, even if we are killed, nobody appends to a segment that may be gone. */
	if (st->tail)
		st->tail = COMMITLOG_SEGMENT;
	if (drop_below(l, next, err) < 0)
		return -1;
	st->segment = next;
	st->tail = 0;
	return 0;
}

int commitlog_settle(struct commitlog *l, struct err *err)
{
	struct commitlog_state *st = l->st;
	if (st->lost)
		return err_set(
		    err, ERR_TEMP, "%s could not be synced: nothing is promised there until a restart", l->root);
	commitlog_lock(&st->checkpoint);
	commitlog_lock(&st->append);
	int rc = drop_all(l, err);
	commitlog_unlock(&st->append);
	commitlog_unlock(&st->checkpoint);
	return rc;
}

bool commitlog_covers(const struct commitlog *l, const struct commitlog_ticket *t)
{
	return t->segment >= l->st->dropping;
}
