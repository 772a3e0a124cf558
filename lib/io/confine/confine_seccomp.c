/* SPDX-License-Identifier: ISC
 *
 * The system calls, by name, in a table for each kind of work. Names that an architecture lacks are passed over.
 */
#include <endian.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "io/confine/confine_int.h"

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

/* Memory, time, waiting, what is open, and files, about which Landlock decides. */
static const char *const basic[] = {
	"read",
	"readv",
	"pread64",
	"preadv",
	"preadv2",
	"write",
	"writev",
	"pwrite64",
	"pwritev",
	"pwritev2",
	"close",
	"close_range",
	"lseek",
	"_llseek",
	"dup",
	"dup2",
	"dup3",
	"fcntl",
	"fcntl64",
	"pipe",
	"pipe2",
	"sendfile",
	"sendfile64",
	"copy_file_range",
	"splice",
	"fadvise64",
	"fadvise64_64",
	"readahead", /* descriptors */
	"munmap",
	"mremap",
	"madvise",
	"brk",
	"msync",
	"mlock",
	"mincore",
	"membarrier", /* memory */
	"futex",
	"futex_time64",
	"set_robust_list",
	"get_robust_list",
	"rseq",
	"set_tid_address",
	"restart_syscall",
	"rt_sigaction",
	"rt_sigprocmask",
	"rt_sigreturn",
	"sigreturn",
	"rt_sigpending",
	"rt_sigtimedwait",
	"rt_sigsuspend",
	"sigaltstack",
	"pause",
	"alarm",
	"setitimer",
	"getitimer",
	"exit",
	"exit_group",
	"sched_yield",
	"sched_getaffinity",
	"getcpu",
	"clock_gettime",
	"clock_gettime64",
	"clock_getres",
	"clock_nanosleep",
	"clock_nanosleep_time64",
	"nanosleep",
	"gettimeofday",
	"time",
	"times",
	"getrusage",
	"sysinfo",
	"uname",
	"getrandom",
	"getpid",
	"gettid",
	"getppid",
	"getpgrp",
	"getpgid",
	"getsid",
	"getuid",
	"geteuid",
	"getgid",
	"getegid",
	"getresuid",
	"getresgid",
	"getgroups",
	"getrlimit",
	"ugetrlimit",
	"getpriority",
	"umask",
	"capget",
	"wait4",
	"waitid",
	"waitpid",
	"poll",
	"ppoll",
	"ppoll_time64",
	"select",
	"_newselect",
	"pselect6",
	"pselect6_time64",
	"epoll_create",
	"epoll_create1",
	"epoll_ctl",
	"epoll_wait",
	"epoll_pwait",
	"epoll_pwait2",
	"eventfd",
	"eventfd2",
	"timerfd_create",
	"timerfd_settime",
	"timerfd_gettime",
	"signalfd",
	"signalfd4",
	"sendto",
	"recvfrom",
	"sendmsg",
	"recvmsg",
	"sendmmsg",
	"recvmmsg",
	"recvmmsg_time64",
	"send",
	"recv",
	"getsockopt",
	"setsockopt",
	"getsockname",
	"getpeername",
	"shutdown",
	"accept",
	"accept4",
	"connect",
	"bind",
	"open",
	"openat",
	"creat",
	"stat",
	"stat64",
	"lstat",
	"lstat64",
	"fstat",
	"fstat64",
	"newfstatat",
	"fstatat64",
	"statx",
	"statfs",
	"statfs64",
	"fstatfs",
	"fstatfs64",
	"access",
	"faccessat",
	"faccessat2",
	"readlink",
	"readlinkat",
	"getdents",
	"getdents64",
	"getcwd",
	"chdir",
	"fchdir",
	"truncate",
	"truncate64",
	"ftruncate",
	"ftruncate64",
	"fallocate",
	"fsync",
	"fdatasync",
	"syncfs",
	"sync_file_range",
	"sync_file_range2",
	"flock",
	"rename",
	"renameat",
	"renameat2",
	"link",
	"linkat",
	"unlink",
	"unlinkat",
	"mkdir",
	"mkdirat",
	"rmdir",
	"symlink",
	"symlinkat",
	"chmod",
	"fchmod",
	"fchmodat",
	"chown",
	"fchown",
	"fchownat",
	"lchown",
	"utime",
	"utimes",
	"futimesat",
	"utimensat",
	"utimensat_time64",
	"fgetxattr",
	"getxattr", /* files */
	"inotify_init",
	"inotify_init1",
	"inotify_add_watch",
	"inotify_rm_watch",
	NULL,
};
static const char *const ids[] = { "setuid", "setgid", "setgroups", "setresuid", "setresgid", "setreuid", "setregid",
	"setuid32", "setgid32", "setgroups32", "setresuid32", "setresgid32", NULL };
static const char *const signals[] = { "kill", "tgkill", "tkill", "pidfd_open", "pidfd_send_signal", NULL };
static const char *const own_signals[] = { "kill", "tgkill", NULL };
static const char *const further[] = { "seccomp", "landlock_create_ruleset", "landlock_add_rule",
	"landlock_restrict_self", "capset", "setrlimit", "prlimit64", "prctl", "setpriority", "sched_setscheduler",
	"setpgid", "setsid", NULL };
