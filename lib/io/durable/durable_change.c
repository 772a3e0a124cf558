/* SPDX-License-Identifier: ISC
 *
 * Changes of files that are published already: appending, removing, renaming, linking.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "io/durable/durable_fs.h"
#include "io/durable/durable_int.h"

/* How a change of what may stand in the log becomes durable. */
enum change {
	CHANGE_FAILED = -1,
	CHANGE_LOGGED,
	CHANGE_PLAIN,   /* the log is empty: syncs of its own are enough */
	CHANGE_SETTLED, /* the log does not take it: only a sync that drops all records */
};

/* Records of files' changes. */
static enum change log_changes(
    const struct commitlog_record *r, size_t n, size_t bytes, struct commitlog_ticket *t, struct err *err)
{
	bool wrote;
	bool preferred = durable_log_preferred(bytes);
	if (!preferred && durable_log_empty())
		return CHANGE_PLAIN;
	if (!preferred && !durable_log_usable(bytes))
		return CHANGE_SETTLED;
	int rc = durable_log_commit(r, n, t, &wrote, err);
	return rc == 0 ? CHANGE_LOGGED : wrote ? CHANGE_FAILED : CHANGE_SETTLED;
}

/* What stands at path, when that may have gone by the log. */
static bool logged_at(const struct durable_dir *d, const char *path, struct commitlog_file *file)
{
	*file = (struct commitlog_file){ 0 };
	return durable_by_log(d) && durable_log_identify(AT_FDCWD, path, file);
}

/* Data was written at offset `at`. */
static int settle_append(struct durable_dir *d, int fd, const char *path, struct span data, off_t at)
{
	struct err err;
	struct commitlog_ticket t;
	struct commitlog_file file;
	char *full;
	if (!durable_by_log(d) || !durable_log_identify(fd, "", &file))
		return d->mode == DURABLE_NONE ? 0 : fs_datasync(fd);
	struct commitlog_record r = durable_record(d, COMMITLOG_APPEND, path, &full);
	r.at = (uint64_t)at;
	r.file = file.id;
	r.data = data;
	enum change how = log_changes(&r, 1, data.n, &t, &err);
	int rc = how == CHANGE_FAILED ? -1 : 0;
	free(full);
	if (how == CHANGE_PLAIN)
		rc = fs_datasync(fd);
	/* The name too: with its file's record alone a replay would make it anew without this. */
	if (how == CHANGE_SETTLED)
		rc = fs_datasync(fd) < 0 || fs_sync_parent(path, &err) < 0 ? -1 : 0;
	errno = rc < 0 ? EIO : 0;
	return rc;
}

