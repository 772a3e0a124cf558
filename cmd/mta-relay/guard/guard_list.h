/* SPDX-License-Identifier: ISC
 *
 * A list of networks, domains and addresses, as --greylist-exempt gives it: words separated by commas or blanks, or a
 * file (when the text begins with '/' or "./") with some on each line and `#` comments. "192.0.2.0/24" is a network,
 * "a@b.example" an address, "b.example" a domain, ".example" its subdomains.
 */
#ifndef MTA_RELAY_GUARD_LIST_H
#define MTA_RELAY_GUARD_LIST_H

#include <stdbool.h>

#include "base/err.h"
#include "base/span.h"
#include "io/net.h"

struct guard_list;

/* NULL with err: ERR_USAGE, or ERR_CONFIG and the like for a file. */
struct guard_list *guard_list_open(const char *list_or_file, struct err *err);
void guard_list_free(struct guard_list *l);
/* False for a NULL list, and for "". */
bool guard_list_network(const struct guard_list *l, const struct net_addr *a);
/* local@domain: the address, or its domain. */
bool guard_list_address(const struct guard_list *l, struct span address);

#endif
