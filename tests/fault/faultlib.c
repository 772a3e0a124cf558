/* SPDX-License-Identifier: ISC
 *
 * Preloaded into a program under test, makes one of its file operations fail or kill it. Environment:
 *   WAYPOST_FAULT=CALL:N:WHAT  the N-th CALL (from 1) of the process and those it forks together, once
 *     CALL  write pwrite fsync fdatasync rename link unlink open mkdir ftruncate, or any
 *     WHAT  EIO ENOSPC EINTR: fails with that; short: half of a write is done; kill, killafter: SIGKILL before or
 *           after the call
 *   WAYPOST_FAULT_LOG=FILE     one line for each matching call
 * Writes count only when they go to a regular file. The processes that a program execs start counting anew.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum what {
	NOTHING,
	FAIL,
	SHORT,
	KILL,
	KILL_AFTER
};

static struct {
	char call[16];
	unsigned long n;
	enum what what;
	int error;
	int log;
	atomic_ulong *count; /* shared with forked children */
} plan = { .log = -1 };

static void *next(const char *name)
{
	void *f = dlsym(RTLD_NEXT, name);
	if (!f)
		abort();
	return f;
}

static void parse_what(const char *what)
{
	static const struct {
		const char *name;
		enum what what;
		int error;
	} names[] = {
		{ "EIO", FAIL, EIO },
		{ "ENOSPC", FAIL, ENOSPC },
		{ "EINTR", FAIL, EINTR },
		{ "short", SHORT, 0 },
		{ "kill", KILL, 0 },
		{ "killafter", KILL_AFTER, 0 },
	};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (strcmp(what, names[i].name) == 0) {
			plan.what = names[i].what;
			plan.error = names[i].error;
		}
	}
}

__attribute__((constructor)) static void start(void)
{
	char what[16] = "";
	const char *text = getenv("WAYPOST_FAULT"), *log = getenv("WAYPOST_FAULT_LOG");
	plan.count = mmap(NULL, sizeof *plan.count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (plan.count == MAP_FAILED || !text)
		return;
	if (sscanf(text, "%15[^:]:%lu:%15s", plan.call, &plan.n, what) != 3) {
		fputs("faultlib: WAYPOST_FAULT is CALL:N:WHAT\n", stderr);
		_exit(99);
	}
	parse_what(what);
	if (log)
		plan.log = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* What is to happen to this call. */
static enum what fate(const char *call, const char *about)
{
	char line[300];
	if (!plan.n || (strcmp(plan.call, "any") != 0 && strcmp(plan.call, call) != 0))
		return NOTHING;
	unsigned long n = atomic_fetch_add(plan.count, 1) + 1;
	int len = snprintf(line, sizeof line, "%lu %s %.200s\n", n, call, about);
	if (plan.log >= 0 && syscall(SYS_write, plan.log, line, (size_t)len) < 0)
		abort();
	return n == plan.n ? plan.what : NOTHING;
}

static void die(void)
{
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

static enum what fate_of_fd(const char *call, int fd)
{
	char about[32];
	struct stat st;
	int keep = errno;
	if (fstat(fd, &st) < 0 || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))) {
		errno = keep;
		return NOTHING;
	}
	errno = keep;
	snprintf(about, sizeof about, "fd %d", fd);
	return fate(call, about);
}

/* The call's own work is `expression`; rc is its result. */
#define WITH_FATE(fate_expression, type, expression)                                                                   \
	enum what f = (fate_expression);                                                                               \
	if (f == KILL)                                                                                                 \
		die();                                                                                                 \
	if (f == FAIL) {                                                                                               \
		errno = plan.error;                                                                                    \
		return -1;                                                                                             \
	}                                                                                                              \
	type rc = (expression);                                                                                        \
	if (f == KILL_AFTER)                                                                                           \
		die();                                                                                                 \
	return rc

ssize_t write(int fd, const void *p, size_t n)
{
	ssize_t (*real)(int, const void *, size_t) = next("write");
	WITH_FATE(fate_of_fd("write", fd), ssize_t, real(fd, p, f == SHORT && n > 1 ? n / 2 : n));
}

static ssize_t any_pwrite(const char *name, int fd, const void *p, size_t n, off_t at)
{
	ssize_t (*real)(int, const void *, size_t, off_t) = next(name);
	WITH_FATE(fate_of_fd("pwrite", fd), ssize_t, real(fd, p, f == SHORT && n > 1 ? n / 2 : n, at));
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	return any_pwrite("pwrite", fd, p, n, at);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off_t at)
{
	return any_pwrite("pwrite64", fd, p, n, at);
}

int fsync(int fd)
{
	int (*real)(int) = next("fsync");
	WITH_FATE(fate_of_fd("fsync", fd), int, real(fd));
}

int fdatasync(int fd)
{
	int (*real)(int) = next("fdatasync");
	WITH_FATE(fate_of_fd("fdatasync", fd), int, real(fd));
}

int rename(const char *from, const char *to)
{
	int (*real)(const char *, const char *) = next("rename");
	WITH_FATE(fate("rename", to), int, real(from, to));
}

int link(const char *from, const char *to)
{
	int (*real)(const char *, const char *) = next("link");
	WITH_FATE(fate("link", to), int, real(from, to));
}

int unlink(const char *path)
{
	int (*real)(const char *) = next("unlink");
	WITH_FATE(fate("unlink", path), int, real(path));
}

int mkdir(const char *path, mode_t mode)
{
	int (*real)(const char *, mode_t) = next("mkdir");
	WITH_FATE(fate("mkdir", path), int, real(path, mode));
}

int ftruncate(int fd, off_t size)
{
	int (*real)(int, off_t) = next("ftruncate");
	WITH_FATE(fate_of_fd("ftruncate", fd), int, real(fd, size));
}

int ftruncate64(int fd, off_t size)
{
	return ftruncate(fd, size);
}

static int any_open(const char *path, int flags, mode_t mode)
{
	int (*real)(const char *, int, ...) = next("open");
	WITH_FATE(fate("open", path), int, real(path, flags, mode));
}

int open(const char *path, int flags, ...)
{
	va_list ap;
	va_start(ap, flags);
	mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return any_open(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	va_list ap;
	va_start(ap, flags);
	mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return any_open(path, flags, mode);
}

/* What _FORTIFY_SOURCE makes of open with two arguments. */
int __open_2(const char *path, int flags);
int __open_2(const char *path, int flags)
{
	return any_open(path, flags, 0);
}

int __open64_2(const char *path, int flags);
int __open64_2(const char *path, int flags)
{
	return any_open(path, flags, 0);
}