static const struct {
	unsigned calls;
	const char *const *names;
} optional[] = { { CONFINE_IDS, ids }, { CONFINE_SIGNAL, signals }, { CONFINE_FURTHER, further } };

/* Whoever calls these has taken the process over. */
static const char *const deadly[] = { "execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "mount",
	"umount2", "move_mount", "open_tree", "fsopen", "pivot_root", "chroot", "unshare", "setns", "bpf",
	"perf_event_open", "userfaultfd", "io_uring_setup", "keyctl", "add_key", "request_key", "init_module",
	"finit_module", "delete_module", "kexec_load", "kexec_file_load", "open_by_handle_at", "name_to_handle_at",
	"personality", "modify_ldt", "reboot", "swapon", "acct", "settimeofday", "clock_settime", "iopl", "ioperm",
	"kcmp", "pidfd_getfd", "process_madvise", "memfd_create", "memfd_secret", NULL };

static int add_all(scmp_filter_ctx f, uint32_t action, const char *const *names)
{
	for (; *names; names++) {
		int nr = seccomp_syscall_resolve_name(*names);
		int rc = nr == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(f, action, nr, 0);
		/* EDOM: there is none here; EEXIST: another name of one that was added. */
		if (rc < 0 && rc != -EDOM && rc != -EEXIST)
			return rc;
	}
	return 0;
}

/* One call with one condition on an argument. */
struct condition {
	const char *name;
	struct scmp_arg_cmp arg;
	unsigned calls; /* 0: always */
	bool net;       /* where the inet families are allowed */
};

#define WX (PROT_WRITE | PROT_EXEC)
/* No thread (CLONE_VM), no namespace, no tracer. */
#define NOT_A_FORK                                                                                                     \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_PTRACE | CLONE_PARENT |              \
	    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |               \
	    CLONE_NEWNET | CLONE_IO)
#define IS(n, v)                                                                                                       \
	{                                                                                                              \
		n, SCMP_CMP_EQ, (v), 0                                                                                 \
	}
#define MASKED(n, mask, v)                                                                                             \
	{                                                                                                              \
		n, SCMP_CMP_MASKED_EQ, (mask), (v)                                                                     \
	}
static const struct condition conditions[] = {
	/* Memory is never writable and executable at once, and does not become executable: code comes from files. */
	{ "mmap", MASKED(2, PROT_EXEC, 0), 0, false },
	{ "mmap", MASKED(2, WX, PROT_EXEC), 0, false },
	{ "mmap2", MASKED(2, PROT_EXEC, 0), 0, false },
	{ "mmap2", MASKED(2, WX, PROT_EXEC), 0, false },
	{ "mprotect", MASKED(2, PROT_EXEC, 0), 0, false },
	{ "socket", IS(0, AF_UNIX), 0, false },
	{ "socket", IS(0, AF_INET), 0, true },
	{ "socket", IS(0, AF_INET6), 0, true },
	{ "socketpair", IS(0, AF_UNIX), 0, false },
	{ "prctl", IS(0, PR_SET_NAME), 0, false },
	{ "prctl", IS(0, PR_GET_NAME), 0, false },
	{ "prctl", IS(0, PR_SET_PDEATHSIG), 0, false },
	{ "prctl", IS(0, PR_GET_PDEATHSIG), 0, false },
	{ "prctl", IS(0, PR_GET_NO_NEW_PRIVS), 0, false },
	{ "prctl", IS(0, PR_SET_VMA), 0, false },
	{ "ioctl", IS(1, FIONREAD), 0, false },
	{ "ioctl", IS(1, FIONBIO), 0, false },
	{ "ioctl", IS(1, TCGETS), 0, false },
	{ "ioctl", IS(1, TIOCGWINSZ), 0, false },
	{ "prlimit64", IS(2, 0), 0, false }, /* to ask */
	{ "clone", MASKED(0, NOT_A_FORK, 0), CONFINE_FORK, false },
	{ "fork", MASKED(0, 0, 0), CONFINE_FORK, false },
};

static int add_conditions(scmp_filter_ctx f, const struct confine_rules *r)
{
	for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++) {
		const struct condition *c = &conditions[i];
		int nr = seccomp_syscall_resolve_name(c->name);
		bool whole = r->calls & CONFINE_FURTHER && (!strcmp(c->name, "prctl") || !strcmp(c->name, "prlimit64"));
		if (nr == __NR_SCMP_ERROR || (c->calls & ~r->calls) || (c->net && !r->net) || whole)
			continue;
		struct scmp_arg_cmp arg = c->arg;
		int rc = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, nr, 1, &arg);
		if (rc < 0 && rc != -EDOM && rc != -EEXIST)
			return rc;
	}
	return 0;
}

