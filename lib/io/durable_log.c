/* SPDX-License-Identifier: ISC */
#include "io/durable_log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "io/commitlog_segment.h"
#include "io/durable.h"
#include "io/durable_fs.h"

static struct {
	struct commitlog *log;
	char *root; /* resolved */
	size_t root_len;
	dev_t dev; /* syncfs reaches this file system only */
} the;

static const char state_dir[] = "/dev/shm";

static int make_dir(const char *path, struct err *err)
{
	if (fs_mkdir(path, 0700) < 0)
		return errno == EEXIST ? 0 : err_sys(err, "%s", path);
	return fs_sync_parent(path, err);
}

/* ROOT/waypost-log/NODE-UID: nodes and users that share the tree do not share a log. */
static char *log_dir(const char *root, struct err *err)
{
	struct utsname node;
	if (uname(&node) < 0) {
		err_sys(err, "uname");
		return NULL;
	}
	char *parent = xasprintf("%s/waypost-log", root);
	char *dir = xasprintf("%s/%s-%ld", parent, node.nodename, (long)geteuid());
	bool made = make_dir(parent, err) == 0 && make_dir(dir, err) == 0;
	free(parent);
	if (made)
		return dir;
	free(dir);
	return NULL;
}

/* A log that can't be used is no matter when there is nothing in it. */
static bool holds_records(const char *dir)
{
	int fd = fs_open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	bool holds = fd < 0 || segment_highest(fd) > 0;
	if (fd >= 0)
		close(fd);
	return holds;
}

static void forget_root(void)
{
	free(the.root);
	the.root = NULL;
}

int durable_log_open(const char *root, struct err *err)
{
	if (the.log)
		return err_set(err, ERR_BUG, "this process has a commit log already");
	struct stat st;
	char *real = realpath(root, NULL), *dir = NULL;
	if (!real || stat(real, &st) < 0) {
		err_sys(err, "%s", root);
		free(real);
		return -1;
	}
	dir = log_dir(real, err);
	the.log = dir ? commitlog_open(real, dir, state_dir, err) : NULL;
	int rc = the.log || (dir && !holds_records(dir)) || !dir ? 0 : -1;
	free(dir);
	the.root = real;
	the.root_len = strlen(real);
	the.dev = st.st_dev;
	if (!the.log)
		forget_root();
	return rc;
}

void durable_log_close(void)
{
	commitlog_close(the.log);
	the.log = NULL;
	forget_root();
}

void durable_idle(void)
{
	if (the.log)
		commitlog_checkpoint(the.log, true);
}

char *durable_log_prefix(const char *root)
{
	char *real = the.log ? realpath(root, NULL) : NULL, *prefix = NULL;
	struct stat st;
	if (real && (stat(real, &st) < 0 || st.st_dev != the.dev))
		prefix = NULL;
	else if (real && strcmp(real, the.root) == 0)
		prefix = xstrdup("");
	else if (real && strncmp(real, the.root, the.root_len) == 0 && real[the.root_len] == '/')
		prefix = xasprintf("%s/", real + the.root_len + 1);
	free(real);
	return prefix;
}

bool durable_log_active(void)
{
	return the.log;
}

bool durable_log_usable(size_t bytes)
{
	return the.log && commitlog_usable(the.log, bytes);
}

bool durable_log_identify(int fd, const char *path, struct commitlog_file *file)
{
	return commitlog_file_at(fd, path, file) == 0 && file->dev == the.dev;
}

bool durable_log_covers(const struct commitlog_ticket *t)
{
	return commitlog_covers(the.log, t);
}

int durable_log_settle(struct err *err)
{
	return commitlog_settle(the.log, err);
}

int durable_log_commit(
    const struct commitlog_record *r, size_t n, struct commitlog_ticket *t, bool *wrote, struct err *err)
{
	*wrote = false;
	if (commitlog_append(the.log, r, n, t, err) < 0)
		return -1;
	*wrote = true;
	if (commitlog_wait(the.log, t, err) < 0)
		return -1;
	commitlog_checkpoint(the.log, false);
	return 0;
}
