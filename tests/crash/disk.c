/* SPDX-License-Identifier: ISC
 *
 * libc's functions are replaced by their definition here, so this file does without the checking wrappers. */
#undef _FORTIFY_SOURCE
#include "tests/crash/disk.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "io/durable/commitlog_state.h"

enum {
	FD_FIRST = 100000,
	FDS = 64,
	FILES = 2048, /* of one state */
	DIRS = 8,
};

/* Every file has room for the longest, a log's segment; what is not touched costs nothing. */
static char *space;
static struct {
	size_t identity, size, high; /* high: bytes behind it are zeros */
	mode_t mode;
} files[FILES];
static size_t n_files, max_names;
struct disk disk = { .fuse = DISK_NO_FUSE };

static struct open_file {
	bool used, is_dir;
	char path[256]; /* of a directory */
	size_t file;
	off_t at;
} fds[FDS];

static struct reading {
	bool used;
	int fd; /* -1: by opendir */
	char dir[256];
	size_t next;
	struct dirent entry;
} readings[DIRS];

/* Names that the replay gives are kept here until the next state. */
static char *given[4096];
static size_t n_given;

static char *bytes_of(size_t file)
{
	return space + file * COMMITLOG_SEGMENT;
}

void disk_clear(void)
{
	if (!space)
		space = mmap(NULL, (size_t)FILES * COMMITLOG_SEGMENT, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (space == MAP_FAILED)
		abort();
	for (size_t i = 0; i < n_files; i++)
		memset(bytes_of(i), 0, files[i].high);
	while (n_given)
		free(given[--n_given]);
	n_files = disk.n_names = 0;
	disk.changes = 0;
	disk.fuse = DISK_NO_FUSE;
}

size_t disk_add(size_t identity)
{
	if (n_files == FILES)
		abort();
	files[n_files].identity = identity;
	files[n_files].size = files[n_files].high = 0;
	files[n_files].mode = S_IFREG | 0600;
	return n_files++;
}

static struct disk_name *find(const char *path)
{
	for (size_t i = 0; i < disk.n_names; i++)
		if (strcmp(disk.names[i].path, path) == 0)
			return &disk.names[i];
	return NULL;
}

void disk_link(const char *path, size_t file)
{
	if (disk.n_names == max_names) {
		max_names = max_names ? max_names * 2 : 64;
		disk.names = xreallocarray(disk.names, max_names, sizeof *disk.names);
	}
	disk.names[disk.n_names++] = (struct disk_name){ path, file };
}

void disk_resize(size_t file, off_t size)
{
	size_t n = (size_t)size;
	if (size < 0 || n > COMMITLOG_SEGMENT)
		abort();
	if (n < files[file].high) {
		memset(bytes_of(file) + n, 0, files[file].high - n);
		files[file].high = n;
	}
	files[file].size = n;
}

void disk_store(size_t file, const char *p, size_t n, off_t at)
{
	size_t end = (size_t)at + n;
	if (end > COMMITLOG_SEGMENT)
		abort();
	if (p) {
		memcpy(bytes_of(file) + at, p, n);
		if (end > files[file].high)
			files[file].high = end;
	}
	if (end > files[file].size)
		files[file].size = end;
}

const char *disk_content(const char *path, size_t *n)
{
	const struct disk_name *name = find(path);
	*n = name ? files[name->file].size : 0;
	return name ? bytes_of(name->file) : NULL;
}

/* May something be changed? */
static bool blown(void)
{
	disk.changes++;
	if (disk.fuse == 0) {
		errno = EIO;
		return true;
	}
	if (disk.fuse > 0)
		disk.fuse--;
	return false;
}

static const char *keep(const char *path)
{
	if (n_given == sizeof given / sizeof *given)
		abort();
	return given[n_given++] = xstrdup(path);
}

/* ---- what libc's names do ---- */

const char *disk_below(const char *path)
{
	size_t n = sizeof DISK_ROOT - 1;
	if (strncmp(path, DISK_ROOT, n) != 0 || (path[n] && path[n] != '/'))
		return NULL;
	return path[n] ? path + n + 1 : path + n;
}

bool disk_fd(int fd)
{
	return fd >= FD_FIRST && fd < FD_FIRST + FDS;
}

static struct open_file *opened(int fd)
{
	return &fds[fd - FD_FIRST];
}

/* In out: the name below the root. */
static const char *resolve(int dir, const char *path, char out[256])
{
	const char *below = disk_below(path);
	if (below)
		return below;
	if (strcmp(path, ".") == 0)
		return opened(dir)->path;
	snprintf(out, 256, "%s/%s", opened(dir)->path, path);
	return out;
}

static int new_fd(void)
{
	for (int i = 0; i < FDS; i++)
		if (!fds[i].used) {
			fds[i] = (struct open_file){ .used = true };
			return FD_FIRST + i;
		}
	abort();
}

int disk_openat(int dir, const char *path, int flags)
{
	char buffer[256];
	const char *full = resolve(dir, path, buffer);
	struct disk_name *name = flags & O_DIRECTORY ? NULL : find(full);
	size_t file = name ? name->file : 0;
	if (!(flags & O_DIRECTORY) && !name) {
		if (!(flags & O_CREAT)) {
			errno = ENOENT;
			return -1;
		}
		if (blown())
			return -1;
		file = disk_add((1ULL << 48) + n_files);
		disk_link(keep(full), file);
	} else if (name && flags & O_TRUNC) {
		disk_resize(file, 0);
	}
	int fd = new_fd();
	struct open_file *o = opened(fd);
	o->is_dir = flags & O_DIRECTORY;
	o->file = file;
	snprintf(o->path, sizeof o->path, "%s", full);
	return fd;
}

int disk_close(int fd)
{
	opened(fd)->used = false;
	return 0;
}

ssize_t disk_pwrite(int fd, const void *p, size_t n, off_t at)
{
	if (blown())
		return -1;
	disk_store(opened(fd)->file, p, n, at);
	return (ssize_t)n;
}

ssize_t disk_write(int fd, const void *p, size_t n)
{
	ssize_t done = disk_pwrite(fd, p, n, opened(fd)->at);
	if (done > 0)
		opened(fd)->at += done;
	return done;
}

static void drop_name(struct disk_name *name)
{
	*name = disk.names[--disk.n_names];
}

int disk_unlink(const char *path)
{
	struct disk_name *name = find(disk_below(path));
	if (!name) {
		errno = ENOENT;
		return -1;
	}
	if (blown())
		return -1;
	drop_name(name);
	return 0;
}

int disk_rename(const char *from, const char *to)
{
	struct disk_name *a = find(disk_below(from)), *b = find(disk_below(to));
	if (!a) {
		errno = ENOENT;
		return -1;
	}
	if (blown())
		return -1;
	if (b && b->file == a->file)
		return 0;
	if (b) {
		b->file = a->file;
		drop_name(a);
	} else {
		a->path = keep(disk_below(to));
	}
	return 0;
}

static nlink_t links(size_t file)
{
	nlink_t n = 0;
	for (size_t i = 0; i < disk.n_names; i++)
		n += disk.names[i].file == file;
	return n;
}

static int stat_file(const char *path, struct stat *st)
{
	const struct disk_name *name = find(path);
	if (!name) {
		errno = ENOENT;
		return -1;
	}
	*st = (struct stat){ .st_mode = files[name->file].mode,
		.st_ino = files[name->file].identity,
		.st_size = (off_t)files[name->file].size,
		.st_nlink = links(name->file) };
	return 0;
}

int disk_statx(int dir, const char *path, struct statx *x)
{
	char buffer[256];
	struct stat st;
	if (stat_file(resolve(dir, path, buffer), &st) < 0)
		return -1;
	*x = (struct statx){ .stx_mask = STATX_BASIC_STATS,
		.stx_mode = (uint16_t)st.st_mode,
		.stx_ino = st.st_ino,
		.stx_nlink = (uint32_t)st.st_nlink,
		.stx_size = (uint64_t)st.st_size };
	return 0;
}

/* ---- libc's names that the recorder does not need ---- */

ssize_t pread(int fd, void *p, size_t n, off_t at)
{
	if (!disk_fd(fd))
		return syscall(SYS_pread64, fd, p, n, at);
	size_t size = files[opened(fd)->file].size, rest = (size_t)at < size ? size - (size_t)at : 0;
	n = n < rest ? n : rest;
	memcpy(p, bytes_of(opened(fd)->file) + at, n);
	return (ssize_t)n;
}

int fstat(int fd, struct stat *st)
{
	return disk_fd(fd) ? stat_file(opened(fd)->path, st) : (int)syscall(SYS_fstat, fd, st);
}

int lstat(const char *restrict path, struct stat *restrict st)
{
	const char *below = disk_below(path);
	return below ? stat_file(below, st) : (int)syscall(SYS_newfstatat, AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW);
}

int fchmod(int fd, mode_t mode)
{
	if (!disk_fd(fd))
		return (int)syscall(SYS_fchmod, fd, mode);
	files[opened(fd)->file].mode = S_IFREG | mode;
	return 0;
}

int mkdir(const char *path, mode_t mode)
{
	if (!disk_below(path))
		return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
	errno = EEXIST;
	return -1;
}

void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
	if (disk_fd(fd))
		return bytes_of(opened(fd)->file);
	return (void *)syscall(SYS_mmap, at, n, protection, flags, fd, offset);
}

