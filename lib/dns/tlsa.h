/* SPDX-License-Identifier: ISC
 *
 * TLSA records of a mail server (RFC 6698, RFC 7671) and what they mean to SMTP (RFC 7672). Whether a certificate
 * matches is io/tls's work.
 */
#ifndef WP_DNS_TLSA_H
#define WP_DNS_TLSA_H

#include "dns/dns.h"

struct tlsa {
	uint8_t usage, selector, matching;
	struct span data;
	bool usable; /* RFC 7672 3.1: DANE-TA(2) or DANE-EE(3), and selector, matching type and length that we know */
};
enum tlsa_verdict {
	TLSA_NONE,         /* no records, or insecure ones: opportunistic TLS */
	TLSA_DANE,         /* secure and usable: the certificate must match */
	TLSA_ENCRYPT_ONLY, /* secure but none usable: TLS is a must, the certificate isn't judged (RFC 7672 2.2) */
	TLSA_DEFER,        /* the look-up failed below a secure host: not delivered now (RFC 7672 2.1.1) */
};
struct tlsa_result {
	enum dns_status status;
	bool secure;
	enum tlsa_verdict verdict;
	struct tlsa *v;
	size_t n;
	char why[160];
};
/* Records at _PORT._tcp.HOST. host_secure: MX and address look-ups were authenticated; without that the records
 * don't count. In the arena. */
void tlsa_lookup(
    struct dns *d, struct arena *a, struct span host, uint16_t port, bool host_secure, struct tlsa_result *out);
/* rdata to fields; false when too short. */
bool tlsa_parse(struct span rdata, struct tlsa *out);

#endif
