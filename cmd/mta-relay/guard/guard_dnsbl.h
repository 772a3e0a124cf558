/* SPDX-License-Identifier: ISC
 *
 * A DNS list (RFC 5782) as an option names it: ZONE[=CODES][*WEIGHT]. CODES are the addresses in its answers that
 * count, four octets of which each is a number or "[NUMBER;FROM..TO]": "127.0.0.[2;4..11]". Without them all of
 * 127.0.0.0/8 count but 127.255.255.0/24, by which lists say that something is wrong with the question. WEIGHT is what
 * being listed is worth, below 0 for a list of good ones; default 1.
 */
#ifndef MTA_RELAY_GUARD_DNSBL_H
#define MTA_RELAY_GUARD_DNSBL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "dns/dns.h"

struct dnsbl {
	char zone[256];
	bool codes;                /* given: */
	uint8_t octet[4][256 / 8]; /* sets of what each may be */
	int weight;
	int64_t said; /* when the log was told last that it does not answer, seconds */
};
enum {
	DNSBL_MAX = 32,
	DNSBL_WEIGHT_MAX = 1000,
};
/* -1 with ERR_USAGE. */
int dnsbl_parse(const char *text, struct dnsbl *out, struct err *err);
/* Does an answer say that the name is listed? */
bool dnsbl_listed(const struct dnsbl *b, const struct dns_answer *a);

#endif
