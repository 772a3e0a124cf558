/* SPDX-License-Identifier: ISC
 *
 * Addresses in header fields (RFC 5322 3.4, obsolete forms 4.4, groups RFC 6854, UTF-8 RFC 6532) and in SMTP paths
 * (RFC 5321 4.1.2, RFC 6531 3.3). Header parsing is total: what cannot be understood is skipped to the next comma, and
 * counted; it never yields an address that is not there.
 */
#ifndef WP_MSG_ADDR_H
#define WP_MSG_ADDR_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/span.h"

struct addr {
	struct span name;   /* display name: unquoted, comments as names of old style, encoded words as written */
	struct span local;  /* local part without quotes or backslashes; "" in a group's own row */
	struct span domain; /* as written, "[...]" literals with brackets; "" when there is none */
	struct span group;  /* name of the group it stands in, "" outside; an empty group gives one row, local "" */
};
struct addr_list {
	struct addr *v;
	size_t n;
	size_t skipped; /* pieces that were no address */
};
/* Into the arena, at most LIMIT_ADDRESSES. */
void addr_parse_list(struct arena *a, struct span value, struct addr_list *out);

/* local@domain with the local part quoted where RFC 5321 4.1.2 needs it. */
void addr_format(const struct addr *a, struct buf *out);

/* One SMTP mailbox, "local@domain", as in RCPT TO without its angle brackets and source route, also "Postmaster" alone
 * (domain "") when allow_bare. Strict: false unless the whole span is RFC 5321's Mailbox (UTF-8 allowed when utf8). */
bool addr_parse_mailbox(struct span s, bool utf8, bool allow_bare, struct addr *out, struct arena *a);
/* The address as it is kept and compared: a quoted local part (RFC 5321 4.1.2) without its quotes and backslashes, in
 * the arena; anything else as it is. The last '@' is what separates the two parts then. */
struct span addr_unquoted(struct span address, struct arena *a);
/* Is it a domain of letters, digits, hyphens and dots (or U-labels when utf8), or an address literal? */
bool addr_domain_ok(struct span domain, bool utf8);
/* An order of mailboxes; 0 when two are the same: local parts to the byte, domains in any case (RFC 5321 2.4). */
int addr_order(struct span a, struct span b);
/* Any byte above 127? (the address then needs SMTPUTF8) */
bool addr_needs_utf8(struct span s);

#endif
