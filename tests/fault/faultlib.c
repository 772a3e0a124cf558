/* SPDX-License-Identifier: ISC
 *
 * Preloaded into programs under test, makes one of their system calls fail or kill the process. Environment:
 *   WAYPOST_FAULT=CALL:N:WHAT  the N-th CALL (from 1) to which WHAT can happen, once
 *     CALL  a name in `fits` (fits.h), a list of them with commas, or any
 *     WHAT  EIO, ENOSPC, ...: fails with that; short: half of a transfer is done; kill, killafter: SIGKILL before or
 *           after the call; fit0, fit1, ...: what stands first, second, ... in the call's row of `fits`; list: nothing
 *   WAYPOST_FAULT_LOG=FILE     gets "hit N CALL WHAT PID ABOUT" for the fault, and with list "N CALL PID SITE FITS
 *           ABOUT" for each call that counts: SITE is a number for the call stack, FITS how many errors may come there;
 *           beside it FILE.count has the number, shared by all processes until it is removed
 *   WAYPOST_FAULT_IN=TEXT      only in processes with TEXT in their command line (the parts with blanks between)
 * With EIO and the like a call counts only if the kernel may give that error there: EAGAIN where nothing blocks, EINTR
 * where it waits; with the others every call does. What counts as read and write goes to files; on sockets and pipes it
 * is recv and send.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fits.h"

static struct {
	char calls[128]; /* ",CALL,CALL,", empty: any */
	unsigned long n; /* 0: nothing is done in this process */
	enum {
		FAIL,
		FIT,
		LIST,
		KILL,
		KILL_AFTER
	} what;
	int error; /* FAIL: which; FIT: place in the row */
	int log;
	atomic_ulong *count;
} plan = { .log = -1 };

static void *next(const char *name)
{
	void *f = dlsym(RTLD_NEXT, name);
	if (!f)
		abort();
	return f;
}

static void wrong(const char *why)
{
	fprintf(stderr, "faultlib: %s\n", why);
	_exit(99);
}

static void parse_what(const char *what)
{
	plan.what = FAIL;
	if (strcmp(what, "kill") == 0)
		plan.what = KILL;
	else if (strcmp(what, "killafter") == 0)
		plan.what = KILL_AFTER;
	else if (strcmp(what, "list") == 0)
		plan.what = LIST;
	else if (sscanf(what, "fit%d", &plan.error) == 1 && plan.error >= 0 && plan.error < FITS)
		plan.what = FIT;
	for (size_t i = 0; plan.what == FAIL && i < sizeof names / sizeof *names; i++)
		if (strcmp(what, names[i].name) == 0)
			plan.error = names[i].error;
	if (plan.what == FAIL && !plan.error)
		wrong("no such fault");
}

static bool concerns_us(const char *text)
{
	char line[4096];
	int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	long n = fd < 0 ? -1 : syscall(SYS_read, fd, line, sizeof line - 1);
	if (n < 0)
		wrong("no /proc/self/cmdline");
	syscall(SYS_close, fd);
	for (long i = 0; i < n; i++)
		if (!line[i])
			line[i] = ' ';
	line[n] = '\0';
	return strstr(line, text) != NULL;
}

/* The counter, one for all processes. */
static void share_count(const char *log)
{
	char path[4096];
	snprintf(path, sizeof path, "%s.count", log);
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0 || syscall(SYS_ftruncate, fd, sizeof *plan.count) < 0)
		wrong("no counter");
	void *p = (void *)syscall(SYS_mmap, NULL, sizeof *plan.count, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		wrong("no memory");
	plan.count = p;
	syscall(SYS_close, fd);
}

/* A place of its own, high up: programs may rely on getting the lowest number. */
static void open_log(void)
{
	const char *path = getenv("WAYPOST_FAULT_LOG");
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	plan.log = (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 900);
	if (plan.log < 0)
		wrong("no log");
	syscall(SYS_close, fd);
}

__attribute__((constructor)) static void start(void)
{
	char what[16] = "", calls[100] = "";
	unsigned long n;
	const char *text = getenv("WAYPOST_FAULT"), *log = getenv("WAYPOST_FAULT_LOG"),
		   *in = getenv("WAYPOST_FAULT_IN");
	if (!text || !log || (in && *in && !concerns_us(in)))
		return;
	if (sscanf(text, "%99[^:]:%lu:%15s", calls, &n, what) != 3 || !n)
		wrong("WAYPOST_FAULT is CALL:N:WHAT");
	parse_what(what);
	if (strcmp(calls, "any") != 0)
		snprintf(plan.calls, sizeof plan.calls, ",%s,", calls);
	open_log();
	share_count(log);
	plan.n = n;
}

