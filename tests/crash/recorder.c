/* SPDX-License-Identifier: ISC
 *
 * libc's functions are replaced by their definition here, so this file does without the checking wrappers. */
#undef _FORTIFY_SOURCE
#include "tests/crash/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "tests/crash/disk.h"

enum {
	IDENTITIES = 8192,
	PATH_SIZE = 512,
};

struct recording rec;
static char root[PATH_SIZE];
static bool recording;
static struct {
	ino_t number;
	size_t file;
} identities[IDENTITIES];

static size_t identity_slot(ino_t number)
{
	size_t i = (size_t)number * 2654435761u % IDENTITIES;
	while (identities[i].number && identities[i].number != number)
		i = (i + 1) % IDENTITIES;
	return i;
}

static void identify(ino_t number, size_t file)
{
	if (!number) {
		memset(identities, 0, sizeof identities);
		return;
	}
	size_t i = identity_slot(number);
	identities[i].number = number;
	identities[i].file = file;
}

void recorder_start(const char *dir)
{
	snprintf(root, sizeof root, "%s/", dir);
	identify(0, 0);
	recording = true;
}

void recorder_stop(void)
{
	recording = false;
}

void recorder_free(void)
{
	for (size_t i = 0; i < rec.n; i++)
		free(rec.ops[i].data);
	for (size_t i = 0; i < rec.n_paths; i++)
		free(rec.paths[i]);
	free(rec.ops);
	free(rec.paths);
	rec = (struct recording){ 0 };
}

/* ---- names and files ---- */

static bool absolute(int dir, const char *path, char out[PATH_SIZE])
{
	char link[64], base[PATH_SIZE] = "";
	if (*path != '/') {
		snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
		if (dir == AT_FDCWD || syscall(SYS_readlink, link, base, sizeof base - 1) < 0)
			return false;
	}
	snprintf(out, PATH_SIZE, "%.250s%s%.250s", base, *base && *path ? "/" : "", path);
	return recording && strncmp(out, root, strlen(root)) == 0;
}

static size_t path_number(const char *full)
{
	const char *name = full + strlen(root);
	for (size_t i = rec.n_paths; i-- > 0;)
		if (strcmp(rec.paths[i], name) == 0)
			return i;
	rec.paths = xreallocarray(rec.paths, rec.n_paths + 1, sizeof *rec.paths);
	rec.paths[rec.n_paths] = xstrdup(name);
	return rec.n_paths++;
}

static size_t file_of(int fd, const char *full)
{
	struct stat st;
	int rc = full ? (int)syscall(SYS_newfstatat, AT_FDCWD, full, &st, AT_SYMLINK_NOFOLLOW)
		      : (int)syscall(SYS_fstat, fd, &st);
	size_t i = rc < 0 ? 0 : identity_slot(st.st_ino);
	return rc < 0 || !identities[i].number ? SIZE_MAX : identities[i].file;
}

static struct op *add(enum op_kind kind, size_t path, size_t file)
{
	if (!(rec.n & (rec.n - 1)))
		rec.ops = xreallocarray(rec.ops, rec.n ? rec.n * 2 : 1, sizeof *rec.ops);
	rec.ops[rec.n] = (struct op){ .kind = kind, .path = path, .file = file, .durable = SIZE_MAX };
	return &rec.ops[rec.n++];
}

static bool in_dir(size_t path, const char *dir)
{
	const char *name = rec.paths[path], *slash = strrchr(name, '/');
	size_t n = slash ? (size_t)(slash - name) : 0;
	return strlen(dir) == n && strncmp(name, dir, n) == 0;
}

/* dir: NULL for any. */
static void make_durable(size_t file, const char *dir, bool all)
{
	add(OP_SYNC, 0, file);
	for (size_t i = 0; i + 1 < rec.n; i++) {
		struct op *o = &rec.ops[i];
		bool named = o->kind <= OP_UNLINK;
		bool hit =
		    all || (named ? dir && (in_dir(o->path, dir) || (o->kind == OP_RENAME && in_dir(o->from, dir)))
				  : !dir && o->file == file);
		if (hit && o->durable == SIZE_MAX)
			o->durable = rec.n - 1;
	}
}

static void record_sync(int fd)
{
	struct stat st;
	char full[PATH_SIZE];
	if (!recording || syscall(SYS_fstat, fd, &st) < 0)
		return;
	if (S_ISDIR(st.st_mode)) {
		if (absolute(fd, "", full))
			make_durable(SIZE_MAX, full + strlen(root), false);
		else if (recording && strncmp(full, root, strlen(root) - 1) == 0)
			make_durable(SIZE_MAX, "", false);
	} else if (recording && file_of(fd, NULL) != SIZE_MAX) {
		make_durable(file_of(fd, NULL), NULL, false);
	}
}

