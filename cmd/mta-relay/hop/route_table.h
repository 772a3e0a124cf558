/* SPDX-License-Identifier: ISC
 *
 * The routes file in memory: patterns and what stands behind them. Parsing knows no file, so that it can be fuzzed.
 */
#ifndef MTA_RELAY_ROUTE_TABLE_H
#define MTA_RELAY_ROUTE_TABLE_H

#include "base/buf.h"
#include "mta-relay/hop/route.h"

enum {
	ROUTE_ADDRESS_MAX = 1024 /* a longer one matches its domain's lines only */
};

/* A pattern's key: of a recipient "user@domain", "domain", ".domain" or "*", of a sender "user@domain", "@domain" or ""
 * for the null one; domains as lower-case A-labels, local parts in lower case. */
struct route_entry {
	struct span key;
	unsigned line;
	struct route route; /* kind, target ("" for the recipient's domain), s as written, own, next, error */
};
struct route_list {
	struct route_entry *v; /* sorted by key after route_table_sort */
	size_t n, cap;
};
struct route_table {
	struct arena *arena;
	struct route_list recipients, senders;
};

void route_table_init(struct route_table *t);
void route_table_free(struct route_table *t);
/* One line without its end; blank ones and comments add nothing. -1 with ERR_CONFIG. */
int route_table_line(struct route_table *t, struct span line, unsigned number, struct err *err);
/* After the last line. -1 with ERR_CONFIG and *line when a pattern was given twice. */
int route_table_sort(struct route_table *t, unsigned *line, struct err *err);
/* NULL when there is none. */
const struct route_entry *route_table_find(const struct route_list *l, struct span key);

/* DESTINATION[,DESTINATION...] */
int route_parse_target(struct arena *a, struct span text, struct route *out, struct err *err);
/* Appends the address in the form of a key; false when its domain is none. */
bool route_address_key(struct span address, struct buf *out);

#endif
