/* SPDX-License-Identifier: ISC
 *
 * The site behind a domain: those who share their best MX hosts are one server to us, with one limit of connections and
 * with connections that serve all of them.
 */
#ifndef MTA_RELAY_ROUTE_SITE_H
#define MTA_RELAY_ROUTE_SITE_H

#include "dns/dns.h"

enum {
	SITE_SIZE = 256
};

/* The names of the hosts of the best preference, sorted, lower case, with blanks between; a hash of them when they are
 * too long; "" when there are none. Hosts are named even when their addresses are not known. */
void route_site(const struct mx_result *mx, char out[SITE_SIZE]);

#endif
