/* SPDX-License-Identifier: ISC
 *
 * Preloaded by the tests here into servers, so that none of this is in a program that is installed: what
 * somebody might do who has taken over a process of ours. At the first accept4, recv, connect or rename (BREAKOUT_WHEN
 * says which) the attempts named by BREAKOUT (with blanks between) are made one after the other, and `NAME ERRNO` is
 * written to the file BREAKOUT_OUT, which was opened before anything was confined: 0 is a success, "NAME try" without
 * another line means that the process died of it.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int out = -1;
static bool done;

static void say(const char *name, const char *what)
{
	char line[100];
	int n = snprintf(line, sizeof line, "%s %s\n", name, what);
	if (write(out, line, (size_t)n) != n)
		_exit(99);
}

static int opened(const char *path, int flags)
{
	int fd = open(path, flags, 0600);
	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int read_passwd(void)
{
	return opened("/etc/passwd", O_RDONLY);
}
static int read_key(void)
{
	return opened(getenv("BREAKOUT_KEY"), O_RDONLY);
}
/* Somebody else's mail. */
static int read_neighbour(void)
{
	return opened(getenv("BREAKOUT_NEIGHBOUR"), O_RDONLY);
}
static int write_outside(void)
{
	char path[300];
	snprintf(path, sizeof path, "%s/intruder", getenv("BREAKOUT_DIR"));
	return opened(path, O_WRONLY | O_CREAT);
}
static int write_tmp(void)
{
	char path[100];
	snprintf(path, sizeof path, "/tmp/breakout-%ld", (long)getpid());
	int rc = opened(path, O_WRONLY | O_CREAT);
	unlink(path);
	return rc;
}
static int run_shell(void)
{
	execl("/bin/sh", "sh", "-c", "exit 0", (char *)NULL);
	return errno;
}
static int forked(void)
{
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	return pid < 0 || waitpid(pid, NULL, 0) < 0 ? errno : 0;
}
static int shell_in_child(void)
{
	pid_t pid = fork();
	int status = 0;
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", "exit 0", (char *)NULL);
		_exit(77);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return errno;
	return WIFSIGNALED(status) || WEXITSTATUS(status) ? EPERM : 0;
}
static int connect_out(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	to.sin_port = htons((uint16_t)strtoul(getenv("BREAKOUT_PORT"), NULL, 10));
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int rc = fd < 0 || syscall(SYS_connect, fd, &to, sizeof to) < 0 ? errno : 0;
	if (fd >= 0)
		close(fd);
	return rc;
}
static int family(int f)
{
	int fd = socket(f, SOCK_RAW, 0);
	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}
static int netlink(void)
{
	return family(AF_NETLINK);
}
static int packet(void)
{
	return family(AF_PACKET);
}
static int trace_parent(void)
{
	return ptrace(PTRACE_SEIZE, getppid(), NULL, NULL) ? errno : 0;
}
static int peek_parent(void)
{
	char here[4];
	struct iovec l = { here, 4 }, r = { (void *)&forked, 4 };
	return syscall(SYS_process_vm_readv, getppid(), &l, 1, &r, 1, 0) < 0 ? errno : 0;
}
static int signal_parent(void)
{
	return kill(getppid(), 0) ? errno : 0;
}
static int code(void)
{
	return mmap(NULL, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? errno : 0;
}
static int root(void)
{
	return setuid(0) ? errno : 0;
}
static int nobody(void)
{
	return setresuid(getuid(), 65534, getuid()) || setresuid(getuid(), getuid(), getuid()) ? errno : 0;
}
/* A socket where others may come. */
static int listen_new(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	int rc = fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at.sun_family) || listen(fd, 1) ? errno : 0;
	if (fd >= 0)
		close(fd);
	return rc;
}
/* Once more of what confines. */
static int further(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_capset, NULL, NULL) == 0 || errno != EFAULT ? errno
														 : 0;
}

static const struct {
	const char *name;
	int (*fn)(void);
} attempts[] = {
	{ "passwd", read_passwd },
	{ "key", read_key },
	{ "neighbour", read_neighbour },
	{ "write", write_outside },
	{ "tmp", write_tmp },
	{ "shell", run_shell },
	{ "fork", forked },
	{ "childshell", shell_in_child },
	{ "connect", connect_out },
	{ "netlink", netlink },
	{ "packet", packet },
	{ "ptrace", trace_parent },
	{ "peek", peek_parent },
	{ "signal", signal_parent },
	{ "code", code },
	{ "root", root },
	{ "nobody", nobody },
	{ "listen", listen_new },
	{ "further", further },
};

static void try_all(const char *trigger)
{
	const char *want = getenv("BREAKOUT"), *when = getenv("BREAKOUT_WHEN");
	char text[16], list[300];
	if (done || out < 0 || !want || !when || strcmp(when, trigger) != 0)
		return;
	done = true;
	int keep = errno;
	snprintf(list, sizeof list, " %s ", want);
	for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
		char name[32];
		snprintf(name, sizeof name, " %s ", attempts[i].name);
		if (!strstr(list, name))
			continue;
		say(attempts[i].name, "try");
		snprintf(text, sizeof text, "%d", attempts[i].fn());
		say(attempts[i].name, text);
	}
	errno = keep;
}

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("BREAKOUT_OUT");
	int fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666) : -1;
	out = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 90);
}

/* A client was accepted. */
int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	int r = (int)syscall(SYS_accept4, fd, addr, len, flags);
	try_all("accept");
	return r;
}

/* Something is read from a client. */
ssize_t recv(int fd, void *buf, size_t n, int flags)
{
	try_all("recv");
	return (ssize_t)syscall(SYS_recvfrom, fd, buf, n, flags, NULL, NULL);
}

/* A server is about to be reached. */
int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	if (addr->sa_family != AF_UNIX)
		try_all("connect");
	return (int)syscall(SYS_connect, fd, addr, len);
}

/* A file gets its final name, which has BREAKOUT_RENAME in it. */
int rename(const char *from, const char *to)
{
	int (*real)(const char *, const char *) = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
	const char *only = getenv("BREAKOUT_RENAME");
	if (!only || strstr(to, only))
		try_all("rename");
	return real(from, to);
}
