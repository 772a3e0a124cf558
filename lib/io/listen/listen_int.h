/* SPDX-License-Identifier: ISC
 *
 * Inside of listening, shared by listen.c (the parent), listen_worker.c, listen_stress.c and listen_sockets.c.
 */
#ifndef WP_IO_LISTEN_INT_H
#define WP_IO_LISTEN_INT_H

#include <stdatomic.h>

#include "io/listen/heartbeat.h"
#include "io/listen/listen.h"

struct listener {
	int fd;
	bool tls;
	char *name;
	char *path; /* of a Unix socket of ours, removed at the end; NULL otherwise */
};
struct listeners {
	struct listener *v;
	size_t n;
};

int listeners_open(struct listeners *l, const struct opt_list *specs, struct err *err);
/* What systemd passed. 0 and l->n == 0 when it passed nothing; *connected becomes the descriptor of an accepted
 * connection (Accept=yes), whose name is then in l->v[0]; -1 otherwise. */
int listeners_from_systemd(struct listeners *l, int *connected, struct err *err);
/* Takes fd over. */
void listeners_add(struct listeners *l, int fd, const char *name, bool tls);
bool listener_is_listening(int fd);
/* "127.0.0.1:25", "[::1]:25" or "unix:PATH". */
void listener_text(const struct listener *l, char *out, size_t n);
void listeners_close(struct listeners *l, bool remove);

enum slot_state {
	SLOT_FREE,
	SLOT_STARTING,
	SLOT_IDLE,
	SLOT_BUSY
};
struct slot {
	_Atomic int state;
	pid_t pid;
	unsigned char client[16]; /* the address, while busy */
	_Atomic int64_t since;    /* ms, while busy */
	_Atomic uint64_t seq;     /* when the address was known: orders the clients of one address */
};
/* Shared by all processes of one server. */
struct board {
	_Atomic uint64_t seq;
	_Atomic unsigned generation; /* goes up at each reload: older workers retire */
	_Atomic bool ready;          /* a worker has started well */
	_Atomic bool stressed;       /* there are more clients than we can serve well */
	unsigned n;
	struct slot slot[];
};
unsigned board_count(const struct board *b, int state);
/* How many workers should be idle, given how many are busy. */
unsigned board_want_idle(const struct board *b);

struct server {
	const struct serve_options *o;
	conn_fn *fn;
	void *arg;
	struct listeners l;
	struct board *board;
	int wake; /* a worker tells here that idle ones run out */
	unsigned min_idle, max;
	pid_t parent;
	int64_t stressed_at; /* ms, the last time */
	struct heartbeat heart;
};
int64_t server_now(void); /* ms */

int server_single(const struct serve_options *o, struct conn *c, conn_fn *fn, void *arg);
/* The connection on a descriptor (wfd the same for a socket). */
void conn_init(struct conn *c, int rfd, int wfd, const struct listener *l);
/* Never returns; the process was just forked for this slot. */
_Noreturn void worker_run(struct server *sv, unsigned slot);

/* listen_stress.c */
/* In the parent, now and then: is there stress? True: judge again soon. */
bool stress_judge(struct server *sv);
/* In a worker. */
void stress_watch(const struct board *b);

/* SIGTERM and SIGINT set serve_stopping and end waits; each process calls it for itself. */
int stop_signals_init(void);

#endif
