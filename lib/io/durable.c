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

/* One write per small message; large ones go out in pieces of this size. */
enum {
	DURABLE_BUFFER = 65536
};

struct durable_dir {
	char *root; /* without trailing slashes, except "/" */
	size_t root_len;
	enum durable_mode mode;
};

struct durable {
	struct durable_dir *d;
	char *tmp;
	int fd;
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
	return d;
}

void durable_close(struct durable_dir *d)
{
	if (!d)
		return;
	free(d->root);
	free(d);
}

static int check_below(const struct durable_dir *d, const char *path, struct err *err)
{
	bool below = strncmp(path, d->root, d->root_len) == 0 && (path[d->root_len] == '/' || d->root_len == 1);
	return below ? 0 : err_set(err, ERR_BUG, "%s does not lie below %s", path, d->root);
}

static int sync_parent(const struct durable_dir *d, const char *path, struct err *err)
{
	return d->mode == DURABLE_NONE ? 0 : fs_sync_parent(path, err);
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
	*f = (struct durable){ .d = d, .tmp = xstrdup(tmp_path), .fd = fd };
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

/* Content and size are on disk after this; the name is still the temporary one. */
static int settle(struct durable *f, struct err *err)
{
	if (flush_held(f) == 0 && f->d->mode != DURABLE_NONE && fs_sync(f->fd) < 0)
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
	if (check_below(f->d, path, err) < 0)
		return -1;
	int rc = exclusive ? fs_link(f->tmp, path) : fs_rename(f->tmp, path);
	return rc < 0 ? err_sys(err, "%s", path) : 0;
}

static int sync_parents(struct durable_pub *pubs, size_t n, struct err *err)
{
	const char **paths = xcalloc(n, sizeof *paths);
	for (size_t i = 0; i < n; i++)
		paths[i] = pubs[i].path;
	int rc = fs_sync_parents(paths, n, err);
	free(paths);
	return rc;
}

static int publish_named(struct durable_pub *pubs, size_t n, bool exclusive, size_t *named, struct err *err)
{
	for (size_t i = 0; i < n; i++)
		if (settle(pubs[i].f, err) < 0)
			return -1;
	for (; *named < n; ++*named)
		if (give_name(pubs[*named].f, pubs[*named].path, exclusive, err) < 0)
			return -1;
	return pubs[0].f->d->mode == DURABLE_NONE ? 0 : sync_parents(pubs, n, err);
}

int durable_publish_all(struct durable_pub *pubs, size_t n, bool exclusive, struct err *err)
{
	size_t named = 0;
	if (!n)
		return 0;
	int rc = publish_named(pubs, n, exclusive, &named, err);
	for (size_t i = 0; i < n; i++) {
		if (rc < 0 && i < named)
			fs_unlink(pubs[i].path);
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
	if (settle(f, err) < 0 || give_name(f, path, false, err) < 0) {
		durable_abort(f);
		return -1;
	}
	dispose(f);
	/* Unlike publish this leaves the new file when the directory's fsync fails: what it replaced is gone. */
	return sync_parent(d, path, err);
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
	if (rc == 0 && d->mode != DURABLE_NONE)
		rc = fs_datasync(fd);
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

int durable_unlink(struct durable_dir *d, const char *path, struct err *err)
{
	if (check_below(d, path, err) < 0)
		return -1;
	if (fs_unlink(path) < 0 && errno != ENOENT)
		return err_sys(err, "%s", path);
	return sync_parent(d, path, err);
}

int durable_discard(struct durable_dir *d, const char *path, struct err *err)
{
	if (check_below(d, path, err) < 0)
		return -1;
	return fs_unlink(path) < 0 && errno != ENOENT ? err_sys(err, "%s", path) : 0;
}

int durable_rename(struct durable_dir *d, const char *from, const char *to, struct err *err)
{
	if (check_below(d, from, err) < 0 || check_below(d, to, err) < 0)
		return -1;
	if (fs_rename(from, to) < 0)
		return err_sys(err, "%s to %s", from, to);
	/* The new name first: a crash between the two leaves both names rather than none. */
	const char *both[] = { to, from };
	return d->mode == DURABLE_NONE ? 0 : fs_sync_parents(both, 2, err);
}

static int make_one(struct durable_dir *d, const char *path, mode_t mode, struct err *err)
{
	if (fs_mkdir(path, mode) == 0)
		return sync_parent(d, path, err);
	struct stat st;
	int why = errno;
	if (why == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return 0;
	errno = why;
	return err_sys(err, "%s", path);
}

int durable_link(struct durable_dir *d, const char *from, const char *to, struct err *err)
{
	if (check_below(d, to, err) < 0)
		return -1;
	return fs_link(from, to) < 0 ? err_sys(err, "%s", to) : 0;
}

int durable_sync_dir(struct durable_dir *d, const char *dir, struct err *err)
{
	char *inside = xasprintf("%s/.", dir);
	int rc = sync_parent(d, inside, err);
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