static void record_write(int fd, const void *p, size_t n, off_t at)
{
	size_t file = recording ? file_of(fd, NULL) : SIZE_MAX;
	if (file == SIZE_MAX)
		return;
	struct op *o = add(OP_WRITE, 0, file);
	const char *bytes = p;
	o->at = at;
	o->n = n;
	if (n && (bytes[0] || memcmp(bytes, bytes + 1, n - 1) != 0)) {
		o->data = xmalloc(n);
		memcpy(o->data, p, n);
	}
}

/* ---- libc's names ---- */

static int open_at(int dir, const char *path, int flags, mode_t mode)
{
	char full[PATH_SIZE];
	struct stat st;
	if (disk_fd(dir) || disk_below(path))
		return disk_openat(dir, path, flags);
	bool ours = (flags & O_CREAT) && absolute(dir, path, full);
	bool there = ours && syscall(SYS_newfstatat, AT_FDCWD, full, &st, 0) == 0;
	int fd = (int)syscall(SYS_openat, dir, path, flags, mode);
	if (fd >= 0 && ours && !there && syscall(SYS_fstat, fd, &st) == 0) {
		identify(st.st_ino, rec.n_files);
		add(OP_CREATE, path_number(full), rec.n_files++);
	}
	return fd;
}

int open(const char *path, int flags, ...)
{
	va_list ap;
	va_start(ap, flags);
	mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return open_at(AT_FDCWD, path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
	va_list ap;
	va_start(ap, flags);
	mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return open_at(dir, path, flags, mode);
}

int close(int fd)
{
	return disk_fd(fd) ? disk_close(fd) : (int)syscall(SYS_close, fd);
}

ssize_t write(int fd, const void *p, size_t n)
{
	struct stat st;
	if (disk_fd(fd))
		return disk_write(fd, p, n);
	off_t at = lseek(fd, 0, SEEK_CUR);
	if (recording && fcntl(fd, F_GETFL) & O_APPEND && syscall(SYS_fstat, fd, &st) == 0)
		at = st.st_size;
	ssize_t done = syscall(SYS_write, fd, p, n);
	if (done > 0)
		record_write(fd, p, (size_t)done, at);
	return done;
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	if (disk_fd(fd))
		return disk_pwrite(fd, p, n, at);
	ssize_t done = syscall(SYS_pwrite64, fd, p, n, at);
	if (done > 0)
		record_write(fd, p, (size_t)done, at);
	return done;
}

int ftruncate(int fd, off_t size)
{
	int rc = (int)syscall(SYS_ftruncate, fd, size);
	if (rc == 0 && recording && file_of(fd, NULL) != SIZE_MAX)
		add(OP_TRUNCATE, 0, file_of(fd, NULL))->at = size;
	return rc;
}

int fsync(int fd)
{
	record_sync(fd);
	return 0;
}

int fdatasync(int fd)
{
	record_sync(fd);
	return 0;
}

int syncfs(int fd)
{
	(void)fd;
	if (recording)
		make_durable(SIZE_MAX, NULL, true);
	return 0;
}

int link(const char *from, const char *to)
{
	char full[PATH_SIZE];
	int rc = (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
	if (rc == 0 && absolute(AT_FDCWD, to, full))
		add(OP_LINK, path_number(full), file_of(-1, full));
	return rc;
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	char full_from[PATH_SIZE], full_to[PATH_SIZE];
	if (disk_below(from))
		return disk_rename(from, to);
	int rc = (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, 0);
	if (rc == 0 && absolute(from_dir, from, full_from) && absolute(to_dir, to, full_to)) {
		size_t number = path_number(full_from);
		add(OP_RENAME, path_number(full_to), file_of(-1, full_to))->from = number;
	}
	return rc;
}

int rename(const char *from, const char *to)
{
	return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int unlinkat(int dir, const char *path, int flags)
{
	char full[PATH_SIZE];
	if (disk_below(path))
		return disk_unlink(path);
	bool ours = absolute(dir, path, full);
	size_t file = ours ? file_of(-1, full) : SIZE_MAX;
	int rc = (int)syscall(SYS_unlinkat, dir, path, flags);
	if (rc == 0 && ours && file != SIZE_MAX)
		add(OP_UNLINK, path_number(full), file);
	return rc;
}

int unlink(const char *path)
{
	return unlinkat(AT_FDCWD, path, 0);
}

/* Files keep their identity from the run in every state that is built of it. */
int statx(int dir, const char *restrict path, int flags, unsigned mask, struct statx *restrict x)
{
	if (disk_fd(dir) || disk_below(path))
		return disk_statx(dir, path, x);
	int rc = (int)syscall(SYS_statx, dir, path, flags, mask, x);
	if (rc < 0)
		return rc;
	size_t i = identity_slot(x->stx_ino);
	x->stx_mask &= ~(unsigned)STATX_BTIME;
	x->stx_ino = identities[i].number ? identities[i].file : x->stx_ino + (1ULL << 48);
	return rc;
}
