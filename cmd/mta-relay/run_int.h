/* SPDX-License-Identifier: ISC
 *
 * What the parts of `mta-relay run` share: its options, the worker processes and the loop that feeds them.
 */
#ifndef MTA_RELAY_RUN_INT_H
#define MTA_RELAY_RUN_INT_H

#include <signal.h>

#include "io/heartbeat.h"
#include "mta-relay/run_deliver.h"
#include "mta-relay/run_plan.h"
#include "mta-relay/sched.h"

struct run_options {
	const char *queue, *node, *hostname, *smarthost, *routes, *mda, *domains, *resolver, *tls_ca, *postmaster,
	    *trace, *log_file, *metrics, *ready_file;
	int log;
	const char *password_file, *password_command;
	const char *source;
	int durability;        /* enum durability */
	int starttls, tls, ip; /* enum route_starttls; enum route_tls - 1; relay_family */
	unsigned port, concurrency, per_destination;
	int64_t retry_min, retry_max, expire, warn_after, mda_timeout; /* ms */
	bool once, now, explain, ready;
};
/* A request to a worker and its answer, one datagram each. */
enum run_task_kind {
	RUN_SEND,
	RUN_DEFER,
	RUN_FINISH
};
struct run_task {
	enum run_task_kind kind;
	bool finish;
	char id[SPOOL_ID_SIZE];
	char key[ROUTE_KEY_MAX];
	char why[400]; /* RUN_DEFER */
};

struct run_worker {
	pid_t pid; /* 0: none */
	int fd;
	struct plan_job *job;    /* NULL: idle */
	char key[ROUTE_KEY_MAX]; /* its last destination */
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
	volatile sig_atomic_t *stop, *reload;
	struct heartbeat heart;
};

/* Forks a worker that serves requests until our end closes. -1 with err. */
int run_worker_start(struct run *r, struct run_worker *w, struct err *err);
int run_worker_ask(struct run_worker *w, const struct run_task *t, struct err *err);
/* 1 with *out, 0 when the worker has died. */
int run_worker_answer(struct run_worker *w, struct deliver_done *out);
/* Our end closes: it ends its conversations and exits. wait: until it has. */
void run_worker_stop(struct run_worker *w, bool wait);

/* Until told to stop, or with --once until nothing is due. Returns an exit status. */
int run_loop(struct run *r);

#endif
