/* SPDX-License-Identifier: ISC
 *
 * Children: a program by argv (no shell), or a user's command line, as /bin/sh -c would run it. Descriptors above 2 are
 * closed in the child, signals are reset. Never a shell for anything that a peer can influence: such data goes in the
 * environment or stdin.
 *
 * A process that may not start anything by itself has a broker do it (io/broker.h): with spawn.broker set all is as
 * without, but the command, its directory and its user are those that were registered under the index.
 */
#ifndef WP_IO_SPAWN_H
#define WP_IO_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

enum spawn_fd {
	SPAWN_INHERIT = -1,
	SPAWN_PIPE = -2,
	SPAWN_NULL = -3,
	SPAWN_SOCKETPAIR = -4 /* in and out: one socket */
};

struct broker;

struct spawn {
	const char *const *argv; /* NULL-terminated, argv[0] searched in PATH; or NULL with command set */
	const char *command;     /* for /bin/sh -c, which is left out where it would only start a program by its path */
	const char *const *env;  /* "NAME=value" added to (or over) ours; NULL: none */
	const char *dir;         /* NULL: ours */
	int in, out, errfd;      /* a descriptor, or one of enum spawn_fd */
	uid_t uid;
	gid_t gid; /* changed to when set_ids */
	bool set_ids;
	const struct broker *broker; /* NULL: we start it ourselves; SPAWN_INHERIT then means the broker's */
	int index;                   /* as broker_add gave it */
};
struct child {
	pid_t pid;     /* 0 or less: none */
	int in, out;   /* our ends of the pipes (close-on-exec), -1 when none; equal for SPAWN_SOCKETPAIR */
	bool group;    /* it leads a process group: whenever its stdin is not ours, hence not a terminal's */
	bool brokered; /* it is a broker's child: signals and status go over `told` */
	int told;
};

/* 0, or -1 with err: also when exec fails in the child (told through a pipe), ERR_CONFIG then. */
int spawn_start(const struct spawn *sp, struct child *c, struct err *err);
/* Waits at most timeout_ms (-1: for ever), then TERM, then KILL, and -1 with sys == ETIMEDOUT. Otherwise the exit
 * status, 128 + signal, or -1 with err. The pipes are the caller's to close, the child's stdin before this. */
int spawn_wait(struct child *c, int64_t timeout_ms, struct err *err);
/* SIGTERM or SIGKILL for it and what it started, without waiting. */
void spawn_kill(const struct child *c, int sig);
/* True when it has ended, or can't be known of any more: the child is forgotten then. */
bool spawn_ended(struct child *c);
/* Runs a command with `input` on stdin, keeps at most out->max of stdout. Returns as spawn_wait. */
int spawn_run(const struct spawn *sp, struct span input, struct buf *out, int64_t timeout_ms, struct err *err);
/* The first line of a command's stdout, for --password-command: the secret in out. stdin is the terminal or
 * /dev/null; a non-zero exit is ERR_TEMP. */
int spawn_secret(const char *command, struct buf *out, struct err *err);
/* The same by a broker, NULL: none. stdin is /dev/null then. */
int spawn_secret_by(const struct broker *b, int index, struct buf *out, struct err *err);

#endif
