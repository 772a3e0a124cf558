/* SPDX-License-Identifier: ISC */
#include "io/durable/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "io/durable/durable_fs.h"
#include "io/durable/durable_int.h"

/* One write per small message; large ones go out in pieces of this size, and never by the log. */
enum {
	DURABLE_BUFFER = 131072
};

/* How an operation becomes durable. */
enum way {
	WAY_NONE,
	WAY_SYNC, /* fsync of the file and its directory */
	WAY_LOG,  /* a record in the commit log */
};

struct durable {
	struct durable_dir *d;
	char *tmp;
	int fd;
	mode_t permissions;
	off_t flushed; /* bytes that write(2) has taken; what follows is in held */
	char *held;
	size_t n_held;
	struct err failed; /* the first failure: final, told by publish */
};

struct durable *durable_begin(struct durable_dir *d, const char *tmp_path, mode_t mode, struct err *err)
{
	if (durable_check(d, tmp_path, err) < 0)
		return NULL;
	int fd = fs_open(tmp_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0) {
		err_sys(err, "%s", tmp_path);
		return NULL;
	}
	struct durable *f = xcalloc(1, sizeof *f);
	*f = (struct durable){ .d = d, .tmp = xstrdup(tmp_path), .fd = fd, .permissions = mode };
	return f;
}

static int failed(const struct durable *f)
{
	return f->failed.class != ERR_NONE;
}

static int write_out(struct durable *f, const char *p, size_t n)
{
	if (fs_write_all(f->fd, p, n) < 0)
		return err_sys(&f->failed, "%s", f->tmp);
	f->flushed += (off_t)n;
	return 0;
}

static int flush_held(struct durable *f)
{
	if (failed(f))
		return -1;
	size_t n = f->n_held;
	f->n_held = 0;
	return n ? write_out(f, f->held, n) : 0;
}

int durable_write(struct durable *f, struct span data)
{
	if (failed(f))
		return -1;
	if (!f->held)
		f->held = xmalloc(DURABLE_BUFFER);
	if (f->n_held + data.n > DURABLE_BUFFER && flush_held(f) < 0)
		return -1;
	if (data.n >= DURABLE_BUFFER)
		return write_out(f, data.p, data.n);
	memcpy(f->held + f->n_held, data.p, data.n);
	f->n_held += data.n;
	return 0;
}

int durable_patch(struct durable *f, off_t at, struct span data)
{
	if (failed(f))
		return -1;
	if (at < 0 || at + (off_t)data.n > durable_size(f))
		return err_set(&f->failed, ERR_BUG, "%s: patch beyond what was written", f->tmp);
	size_t below = at < f->flushed ? (size_t)(f->flushed - at) : 0;
	struct span on_disk = span_slice(data, 0, below);
	struct span held = span_from(data, below);
	if (held.n)
		memcpy(f->held + (at + (off_t)on_disk.n - f->flushed), held.p, held.n);
	if (on_disk.n && fs_pwrite_all(f->fd, on_disk.p, on_disk.n, at) < 0)
		return err_sys(&f->failed, "%s", f->tmp);
	return 0;
}

off_t durable_size(const struct durable *f)
{
	return f->flushed + (off_t)f->n_held;
}

int durable_fd(struct durable *f, struct err *err)
{
	if (flush_held(f) == 0)
		return f->fd;
	if (err)
		*err = f->failed;
	return -1;
}

static void dispose(struct durable *f)
{
	if (f->fd >= 0)
		close(f->fd);
	free(f->held);
	free(f->tmp);
	free(f);
}

void durable_abort(struct durable *f)
{
	if (!f)
		return;
	fs_unlink(f->tmp);
	dispose(f);
}

static enum way way_for(const struct durable_dir *d, size_t bytes)
{
	if (d->mode == DURABLE_NONE)
		return WAY_NONE;
	return durable_by_log(d) && durable_log_preferred(bytes) ? WAY_LOG : WAY_SYNC;
}

/* ---- publishing ---- */

static int settle(struct durable *f, enum way way, struct err *err)
{
	if (flush_held(f) == 0 && way == WAY_SYNC && fs_sync(f->fd) < 0)
		err_sys(&f->failed, "fsync %s", f->tmp);
	if (!failed(f))
		return 0;
	if (err)
		*err = f->failed;
	return -1;
}

/* Gives the file its name. With exclusive the temporary name stays beside it until the end. */
static int give_name(struct durable *f, const char *path, bool exclusive, struct err *err)
{
	int rc = exclusive ? fs_link(f->tmp, path) : fs_rename(f->tmp, path);
	return rc < 0 ? err_sys(err, "%s", path) : 0;
}

/* The log takes them if each is held whole in memory, and all together are not too much. */
static enum way way_for_all(const struct durable_pub *pubs, size_t n)
{
	size_t bytes = 0;
	for (size_t i = 0; i < n; i++) {
		if (pubs[i].f->flushed)
			return pubs[i].f->d->mode == DURABLE_NONE ? WAY_NONE : WAY_SYNC;
		bytes += pubs[i].f->n_held + COMMITLOG_PATH_MAX;
	}
	return way_for(pubs[0].f->d, bytes);
}

