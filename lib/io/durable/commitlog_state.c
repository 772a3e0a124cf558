/* SPDX-License-Identifier: ISC */
#include "io/durable/commitlog_state.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "io/durable/commitlog_record.h"

enum {
	STATE_MAGIC = 0x57505331,
	STATE_NAME = 256,
};

static int state_name(const char *state_dir, int dir_fd, char *name, struct stat *dir)
{
	if (fstat(dir_fd, dir) < 0)
		return -1;
	int n = snprintf(name, STATE_NAME, "%s/waypost-%ld-%llx-%llx", state_dir, (long)geteuid(),
	    (unsigned long long)dir->st_dev, (unsigned long long)dir->st_ino);
	return n < STATE_NAME ? 0 : -1;
}

/* Which mount of its device this is: one made anew, without a restart of the node, may have lost what was not synced (a
 * disk that went away, an image put back). The file system's place in sysfs is made with it. 0: not known. */
static int mount_number(dev_t dev, uint64_t *number)
{
	static const char *const kinds[] = { "ext4", "xfs", "f2fs" };
	char path[STATE_NAME], disk[STATE_NAME];
	struct stat st;
	*number = 0;
	snprintf(path, sizeof path, "/sys/dev/block/%u:%u", major(dev), minor(dev));
	ssize_t n = readlink(path, disk, sizeof disk - 1);
	if (n < 0)
		return errno == ENOENT || errno == EACCES ? 0 : -1;
	disk[n] = '\0';
	const char *name = strrchr(disk, '/');
	for (size_t i = 0; name && !*number && i < sizeof kinds / sizeof *kinds; i++) {
		snprintf(path, sizeof path, "/sys/fs/%s%.200s", kinds[i], name);
		if (stat(path, &st) == 0)
			*number = st.st_ino;
		else if (errno != ENOENT && errno != EACCES)
			return -1;
	}
	return 0;
}

/* The kernel's boot id, its last part made to tell mounts apart. Without it nobody could tell a state of this boot,
 * which others use, from one to begin anew. */
static int boot_id(dev_t dev, char out[40])
{
	enum {
		TOLD = 24, /* digits and hyphens that stay */
	};
	uint64_t number, h;
	memset(out, 0, 40);
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ssize_t n = read(fd, out, COMMITLOG_BOOT);
	close(fd);
	if (n != COMMITLOG_BOOT) {
		errno = EIO; /* also of a short one */
		return -1;
	}
	if (mount_number(dev, &number) < 0)
		return -1;
	h = span_hash(SPAN_HASH, (struct span){ out, COMMITLOG_BOOT });
	h = span_hash(h, (struct span){ (const char *)&dev, sizeof dev });
	h = span_hash(h, (struct span){ (const char *)&number, sizeof number });
	snprintf(out + TOLD, 40 - TOLD, "%012llx", (unsigned long long)(h & 0xffffffffffff));
	return 0;
}

static bool is_ours(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 077) == 0;
}

static struct commitlog_state *map(int fd)
{
	void *p = mmap(NULL, sizeof(struct commitlog_state), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

static void init_mutex(pthread_mutex_t *m)
{
	pthread_mutexattr_t a;
	pthread_mutexattr_init(&a);
	pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(m, &a);
	pthread_mutexattr_destroy(&a);
}

static bool is_current(const struct commitlog_state *st, const char *boot, const struct stat *dir)
{
	return st->magic == STATE_MAGIC && memcmp(st->boot, boot, sizeof st->boot) == 0 && st->dir_dev == dir->st_dev &&
	       st->dir_ino == dir->st_ino;
}

struct commitlog_state *commitlog_state_map(const char *state_dir, int dir_fd, bool *fresh, struct err *err)
{
	char name[STATE_NAME], boot[40];
	struct stat dir;
	if (state_name(state_dir, dir_fd, name, &dir) < 0 || boot_id(dir.st_dev, boot) < 0) {
		err_sys(err, "commit log state in %s", state_dir);
		return NULL;
	}
	/* tmpfs directories are writable by all: nothing but a file of our own that no other can read is trusted. */
	int fd = open(name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct commitlog_state *st = NULL;
	if (fd >= 0 && is_ours(fd) && ftruncate(fd, sizeof *st) == 0)
		st = map(fd);
	if (!st)
		err_sys(err, "%s", name);
	if (fd >= 0)
		close(fd);
	if (!st)
		return NULL;
	*fresh = !is_current(st, boot, &dir);
	return st;
}

int commitlog_state_begin(struct commitlog_state *st, int dir_fd, struct err *err)
{
	char boot[40];
	struct stat dir;
	if (fstat(dir_fd, &dir) < 0 || boot_id(dir.st_dev, boot) < 0)
		return err_sys(err, "commit log state");
	memset(st, 0, sizeof *st);
	memcpy(st->boot, boot, sizeof st->boot);
	st->dir_dev = dir.st_dev;
	st->dir_ino = dir.st_ino;
	init_mutex(&st->append);
	init_mutex(&st->sync);
	init_mutex(&st->checkpoint);
	return 0;
}

void commitlog_state_ready(struct commitlog_state *st, uint64_t first_segment)
{
	st->segment = st->dropped = st->dropping = first_segment;
	st->tail = 0;
	st->synced = first_segment * COMMITLOG_SEGMENT;
	st->magic = STATE_MAGIC;
}

void commitlog_state_unmap(struct commitlog_state *st)
{
	munmap(st, sizeof *st);
}

void commitlog_state_remove(const char *state_dir, int dir_fd)
{
	char name[STATE_NAME];
	struct stat dir;
	if (state_name(state_dir, dir_fd, name, &dir) == 0)
		unlink(name);
}

static bool locked(pthread_mutex_t *m, int rc)
{
	if (rc == EOWNERDEAD)
		rc = pthread_mutex_consistent(m);
	return rc == 0;
}

void commitlog_lock(pthread_mutex_t *m)
{
	/* Any other answer than these means that the shared memory was overwritten: nothing can be promised then. */
	if (!locked(m, pthread_mutex_lock(m)))
		abort();
}

bool commitlog_trylock(pthread_mutex_t *m)
{
	return locked(m, pthread_mutex_trylock(m));
}

void commitlog_unlock(pthread_mutex_t *m)
{
	pthread_mutex_unlock(m);
}

void commitlog_sleep(struct commitlog_state *st, uint32_t seen, unsigned ms)
{
	struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };
	atomic_fetch_add(&st->sleepers, 1);
	syscall(SYS_futex, &st->turn, FUTEX_WAIT, seen, &t, NULL, 0);
	atomic_fetch_sub(&st->sleepers, 1);
}

void commitlog_wake(struct commitlog_state *st)
{
	/* Who counts itself after this sees the new turn and does not sleep. */
	atomic_fetch_add(&st->turn, 1);
	if (st->sleepers)
		syscall(SYS_futex, &st->turn, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}
