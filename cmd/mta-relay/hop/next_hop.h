/* SPDX-License-Identifier: ISC
 *
 * A next hop of one message's own, as Postfix's FILTER names it: "smtp:[HOST]:PORT", "lmtp:[HOST]:PORT" or
 * "lmtp:unix:/PATH"; HOST is a name, whose addresses count and no MX records, or an address; its brackets and the port
 * (25, 24) may be left out. Text of outside: nothing comes out that names a user, a command or a second destination.
 */
#ifndef MTA_RELAY_NEXT_HOP_H
#define MTA_RELAY_NEXT_HOP_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/span.h"

/* Appends it as waypost-routes(5) has destinations, "smtp://HOST:PORT" or "lmtp:..."; false when it is none. */
bool next_hop_parse(struct span text, struct buf *out);
/* Is it one that next_hop_parse makes? */
bool next_hop_ok(struct span target);

#endif
