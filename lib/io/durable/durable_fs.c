/* SPDX-License-Identifier: ISC */
#include "io/durable/durable_fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/xalloc.h"

int fs_open(const char *path, int flags, mode_t mode)
{
	int fd;
	do
		fd = open(path, flags, mode);
	while (fd < 0 && errno == EINTR);
	return fd;
}

int fs_write_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t done = write(fd, p, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -1;
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

int fs_pwrite_all(int fd, const char *p, size_t n, off_t at)
{
	while (n) {
		ssize_t done = pwrite(fd, p, n, at);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -1;
		p += done;
		at += done;
		n -= (size_t)done;
	}
	return 0;
}

/* EINTR is no report about the data: the call did not finish, so it is the one error that is repeated. */
int fs_sync(int fd)
{
	int rc;
	do
		rc = fsync(fd);
	while (rc < 0 && errno == EINTR);
	return rc;
}

int fs_datasync(int fd)
{
	int rc;
	do
		rc = fdatasync(fd);
	while (rc < 0 && errno == EINTR);
	return rc;
}

int fs_sync_all(int fd)
{
	int rc;
	do
		rc = syncfs(fd);
	while (rc < 0 && errno == EINTR);
	return rc;
}

int fs_truncate(int fd, off_t size)
{
	int rc;
	do
		rc = ftruncate(fd, size);
	while (rc < 0 && errno == EINTR);
	return rc;
}

/* link and rename may have been done before EINTR is seen on a network file system, so that a repetition meets EEXIST
 * or ENOENT: local file systems never give EINTR for them, and the caller treats any failure as "not published". */
int fs_link(const char *from, const char *to)
{
	return link(from, to);
}

int fs_rename(const char *from, const char *to)
{
	return rename(from, to);
}

int fs_unlink(const char *path)
{
	int rc;
	do
		rc = unlink(path);
	while (rc < 0 && errno == EINTR);
	return rc;
}

int fs_mkdir(const char *path, mode_t mode)
{
	int rc;
	do
		rc = mkdir(path, mode);
	while (rc < 0 && errno == EINTR);
	return rc;
}

static char *parent_of(const char *path)
{
	size_t n = strlen(path);
	while (n && path[n - 1] == '/')
		n--;
	while (n && path[n - 1] != '/')
		n--;
	while (n > 1 && path[n - 1] == '/')
		n--;
	return n ? xstrndup(path, n) : xstrdup(".");
}

static int sync_dir(const char *dir, struct err *err)
{
	int fd = fs_open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(err, "%s", dir);
	int rc = fs_sync(fd) < 0 ? err_sys(err, "fsync %s", dir) : 0;
	close(fd);
	return rc;
}

int fs_sync_parent(const char *path, struct err *err)
{
	char *dir = parent_of(path);
	int rc = sync_dir(dir, err);
	free(dir);
	return rc;
}

struct parent {
	char *dir;
	size_t order; /* of its first path, so that directories are synced in the order asked */
};

static int by_name(const void *a, const void *b)
{
	const struct parent *x = a, *y = b;
	int names = strcmp(x->dir, y->dir);
	return names ? names : (x->order > y->order) - (x->order < y->order);
}

static int by_order(const void *a, const void *b)
{
	const struct parent *x = a, *y = b;
	return (x->order > y->order) - (x->order < y->order);
}

int fs_sync_parents(const char *const *paths, size_t n, struct err *err)
{
	struct parent *all = xcalloc(n, sizeof *all);
	size_t kept = 0;
	int rc = 0;
	for (size_t i = 0; i < n; i++)
		all[i] = (struct parent){ parent_of(paths[i]), i };
	qsort(all, n, sizeof *all, by_name);
	for (size_t i = 0; i < n; i++) {
		if (kept && strcmp(all[kept - 1].dir, all[i].dir) == 0)
			free(all[i].dir);
		else
			all[kept++] = all[i];
	}
	qsort(all, kept, sizeof *all, by_order);
	for (size_t i = 0; i < kept; i++) {
		if (rc == 0)
			rc = sync_dir(all[i].dir, err);
		free(all[i].dir);
	}
	free(all);
	return rc;
}
