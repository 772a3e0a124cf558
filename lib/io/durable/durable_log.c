/* SPDX-License-Identifier: ISC */
#include "io/durable/durable_log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "io/durable/commitlog_segment.h"
#include "io/durable/durable.h"
#include "io/durable/durable_fs.h"
#include "io/stream.h"

static struct {
	struct commitlog *log;
	char *root; /* resolved */
	size_t root_len;
	dev_t dev; /* syncfs reaches this file system only */
	enum durability how;
	unsigned seen; /* operations, up to WARM_UP */
} the;

enum {
	WARM_UP = 16, /* operations after which a process is one that stays: a log costs its last user a sync of all */
};

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

static const char state_dir[] = "/dev/shm";

static int make_dir(const char *path, struct err *err)
{
	if (fs_mkdir(path, 0700) < 0)
		return errno == EEXIST ? 0 : err_sys(err, "%s", path);
	return fs_sync_parent(path, err);
}

/* ROOT/waypost-log/NODE-UID: nodes and users that share the tree do not share a log. */
static char *logs_dir(const char *root)
{
	return xasprintf("%s/waypost-log", root);
}

static char *log_dir(const char *root)
{
	struct utsname node;
	char *logs = logs_dir(root);
	if (uname(&node) < 0)
		snprintf(node.nodename, sizeof node.nodename, "localhost");
	char *dir = xasprintf("%s/%s-%ld", logs, node.nodename, (long)geteuid());
	free(logs);
	return dir;
}

/* May nobody else write to what stands at path? Who made a log that we replay makes files as we. 1 when nothing is
 * there. */
static int check_own(const char *path, bool or_roots, struct err *err)
{
	struct stat st;
	if (lstat(path, &st) < 0)
		return errno == ENOENT || errno == ENOTDIR ? 1 : err_sys(err, "%s", path);
	bool own = st.st_uid == geteuid() || (or_roots && st.st_uid == 0);
	if (S_ISDIR(st.st_mode) && own && !(st.st_mode & (S_IWGRP | S_IWOTH)))
		return 0;
	return err_set(err, ERR_CONFIG, "%s is no directory that nobody else may write to", path);
}

static int make_dirs(const char *dir, struct err *err)
{
	char *parent = xstrndup(dir, (size_t)(strrchr(dir, '/') - dir));
	int rc = make_dir(parent, err) < 0 || check_own(parent, true, err) < 0 ? -1 : make_dir(dir, err);
	if (rc == 0)
		rc = check_own(dir, false, err);
	free(parent);
	return rc;
}

static void forget_root(void)
{
	free(the.root);
	the.root = NULL;
}

/* File systems of one node that keep inode numbers and make syncfs mean all of them. */
static bool trusted_fs(const char *path)
{
	static const unsigned long known[] = { EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC };
	struct statfs fs;
	if (statfs(path, &fs) < 0)
		return false;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if ((unsigned long)fs.f_type == known[i])
			return true;
	return false;
}

/* A log is there already, or one may be made. */
static bool log_wanted(const char *dir, enum durability how)
{
	return how == DURABILITY_LOG || commitlog_look(dir) || (how == DURABILITY_AUTO && trusted_fs(the.root));
}

static void use_log(const char *dir, enum durability how, struct err *err)
{
	if (make_dirs(dir, err) < 0)
		return;
	the.log = commitlog_open(the.root, dir, state_dir, err);
	the.how = how;
}

/* What a node left that is dead, or had another name: replayed and gone. One that is in use is its node's. */
static int adopt(const char *dir, struct err *err)
{
	if (commitlog_look(dir) != COMMITLOG_HOLDS)
		return 0;
	if (check_own(dir, false, err) < 0)
		return -1;
	struct commitlog *left = commitlog_open(the.root, dir, state_dir, err);
	commitlog_close(left);
	return left ? 0 : -1;
}

