/* SPDX-License-Identifier: ISC
 *
 * serve's options that name paths, hosts and commands, and what a worker may do there: for serve_confine.c and its
 * test.
 */
#ifndef MTA_RELAY_SERVE_CONFINE_H
#define MTA_RELAY_SERVE_CONFINE_H

#include "base/opts.h"

enum {
	NAMED_TABLE = 256 /* a table's spec: table_rules */
};
struct serve_named {
	const char *option;
	unsigned rights; /* NAMED_TABLE, enum confine_right; 0: none, or its topic adds them to relay_server.rules */
};
extern const struct serve_named serve_named[]; /* option NULL ends it */
extern const struct opt_group relay_serve_groups[];

#endif
