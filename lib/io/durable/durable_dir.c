/* SPDX-License-Identifier: ISC
 *
 * The tree that makes one promise, and its directories.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/xalloc.h"
#include "io/durable/durable_fs.h"
#include "io/durable/durable_int.h"

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

int durable_check(const struct durable_dir *d, const char *path, struct err *err)
{
	bool below = strncmp(path, d->root, d->root_len) == 0 && (path[d->root_len] == '/' || d->root_len == 1);
	return below ? 0 : err_set(err, ERR_BUG, "%s does not lie below %s", path, d->root);
}

bool durable_by_log(const struct durable_dir *d)
{
	return d->log_prefix && durable_log_is_open();
}

struct commitlog_record durable_record(
    const struct durable_dir *d, enum commitlog_kind kind, const char *path, char **full)
{
	size_t skip = d->root_len + (d->root_len > 1);
	*full = xasprintf("%s%s", d->log_prefix, path + skip);
	return (struct commitlog_record){ .kind = kind, .path = span_str(*full) };
}

/* How a change of what may stand in the log becomes durable. */
void durable_free_names(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
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

int durable_mkdir(struct durable_dir *d, const char *path, mode_t mode, struct err *err)
{
	if (strcmp(path, d->root) == 0)
		return 0;
	if (durable_check(d, path, err) < 0)
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
