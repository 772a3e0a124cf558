/* SPDX-License-Identifier: ISC
 *
 * Between the broker's sides: io/broker.c asks, io/broker_loop.c is the process that answers, io/spawn.c has the
 * descriptors. All run the same program on one machine, so that messages are plain structs.
 */
#ifndef WP_IO_BROKER_INT_H
#define WP_IO_BROKER_INT_H

#include <signal.h>

#include "io/broker.h"
#include "io/spawn.h"

enum {
	BROKER_MAGIC = 0x57504252,
	BROKER_WORDS = BROKER_COMMANDS / 64
};

struct broker_set {
	uint64_t bits[BROKER_WORDS];
};

enum broker_type {
	BROKER_ATTACH = 1, /* descriptor: the new channel */
	BROKER_START       /* descriptors: the child's socket, then those of 0, 1, 2 that `given` says */
};
struct broker_request {
	uint32_t magic, type;
	uint32_t index, given;
	struct broker_set only; /* BROKER_ATTACH */
	uint32_t env;           /* bytes after this struct: NUL-terminated NAME=value */
};

enum broker_word {
	BROKER_STARTED = 1, /* value: the pid */
	BROKER_FAILED,      /* errno */
	BROKER_ENDED        /* as waitpid(2) gives it */
};
struct broker_reply {
	int32_t word, value;
};

struct broker {
	struct broker_command *v; /* owned copies */
	int n;
	int fd; /* our channel, -1: none */
	pid_t pid;
	bool launched;
};

/* Asks for sp's child with these three descriptors (-1: the broker's own); the child's socket, or -1 with err (err.sys
 * the errno of exec). *pid: for the log only. */
int broker_ask(const struct spawn *sp, const int child[3], pid_t *pid, struct err *err);
/* SIGTERM or SIGKILL for the child's process group. */
void broker_signal(int told, int sig);
/* Its status when it ends within ms (-1: for ever): 1; 0: not yet; -1 with err: the broker is gone. */
int broker_status(int told, int64_t ms, int *status, struct err *err);

/* The process. channel: its end of the shared one. */
_Noreturn void broker_loop(const struct broker *b, int channel);

#endif
