/* SPDX-License-Identifier: ISC
 *
 * Each attempt is made by a process that has confined itself, after the same one has succeeded without.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <netdb.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "io/confine/confine_int.h"

static char dir[64];
static uint16_t ports[2]; /* both listen; only the first may be connected to */

static const char *in_dir(const char *name)
{
	static char path[2][200];
	static unsigned turn;
	char *p = path[turn++ % 2];
	snprintf(p, sizeof path[0], "%s/%s", dir, name);
	return p;
}

/* ---- attempts: 0, or an errno ---- */

static int opened(int fd)
{
	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int read_own(void)
{
	return opened(open(in_dir("queue/old"), O_RDONLY));
}
static int create_own(void)
{
	return opened(open(in_dir("queue/new"), O_RDWR | O_CREAT, 0600));
}
static int rename_own(void)
{
	return mkdir(in_dir("queue/sub"), 0700) || rename(in_dir("queue/old"), in_dir("queue/sub/old")) ? errno : 0;
}
static int truncate_own(void)
{
	return truncate(in_dir("queue/old"), 0) ? errno : 0;
}
static int read_passwd(void)
{
	return opened(open("/etc/passwd", O_RDONLY));
}
static int read_beside(void)
{
	return opened(open(in_dir("beside"), O_RDONLY));
}
static int climb(void)
{
	return opened(open(in_dir("queue/../beside"), O_RDONLY));
}
static int follow(void)
{
	return opened(open(in_dir("queue/link"), O_RDONLY));
}
static int write_read_only(void)
{
	return opened(open(in_dir("table/users"), O_WRONLY));
}
static int truncate_read_only(void)
{
	return truncate(in_dir("table/users"), 0) ? errno : 0;
}
static int read_table(void)
{
	return opened(open(in_dir("table/users"), O_RDONLY));
}
static int create_beside(void)
{
	return opened(open(in_dir("intruder"), O_WRONLY | O_CREAT, 0600));
}
static int link_out(void)
{
	return link(in_dir("queue/old"), in_dir("stolen")) ? errno : 0;
}
static int remove_table(void)
{
	return unlink(in_dir("table/users")) ? errno : 0;
}
static int make_later(void)
{
	return mkdir(in_dir("later"), 0700) ? errno : 0;
}
static int make_device(void)
{
	return mknod(in_dir("queue/null"), S_IFCHR | 0600, 0x103) ? errno : 0;
}

static int run_shell(void)
{
	execl("/bin/sh", "sh", "-c", "exit 0", (char *)NULL);
	return errno;
}
static int trace_parent(void)
{
	return ptrace(PTRACE_SEIZE, getppid(), NULL, NULL) ? errno : 0;
}
static int read_parent(void)
{
	char here[8], there[8] = "";
	struct iovec l = { here, 8 }, r = { there, 8 };
	return process_vm_readv(getppid(), &l, 1, &r, 1, 0) < 0 ? errno : 0;
}
static int kill_parent(void)
{
	return kill(getppid(), 0) ? errno : 0;
}
static int kill_group(void)
{
	return kill(0, 0) ? errno : 0;
}
static int raise_own(void)
{
	signal(SIGUSR2, SIG_IGN);
	return raise(SIGUSR2) || kill(getpid(), SIGUSR2) ? errno : 0;
}
static int forked(void)
{
	int status;
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	return pid < 0 || waitpid(pid, &status, 0) != pid ? errno : 0;
}
static int thread(void)
{
	static char stack[16384] __attribute__((aligned(16)));
	(void)stack;
	return syscall(SYS_clone, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD, NULL) < 0 ? errno
													      : 0;
}
static int new_user_namespace(void)
{
	int status;
	long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0)
		_exit(0);
	return pid < 0 ? errno : waitpid((pid_t)pid, &status, 0) < 0 ? errno : 0;
}
static int executable_memory(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
		   ? errno
		   : 0;
}
static int made_executable(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED || mprotect(p, 4096, PROT_READ | PROT_EXEC) ? errno : 0;
}
static int family(int f, int type)
{
	return opened(socket(f, type, 0));
}
static int netlink(void)
{
	return family(AF_NETLINK, SOCK_RAW);
}
static int packet(void)
{
	return family(AF_PACKET, SOCK_RAW);
}
static int inet(void)
{
	return family(AF_INET, SOCK_STREAM);
}
static int syslog_socket(void)
{
	return family(AF_UNIX, SOCK_DGRAM);
}
static int connect_to(uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int rc = fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) ? errno : 0;
	if (fd >= 0)
		close(fd);
	return rc;
}
static int connect_right(void)
{
	return connect_to(ports[0]);
}
static int connect_wrong(void)
{
	return connect_to(ports[1]);
}
static int listen_new(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = 0 };
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	return fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof to) || listen(fd, 1) ? errno : 0;
}
/* A server's port, not one that is free. */
static int bind_port(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(587) };
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	return fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof to) ? errno : 0;
}
static int dumpable(void)
{
	return prctl(PR_SET_KEEPCAPS, 0) ? errno : 0;
}
static int more_files(void)
{
	struct rlimit l;
	getrlimit(RLIMIT_NOFILE, &l);
	l.rlim_max = l.rlim_cur;
	return setrlimit(RLIMIT_NOFILE, &l) ? errno : 0;
}
static int back_to_root(void)
{
	return setuid(0) ? errno : 0;
}
static int unknown_call(void)
{
	return syscall(1000) < 0 ? errno : 0;
}
/* What a process goes on doing. */
static int go_on(void)
{
	time_t now = time(NULL);
	struct tm tm;
	char path[300], text[100];
	localtime_r(&now, &tm);
	snprintf(path, sizeof path, "%s", in_dir("queue/work"));
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), pipes[2], pair[2];
	FILE *f = fopen("/dev/null", "we");
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST }, *list = NULL;
	if (fd < 0 || !f || write(fd, "x", 1) != 1 || fsync(fd) || fallocate(fd, 0, 0, 4096) || fdatasync(fd) ||
	    syncfs(fd) || fchmod(fd, 0640) || rename(path, in_dir("queue/work2")) || unlink(in_dir("queue/work2")) ||
	    pipe2(pipes, O_CLOEXEC) || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) ||
	    getaddrinfo("127.0.0.1", "25", &hints, &list) || gethostname(text, sizeof text))
		return errno ? errno : EIO;
	freeaddrinfo(list);
	fclose(f);
	char *large = malloc(10 << 20);
	memset(large, 1, 10 << 20);
	char *larger = realloc(large, 20 << 20);
	free(larger ? larger : large);
	return 0;
}

