/* SPDX-License-Identifier: ISC
 *
 * A broker: a small process that starts commands for processes which may not start anything themselves, because they
 * are confined (io/confine/confine.h). It is forked at start-up, before anything is read from the network, out of their
 * reach, and can run only what was registered until then: a request names a command by its index, and can neither
 * change the command nor add arguments. It gives the child's descriptors, and variables that the registration names. So
 * whoever has taken over a confined worker can run the configured commands on data of his choice, which he could
 * before, and nothing else.
 *
 * Requests go over a channel, a SOCK_SEQPACKET socket. All who have the struct share one; a worker calls broker_attach
 * before it is confined and so gets a channel of its own, which others can't disturb and which may be for fewer
 * commands. For each child there is a socket of its own: it tells the exit status, takes signals, and its end (the
 * requester died, or has lost interest) stops the child. Children are started through spawn_start (io/spawn.h) with
 * spawn.broker set.
 *
 * The broker is not confined itself, since what it starts would inherit that (no_new_privs would disarm a setuid
 * program). It reads nothing but these sockets: messages of at most BROKER_MESSAGE bytes, looked at by
 * io/broker_loop.c. It ignores SIGTERM, SIGINT and SIGHUP and ends after the last channel and the last child.
 *
 * The struct owns copies of all it is given. A process that forked shares the broker.
 */
#ifndef WP_IO_BROKER_H
#define WP_IO_BROKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

enum {
	BROKER_COMMANDS = 1024,      /* registered at most */
	BROKER_MESSAGE = 32768,      /* a request with its variables */
	BROKER_CHANNELS = 4096,      /* requesters at once */
	BROKER_CHILDREN = 1024,      /* children at once, */
	BROKER_PER_CHANNEL = 32,     /* and of one requester */
	BROKER_PATIENCE = 30 * 1000, /* ms that a requester waits for the broker to start a child */
};

struct broker_command {
	const char *const *argv; /* NULL-terminated, argv[0] searched in PATH; or NULL with command set */
	const char *command;     /* for /bin/sh -c */
	const char *const *env;  /* names of variables that a request may set, NULL-terminated; NULL: none */
	const char *dir;         /* NULL: ours */
	uid_t uid;
	gid_t gid; /* changed to when set_ids */
	bool set_ids;
};

struct broker;

struct broker *broker_new(void);
/* The index, the same one for the same command; -1 with err when there are too many. Before broker_launch only. */
int broker_add(struct broker *b, const struct broker_command *c, struct err *err);
/* The index of a shell command that was registered, -1 when it was not. */
int broker_find(const struct broker *b, const char *command);
/* Forks, unless nothing was registered. */
int broker_launch(struct broker *b, struct err *err);
/* Replaces the shared channel by one of this process alone; only: indexes of the n commands it may have started,
 * NULL for all. */
int broker_attach(struct broker *b, const int *only, size_t n, struct err *err);
/* Can it be asked? It ends only when it is killed. True for one that has nothing to do. */
bool broker_alive(const struct broker *b);
/* The channel, for a caller that looks after its descriptors; -1 when there is none. */
int broker_fd(const struct broker *b);
/* Closes our channel: this process asks for nothing any more. */
void broker_leave(struct broker *b);
/* Also frees the struct. */
void broker_free(struct broker *b);

#endif