/* Families that it may not have: the C library looks at AF_NETLINK and does without. */
static int add_families(scmp_filter_ctx f, const struct confine_rules *r)
{
	uint32_t no = SCMP_ACT_ERRNO(EAFNOSUPPORT);
	scmp_datum_t last = AF_INET6;
	int rc = seccomp_rule_add(f, no, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_GT, last, 0));
	for (scmp_datum_t family = 0; rc == 0 && family <= last; family++)
		if (family != AF_UNIX && (!r->net || (family != AF_INET && family != AF_INET6)))
			rc = seccomp_rule_add(f, no, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, family, 0));
	return rc;
}

static int fill(scmp_filter_ctx f, const struct confine_rules *r)
{
	int rc = add_all(f, SCMP_ACT_ALLOW, basic);
	for (size_t i = 0; rc == 0 && i < sizeof optional / sizeof *optional; i++)
		if (r->calls & optional[i].calls)
			rc = add_all(f, SCMP_ACT_ALLOW, optional[i].names);
	if (rc == 0 && !(r->calls & CONFINE_SIGNAL))
		rc = add_all(f, SCMP_ACT_ALLOW, own_signals); /* see only_itself */
	if (rc == 0)
		rc = add_conditions(f, r);
	if (rc == 0)
		rc = add_families(f, r);
	return rc == 0 ? add_all(f, SCMP_ACT_KILL_PROCESS, deadly) : rc;
}

bool confine_seccomp_works(void)
{
	/* With no filter given: EFAULT where there is seccomp, EINVAL or ENOSYS where there is none. */
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL, 0, 0) < 0 && errno == EFAULT;
}

/* What libseccomp made of the rules, as the kernel takes it. Compiling takes milliseconds, loading a tenth of it. */
static int export_program(scmp_filter_ctx f, struct confine_filter *to)
{
	int fd = memfd_create("filter", MFD_CLOEXEC);
	struct stat st;
	int rc = fd < 0 ? -errno : seccomp_export_bpf(f, fd);
	if (rc == 0 && fstat(fd, &st) < 0)
		rc = -errno;
	if (rc == 0) {
		to->code = xmalloc((size_t)st.st_size);
		to->n = (unsigned short)((size_t)st.st_size / sizeof *to->code);
		if (pread(fd, to->code, (size_t)st.st_size, 0) != st.st_size)
			rc = -EIO;
	}
	if (fd >= 0)
		close(fd);
	return rc;
}

/* The filter of the rules; free with seccomp_release. NULL with errno. */
static scmp_filter_ctx make(const struct confine_rules *r)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	int rc = f ? seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) : -ENOMEM;
	/* A tree rather than a list: each call costs some ten instructions whatever its number. */
	if (rc == 0)
		rc = seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (rc == 0)
		rc = fill(f, r);
	if (rc == 0)
		return f;
	if (f)
		seccomp_release(f);
	errno = -rc;
	return NULL;
}

static int load_program(const struct confine_filter *filter)
{
	struct sock_fprog program = { filter->n, filter->code };
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0 ? -errno : 0;
}

/* Signals to itself: abort(3) and raise(3) use them. A filter of its own, as each process has another number, and made
 * by hand, as libseccomp would touch a dozen pages of each worker's memory. The other filter looks at the architecture;
 * the kernel looks at 32 bits of a process's number. */
static int only_itself(void)
{
	enum {
		LOW = __BYTE_ORDER == __LITTLE_ENDIAN ? 0 : 4
	};
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_kill, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_tgkill, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + LOW),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)getpid(), 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct confine_filter filter = { .code = code, .n = sizeof code / sizeof *code };
	return load_program(&filter);
}

/* Without confine_prepare, or confined already and further now: made here, where no memfd can be. */
static int make_and_load(const struct confine_rules *r)
{
	scmp_filter_ctx f = make(r);
	int rc = f ? seccomp_load(f) : -errno;
	if (f)
		seccomp_release(f);
	return rc;
}

void confine_filter_free(struct confine_filter *filter)
{
	free(filter->code);
	*filter = (struct confine_filter){ 0 };
}

static bool current(const struct confine_rules *r)
{
	return r->filter.code && r->filter.calls == r->calls && r->filter.net == r->net;
}

void confine_prepare(struct confine_rules *r)
{
	scmp_filter_ctx f = current(r) || !confine_seccomp_works() ? NULL : make(r);
	if (!f)
		return;
	confine_filter_free(&r->filter);
	r->filter = (struct confine_filter){ .calls = r->calls, .net = r->net };
	if (export_program(f, &r->filter) < 0)
		confine_filter_free(&r->filter);
	seccomp_release(f);
}

int confine_seccomp(const struct confine_rules *r, struct err *err)
{
	if (!confine_seccomp_works())
		return 0;
	/* The small one first: the other forbids to add any. */
	int rc = r->calls & CONFINE_SIGNAL ? 0 : only_itself();
	if (rc == 0)
		rc = current(r) ? load_program(&r->filter) : make_and_load(r);
	if (rc == 0)
		return 0;
	errno = -rc;
	return err_sys(err, "seccomp");
}