static int sync_files(const struct durable_pub *pubs, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++)
		if (fs_sync(pubs[i].f->fd) < 0)
			return err_sys(err, "fsync %s", pubs[i].path);
	return 0;
}

static int sync_names(const struct durable_pub *pubs, size_t n, struct err *err)
{
	const char **paths = xcalloc(n, sizeof *paths);
	for (size_t i = 0; i < n; i++)
		paths[i] = pubs[i].path;
	int rc = fs_sync_parents(paths, n, err);
	free(paths);
	return rc;
}

/* The records of all, in the log before any of them has its name: so a file that a crash left torn under its name
 * always has a record to be repaired by. 1: the log did not take them. */
static int log_all(struct durable_pub *pubs, size_t n, struct commitlog_ticket *t, struct err *err)
{
	struct commitlog_record *r = xcalloc(n, sizeof *r);
	struct commitlog_file file;
	char **full = xcalloc(n, sizeof *full);
	bool wrote = false, all = true;
	for (size_t i = 0; i < n; i++) {
		const struct durable *f = pubs[i].f;
		all = all && durable_log_identify(f->fd, "", &file);
		r[i] = durable_record(f->d, COMMITLOG_PUT, pubs[i].path, &full[i]);
		r[i].mode = (uint32_t)file.mode & 07777;
		r[i].file = file.id;
		/* What was flushed is still there: the buffer was never used twice (way_for_all). */
		r[i].data = span_of(f->held, (size_t)f->flushed);
	}
	int rc = all ? durable_log_commit(r, n, t, &wrote, err) : -1;
	durable_free_names(full, n);
	free(r);
	return rc < 0 && !wrote ? 1 : rc;
}

static int name_all(struct durable_pub *pubs, size_t n, bool exclusive, size_t *named, struct err *err)
{
	for (; *named < n; ++*named)
		if (give_name(pubs[*named].f, pubs[*named].path, exclusive, err) < 0)
			return -1;
	return 0;
}

static int publish_by_log(struct durable_pub *pubs, size_t n, bool exclusive, size_t *named, struct err *err)
{
	struct commitlog_ticket t;
	int rc = log_all(pubs, n, &t, err);
	if (rc == 0)
		rc = name_all(pubs, n, exclusive, named, err);
	if (rc == 0 && !durable_log_covers(&t))
		rc = sync_files(pubs, n, err) < 0 ? -1 : sync_names(pubs, n, err);
	return rc;
}

static int publish_named(struct durable_pub *pubs, size_t n, bool exclusive, size_t *named, struct err *err)
{
	enum way way = way_for_all(pubs, n);
	for (size_t i = 0; i < n; i++)
		if (durable_check(pubs[i].f->d, pubs[i].path, err) < 0 || settle(pubs[i].f, way, err) < 0)
			return -1;
	int rc = way == WAY_LOG ? publish_by_log(pubs, n, exclusive, named, err) : 1;
	if (rc <= 0)
		return rc;
	if (way == WAY_LOG && sync_files(pubs, n, err) < 0)
		return -1;
	if (name_all(pubs, n, exclusive, named, err) < 0)
		return -1;
	return way == WAY_NONE ? 0 : sync_names(pubs, n, err);
}

/* What was not published must not be published by a replay either. */
static void take_back(const struct durable_pub *pubs, size_t named)
{
	struct err ignored;
	for (size_t i = 0; i < named; i++)
		fs_unlink(pubs[i].path);
	if (durable_by_log(pubs[0].f->d))
		durable_log_settle(&ignored);
}

int durable_publish_all(struct durable_pub *pubs, size_t n, bool exclusive, struct err *err)
{
	size_t named = 0;
	if (!n)
		return 0;
	int rc = publish_named(pubs, n, exclusive, &named, err);
	if (rc < 0)
		take_back(pubs, named);
	for (size_t i = 0; i < n; i++) {
		if (rc < 0 ? i >= named || exclusive : exclusive)
			fs_unlink(pubs[i].f->tmp);
		dispose(pubs[i].f);
	}
	return rc;
}

int durable_publish(struct durable *f, const char *path, bool exclusive, struct err *err)
{
	struct durable_pub one = { f, path };
	return durable_publish_all(&one, 1, exclusive, err);
}

int durable_replace(struct durable_dir *d, const char *path, struct span content, mode_t mode, struct err *err)
{
	char *tmp = xasprintf("%s.tmp.%ld", path, (long)getpid());
	/* Ours by its name: left by a process that had this pid and died. */
	fs_unlink(tmp);
	struct durable *f = durable_begin(d, tmp, mode, err);
	free(tmp);
	if (!f)
		return -1;
	durable_write(f, content);
	struct durable_pub one = { f, path };
	enum way way = d->mode == DURABLE_NONE ? WAY_NONE : WAY_SYNC;
	if (settle(f, way, err) < 0 || give_name(f, path, false, err) < 0) {
		durable_abort(f);
		return -1;
	}
	/* Unlike publish this leaves the new file when the directory's fsync fails: what it replaced is gone. */
	int rc = way == WAY_NONE ? 0 : sync_names(&one, 1, err);
	dispose(f);
	return rc;
}
