/* SPDX-License-Identifier: ISC
 *
 * What the parts of `mta-relay run` share: its options, the worker processes and the loop that feeds them.
 */
#ifndef MTA_RELAY_RUN_INT_H
#define MTA_RELAY_RUN_INT_H

#include <signal.h>

#include "io/confine/confine.h"
#include "io/listen/heartbeat.h"
#include "mta-relay/hop/way_options.h"
#include "mta-relay/run/run_deliver.h"
#include "mta-relay/run/run_plan.h"
#include "mta-relay/run/sched.h"
#include "mta-relay/spool/spool_walk.h"

struct run_options {
	struct way_options way;
	const char *queue, *node, *postmaster, *trace, *log_file, *metrics, *ready_file;
	const char *password_file, *password_command;
	int log;
	int durability; /* enum durability */
	unsigned concurrency, per_destination, window;
	int64_t warn_after, mda_timeout; /* ms */
	struct confine_settings confine;
	uint64_t return_max;
	bool once, now, explain, ready;
};
/* A request to a worker and its answer, one datagram each: messages for one destination. */
enum {
	RUN_BATCH = 8
};
enum run_task_kind {
	RUN_SEND,
	RUN_DEFER,
	RUN_FINISH
};
struct run_item {
	char id[SPOOL_ID_SIZE];
	bool finish;
	uint32_t from; /* the first recipient whose turn it is */
};
struct run_task {
	enum run_task_kind kind;
	bool share; /* others wait for this destination: not all recipients of a long list at once */
	unsigned n;
	struct run_item item[RUN_BATCH];
	size_t len;                     /* of text */
	char text[ROUTE_KEY_MAX + 400]; /* the destination's key and, for RUN_DEFER, the reason, each with its NUL */
};
struct run_result {
	enum {
		RUN_DONE,
		RUN_MORE,     /* recipients from `from` on are left */
		RUN_NOT_TRIED /* the destination failed, or we are to stop */
	} what;
	bool left;   /* it stays in the queue, due then */
	int64_t due; /* seconds since 1970 */
	uint32_t from;
};
struct run_answer {
	unsigned n;
	struct run_result result[RUN_BATCH];
	bool reached, unreachable; /* whether a conversation was opened */
	char site[256];
	char why[400]; /* it is unreachable */
};

struct run_worker {
	pid_t pid; /* 0: none */
	int fd;
	struct plan_job *job[RUN_BATCH];
	unsigned n;              /* of them; 0: idle */
	struct plan_dest *dest;  /* that they are for */
	char key[ROUTE_KEY_MAX]; /* its last destination */
	uint32_t hash;           /* of key */
	unsigned streak;         /* jobs in a row for it */
	unsigned generation;
};
struct run {
	struct run_options o;
	const char *hostname;
	struct spool *spool;
	struct routes *routes;
	struct route_config route_config;
	struct hop_config hop;
	struct deliver deliver;
	unsigned generation;       /* of the routes: workers of an older one are replaced */
	struct run_worker *worker; /* o.concurrency of them */
	volatile bool *enough;     /* shared with the workers: end after the message in hand */
	volatile sig_atomic_t *stop, *reload, *dump;
	struct heartbeat heart;
	struct confine_rules *rules; /* of workers */
};

/* run_confine.c: the rights of workers, by the options and the routes: again for each set of routes, since workers of
 * the old ones end. -1 with err, and all is as it was. */
int run_confine_set_up(struct run *r, const struct routes *routes, struct err *err);
/* In a worker, before it talks to anybody. */
int run_confine_worker(struct run *r, struct err *err);
/* In the parent: is a file that workers read another one now? Looks every two seconds. */
bool run_confine_stale(struct run *r);
void run_confine_clean_up(struct run *r);

/* Forks a worker that serves requests until our end closes. -1 with err. */
int run_worker_start(struct run *r, struct run_worker *w, struct err *err);
int run_worker_ask(struct run_worker *w, const struct run_task *t, struct err *err);
/* 1 with *out, 0 when the worker has died. */
int run_worker_answer(struct run_worker *w, struct run_answer *out);
/* Our end closes: it ends its conversations and exits. wait: until it has. */
void run_worker_stop(struct run_worker *w, bool wait);

/* What is in the queue: run_queue.c. Learns of messages by the directory and by being told of its changes, and takes
 * those that are due in hand. */
struct run_queue {
	struct run *r;
	struct sched *due;
	struct plan *plan;
	int watch, dir;          /* inotify, -1: none is to be had; msg/ */
	int64_t now;             /* seconds */
	struct spool_walk *scan; /* under way */
	bool first_scan;
	bool forced; /* --now: what was not tried since the start is due */
	struct timespec started;
	size_t found;          /* by the scan */
	int64_t put_off_until; /* the last that was due but put off */
	int64_t scanned;       /* when the last scan ended */
};
int run_queue_open(struct run_queue *q, struct run *r, struct err *err);
void run_queue_close(struct run_queue *q);
/* Reads on in the directory, a piece. True when there is more to read. */
bool run_queue_scan(struct run_queue *q);
/* When the directory, which cannot be watched, is to be read again; INT64_MAX: it is watched. */
int64_t run_queue_look(const struct run_queue *q);
/* Looks at the clock, which may have been set back. */
void run_queue_time(struct run_queue *q);
/* Hears what has changed. */
void run_queue_changes(struct run_queue *q);
/* Takes in hand what is due, a piece: true when there may be more. */
bool run_queue_take(struct run_queue *q);

/* Until told to stop, or with --once until nothing is due. Returns an exit status. */
int run_loop(struct run *r);

#endif
