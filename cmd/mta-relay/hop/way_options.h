/* SPDX-License-Identifier: ISC
 *
 * The options that say which way mail goes and how long it is tried: of `run`, which takes it there, and of `explain`,
 * which tells of it.
 */
#ifndef MTA_RELAY_WAY_OPTIONS_H
#define MTA_RELAY_WAY_OPTIONS_H

#include "base/opts.h"
#include "mta-relay/hop/route.h"

struct way_options {
	const char *domains, *mda, *routes, *smarthost, *resolver, *hostname, *source, *tls_ca, *generic;
	int starttls, tls, ip; /* enum route_starttls; enum route_tls - 1; relay_family */
	unsigned port;
	int64_t retry_min, retry_max, expire; /* ms */
};

extern const struct opt relay_way_options[];
extern const struct way_options way_defaults;
/* -1 with err: a value is out of its range. */
int way_check(const struct way_options *o, struct err *err);
/* What the routes are made of. */
struct route_config way_route_config(const struct way_options *o);

#endif