int munmap(void *at, size_t n)
{
	char *p = at;
	if (space && p >= space && p < bytes_of(FILES))
		return 0;
	return (int)syscall(SYS_munmap, at, n);
}

/* ---- directories ---- */

static void *next(const char *name)
{
	void *f = dlsym(RTLD_NEXT, name);
	if (!f)
		abort();
	return f;
}

static DIR *read_dir(const char *path, int fd)
{
	for (size_t i = 0; i < DIRS; i++) {
		struct reading *r = &readings[i];
		if (r->used)
			continue;
		r->used = true;
		r->fd = fd;
		r->next = 0;
		snprintf(r->dir, sizeof r->dir, "%s/", path);
		return (DIR *)(void *)r;
	}
	abort();
}

static struct reading *reading_of(DIR *dir)
{
	struct reading *r = (struct reading *)(void *)dir;
	return r >= readings && r < readings + DIRS ? r : NULL;
}

DIR *opendir(const char *path)
{
	const char *below = disk_below(path);
	DIR *(*real)(const char *) = below ? NULL : next("opendir");
	return below ? read_dir(below, -1) : real(path);
}

DIR *fdopendir(int fd)
{
	DIR *(*real)(int) = disk_fd(fd) ? NULL : next("fdopendir");
	return disk_fd(fd) ? read_dir(opened(fd)->path, fd) : real(fd);
}

struct dirent *readdir(DIR *dir)
{
	struct reading *r = reading_of(dir);
	if (!r) {
		struct dirent *(*real)(DIR *) = next("readdir");
		return real(dir);
	}
	size_t n = strlen(r->dir);
	while (r->next < disk.n_names) {
		const char *path = disk.names[r->next++].path;
		if (strncmp(path, r->dir, n) != 0 || strchr(path + n, '/'))
			continue;
		r->entry.d_type = DT_REG;
		snprintf(r->entry.d_name, sizeof r->entry.d_name, "%s", path + n);
		return &r->entry;
	}
	return NULL;
}

int closedir(DIR *dir)
{
	struct reading *r = reading_of(dir);
	if (!r) {
		int (*real)(DIR *) = next("closedir");
		return real(dir);
	}
	if (r->fd >= 0)
		disk_close(r->fd);
	r->used = false;
	return 0;
}