static int adopt_all(const char *ours, struct err *err)
{
	char *logs = logs_dir(the.root), tail[32];
	DIR *d = opendir(logs);
	int rc = d || errno == ENOENT || errno == ENOTDIR ? 0 : err_sys(err, "%s", logs);
	snprintf(tail, sizeof tail, "-%ld", (long)geteuid());
	errno = 0;
	for (struct dirent *e; d && rc == 0 && (e = readdir(d)); errno = 0) {
		if (!span_ends(span_str(e->d_name), tail))
			continue;
		char *dir = xasprintf("%s/%s", logs, e->d_name);
		if (strcmp(dir, ours) != 0)
			rc = adopt(dir, err);
		free(dir);
	}
	if (d && rc == 0 && errno)
		rc = err_sys(err, "%s", logs);
	if (d)
		closedir(d);
	free(logs);
	return rc;
}

/* Another's directory that we may not enter: nothing there is of our making, and nothing of ours is published there. */
static bool shut_out(const char *dir)
{
	struct stat st;
	bool refused = faccessat(AT_FDCWD, dir, R_OK | X_OK, AT_EACCESS) < 0 && errno == EACCES;
	return refused && (stat(dir, &st) < 0 || st.st_uid != geteuid());
}

static bool shut_out_of_logs(void)
{
	char *logs = logs_dir(the.root);
	bool out = faccessat(AT_FDCWD, the.root, X_OK, AT_EACCESS) < 0 ? shut_out(the.root) : shut_out(logs);
	free(logs);
	return out;
}

/* In such a place no log of ours was ever made. */
static bool logs_of_another(void)
{
	struct err why = { 0 };
	char *logs = logs_dir(the.root);
	bool another = check_own(logs, true, &why) < 0 && why.class == ERR_CONFIG;
	free(logs);
	return another;
}

int durable_log_open(const char *root, enum durability how, struct err *err)
{
	struct stat st;
	struct err why = { 0 };
	if (the.log)
		return err_set(err, ERR_BUG, "this process has a commit log already");
	the.root = realpath(root, NULL);
	if (!the.root || stat(the.root, &st) < 0) {
		err_sys(err, "%s", root);
		forget_root();
		return -1;
	}
	if (how != DURABILITY_LOG && (shut_out_of_logs() || logs_of_another())) {
		forget_root();
		return 0;
	}
	the.root_len = strlen(the.root);
	the.dev = st.st_dev;
	char *dir = log_dir(the.root);
	bool left = adopt_all(dir, &why) < 0;
	if (!left && log_wanted(dir, how))
		use_log(dir, how, &why);
	/* A log that can't be used is no matter when there is nothing in it. */
	bool must = left || how == DURABILITY_LOG || commitlog_look(dir);
	if (must && !the.log && why.class == ERR_NONE)
		err_set(&why, ERR_TEMP, "%s: can't tell whether a log is there", dir);
	free(dir);
	if (the.log) {
		stream_on_idle = durable_idle;
		return 0;
	}
	forget_root();
	if (!must)
		return 0;
	if (how == DURABILITY_LOG && !left)
		why.class = ERR_CONFIG;
	if (err)
		*err = why;
	return -1;
}

bool durable_log_is_open(void)
{
	return the.log;
}

void durable_log_close(void)
{
	commitlog_close(the.log);
	the.log = NULL;
	stream_on_idle = NULL;
	forget_root();
}

void durable_idle(void)
{
	if (the.log)
		commitlog_checkpoint(the.log, COMMITLOG_IDLE);
}

void durable_log_checkpoint(void)
{
	commitlog_checkpoint(the.log, COMMITLOG_NOW);
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

bool durable_log_usable(size_t bytes)
{
	return the.log && commitlog_usable(the.log, bytes);
}

bool durable_log_empty(void)
{
	return commitlog_empty(the.log);
}

bool durable_log_preferred(size_t bytes)
{
	if (!durable_log_usable(bytes))
		return false;
	if (the.how == DURABILITY_AUTO && the.seen < WARM_UP && !commitlog_begun(the.log))
		return the.seen++, false;
	return the.how != DURABILITY_FILE;
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
	commitlog_checkpoint(the.log, COMMITLOG_BUSY);
	return 0;
}
