/* SPDX-License-Identifier: ISC
 *
 * Landlock by its system calls (landlock(7)): the C library has no functions for them, and the kernel's header may be
 * older than the kernel. The numbers are the kernel's ABI and do not change.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "io/confine/confine_int.h"

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

enum {
	ASK_VERSION = 1,
	RULE_PATH = 1,
	RULE_PORT = 2,
};

/* File rights by bit; the comment: since which ABI. */
enum {
	FS_EXECUTE = 1 << 0,
	FS_WRITE_FILE = 1 << 1,
	FS_READ_FILE = 1 << 2,
	FS_READ_DIR = 1 << 3,
	FS_REMOVE_DIR = 1 << 4,
	FS_REMOVE_FILE = 1 << 5,
	FS_MAKE_DIR = 1 << 7,
	FS_MAKE_REG = 1 << 8,
	FS_ALL_1 = (1 << 13) - 1,
	FS_REFER = 1 << 13,     /* 2: rename and link between directories */
	FS_TRUNCATE = 1 << 14,  /* 3 */
	FS_IOCTL_DEV = 1 << 15, /* 5 */
	FS_OF_FILE = FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV,
	NET_BIND = 1, /* 4 */
	NET_CONNECT = 2,
	SCOPE_ABSTRACT = 1, /* 6 */
	SCOPE_SIGNAL = 2,
};

struct ruleset_attr {
	uint64_t fs, net, scoped;
};
struct path_rule {
	uint64_t allowed;
	int32_t fd;
} __attribute__((packed));
struct port_rule {
	uint64_t allowed, port;
};

int confine_landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, ASK_VERSION);
	/* The first lets nobody rename from one directory to another, which is how mail is delivered. */
	return abi > 1 ? (int)abi : 0;
}

static uint64_t fs_handled(int abi)
{
	uint64_t all = FS_ALL_1 | FS_REFER;
	if (abi >= 3)
		all |= FS_TRUNCATE;
	if (abi >= 5)
		all |= FS_IOCTL_DEV;
	return all;
}

static uint64_t fs_rights(unsigned rights)
{
	uint64_t r = 0;
	if (rights & CONFINE_READ)
		r |= FS_READ_FILE | FS_READ_DIR;
	if (rights & CONFINE_WRITE)
		r |= FS_WRITE_FILE | FS_TRUNCATE;
	if (rights & CONFINE_CREATE)
		r |= FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG | FS_REFER;
	return r;
}

/* Cuts the last component off; false when nothing is left to cut. */
static bool go_up(char *p)
{
	char *slash = strrchr(p, '/');
	if (!*p || !strcmp(p, "/"))
		return false;
	if (slash == p)
		slash++;
	*(slash ? slash : p) = '\0';
	return true;
}

/* path, or with `above` the nearest directory over it that is there; -1 with errno when there is none. */
static int open_path(const char *path, bool above)
{
	char *p = xstrdup(path);
	int fd;
	do
		fd = open(*p ? p : ".", O_PATH | O_CLOEXEC);
	while (fd < 0 && errno == ENOENT && above && go_up(p));
	free(p);
	return fd;
}

static int add_path(int set, const struct confine_path *p, uint64_t handled, struct err *err)
{
	int fd = open_path(p->path, p->rights & CONFINE_CREATE), sys = errno;
	struct stat st;
	struct path_rule rule = { fs_rights(p->rights) & handled, fd };
	bool optional = !(p->rights & (unsigned)~(CONFINE_READ | CONFINE_REPLACED));
	if (fd < 0 && (optional || sys == ENOENT || sys == ENOTDIR || sys == EACCES))
		return 0; /* no right then: who needs it will say so */
	int rc = fd < 0 ? -1 : fstat(fd, &st);
	if (rc == 0 && !S_ISDIR(st.st_mode))
		rule.allowed &= FS_OF_FILE;
	if (rc == 0 && rule.allowed)
		rc = (int)syscall(SYS_landlock_add_rule, set, RULE_PATH, &rule, 0);
	if (rc < 0)
		err_sys(err, "Landlock: %s", p->path);
	if (fd >= 0)
		close(fd);
	return rc < 0 ? -1 : 0;
}

static int add_port(int set, uint64_t right, uint16_t port, struct err *err)
{
	struct port_rule rule = { right, port };
	if (syscall(SYS_landlock_add_rule, set, RULE_PORT, &rule, 0) < 0)
		return err_sys(err, "Landlock: port %u", port);
	return 0;
}

static int fill(int set, const struct confine_rules *r, const struct ruleset_attr *a, struct err *err)
{
	for (size_t i = 0; i < r->n_path; i++)
		if (add_path(set, &r->path[i], a->fs, err) < 0)
			return -1;
	for (size_t i = 0; i < r->n_port && (a->net & NET_CONNECT); i++)
		if (add_port(set, NET_CONNECT, r->port[i], err) < 0)
			return -1;
	/* Who connects may have to say from which of our addresses: to bind to any free port. It can't listen there. */
	return r->net && a->net ? add_port(set, NET_BIND, 0, err) : 0;
}

int confine_landlock(const struct confine_rules *r, struct err *err)
{
	int abi = confine_landlock_abi();
	struct ruleset_attr a = { .fs = fs_handled(abi) };
	size_t size = abi >= 6 ? sizeof a : abi >= 4 ? offsetof(struct ruleset_attr, scoped) : sizeof a.fs;
	if (!abi)
		return 0;
	if (abi >= 4)
		a.net = r->any_port ? NET_BIND : NET_BIND | NET_CONNECT;
	if (abi >= 6)
		a.scoped = r->calls & CONFINE_SIGNAL ? SCOPE_ABSTRACT : SCOPE_ABSTRACT | SCOPE_SIGNAL;
	int set = (int)syscall(SYS_landlock_create_ruleset, &a, size, 0);
	if (set < 0)
		return err_sys(err, "Landlock");
	int rc = fill(set, r, &a, err);
	if (rc == 0 && syscall(SYS_landlock_restrict_self, set, 0) < 0)
		rc = err_sys(err, "Landlock");
	close(set);
	return rc;
}
