/* SPDX-License-Identifier: ISC */
#include "mta-relay/spool/spool_msg.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "mta-relay/spool/spool_walk.h"

enum {
	HEAD_FIRST_READ = 4096,
	TAIL_READ = 65536,
	TAIL_LINE_MAX = 8192, /* longer than any line that is written */
	RECORD_BYTES = 400,   /* of one outcome line, more or less */
	SWEEP_AGE = 60,       /* seconds: a writer's file that is younger may not be locked yet */
};

bool spool_id_ok(const char *id)
{
	size_t n = 0;
	while (ascii_isdigit(id[n]) || (id[n] >= 'A' && id[n] <= 'Z'))
		n++;
	return id[n] == '\0' && n == SPOOL_ID_SIZE - 1;
}

static const char *folder_of(const struct spool_msg *m)
{
	return m->held ? "hold" : "msg";
}

/* After the lock is taken the name must still lead to this file: it may have been removed or moved meanwhile. */
static int take_lock(struct spool_msg *m, const char *path, enum spool_lock lock, struct err *err)
{
	struct stat by_name, by_fd;
	int rc = 0;
	if (lock != SPOOL_UNLOCKED) {
		do
			rc = flock(m->fd, lock == SPOOL_SHARED ? LOCK_SH : LOCK_EX | LOCK_NB);
		while (rc < 0 && errno == EINTR);
	}
	if (rc < 0)
		return err_sys(err, "%s", m->id);
	if (fstat(m->fd, &by_fd) < 0)
		return err_sys(err, "%s", m->id);
	m->due = by_fd.st_mtime;
	m->bytes = (uint64_t)by_fd.st_size;
	if (lock == SPOOL_UNLOCKED)
		return 0;
	if (stat(path, &by_name) < 0)
		return err_sys(err, "%s", m->id);
	if (by_name.st_ino == by_fd.st_ino && by_name.st_dev == by_fd.st_dev)
		return 0;
	errno = ENOENT;
	return err_sys(err, "%s", m->id);
}

static int open_in(struct spool_msg *m, const char *folder, enum spool_lock lock, struct err *err)
{
	char *path = spool_path(m->s, folder, m->id);
	m->held = strcmp(folder, "hold") == 0;
	m->fd = open(path, O_RDWR | O_CLOEXEC);
	int rc = m->fd < 0 ? err_sys(err, "%s", m->id) : take_lock(m, path, lock, err);
	free(path);
	return rc;
}

static ssize_t read_at(int fd, char *p, size_t n, uint64_t at)
{
	ssize_t got;
	do
		got = pread(fd, p, n, (off_t)at);
	while (got < 0 && errno == EINTR);
	return got;
}

static int read_envelope(struct spool_msg *m, struct err *err)
{
	struct buf text;
	int rc = 1;
	buf_init(&text, 2 * SPOOL_ENVELOPE_MAX);
	for (size_t want = HEAD_FIRST_READ; rc == 1; want = text.len) {
		char *room = buf_room(&text, want);
		ssize_t n = room ? read_at(m->fd, room, want, text.len) : 0;
		if (n <= 0) {
			rc = n < 0 ? err_sys(err, "%s", m->id) : err_set(err, ERR_DATA, "%s: the file is cut", m->id);
			break;
		}
		buf_grew(&text, (size_t)n);
		rc = spool_parse_head(buf_span(&text), m->arena, &m->file, err);
	}
	buf_free(&text);
	return rc;
}

/* Takes the whole lines from the front of b. A line that is too long is none of ours: cut into pieces it is ignored. */
static void take_lines(struct spool_msg *m, struct buf *b)
{
	struct span rest = buf_span(b);
	while (span_chr(rest, '\n') >= 0)
		spool_parse_line(span_cut(&rest, '\n'), m->arena, &m->file);
	buf_drop(b, b->len - rest.n);
	if (b->len > TAIL_LINE_MAX)
		buf_reset(b);
}

