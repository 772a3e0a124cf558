/* SPDX-License-Identifier: ISC
 *
 * The second step: a process that had to be able to serve anybody knows whom it serves. The filter of the first step
 * stays in force, and this one only takes away, so that it is a list of what fails; the kernel asks neither about calls
 * that both always allow.
 */
#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io/confine/confine_int.h"

/* Who served a client to the end of his login becomes nobody else, confines itself no further, and takes no other
 * client. */
static const char *const gone[] = { "setuid", "setgid", "setgroups", "setresuid", "setresgid", "setreuid", "setregid",
	"setuid32", "setgid32", "setgroups32", "setresuid32", "setresgid32", "seccomp", "landlock_create_ruleset",
	"landlock_add_rule", "landlock_restrict_self", "capset", "setrlimit", "prctl", "setpriority",
	"sched_setscheduler", "setpgid", "setsid", "kill", "tkill", "pidfd_open", "pidfd_send_signal", "accept",
	"accept4", "bind", "clone", "fork", "vfork", NULL };

enum {
	GONE_MAX = 64
};

static int drop_identities(struct err *err)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct cap[2];
	const uint32_t drop = 1U << CAP_SETUID | 1U << CAP_SETGID | 1U << CAP_KILL;
	if (syscall(SYS_capget, &head, cap) < 0)
		return err_sys(err, "capabilities");
	if (!((cap[0].permitted | cap[0].effective) & drop))
		return 0;
	cap[0].permitted &= ~drop;
	cap[0].effective &= ~drop;
	return syscall(SYS_capset, &head, cap) < 0 ? err_sys(err, "capabilities") : 0;
}

/* Is prlimit64's third argument, the new limits, NULL? Each half of it. */
static size_t add_limits(struct sock_filter *f, size_t n)
{
	const uint32_t arg = offsetof(struct seccomp_data, args) + 2 * sizeof(uint64_t);
	const int nr = seccomp_syscall_resolve_name("prlimit64");
	if (nr < 0)
		return n;
	f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 5);
	for (uint32_t half = 0; half < 2; half++) {
		f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, arg + 4 * half);
		f[n++] = (struct sock_filter)BPF_JUMP(
		    BPF_JMP | BPF_JEQ | BPF_K, 0, (unsigned char)(half ? 1 : 0), (unsigned char)(half ? 0 : 2));
	}
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
	return n;
}

/* Which architecture's numbers these are the first filter has looked at. */
static int filter(struct err *err)
{
	struct sock_filter f[2 * GONE_MAX + 16];
	size_t n = 0;
	f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; gone[i]; i++) {
		int nr = seccomp_syscall_resolve_name(gone[i]);
		if (nr < 0)
			continue;
		f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 1);
		f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
	}
	n = add_limits(f, n);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = { .len = (unsigned short)n, .filter = f };
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0) < 0 ? err_sys(err, "seccomp") : 0;
}

int confine_narrow(const struct confine_rules *r, struct err *err)
{
	static bool done;
	unsigned left;
	if (!confine_is_on(&left))
		return 0;
	/* The kernel would look like one that has neither Landlock nor seccomp. */
	if (!(left & CONFINE_FURTHER) || done)
		return err_set(err, ERR_BUG, "this process can't be confined further");
	if (drop_identities(err) < 0 || confine_landlock(r, err) < 0)
		return -1;
	done = true;
	return confine_seccomp_works() ? filter(err) : 0;
}
