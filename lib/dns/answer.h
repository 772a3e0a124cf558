/* SPDX-License-Identifier: ISC
 *
 * A DNS server's answer (RFC 1035 4.1), from bytes to records. Total and bounded: any bytes give an answer or
 * DNS_SERVFAIL with a reason; compression pointers only go backwards, so that none can loop; at most LIMIT_DNS_RECORDS
 * records are kept. It does no input or output, and judges neither the transaction id (the resolver's) nor the AD bit's
 * worth.
 */
#ifndef WP_DNS_ANSWER_H
#define WP_DNS_ANSWER_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/span.h"
#include "dns/dns.h"

/* Looks in packet for records of `type` at `name` (no final dot, any case), following CNAMEs. out->ad is the AD bit as
 * sent. What out holds is in the arena. */
void answer_parse(struct arena *a, struct span packet, struct span name, int type, struct dns_answer *out);

/* The name at *at in packet as text: lower case, without final dot, dots and odd bytes in labels as \DDD; *at moves
 * behind it. False when malformed or longer than 255 octets. */
bool answer_name(struct span packet, size_t *at, struct buf *out);

#endif
