/* SPDX-License-Identifier: ISC
 *
 * A set of domains, as --domains and --relay-to give it: names separated by commas or blanks, or a file (when the text
 * holds a '/') with one or several a line and `#` comments. ".example" stands for every subdomain of example, not for
 * example itself. Names are compared as lower-case A-labels (RFC 5891 5), so that U-labels match on either side;
 * address literals are compared as text.
 */
#ifndef WP_USERS_DOMAINS_H
#define WP_USERS_DOMAINS_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

struct domains;

/* NULL with err: ERR_CONFIG with file:line, or ERR_USAGE for a bad name in a list. An empty list matches nothing. */
struct domains *domains_open(const char *list_or_file, struct err *err);
/* NULL is fine. */
void domains_free(struct domains *d);
/* Reads a table again that has changed: table_refresh. NULL is fine. */
int domains_refresh(struct domains *d, struct err *err);
/* table_out_of_reach. */
bool domains_out_of_reach(const struct domains *d);
/* False for NULL, for "" and for what is no domain. One final dot is ignored. */
bool domains_match(const struct domains *d, struct span domain);
/* The same of a table that may be out of reach: 1 or 0, -1 with err (ERR_TEMP) when nobody knows now. */
int domains_find(const struct domains *d, struct span domain, struct err *err);

/* The first whole name of the list or file (no ".suffix"): Postmaster's, when nothing else is said. "" when there is
 * none. */
struct span domains_first(const struct domains *d);
/* Appends the form in which domains are compared; false when it is none. */
bool domain_normalise(struct span domain, struct buf *out);

#endif
