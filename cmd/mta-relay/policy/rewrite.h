/* SPDX-License-Identifier: ISC
 *
 * Addresses that are written otherwise: by tables, for hidden hosts, with a domain where they lack one; in envelopes,
 * and in header fields, of which nothing else is touched: names, comments, groups and folding stay byte for byte.
 *
 * A table is asked for local@domain, for that without its detail (which is put behind the new local part), and for
 * @domain; its value is local@domain, or @domain for the same local part there. One step each: what comes out is not
 * looked up again in the same table. When a table can't be asked it is -1 with err, ERR_TEMP, and nothing was changed.
 */
#ifndef MTA_RELAY_REWRITE_H
#define MTA_RELAY_REWRITE_H

#include "base/arena.h"
#include "base/buf.h"
#include "msg/addr.h"
#include "users/domains.h"
#include "users/table.h"

enum rewrite_role {
	REWRITE_SENDER,
	REWRITE_RECIPIENT
};
struct rewrite_rules {
	struct table *by_role[2];         /* asked first; NULL: none */
	struct table *both;               /* then this one */
	const struct domains *masquerade; /* host.example becomes example, when that is in it */
	struct table *exposed;            /* local parts whose host is not hidden */
	const char *append;               /* for addresses without domain; NULL: they stay */
	const char *delimiters;
};

/* 1: *a is the new address, in the arena; 0: it stays. */
int rewrite_address(
    const struct rewrite_rules *r, struct arena *arena, enum rewrite_role role, struct addr *a, struct err *err);

/* The mailboxes of a field's value, and what is to stand in their place: fn appends it and returns 1, or 0 for what is
 * to stay, or -1. Appends the whole value; 1 when anything changed, 0 when nothing did (out is the value then), -1. */
typedef int rewrite_fn(void *arg, struct span mailbox, struct buf *out);
int rewrite_value(struct span value, rewrite_fn *fn, void *arg, struct buf *out);

/* Is it a field of addresses, and whose? */
bool rewrite_role_of(struct span field, enum rewrite_role *role);
/* A field's value by the rules; like rewrite_value. */
int rewrite_field_value(const struct rewrite_rules *r, struct arena *arena, enum rewrite_role role, struct span value,
    struct buf *out, struct err *err);
/* All fields of a header (up to its blank line, or as far as it goes); like rewrite_value. */
int rewrite_header(
    const struct rewrite_rules *r, struct arena *arena, struct span header, struct buf *out, struct err *err);

#endif
