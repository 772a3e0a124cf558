/* SPDX-License-Identifier: ISC
 *
 * A disk in memory: what lies below DISK_ROOT. The replay under test finds its files there, by libc's own names, so
 * that a state of the disk costs microseconds. Directories are there when they are asked for; names are flat. One
 * process.
 *
 * A fuse makes the disk fail: after so many changes each further one is EIO, as if the process had died there.
 */
#ifndef WP_TESTS_CRASH_DISK_H
#define WP_TESTS_CRASH_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#define DISK_ROOT "/in-memory"

enum {
	DISK_NO_FUSE = -1,
};

struct disk_name {
	const char *path; /* below the root */
	size_t file;
};
extern struct disk {
	struct disk_name *names;
	size_t n_names;
	long fuse;    /* changes that still succeed */
	long changes; /* since disk_clear */
} disk;

void disk_clear(void);
/* A file of this identity (statx tells it), without a name. */
size_t disk_add(size_t identity);
/* path: borrowed until disk_clear. */
void disk_link(const char *path, size_t file);
void disk_store(size_t file, const char *p, size_t n, off_t at); /* p NULL: the size only */
void disk_resize(size_t file, off_t size);
/* NULL: there is no such file. */
const char *disk_content(const char *path, size_t *n);

/* For libc's names: is this one of the disk's? */
const char *disk_below(const char *path); /* below the root; NULL: no */
bool disk_fd(int fd);
int disk_openat(int dir, const char *path, int flags);
int disk_close(int fd);
ssize_t disk_write(int fd, const void *p, size_t n);
ssize_t disk_pwrite(int fd, const void *p, size_t n, off_t at);
int disk_rename(const char *from, const char *to);
int disk_unlink(const char *path);
int disk_statx(int dir, const char *path, struct statx *x);

#endif
