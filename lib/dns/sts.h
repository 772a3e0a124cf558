/* SPDX-License-Identifier: ISC
 *
 * The DNS part of MTA-STS (RFC 8461 3.1): does a domain say that it has a policy, and under which id. The policy itself
 * is fetched over HTTPS, elsewhere.
 */
#ifndef WP_DNS_STS_H
#define WP_DNS_STS_H

#include "dns/dns.h"

struct sts_record {
	enum dns_status status; /* DNS_OK: there is exactly one valid record */
	struct span id;         /* changes with the policy */
	char why[160];
};
/* The TXT record at _mta-sts.DOMAIN. In the arena. */
void sts_lookup(struct dns *d, struct arena *a, struct span domain, struct sts_record *out);
/* "v=STSv1; id=20160831085700Z;": its id; false when it is no such record. */
bool sts_parse(struct span txt, struct span *id);

#endif
