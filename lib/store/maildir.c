/* SPDX-License-Identifier: ISC */
#include "store/maildir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/config.h"
#include "base/xalloc.h"
#include "store/maildir_int.h"

/* mkdir -p of the store's root, each level's parent synced: a message's durability begins at the first directory that
 * was there before. */
static int make_root(const char *path, enum durable_mode mode, struct err *err)
{
	char *base = xstrdup(path);
	struct stat st;
	for (char *slash; stat(base, &st) < 0 && errno == ENOENT && (slash = strrchr(base, '/'));)
		slash[slash == base] = '\0';
	struct durable_dir *d = durable_open(base[0] == '/' || stat(base, &st) == 0 ? base : ".", mode, err);
	int rc = d ? durable_mkdir(d, path, 0700, err) : -1;
	durable_close(d);
	free(base);
	return rc;
}

static char *absolute(const char *path)
{
	char here[MAILDIR_PATH_MAX];
	size_t n = strlen(path);
	while (n > 1 && path[n - 1] == '/')
		n--;
	if (path[0] == '/' || !getcwd(here, sizeof here))
		return xstrndup(path, n);
	return xasprintf("%s/%.*s", here, (int)n, path);
}

static bool exists(const char *dir, const char *name)
{
	char *path = xasprintf("%s/%s", dir, name);
	bool there = access(path, F_OK) == 0;
	free(path);
	return there;
}

struct maildir *maildir_open(const char *path, bool create, enum durable_mode mode, struct err *err)
{
	struct maildir *m = xcalloc(1, sizeof *m);
	struct stat st;
	m->path = absolute(path);
	if (create && stat(m->path, &st) < 0 && errno == ENOENT && make_root(m->path, mode, err) < 0)
		goto out;
	if (stat(m->path, &st) < 0) {
		err_sys(err, "%s", m->path);
		goto out;
	}
	m->dir_mode = st.st_mode & 0777;
	m->file_mode = st.st_mode & 0666;
	m->d = durable_open(m->path, mode, err);
	if (!m->d)
		goto out;
	if (create && maildir_make(m, m->path, err) < 0)
		goto out;
	if (!create && !exists(m->path, "cur")) {
		err_set(err, ERR_CONFIG, "%s: no Maildir (it has no cur/)", m->path);
		goto out;
	}
	return m;
out:
	maildir_close(m);
	return NULL;
}

void maildir_close(struct maildir *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n_swept; i++)
		free(m->swept[i]);
	free(m->swept);
	durable_close(m->d);
	free(m->path);
	free(m);
}

const char *maildir_path(const struct maildir *m)
{
	return m->path;
}

void maildir_limit(struct maildir *m, uint64_t bytes)
{
	m->limit = bytes;
}

char *maildir_dir(const struct maildir *m, struct span folder, struct err *err)
{
	struct buf disk;
	char *dir = NULL;
	buf_init(&disk, MAILDIR_PATH_MAX);
	if (maildir_folder_to_disk(folder, &disk, err) == 0)
		dir = disk.len ? xasprintf("%s/%s", m->path, disk.p) : xstrdup(m->path);
	buf_free(&disk);
	return dir;
}

int maildir_make(struct maildir *m, const char *dir, struct err *err)
{
	/* tmp first: a folder is seen by its cur, and is whole then. */
	static const char *const subs[] = { "tmp", "new", "cur" };
	if (strcmp(dir, m->path) != 0 && !exists(dir, "maildirfolder")) {
		char *marker = xasprintf("%s/maildirfolder", dir);
		int rc = durable_mkdir(m->d, dir, m->dir_mode, err);
		if (rc == 0)
			rc = durable_replace(m->d, marker, span_str(""), m->file_mode, err);
		free(marker);
		if (rc < 0)
			return -1;
	}
	for (size_t i = 0; i < 3; i++) {
		if (exists(dir, subs[i]))
			continue;
		char *path = xasprintf("%s/%s", dir, subs[i]);
		int rc = durable_mkdir(m->d, path, m->dir_mode, err);
		free(path);
		if (rc < 0)
			return -1;
	}
	return 0;
}

int maildir_each(const char *dir, bool dots, maildir_entry_fn *fn, void *arg, struct err *err)
{
	DIR *d = opendir(dir);
	int rc = 0;
	if (!d)
		return err_sys(err, "%s", dir);
	for (struct dirent *e; errno = 0, rc == 0 && (e = readdir(d));) {
		bool self = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
		if (!self && (dots || e->d_name[0] != '.'))
			rc = fn(arg, span_str(e->d_name), e->d_type);
	}
	if (rc == 0 && errno)
		rc = err_sys(err, "%s", dir);
	closedir(d);
	return rc;
}

int maildir_slurp(const char *path, struct buf *out, struct err *err)
{
	struct err why = { 0 };
	for (int again = 0; again < 3; again++) {
		if (config_slurp(path, out, &why) == 0)
			return 1;
		if (why.sys == ENOENT)
			return 0;
		/* Replaced by another node while we read it: the name leads to the new one. */
		if (why.sys != ESTALE)
			break;
	}
	if (err)
		*err = why;
	return -1;
}