int durable_append(struct durable_dir *d, const char *path, struct span data, struct err *err)
{
	struct stat st = { .st_size = -1 };
	if (durable_check(d, path, err) < 0)
		return -1;
	int fd = fs_open(path, O_WRONLY | O_APPEND | O_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(err, "%s", path);
	int rc = fstat(fd, &st);
	if (rc == 0)
		rc = fs_write_all(fd, data.p, data.n);
	if (rc == 0)
		rc = settle_append(d, fd, path, data, st.st_size);
	if (rc < 0) {
		err_sys(err, "%s", path);
		/* Nothing can be done if this fails as well: the caller is told the failure already, and readers of
		 * appended records skip one that is not whole. */
		if (st.st_size >= 0 && fs_truncate(fd, st.st_size) < 0)
			rc = -1;
	}
	close(fd);
	return rc;
}

struct durable_removals {
	struct durable_dir *d;
	char **path;
	struct commitlog_file *file;
	size_t n, cap;
};

struct durable_removals *durable_removals_new(struct durable_dir *d)
{
	struct durable_removals *r = xcalloc(1, sizeof *r);
	r->d = d;
	return r;
}

int durable_remove(struct durable_removals *r, const char *path, struct err *err)
{
	struct commitlog_file file;
	if (durable_check(r->d, path, err) < 0)
		return -1;
	logged_at(r->d, path, &file);
	if (fs_unlink(path) < 0)
		return err_sys(err, "%s", path);
	if (r->n == r->cap) {
		r->cap = r->cap ? r->cap * 2 : 8;
		r->path = xreallocarray(r->path, r->cap, sizeof *r->path);
		r->file = xreallocarray(r->file, r->cap, sizeof *r->file);
	}
	r->path[r->n] = xstrdup(path);
	r->file[r->n++] = file;
	return 0;
}

static enum change log_removals(const struct durable_removals *x, struct err *err)
{
	struct commitlog_ticket t;
	struct commitlog_record *r = xcalloc(x->n, sizeof *r);
	char **full = xcalloc(x->n, sizeof *full);
	size_t bytes = 0;
	bool linked = false;
	for (size_t i = 0; i < x->n; i++) {
		linked |= x->file[i].linked;
		r[i] = durable_record(x->d, COMMITLOG_REMOVE, x->path[i], &full[i]);
		r[i].file = x->file[i].id;
		bytes += commitlog_record_size(&r[i]);
	}
	enum change how = !linked               ? log_changes(r, x->n, bytes, &t, err)
			  : durable_log_empty() ? CHANGE_PLAIN
						: CHANGE_SETTLED;
	durable_free_names(full, x->n);
	free(r);
	return how;
}

int durable_removals_end(struct durable_removals *r, struct err *err)
{
	enum change how = !r->n || r->d->mode == DURABLE_NONE ? CHANGE_LOGGED
			  : durable_by_log(r->d)              ? log_removals(r, err)
							      : CHANGE_PLAIN;
	int rc = how == CHANGE_FAILED ? -1 : 0;
	if (how == CHANGE_PLAIN)
		rc = fs_sync_parents((const char *const *)r->path, r->n, err);
	if (how == CHANGE_SETTLED)
		rc = durable_log_settle(err);
	durable_free_names(r->path, r->n);
	free(r->file);
	free(r);
	return rc;
}

int durable_unlink(struct durable_dir *d, const char *path, struct err *err)
{
	struct err why = { 0 };
	struct durable_removals *r = durable_removals_new(d);
	if (durable_remove(r, path, &why) == 0)
		return durable_removals_end(r, err);
	durable_removals_end(r, NULL);
	if (why.sys != ENOENT) {
		if (err)
			*err = why;
		return -1;
	}
	/* Gone already, perhaps by one that was killed before it was synced. */
	if (durable_by_log(d))
		return durable_log_empty() ? fs_sync_parent(path, err) : durable_log_settle(err);
	return d->mode == DURABLE_NONE ? 0 : fs_sync_parent(path, err);
}

int durable_discard(struct durable_dir *d, const char *path, struct err *err)
{
	if (durable_check(d, path, err) < 0)
		return -1;
	return fs_unlink(path) < 0 && errno != ENOENT ? err_sys(err, "%s", path) : 0;
}

static int rename_plainly(struct durable_dir *d, const char *from, const char *to, struct err *err)
{
	if (fs_rename(from, to) < 0)
		return err_sys(err, "%s to %s", from, to);
	if (d->mode == DURABLE_NONE)
		return 0;
	/* The new name first: a crash between the two leaves both names rather than none. */
	const char *both[] = { to, from };
	return fs_sync_parents(both, 2, err);
}

/* For what the log can't follow: no record may speak of what lies below a directory that changes its name, nor of one
 * of several names. */
static int rename_between_syncs(struct durable_dir *d, const char *from, const char *to, struct err *err)
{
	if (durable_log_settle(err) < 0 || rename_plainly(d, from, to, err) < 0)
		return -1;
	return durable_log_settle(err);
}

/* The record first: with the rename alone a replay would put the file to its old name again, beside the new. */
static int rename_by_log(struct durable_dir *d, const char *from, const char *to, uint64_t file, struct err *err)
{
	struct commitlog_ticket t;
	struct err ignored;
	char *full_from, *full_to;
	struct commitlog_record r = durable_record(d, COMMITLOG_RENAME, from, &full_from);
	r.data = durable_record(d, COMMITLOG_RENAME, to, &full_to).path;
	r.file = file;
	enum change how = log_changes(&r, 1, r.data.n, &t, err);
	int rc = how == CHANGE_FAILED ? -1 : 0;
	free(full_from);
	free(full_to);
	if (how == CHANGE_PLAIN)
		return rename_plainly(d, from, to, err);
	if (how == CHANGE_SETTLED)
		return rename_between_syncs(d, from, to, err);
	if (rc == 0 && fs_rename(from, to) < 0)
		rc = err_sys(err, "%s to %s", from, to);
	if (rc < 0)
		durable_log_settle(&ignored);
	else if (!durable_log_covers(&t))
		rc = durable_log_settle(err);
	return rc;
}

int durable_rename(struct durable_dir *d, const char *from, const char *to, struct err *err)
{
	struct commitlog_file file;
	if (durable_check(d, from, err) < 0 || durable_check(d, to, err) < 0)
		return -1;
	if (!logged_at(d, from, &file))
		return rename_plainly(d, from, to, err);
	if (!S_ISREG(file.mode) || file.linked)
		return rename_between_syncs(d, from, to, err);
	return rename_by_log(d, from, to, file.id, err);
}

/* What went by the log was never synced itself. Cheap when it was. */
static int sync_file(const char *path, struct err *err)
{
	int fd = fs_open(path, O_RDONLY | O_CLOEXEC, 0);
	int rc = fd < 0 || fs_sync(fd) < 0 ? err_sys(err, "fsync %s", path) : 0;
	if (fd >= 0)
		close(fd);
	return rc;
}

int durable_link(struct durable_dir *d, const char *from, const char *to, struct err *err)
{
	if (durable_check(d, to, err) < 0 || (durable_by_log(d) && sync_file(from, err) < 0))
		return -1;
	return fs_link(from, to) < 0 ? err_sys(err, "%s", to) : 0;
}

int durable_sync_dir(struct durable_dir *d, const char *dir, struct err *err)
{
	if (d->mode == DURABLE_NONE)
		return 0;
	char *inside = xasprintf("%s/.", dir);
	int rc = fs_sync_parent(inside, err);
	free(inside);
	return rc;
}