static int read_outcomes(struct spool_msg *m, struct err *err)
{
	struct buf b;
	uint64_t at = m->file.content_at + m->file.size;
	ssize_t n = at + 1 < m->bytes;
	buf_init(&b, TAIL_READ + TAIL_LINE_MAX);
	while (n > 0) {
		n = read_at(m->fd, buf_room(&b, TAIL_READ), TAIL_READ, at);
		if (n > 0) {
			buf_grew(&b, (size_t)n);
			at += (uint64_t)n;
			take_lines(m, &b);
		}
	}
	buf_free(&b);
	return n < 0 ? err_sys(err, "%s", m->id) : 0;
}

static int read_file(struct spool_msg *m, struct err *err)
{
	if (read_envelope(m, err) < 0)
		return -1;
	if (m->bytes < m->file.content_at + m->file.size)
		return err_set(err, ERR_DATA, "%s: the content is cut", m->id);
	return read_outcomes(m, err);
}

int spool_get(struct spool *s, const char *id, enum spool_lock lock, struct spool_msg **out, struct err *err)
{
	struct err why = { 0 };
	struct spool_msg *m = xcalloc(1, sizeof *m);
	*out = NULL;
	*m = (struct spool_msg){ .s = s, .fd = -1, .arena = arena_new() };
	memcpy(m->id, id, strnlen(id, SPOOL_ID_SIZE - 1));
	int rc = open_in(m, "msg", lock, &why);
	if (rc < 0 && why.sys == ENOENT) {
		if (m->fd >= 0)
			close(m->fd);
		rc = open_in(m, "hold", lock, &why);
	}
	if (rc == 0)
		rc = read_file(m, &why);
	if (rc == 0) {
		*out = m;
		return 0;
	}
	if (err)
		*err = why;
	spool_put(m);
	return -1;
}

void spool_put(struct spool_msg *m)
{
	if (!m)
		return;
	if (m->fd >= 0)
		close(m->fd);
	arena_free(m->arena);
	free(m);
}

ssize_t spool_read(struct spool_msg *m, uint64_t at, char *p, size_t n, struct err *err)
{
	if (at >= m->file.size)
		return 0;
	if (n > m->file.size - at)
		n = (size_t)(m->file.size - at);
	ssize_t got = read_at(m->fd, p, n, m->file.content_at + at);
	if (got == 0)
		return err_set(err, ERR_TEMP, "%s: the content is cut", m->id);
	return got < 0 ? err_sys(err, "%s", m->id) : got;
}

int spool_read_head(struct spool_msg *m, size_t max, struct span *out, struct err *err)
{
	size_t n = m->file.size < max ? (size_t)m->file.size : max, at = 0;
	char *p = arena_alloc(m->arena, n + 1);
	while (at < n) {
		ssize_t got = spool_read(m, at, p + at, n - at, err);
		if (got <= 0)
			return -1;
		at += (size_t)got;
	}
	*out = span_of(p, n);
	return 0;
}

int spool_reserve(struct spool_msg *m, size_t n, struct err *err)
{
	struct stat st;
	if (fstat(m->fd, &st) < 0)
		return err_sys(err, "%s", m->id);
	if (fallocate(m->fd, FALLOC_FL_KEEP_SIZE, st.st_size, (off_t)(n * RECORD_BYTES)) == 0)
		return 0;
	/* A file system that can't reserve is no reason not to deliver. */
	return errno == ENOSPC || errno == EDQUOT || errno == EIO ? err_sys(err, "%s", m->id) : 0;
}

static int lock_records(const struct spool_msg *m, short type)
{
	struct flock whole = { .l_type = type, .l_whence = SEEK_SET };
	int rc;
	do
		rc = fcntl(m->fd, F_OFD_SETLKW, &whole);
	while (rc < 0 && errno == EINTR);
	return rc;
}

/* A crash may have cut the last line: the next one begins on a line of its own. */
static bool ends_in_line(const struct spool_msg *m, const struct stat *st)
{
	char last = '\n';
	return read_at(m->fd, &last, 1, (uint64_t)st->st_size - 1) < 0 || last == '\n';
}

static int append_lightly(const struct spool_msg *m, const char *path, struct span data, struct err *err)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, data.p, data.n);
	int rc = n < 0 ? err_sys(err, "%s", m->id) : 0;
	if (fd >= 0)
		close(fd);
	/* What is written in part is a line that does not count. */
	return rc < 0 || (size_t)n == data.n ? rc : err_set(err, ERR_TEMP, "%s: the record was cut", m->id);
}

