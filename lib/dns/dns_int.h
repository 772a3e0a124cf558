/* SPDX-License-Identifier: ISC
 *
 * Inside of dns: the resolver, between dns.c, which asks one question through libresolv, and many.c, which asks several
 * at once.
 */
#ifndef WP_DNS_DNS_INT_H
#define WP_DNS_DNS_INT_H

#include <resolv.h>

#include "base/limits.h"
#include "dns/dns.h"

struct dns {
	struct __res_state res;
	bool trusted;
	unsigned char answer[LIMIT_DNS_ANSWER];
};

#endif