static bool picked(const char *call)
{
	char name[32];
	snprintf(name, sizeof name, ",%s,", call);
	return !plan.calls[0] || strstr(plan.calls, name);
}

static bool row_has(const struct fit *f, int error)
{
	for (size_t i = 0; i < FITS; i++)
		if (f->errors[i] == error)
			return true;
	return false;
}

static const struct fit *row_of(const char *call)
{
	const struct fit *f = fits;
	while (strcmp(f->call, call) != 0)
		if (++f == fits + sizeof fits / sizeof *fits)
			wrong(call);
	return f;
}

/* Does this call count? *error: what it would get, 0 for nothing. */
static bool counts(const char *call, bool can_again, int *error)
{
	const struct fit *f = row_of(call);
	*error = 0;
	if (plan.what == FIT)
		*error = f->errors[plan.error];
	else if (plan.what == FAIL && row_has(f, plan.error))
		*error = plan.error;
	if (*error == EAGAIN && !can_again)
		*error = 0;
	return plan.what != FAIL || *error;
}

__attribute__((format(printf, 1, 2))) static void tell(const char *format, ...)
{
	char line[400];
	va_list ap;
	va_start(ap, format);
	int len = vsnprintf(line, sizeof line, format, ap);
	va_end(ap);
	if (len >= (int)sizeof line)
		len = (int)sizeof line - 1;
	long rc = syscall(SYS_write, plan.log, line, (size_t)len);
	if (rc < 0 && errno == EBADF) { /* a process that keeps nothing open that it does not need */
		open_log();
		rc = syscall(SYS_write, plan.log, line, (size_t)len);
	}
	if (rc < 0)
		abort();
}

static const char *error_name(int error)
{
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (names[i].error == error)
			return names[i].name;
	return "?";
}

struct fate {
	int error; /* not 0: the call is not made (SHORT: only in part) */
	bool after;
};

static void die(void)
{
	syscall(SYS_kill, getpid(), SIGKILL);
	/* Confined it may not even signal itself. */
	for (;;)
		syscall(SYS_exit_group, 128 + SIGKILL);
}

/* The same for the same way to a call, whatever was loaded where. */
static unsigned long site(void)
{
	void *frames[32];
	unsigned long h = 5381;
	int n = backtrace(frames, 32);
	for (int i = 0; i < n; i++) {
		Dl_info in;
		unsigned long at = dladdr(frames[i], &in) ? (unsigned long)frames[i] - (unsigned long)in.dli_fbase : 0;
		h = h * 1000003 ^ at;
	}
	return h & 0xffffffff;
}

static void list(unsigned long n, const char *call, const char *about, bool can_again)
{
	const struct fit *f = row_of(call);
	unsigned long where;
	unsigned may = 0;
	while (may < FITS && f->errors[may] && (can_again || f->errors[may] != EAGAIN))
		may++;
	unsigned long armed = plan.n;
	plan.n = 0; /* what the stack's reader does is nobody's */
	where = site();
	plan.n = armed;
	tell("%lu %s %d %lx %u %.250s\n", n, call, (int)getpid(), where, may, about);
}

static void tell_hit(unsigned long n, const char *call, const char *about, int error)
{
	const char *what = plan.what == KILL ? "kill" : plan.what == KILL_AFTER ? "killafter" : error_name(error);
	tell("hit %lu %s %s %d %.250s\n", n, call, what, (int)getpid(), about);
}

/* What is to happen to this call. can_again: nothing blocks there, so EAGAIN may come. */
static struct fate fate_if(const char *call, const char *about, bool can_again)
{
	struct fate f = { 0, false };
	int keep = errno, error;
	if (!plan.n || !picked(call) || !counts(call, can_again, &error))
		return f;
	unsigned long n = atomic_fetch_add(plan.count, 1) + 1;
	if (plan.what == LIST) {
		list(n, call, about, can_again);
	} else if (n == plan.n && (error || plan.what >= KILL)) {
		tell_hit(n, call, about, error);
		if (plan.what == KILL)
			die();
		f.after = plan.what == KILL_AFTER;
		f.error = error;
	}
	errno = keep;
	return f;
}

