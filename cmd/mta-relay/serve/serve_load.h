/* SPDX-License-Identifier: ISC
 *
 * A message at its end, between the files of serve that decide about it: serve_deliver.c where it goes, serve_verdict.c
 * what the MDA's answers come to, serve_queue.c how it is queued. Private to them.
 */
#ifndef MTA_RELAY_SERVE_LOAD_H
#define MTA_RELAY_SERVE_LOAD_H

#include "mta-relay/serve/serve.h"

/* One message's recipients after aliases, each address once. */
struct load {
	struct relay_session *s;
	struct smtp_session *x;
	struct relay_target **v;
	size_t n;
	struct smtp_rcpt *mda; /* the MDA's results, NULL when it was not asked */
	bool *out;             /* rows that the queue need not know; NULL: none */
	struct content_facts facts;
	int64_t now, asked; /* seconds; when the MDA was asked, microseconds */
};

static inline struct relay_targets *targets_of(const struct smtp_env_rcpt *r)
{
	return r->op;
}

/* Order of targets, for qsort and bsearch over load.v. */
int load_compare(const void *a, const void *b);
/* What is put before the content when it goes on as `id`. */
void load_prefix(const struct load *l, const char *id);
bool load_open_queue(struct relay_server *rs, struct err *err);

/* serve_verdict.c: asks the MDA and answers; n answers, one for each RCPT, and one more. */
void load_to_mda(struct load *l, struct smtp_answer *answers, size_t n);

/* serve_proxy.c: to the content filter, whose answer is ours. */
void proxy_deliver(struct load *l, struct smtp_answer *a);

/* serve_queue.c: into the queue, and the answer; why: "" or a reason for the trace. */
void load_into_queue(const struct load *l, const char *why, struct smtp_answer *a);
/* A queue file for all recipients before the MDA is asked; NULL with err. */
struct spool_writer *load_reserve(const struct load *l, struct err *err);
/* The rest goes on from that file. */
void load_queue_rest(const struct load *l, struct spool_writer *w, struct smtp_answer *a);
void load_queue_failed(const struct err *err, struct smtp_answer *a);
/* Has the MDA said what becomes of this one? A 421 is about itself. */
bool load_answered(const struct smtp_rcpt *m);
/* The MDA's words without the codes before them, which are kept apart. */
struct span load_words(struct span text, const char *enh);
void load_log_taken(const struct load *l, const char *id, struct span from, size_t rcpts, const char *how);
/* What the MDA said of these recipients, as of a message with this id. */
void load_log_outcomes(const struct load *l, const char *id, const size_t *rows, size_t n);

#endif