enum {
	DIES = 1000, /* by SIGSYS */
	SAME         /* as without */
};
enum {
	NEEDS_LANDLOCK = 1,
	NEEDS_PORTS = 4, /* its ABI */
	NEEDS_SCOPES = 6
};
static const struct {
	const char *name;
	int (*fn)(void);
	int want;
	int needs; /* Landlock ABI */
	bool net;
	unsigned calls;
} attempts[] = {
	{ "goes on", go_on, SAME, 0, true, 0 },
	{ "reads its own", read_own, SAME, 0, false, 0 },
	{ "makes files", create_own, SAME, 0, false, 0 },
	{ "moves files", rename_own, SAME, 0, false, 0 },
	{ "truncates its own", truncate_own, SAME, 0, false, 0 },
	{ "reads a table", read_table, SAME, 0, false, 0 },
	{ "a directory to come", make_later, SAME, 0, false, 0 },
	{ "signals itself", raise_own, SAME, 0, false, 0 },
	{ "forks when it may", forked, SAME, 0, false, CONFINE_FORK },
	{ "connects where it may", connect_right, SAME, 0, true, 0 },
	{ "syslog", syslog_socket, SAME, 0, false, 0 },
	{ "/etc/passwd", read_passwd, EACCES, NEEDS_LANDLOCK, false, 0 },
	{ "a file beside", read_beside, EACCES, NEEDS_LANDLOCK, false, 0 },
	{ "by ..", climb, EACCES, NEEDS_LANDLOCK, false, 0 },
	{ "by a symbolic link", follow, EACCES, NEEDS_LANDLOCK, false, 0 },
	{ "writes a table", write_read_only, EACCES, NEEDS_LANDLOCK, false, 0 },
	{ "truncates a table", truncate_read_only, EACCES, 3, false, 0 },
	{ "removes a table", remove_table, EACCES, NEEDS_LANDLOCK, false, 0 },
	{ "a file beside its own", create_beside, EACCES, NEEDS_LANDLOCK, false, 0 },
	{ "a device", make_device, ENOSYS, 0, false, 0 },
	{ "links a message out", link_out, EACCES, NEEDS_LANDLOCK, false, 0 },
	{ "a shell", run_shell, DIES, 0, false, 0 },
	{ "a shell from where it may fork", run_shell, DIES, 0, false, CONFINE_FORK },
	{ "traces its parent", trace_parent, DIES, 0, false, 0 },
	{ "reads its parent's memory", read_parent, DIES, 0, false, 0 },
	{ "signals its parent", kill_parent, ENOSYS, 0, false, 0 },
	{ "signals its group", kill_group, ENOSYS, 0, false, 0 },
	{ "forks", forked, ENOSYS, 0, false, 0 },
	{ "a thread", thread, ENOSYS, 0, false, CONFINE_FORK },
	{ "a namespace", new_user_namespace, ENOSYS, 0, false, CONFINE_FORK },
	{ "writable code", executable_memory, ENOSYS, 0, false, 0 },
	{ "code from data", made_executable, ENOSYS, 0, false, 0 },
	{ "netlink", netlink, EAFNOSUPPORT, 0, true, 0 },
	{ "packets", packet, EAFNOSUPPORT, 0, true, 0 },
	{ "inet", inet, EAFNOSUPPORT, 0, false, 0 },
	{ "another port", connect_wrong, EACCES, NEEDS_PORTS, true, 0 },
	{ "listens", listen_new, ENOSYS, 0, true, 0 },
	{ "binds a port", bind_port, EACCES, NEEDS_PORTS, true, 0 },
	{ "prctl", dumpable, ENOSYS, 0, false, 0 },
	{ "limits", more_files, ENOSYS, 0, false, 0 },
	{ "root", back_to_root, ENOSYS, 0, false, 0 },
	{ "a call that nobody knows", unknown_call, ENOSYS, 0, false, 0 },
};