static struct fate fate(const char *call, const char *about)
{
	return fate_if(call, about, true);
}

/* The name that a descriptor has, for the log. */
static const char *fd_name(int fd)
{
	static char name[256];
	char link[32];
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	long n = syscall(SYS_readlink, link, name, sizeof name - 1);
	name[n < 0 ? 0 : n] = '\0';
	return name;
}

static struct fate fate_of_fd(const char *call, int fd)
{
	if (!plan.n || !picked(call))
		return (struct fate){ 0, false };
	int keep = errno;
	const char *name = fd_name(fd);
	errno = keep;
	return fate(call, name);
}

/* A transfer: on a file it is `file`, else `other`. */
static struct fate fate_of_transfer(const char *file, const char *other, int fd)
{
	int keep = errno;
	if (!plan.n)
		return (struct fate){ 0, false };
	const char *name = fd_name(fd);
	long flags = syscall(SYS_fcntl, fd, F_GETFL);
	bool is_file = name[0] == '/';
	errno = keep;
	if (strncmp(name, "anon_inode:", 11) == 0)
		return (struct fate){ 0, false };
	struct fate f = fate_if(is_file ? file : other, name, is_file || (flags > 0 && flags & O_NONBLOCK));
	/* What was reset stays so, for both. */
	if (f.error == ECONNRESET || f.error == EPIPE || f.error == ETIMEDOUT)
		syscall(SYS_shutdown, fd, SHUT_RDWR);
	return f;
}

/* Only what waits is interrupted. */
static struct fate fate_of_wait(int flags)
{
	return flags & WNOHANG ? (struct fate){ 0, false } : fate("wait", "");
}

/* The call itself is `expression`. */
#define WITH_FATE(fate_expression, type, bad, expression)                                                              \
	struct fate f = (fate_expression);                                                                             \
	if (f.error && f.error != SHORT) {                                                                             \
		errno = f.error;                                                                                       \
		return bad;                                                                                            \
	}                                                                                                              \
	type rc = (expression);                                                                                        \
	if (f.after)                                                                                                   \
		die();                                                                                                 \
	return rc
#define SOME(n) (f.error == SHORT && (n) > 1 ? (n) / 2 : (n))

/* A function of the C library: its name, what it counts as. */
#define CALL(type, name, parameters, arguments, fate_expression)                                                       \
	type name parameters                                                                                           \
	{                                                                                                              \
		type(*real) parameters = next(#name);                                                                  \
		WITH_FATE(fate_expression, type, -1, real arguments);                                                  \
	}

CALL(ssize_t, write, (int fd, const void *p, size_t n), (fd, p, SOME(n)), fate_of_transfer("write", "send", fd))
CALL(ssize_t, pwrite, (int fd, const void *p, size_t n, off_t at), (fd, p, SOME(n), at), fate_of_fd("pwrite", fd))
CALL(ssize_t, pwrite64, (int fd, const void *p, size_t n, off_t at), (fd, p, SOME(n), at), fate_of_fd("pwrite", fd))
CALL(ssize_t, read, (int fd, void *p, size_t n), (fd, p, SOME(n)), fate_of_transfer("read", "recv", fd))
CALL(ssize_t, pread, (int fd, void *p, size_t n, off_t at), (fd, p, SOME(n), at), fate_of_fd("read", fd))
CALL(ssize_t, pread64, (int fd, void *p, size_t n, off_t at), (fd, p, SOME(n), at), fate_of_fd("read", fd))
CALL(ssize_t, recv, (int fd, void *p, size_t n, int flags), (fd, p, SOME(n), flags),
    fate_of_transfer("recv", "recv", fd))
CALL(ssize_t, send, (int fd, const void *p, size_t n, int flags), (fd, p, SOME(n), flags),
    fate_of_transfer("send", "send", fd))
CALL(ssize_t, sendto, (int fd, const void *p, size_t n, int flags, const struct sockaddr *to, socklen_t len),
    (fd, p, SOME(n), flags, to, len), fate_of_transfer("send", "send", fd))

CALL(int, fsync, (int fd), (fd), fate_of_fd("fsync", fd))
CALL(int, fdatasync, (int fd), (fd), fate_of_fd("fdatasync", fd))
CALL(int, syncfs, (int fd), (fd), fate_of_fd("syncfs", fd))
CALL(int, rename, (const char *from, const char *to), (from, to), fate("rename", to))
CALL(int, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to), fate("rename", to))
CALL(int, link, (const char *from, const char *to), (from, to), fate("link", to))
CALL(
    int, linkat, (int a, const char *from, int b, const char *to, int flags), (a, from, b, to, flags), fate("link", to))
