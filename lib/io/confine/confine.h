/* SPDX-License-Identifier: ISC
 *
 * Before a process reads a byte from the network it gives up every right that it does not need, for good:
 *
 *   Landlock         no file but those below the rules' paths, no TCP port but those to connect to, none to bind; no
 *                    signal and no abstract socket to who is outside (as far as the kernel's ABI reaches, 1 to 6)
 *   seccomp          the system calls of its loop, with a look at their arguments where that matters
 *   no_new_privs     a setuid program gives nothing
 *   limits           no core file, no further descriptors than now, no new processes where it needs none, memory
 *   identity         another user than root, or root without most capabilities
 *
 * What a kernel or container lacks is done without (CONFINE_AUTO) or fatal (CONFINE_REQUIRE). Commands that it may
 * have started are a broker's matter (io/broker.h), which must be launched before.
 *
 * A call that is not in the tables below fails with ENOSYS, so that the C library tries an older one. One that no
 * program of ours ever makes, but whoever has taken one over would (execve, ptrace, mount, ...), kills the process: its
 * parent logs the signal. A socket of another family than inet, inet6 and unix fails with EAFNOSUPPORT, which the C
 * library knows from kernels that were built without.
 *
 * Rules own copies. What is not asked for is not allowed, except for the C library's own: time zones, the resolver's
 * and the name service's files where names are looked up, iconv's modules, /dev/null, /dev/urandom, syslog's socket.
 */
#ifndef WP_IO_CONFINE_H
#define WP_IO_CONFINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/opts.h"

enum confine_mode {
	CONFINE_AUTO,
	CONFINE_OFF,
	CONFINE_REQUIRE
};
#define CONFINE_CHOICES "auto|off|require"

/* Of a path and all below it. */
enum confine_right {
	CONFINE_READ = 1,
	CONFINE_WRITE = 2,  /* what is there */
	CONFINE_CREATE = 4, /* make, rename, link and remove files and directories */
	/* A file that others may replace by a new one of the same name. Landlock's rules are about inodes, and one
	 * about the directory would be about all of, say, /etc: processes to come must have it in their rules,
	 * confine_replaced tells when. */
	CONFINE_REPLACED = 8
};
enum {
	CONFINE_ALL = CONFINE_READ | CONFINE_WRITE | CONFINE_CREATE
};

/* System calls that a process may need besides those for files, sockets in hand, memory and time. */
enum confine_calls {
	CONFINE_FORK = 1,    /* children of its own, which are confined as it is */
	CONFINE_IDS = 2,     /* become another user */
	CONFINE_SIGNAL = 4,  /* signal other processes */
	CONFINE_FURTHER = 8, /* its children confine themselves further */
};

/* Options of every server that confines itself. */
struct confine_settings {
	int mode; /* enum confine_mode */
	uint64_t memory;
	const char *user;
};
extern const struct opt confine_options[];      /* --confine, --confine-memory */
extern const struct opt confine_user_options[]; /* --user, of those that begin as root */

struct confine_rules;

struct confine_rules *confine_rules_new(void);
void confine_rules_free(struct confine_rules *r);
/* NULL is no path. One that is not there: with CONFINE_CREATE the nearest directory above it that is, else nothing. */
void confine_allow_path(struct confine_rules *r, const char *path, unsigned rights);
/* A TCP port to connect to; 0: all. Also allows UDP, which Landlock does not know. Unix sockets are always allowed. */
void confine_allow_connect(struct confine_rules *r, uint16_t port);
/* Host names: the resolver's files and DNS. */
void confine_allow_names(struct confine_rules *r);
/* Is one of those files another than when it was allowed, or when this was asked last? */
bool confine_replaced(struct confine_rules *r);
/* In a confined process: is such a file out of its reach, so that what it knows of it must do? */
bool confine_hides(const char *path);
/* The authorities that certificates are held against. */
void confine_allow_authorities(struct confine_rules *r);
void confine_allow_calls(struct confine_rules *r, unsigned calls);

/* For a parent whose children will be confined by these rules: what takes long is done once, and again when asked after
 * the rules changed. What goes wrong here goes wrong in confine() again, which says so. */
void confine_prepare(struct confine_rules *r);

struct confine {
	int mode; /* enum confine_mode */
	const struct confine_rules *rules;
	uint64_t memory;  /* bytes of private memory (RLIMIT_DATA); 0: as it is */
	const char *user; /* to become, when root; NULL: stay */
	uid_t uid;
	gid_t gid; /* user's, from confine_user */
};

/* Finds --user; err: nobody of that name, or not root and somebody else. NULL is no user. */
int confine_user(struct confine *c, const char *name, struct err *err);
/* Its part of confine: for what must be done as that user, but before. Does nothing twice. */
int confine_become(const struct confine *c, struct err *err);
/* At a program's start, once: what this kernel lacks goes to the log, and is an error (ERR_CONFIG) with
 * CONFINE_REQUIRE. 0, or -1 with err. */
int confine_check(int mode, struct err *err);
/* 0, or -1 with err: then the process must not go on. */
int confine(const struct confine *c, struct err *err);
/* Of a parent that reads no byte from the network, after its broker was launched: no program that it or a worker starts
 * gains rights, and none leaves a core file. Nothing with CONFINE_OFF. */
int confine_parent(int mode, struct err *err);
/* A second step for who was left CONFINE_FURTHER, once it is known whom it serves: of the paths only these, and of the
 * system calls none of CONFINE_FORK, IDS, SIGNAL and FURTHER, nor one that accepts a client. Nothing where confine did
 * nothing. */
int confine_narrow(const struct confine_rules *r, struct err *err);

#endif
