/* SPDX-License-Identifier: ISC */
#include "io/listen/heartbeat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/xalloc.h"

static struct flock whole_file(void)
{
	return (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET };
}

static int make(struct heartbeat *h, const char *tmp, struct span text, struct err *err)
{
	struct flock lock = whole_file();
	h->fd = open(tmp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (h->fd < 0)
		return err_sys(err, "%s", tmp);
	if (write(h->fd, text.p, text.n) != (ssize_t)text.n || fcntl(h->fd, F_SETLK, &lock) < 0 ||
	    rename(tmp, h->path) < 0) {
		err_sys(err, "%s", h->path);
		unlink(tmp);
		close(h->fd);
		h->fd = -1;
		return -1;
	}
	return 0;
}

int heartbeat_start(struct heartbeat *h, const char *path, struct span text, struct err *err)
{
	char *tmp = xasprintf("%s.%ld", path, (long)getpid());
	*h = (struct heartbeat){ .path = path, .fd = -1 };
	int rc = make(h, tmp, text, err);
	free(tmp);
	return rc;
}

void heartbeat_beat(struct heartbeat *h, int64_t now)
{
	if (h->fd < 0 || now - h->last < HEARTBEAT_EVERY_MS)
		return;
	h->last = now;
	futimens(h->fd, NULL);
}

void heartbeat_stop(struct heartbeat *h)
{
	struct stat ours, there;
	if (h->fd < 0)
		return;
	if (fstat(h->fd, &ours) == 0 && stat(h->path, &there) == 0 && ours.st_ino == there.st_ino &&
	    ours.st_dev == there.st_dev)
		unlink(h->path);
	close(h->fd);
	h->fd = -1;
}

static int judge(int fd, const char *path, struct err *err)
{
	struct flock lock = whole_file();
	struct stat st;
	lock.l_type = F_RDLCK; /* conflicts with the server's; a descriptor for reading may ask for it */
	if (fcntl(fd, F_GETLK, &lock) < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "%s", path);
	if (lock.l_type == F_UNLCK)
		return err_set(err, ERR_TEMP, "%s: the server that made it is gone", path);
	long long age = (long long)(time(NULL) - st.st_mtime);
	if (age > HEARTBEAT_STALE_S)
		return err_set(err, ERR_TEMP, "%s: process %ld is there, but has not moved for %lld seconds", path,
		    (long)lock.l_pid, age);
	return 0;
}

int heartbeat_check(const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return err_set(err, ERR_TEMP, "%s: no server has made it", path);
	if (fd < 0)
		return err_sys(err, "%s", path);
	int rc = judge(fd, path, err);
	close(fd);
	return rc;
}