static void touch(const char *name, const char *text)
{
	FILE *f = fopen(in_dir(name), "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int make_ports(void)
{
	int fd = -1;
	for (int i = 0; i < 2; i++) {
		struct sockaddr_in at = { .sin_family = AF_INET };
		socklen_t n = sizeof at;
		at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (bind(fd, (struct sockaddr *)&at, n) || listen(fd, 100) || getsockname(fd, (void *)&at, &n))
			return -1;
		ports[i] = ntohs(at.sin_port);
	}
	return fd;
}

static int group_setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/confine_test-XXXXXX");
	return mkdtemp(dir) && make_ports() >= 0 ? 0 : -1;
}

static int group_teardown(void **state)
{
	char command[100];
	(void)state;
	snprintf(command, sizeof command, "rm -rf %s", dir);
	return system(command);
}

/* Everything as at the beginning. */
static void fill_dir(void)
{
	char command[400];
	snprintf(command, sizeof command,
	    "cd %s && rm -rf * && mkdir queue table && echo x >queue/old && echo x >table/users && "
	    "echo x >beside && ln -s ../beside queue/link",
	    dir);
	assert_int_equal(system(command), 0);
	touch("queue/old", "old\n");
}

static struct confine_rules *rules(bool net, unsigned calls)
{
	struct confine_rules *r = confine_rules_new();
	confine_allow_path(r, in_dir("queue"), CONFINE_ALL);
	confine_allow_path(r, in_dir("table/users"), CONFINE_READ | CONFINE_REPLACED);
	confine_allow_path(r, in_dir("nowhere"), CONFINE_READ);
	if (net)
		confine_allow_connect(r, ports[0]);
	confine_allow_calls(r, calls);
	return r;
}

/* What becomes of it: 0, an errno, or DIES. */
static int attempt(size_t i, bool confined)
{
	int status = -1;
	fill_dir();
	pid_t pid = fork();
	if (pid == 0) {
		struct confine_rules *r = rules(attempts[i].net, attempts[i].calls);
		struct confine c = { .rules = r, .mode = confined ? CONFINE_AUTO : CONFINE_OFF };
		struct err err = { 0 };
		if (attempts[i].fn == make_later)
			confine_allow_path(r, in_dir("later/a/b"), CONFINE_ALL);
		/* Prepared or not, it comes to the same. */
		if (i % 2)
			confine_prepare(r);
		if (confine(&c, &err) < 0) {
			fprintf(stderr, "%s\n", err.text);
			_exit(255);
		}
		_exit(attempts[i].fn());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? (WTERMSIG(status) == SIGSYS ? DIES : 2000) : WEXITSTATUS(status);
}

static void test_attempts(void **state)
{
	(void)state;
	int abi = confine_landlock_abi();
	for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
		int before = attempt(i, false), after = attempt(i, true);
		int want = attempts[i].want == SAME || attempts[i].needs > abi ? before : attempts[i].want;
		if (!confine_seccomp_works() && attempts[i].needs == 0)
			want = before;
		if (attempts[i].want == SAME && before != 0)
			fail_msg("%s: %s without confinement", attempts[i].name, strerror(before));
		if (after != want)
			fail_msg("%s: %d, not %d", attempts[i].name, after, want);
	}
}

/* Refused where all is refused, not for a reason of its own: otherwise the rows above would say nothing. */
static void test_attempts_mean_something(void **state)
{
	static const char *const sure[] = { "/etc/passwd", "a file beside", "by ..", "by a symbolic link",
		"writes a table", "truncates a table", "removes a table", "links a message out", "a shell",
		"signals its parent", "forks", "writable code", "code from data", "netlink", "inet", "another port",
		"listens", "prctl", "limits", "signals its group" };
	(void)state;
	for (size_t k = 0; k < sizeof sure / sizeof *sure; k++) {
		size_t i = 0;
		while (strcmp(attempts[i].name, sure[k]) != 0)
			i++;
		if (attempt(i, false) != 0)
			fail_msg("%s fails also without", sure[k]);
	}
}

static int in_child(int (*fn)(void))
{
	int status = -1;
	pid_t pid = fork();
	if (pid == 0)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* A file that was replaced is told, and not read by who is confined already; what confined once can be so again, more
 * narrowly. */
static int replaced_and_again(void)
{
	struct confine_rules *wide = rules(false, CONFINE_FURTHER | CONFINE_FORK | CONFINE_SIGNAL),
			     *narrow = confine_rules_new();
	struct confine c = { .rules = wide };
	struct err err = { 0 };
	int pipes[2], ready[2], status = -1;
	char byte;
	if (pipe(pipes) || pipe(ready))
		return 1;
	pid_t pid = fork();
	if (pid == 0) {
		if (confine(&c, &err) || write(ready[1], "r", 1) != 1)
			_exit(2);
		/* What took its place is out of reach, as the kernel tells. */
		bool hidden = confine_landlock_abi() > 0;
		if (read(pipes[0], &byte, 1) != 1 || (read_table() == EACCES) != hidden ||
		    confine_hides(in_dir("table/users")) != hidden)
			_exit(3);
		confine_allow_path(narrow, in_dir("table"), CONFINE_READ);
		c.rules = narrow;
		if (confine(&c, &err)) {
			fprintf(stderr, "%s\n", err.text);
			_exit(4);
		}
		/* Nothing comes back. */
		_exit(hidden && (read_own() != EACCES || !read_table()) ? 6 : forked() == ENOSYS ? 0 : 7);
	}
	touch("table/fresh", "y\n");
	if (read(ready[0], &byte, 1) != 1 || confine_hides(in_dir("table/fresh")) || confine_replaced(wide) ||
	    rename(in_dir("table/fresh"), in_dir("table/users")) || !confine_replaced(wide) || confine_replaced(wide) ||
	    write(pipes[1], "x", 1) != 1)
		return 8;
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 9;
}

static int limits(void)
{
	struct confine c = { .rules = rules(false, 0), .memory = 100 << 20 };
	struct rlimit l;
	if (confine(&c, NULL))
		return 1;
	if (getrlimit(RLIMIT_CORE, &l) || l.rlim_max != 0)
		return 2;
	if (getrlimit(RLIMIT_NOFILE, &l) || l.rlim_cur != l.rlim_max)
		return 3;
	if (getrlimit(RLIMIT_NPROC, &l) || l.rlim_max != 0)
		return 4;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 5;
#ifndef __SANITIZE_ADDRESS__
	void *p = malloc(200 << 20);
	if (p)
		return 6;
#endif
	return 0;
}

static int as_user(void)
{
	struct confine c = { .rules = rules(false, 0) };
	int death = 0;
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (confine_user(&c, "nobody", NULL) || confine(&c, NULL))
		return 1;
	prctl(PR_GET_PDEATHSIG, &death);
	if (death != SIGTERM || getuid() != c.uid || getgid() != c.gid || geteuid() != c.uid || c.uid == 0)
		return 2;
	return getgroups(0, NULL) <= 1 ? 0 : 3;
}

static int no_capabilities(void)
{
	struct confine c = { .rules = rules(false, 0) };
	char name[32];
	snprintf(name, sizeof name, "w-%ld", (long)getpid());
	if (confine(&c, NULL))
		return 1;
	/* CAP_NET_BIND_SERVICE and CAP_SYS_ADMIN would be needed. */
	return sethostname(name, strlen(name)) < 0 && back_to_root() ? 0 : 2;
}

static void test_more(void **state)
{
	(void)state;
	fill_dir();
	assert_int_equal(in_child(replaced_and_again), 0);
	assert_int_equal(in_child(limits), 0);
	assert_int_equal(in_child(no_capabilities), 0);
}

static void test_user(void **state)
{
	struct confine c = { 0 };
	struct err err = { 0 };
	(void)state;
	assert_int_equal(confine_user(&c, NULL, &err), 0);
	assert_null(c.user);
	assert_int_equal(confine_user(&c, "no-such-user-here", &err), -1);
	assert_int_equal(err.class, ERR_CONFIG);
	if (geteuid() == 0)
		assert_int_equal(in_child(as_user), 0);
	else
		assert_int_equal(confine_user(&c, "root", &err), -1);
}

/* An allowance beyond Landlock's words, or that a kernel lacks, is told. */
static void test_check(void **state)
{
	struct err err = { 0 };
	(void)state;
	bool missing = confine_landlock_abi() < 4 || !confine_seccomp_works();
	assert_int_equal(confine_check(CONFINE_OFF, &err), 0);
	assert_int_equal(confine_check(CONFINE_AUTO, &err), 0);
	assert_int_equal(confine_check(CONFINE_REQUIRE, &err), missing ? -1 : 0);
	assert_int_equal(err.class, missing ? ERR_CONFIG : ERR_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attempts),
		cmocka_unit_test(test_attempts_mean_something),
		cmocka_unit_test(test_more),
		cmocka_unit_test(test_user),
		cmocka_unit_test(test_check),
	};
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