static int append(struct spool_msg *m, struct span lines, bool durable, struct err *err)
{
	struct stat st;
	struct buf data;
	if (lock_records(m, F_WRLCK) < 0 || fstat(m->fd, &st) < 0)
		return err_sys(err, "%s", m->id);
	buf_init(&data, lines.n + 1);
	if (!ends_in_line(m, &st))
		buf_addc(&data, '\n');
	buf_addspan(&data, lines);
	char *path = spool_path(m->s, folder_of(m), m->id);
	int rc = durable ? durable_append(m->s->d, path, buf_span(&data), err)
			 : append_lightly(m, path, buf_span(&data), err);
	free(path);
	buf_free(&data);
	lock_records(m, F_UNLCK);
	return rc;
}

static int record(struct spool_msg *m, struct span lines, bool durable, struct err *err)
{
	if (append(m, lines, durable, err) < 0)
		return -1;
	while (lines.n)
		spool_parse_line(span_cut(&lines, '\n'), m->arena, &m->file);
	return 0;
}

int spool_record(struct spool_msg *m, struct span lines, struct err *err)
{
	return record(m, lines, true, err);
}

int spool_record_lightly(struct spool_msg *m, struct span lines, struct err *err)
{
	return record(m, lines, false, err);
}

int spool_set_due(struct spool_msg *m, int64_t due, struct err *err)
{
	/* Both: the change of one alone is no IN_ATTRIB, which tells the scheduler. */
	struct timespec times[2] = { { .tv_sec = due }, { .tv_sec = due } };
	m->due = due;
	return futimens(m->fd, times) < 0 ? err_sys(err, "%s", m->id) : 0;
}

int spool_postpone(struct spool_msg *m, int64_t due, struct err *err)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = due } };
	m->due = due;
	return futimens(m->fd, times) < 0 ? err_sys(err, "%s", m->id) : 0;
}

int spool_postpone_id(const struct spool *s, const char *id, int64_t due, struct err *err)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = due } };
	char *path = spool_path(s, "msg", id);
	int rc =
	    utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT ? err_sys(err, "%s", id) : 0;
	free(path);
	return rc;
}

static int unlink_by(struct spool_msg *m, int (*how)(struct durable_dir *, const char *, struct err *), struct err *err)
{
	char *path = spool_path(m->s, folder_of(m), m->id);
	int rc = how(m->s->d, path, err);
	free(path);
	return rc;
}

int spool_remove_done(struct spool_msg *m, struct err *err)
{
	return unlink_by(m, durable_discard, err);
}

int spool_remove(struct spool_msg *m, struct err *err)
{
	return unlink_by(m, durable_unlink, err);
}

static int move(struct spool *s, const char *id, const char *from_folder, const char *to_folder, struct err *err)
{
	char *from = spool_path(s, from_folder, id), *to = spool_path(s, to_folder, id);
	int rc = durable_rename(s->d, from, to, err);
	free(from);
	free(to);
	return rc;
}

int spool_hold(struct spool_msg *m, bool hold, struct err *err)
{
	if (m->held == hold)
		return 0;
	if (move(m->s, m->id, folder_of(m), hold ? "hold" : "msg", err) < 0)
		return -1;
	m->held = hold;
	return 0;
}

int spool_set_aside(struct spool *s, const char *id, struct err *err)
{
	return move(s, id, "msg", "bad", err);
}

static bool sweep_one(const struct spool *s, const struct spool_entry *e)
{
	if (e->due > spool_now() / 1000000 - SWEEP_AGE)
		return false;
	char *path = spool_path(s, "tmp", e->id);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool gone = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && unlink(path) == 0;
	if (fd >= 0)
		close(fd);
	free(path);
	return gone;
}

int spool_sweep(struct spool *s)
{
	struct err err;
	struct spool_entry e;
	struct spool_walk *w = spool_walk_open(s, "tmp", &err);
	int swept = 0;
	while (w && spool_walk_next(w, &e))
		swept += sweep_one(s, &e);
	spool_walk_close(w);
	return swept;
}
