/* SPDX-License-Identifier: ISC
 *
 * Threading by references (RFC 5256 3, REFERENCES), of any number of messages: sorts instead of hash tables that a
 * sender could aim at, loops instead of recursion. Total: whatever the headers say, the result is a forest in which
 * each message stands once.
 */
#ifndef WP_MSG_THREAD_H
#define WP_MSG_THREAD_H

#include "base/arena.h"
#include "base/span.h"

struct thread_msg {
	struct span id;          /* Message-ID as thread_ids gives it; "" when there is none */
	const struct span *refs; /* References, else In-Reply-To's first; oldest first */
	size_t n_refs;
	struct span subject; /* its base (subject.h) */
	bool reply;          /* as subject_base says */
	int64_t date;        /* when it was sent */
};

enum {
	THREAD_REFS = 200 /* of one message that count, the last ones */
};

/* The message ids of a field's value, normalised, with brackets; at most THREAD_REFS, the last ones. */
void thread_ids(struct arena *a, struct span value, const struct span **ids, size_t *n);

#define THREAD_NONE SIZE_MAX
struct thread_node {
	size_t msg;    /* index of the message, THREAD_NONE for a parent that is not there */
	size_t parent; /* index of a node before this one, THREAD_NONE for a thread's root */
	size_t depth;
};
/* The threads in the order of their first dates, each in preorder, siblings by date. */
void thread_references(
    struct arena *a, const struct thread_msg *msgs, size_t n, struct thread_node **nodes, size_t *n_nodes);

#endif
