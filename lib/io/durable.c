/* SPDX-License-Identifier: ISC */
#include "io/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "io/durable_fs.h"
#include "io/durable_log.h"

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

struct durable_dir {
	char *root; /* without trailing slashes, except "/" */
	size_t root_len;
	enum durable_mode mode;
	char *log_prefix; /* where root lies in the commit log's tree; NULL: no log */
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

struct durable_dir *durable_open(const char *root, enum durable_mode mode, struct err *err)
{
	struct stat st;
	if (stat(root, &st) < 0) {
		err_sys(err, "%s", root);
		return NULL;
	}
	if (!S_ISDIR(st.st_mode)) {
		err_set(err, ERR_CONFIG, "%s: not a directory", root);
		return NULL;
	}
	struct durable_dir *d = xcalloc(1, sizeof *d);
	d->root = xstrdup(root);
	d->root_len = strlen(root);
	while (d->root_len > 1 && d->root[d->root_len - 1] == '/')
		d->root[--d->root_len] = '\0';
	d->mode = mode;
	d->log_prefix = mode == DURABLE_NONE ? NULL : durable_log_prefix(d->root);
	return d;
}

void durable_close(struct durable_dir *d)
{
	if (!d)
		return;
	free(d->log_prefix);
	free(d->root);
	free(d);
}

static int check_below(const struct durable_dir *d, const char *path, struct err *err)
{
	bool below = strncmp(path, d->root, d->root_len) == 0 && (path[d->root_len] == '/' || d->root_len == 1);
	return below ? 0 : err_set(err, ERR_BUG, "%s does not lie below %s", path, d->root);
}

struct durable *durable_begin(struct durable_dir *d, const char *tmp_path, mode_t mode, struct err *err)
{
	if (check_below(d, tmp_path, err) < 0)
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

static bool by_log(const struct durable_dir *d)
{
	return d->log_prefix && durable_log_active();
}

static enum way way_for(const struct durable_dir *d, size_t bytes)
{
	if (d->mode == DURABLE_NONE)
		return WAY_NONE;
	return by_log(d) && durable_log_preferred(bytes) ? WAY_LOG : WAY_SYNC;
}

/* One record for a path of ours; *full holds its name in the log's tree and is to be freed. */
static struct commitlog_record record_of(
    const struct durable_dir *d, enum commitlog_kind kind, const char *path, char **full)
{
	size_t skip = d->root_len + (d->root_len > 1);
	*full = xasprintf("%s%s", d->log_prefix, path + skip);
	return (struct commitlog_record){ .kind = kind, .path = span_str(*full) };
}

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
	return by_log(d) && durable_log_identify(AT_FDCWD, path, file);
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

/* The log takes them if each is held whole in memory, and all together are not too much; and under new names only:
 * after a crash nobody could tell what was replaced by a later program from what was not replaced yet. */
static enum way way_for_all(const struct durable_pub *pubs, size_t n, bool exclusive)
{
	size_t bytes = 0;
	for (size_t i = 0; i < n; i++) {
		if (pubs[i].f->flushed || (!exclusive && access(pubs[i].path, F_OK) == 0))
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

static void free_all(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
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
		r[i] = record_of(f->d, COMMITLOG_PUT, pubs[i].path, &full[i]);
		r[i].mode = (uint32_t)file.mode & 07777;
		r[i].file = file.id;
		/* What was flushed is still there: the buffer was never used twice (way_for_all). */
		r[i].data = span_of(f->held, (size_t)f->flushed);
	}
	int rc = all ? durable_log_commit(r, n, t, &wrote, err) : -1;
	free_all(full, n);
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
	enum way way = way_for_all(pubs, n, exclusive);
	for (size_t i = 0; i < n; i++)
		if (check_below(pubs[i].f->d, pubs[i].path, err) < 0 || settle(pubs[i].f, way, err) < 0)
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
	if (by_log(pubs[0].f->d))
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

/* Data was written at offset `at`. */
static int settle_append(struct durable_dir *d, int fd, const char *path, struct span data, off_t at)
{
	struct err err;
	struct commitlog_ticket t;
	struct commitlog_file file;
	char *full;
	if (!by_log(d) || !durable_log_identify(fd, "", &file))
		return d->mode == DURABLE_NONE ? 0 : fs_datasync(fd);
	struct commitlog_record r = record_of(d, COMMITLOG_APPEND, path, &full);
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
	if (check_below(d, path, err) < 0)
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
	if (check_below(r->d, path, err) < 0)
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
		r[i] = record_of(x->d, COMMITLOG_REMOVE, x->path[i], &full[i]);
		r[i].file = x->file[i].id;
		bytes += commitlog_record_size(&r[i]);
	}
	enum change how = !linked               ? log_changes(r, x->n, bytes, &t, err)
			  : durable_log_empty() ? CHANGE_PLAIN
						: CHANGE_SETTLED;
	free_all(full, x->n);
	free(r);
	return how;
}

int durable_removals_end(struct durable_removals *r, struct err *err)
{
	enum change how = !r->n || r->d->mode == DURABLE_NONE ? CHANGE_LOGGED
			  : by_log(r->d)                      ? log_removals(r, err)
							      : CHANGE_PLAIN;
	int rc = how == CHANGE_FAILED ? -1 : 0;
	if (how == CHANGE_PLAIN)
		rc = fs_sync_parents((const char *const *)r->path, r->n, err);
	if (how == CHANGE_SETTLED)
		rc = durable_log_settle(err);
	free_all(r->path, r->n);
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
	if (by_log(d))
		return durable_log_empty() ? fs_sync_parent(path, err) : durable_log_settle(err);
	return d->mode == DURABLE_NONE ? 0 : fs_sync_parent(path, err);
}

int durable_discard(struct durable_dir *d, const char *path, struct err *err)
{
	if (check_below(d, path, err) < 0)
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
	struct commitlog_record r = record_of(d, COMMITLOG_RENAME, from, &full_from);
	r.data = record_of(d, COMMITLOG_RENAME, to, &full_to).path;
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
	if (check_below(d, from, err) < 0 || check_below(d, to, err) < 0)
		return -1;
	if (!logged_at(d, from, &file))
		return rename_plainly(d, from, to, err);
	if (!S_ISREG(file.mode) || file.linked)
		return rename_between_syncs(d, from, to, err);
	return rename_by_log(d, from, to, file.id, err);
}

static int make_one(struct durable_dir *d, const char *path, mode_t mode, struct err *err)
{
	if (fs_mkdir(path, mode) == 0)
		return d->mode == DURABLE_NONE ? 0 : fs_sync_parent(path, err);
	struct stat st;
	int why = errno;
	if (why == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return 0;
	errno = why;
	return err_sys(err, "%s", path);
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
	if (check_below(d, to, err) < 0 || (by_log(d) && sync_file(from, err) < 0))
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

int durable_mkdir(struct durable_dir *d, const char *path, mode_t mode, struct err *err)
{
	if (strcmp(path, d->root) == 0)
		return 0;
	if (check_below(d, path, err) < 0)
		return -1;
	char *at = xstrdup(path);
	int rc = 0;
	for (char *p = at + d->root_len + 1; rc == 0 && *p; p++) {
		if (*p != '/' || p[1] == '/' || !p[1])
			continue;
		*p = '\0';
		rc = make_one(d, at, mode, err);
		*p = '/';
	}
	if (rc == 0)
		rc = make_one(d, at, mode, err);
	free(at);
	return rc;
}
