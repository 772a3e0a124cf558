/* SPDX-License-Identifier: ISC
 *
 * What a list says of a message, and its rows: as text for a terminal or as JSON.
 */
#ifndef WP_MUA_READ_SUMMARY_H
#define WP_MUA_READ_SUMMARY_H

#include "base/arena.h"
#include "base/span.h"
#include "mua-read/box.h"
#include "mua-read/term.h"

struct summary {
	size_t number;
	unsigned flags;
	int64_t date;     /* Date, else arrival; 0: neither is known */
	struct span from; /* the first author: display name, else address */
	struct span subject;
	struct span id; /* Message-ID as written */
	struct span to, from_field, cc;
	size_t size;
	size_t indent; /* of the subject: depth in a thread */
};

/* Message n of the box, whose content is msg; copied into the arena. */
void summary_read(struct arena *a, struct box *b, size_t n, struct span msg, struct summary *out);
/* A field's decoded value, one line, in the arena; "" when it is absent. */
struct span summary_field(struct arena *a, struct span msg, const char *name);

/* How a list is written. */
struct lister {
	const struct term *term;
	bool json;
	size_t digits; /* of the greatest number */
};
void lister_begin(struct lister *l, const struct term *t, bool json, size_t most);
void lister_row(struct lister *l, const struct summary *s);
/* A row for a message that is not there, whose answers are. */
void lister_missing(struct lister *l, size_t depth);
/* 0, or -1 when standard output failed. */
int lister_end(struct lister *l);

#endif