CALL(int, unlink, (const char *path), (path), fate("unlink", path))
CALL(int, unlinkat, (int dir, const char *path, int flags), (dir, path, flags), fate("unlink", path))
CALL(int, rmdir, (const char *path), (path), fate("unlink", path))
CALL(int, mkdir, (const char *path, mode_t mode), (path, mode), fate("mkdir", path))
CALL(int, mkdirat, (int dir, const char *path, mode_t mode), (dir, path, mode), fate("mkdir", path))
CALL(int, ftruncate, (int fd, off_t size), (fd, size), fate_of_fd("ftruncate", fd))
CALL(int, ftruncate64, (int fd, off_t size), (fd, size), fate_of_fd("ftruncate", fd))
CALL(int, fallocate, (int fd, int mode, off_t at, off_t n), (fd, mode, at, n), fate_of_fd("fallocate", fd))
CALL(int, stat, (const char *path, struct stat *st), (path, st), fate("stat", path))
CALL(int, lstat, (const char *path, struct stat *st), (path, st), fate("stat", path))
CALL(int, fstat, (int fd, struct stat *st), (fd, st), fate_of_fd("stat", fd))
CALL(int, fstatat, (int dir, const char *path, struct stat *st, int flags), (dir, path, st, flags), fate("stat", path))
CALL(int, statx, (int dir, const char *path, int flags, unsigned mask, struct statx *st), (dir, path, flags, mask, st),
    fate("stat", path))
CALL(int, statfs, (const char *path, struct statfs *st), (path, st), fate("stat", path))
CALL(int, access, (const char *path, int mode), (path, mode), fate("stat", path))
CALL(int, faccessat, (int dir, const char *path, int mode, int flags), (dir, path, mode, flags), fate("stat", path))
CALL(int, chmod, (const char *path, mode_t mode), (path, mode), fate("chmod", path))
CALL(int, fchmod, (int fd, mode_t mode), (fd, mode), fate_of_fd("chmod", fd))
CALL(int, futimens, (int fd, const struct timespec t[2]), (fd, t), fate_of_fd("utimens", fd))
CALL(int, flock, (int fd, int how), (fd, how), fate_of_fd("lock", fd))
CALL(int, mkostemp, (char *path, int flags), (path, flags), fate("create", path))
CALL(int, inotify_init1, (int flags), (flags), fate("fdnew", "inotify"))
CALL(int, inotify_add_watch, (int fd, const char *path, uint32_t mask), (fd, path, mask), fate("inotify", path))
CALL(int, epoll_create1, (int flags), (flags), fate("fdnew", "epoll"))
CALL(int, eventfd, (unsigned n, int flags), (n, flags), fate("fdnew", "eventfd"))
CALL(int, socket, (int domain, int type, int protocol), (domain, type, protocol), fate("socket", ""))
CALL(int, socketpair, (int domain, int type, int protocol, int fd[2]), (domain, type, protocol, fd),
    fate("fdnew", "socketpair"))
CALL(int, pipe, (int fd[2]), (fd), fate("fdnew", "pipe"))
CALL(int, pipe2, (int fd[2], int flags), (fd, flags), fate("fdnew", "pipe"))
CALL(int, bind, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n), fate_of_fd("bind", fd))
CALL(int, listen, (int fd, int n), (fd, n), fate_of_fd("listen", fd))
CALL(int, accept4, (int fd, struct sockaddr *a, socklen_t *n, int flags), (fd, a, n, flags), fate_of_fd("accept", fd))
CALL(int, connect, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n), fate_of_fd("connect", fd))
CALL(int, poll, (struct pollfd * p, nfds_t n, int timeout), (p, n, timeout), fate("poll", ""))
CALL(int, ppoll, (struct pollfd * p, nfds_t n, const struct timespec *t, const sigset_t *mask), (p, n, t, mask),
    fate("poll", ""))
CALL(int, epoll_wait, (int fd, struct epoll_event *e, int n, int timeout), (fd, e, n, timeout), fate("epoll", ""))
CALL(int, epoll_ctl, (int fd, int op, int other, struct epoll_event *e), (fd, op, other, e),
    fate_of_fd("epollctl", other))
CALL(pid_t, fork, (void), (), fate("fork", ""))
CALL(int, execvp, (const char *file, char *const argv[]), (file, argv), fate("exec", file))
CALL(pid_t, waitpid, (pid_t pid, int *status, int flags), (pid, status, flags), fate_of_wait(flags))

/* Closed it is in any case. */
int close(int fd)
{
	int (*real)(int) = next("close");
	struct fate f = fd == plan.log ? (struct fate){ 0, false } : fate_of_fd("close", fd);
	int rc = real(fd);
	if (f.after)
		die();
	if (!f.error)
		return rc;
	errno = f.error;
	return -1;
}

static void *map(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
	void *(*real)(void *, size_t, int, int, int, off_t) = next("mmap");
	WITH_FATE(fate("mmap", ""), void *, MAP_FAILED, real(at, n, protection, flags, fd, offset));
}

/* Memory of a file; the rest is malloc's business. */
void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
	if (plan.n && fd >= 0)
		return map(at, n, protection, flags, fd, offset);
	return (void *)syscall(SYS_mmap, at, n, protection, flags, fd, offset);
}

DIR *opendir(const char *path)
{
	DIR *(*real)(const char *) = next("opendir");
	WITH_FATE(fate("opendir", path), DIR *, NULL, real(path));
}

struct dirent *readdir(DIR *dir)
{
	struct dirent *(*real)(DIR *) = next("readdir");
	WITH_FATE(fate("readdir", ""), struct dirent *, NULL, real(dir));
}

FILE *fopen(const char *path, const char *mode)
{
	FILE *(*real)(const char *, const char *) = next("fopen");
	WITH_FATE(fate(mode[0] == 'r' ? "open" : "create", path), FILE *, NULL, real(path, mode));
}

/* Locks of open file descriptions and of processes wait and may find no room; the rest can't fail. */
int fcntl(int fd, int command, ...)
{
	int (*real)(int, int, ...) = next("fcntl");
	va_list ap;
	va_start(ap, command);
	void *argument = va_arg(ap, void *);
	va_end(ap);
	if (command != F_SETLK && command != F_SETLKW && command != F_OFD_SETLK && command != F_OFD_SETLKW)
		return real(fd, command, argument);
	WITH_FATE(fate_of_fd("lock", fd), int, -1, real(fd, command, argument));
}

/* The shim's own calls go to the kernel by way of the real one, without being counted. */
long syscall(long number, ...)
{
	static long (*real)(long, ...);
	long a[6];
	va_list ap;
	if (!real)
		real = next("syscall");
	va_start(ap, number);
	for (size_t i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (!plan.n || (number != SYS_futex && number != SYS_pidfd_open))
		return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	WITH_FATE(fate(number == SYS_futex ? "futex" : "pidfd", ""), long, -1,
	    real(number, a[0], a[1], a[2], a[3], a[4], a[5]));
}

static int any_open(const char *path, int flags, mode_t mode)
{
	int (*real)(const char *, int, ...) = next("open");
	WITH_FATE(fate(flags & O_CREAT ? "create" : "open", path), int, -1, real(path, flags, mode));
}

static int any_openat(int dir, const char *path, int flags, mode_t mode)
{
	int (*real)(int, const char *, int, ...) = next("openat");
	WITH_FATE(fate(flags & O_CREAT ? "create" : "open", path), int, -1, real(dir, path, flags, mode));
}

#define OPEN_MODE(flags)                                                                                               \
	va_list ap;                                                                                                    \
	va_start(ap, flags);                                                                                           \
	mode_t mode = (flags) & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;                                        \
	va_end(ap)

int open(const char *path, int flags, ...)
{
	OPEN_MODE(flags);
	return any_open(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	OPEN_MODE(flags);
	return any_open(path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
	OPEN_MODE(flags);
	return any_openat(dir, path, flags, mode);
}

int openat64(int dir, const char *path, int flags, ...)
{
	OPEN_MODE(flags);
	return any_openat(dir, path, flags, mode);
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
