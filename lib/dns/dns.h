/* SPDX-License-Identifier: ISC
 *
 * Mail's questions to the DNS, by libresolv. A resolver is configured once; each look-up tells apart what the caller
 * must decide differently on: the name does not exist, it has no such data, the server failed, nobody answered. Answers
 * are parsed by our own bounded parser (dns/answer.h), so that it can be fuzzed. The AD bit is believed only from a
 * loopback or explicitly trusted resolver.
 */
#ifndef WP_DNS_DNS_H
#define WP_DNS_DNS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "io/net.h"

enum dns_status {
	DNS_OK,
	DNS_NXDOMAIN,
	DNS_NODATA,
	DNS_SERVFAIL,
	DNS_TIMEOUT,
	DNS_BADNAME
};
const char *dns_status_text(enum dns_status st); /* "ok", "nxdomain", ... for JSON and traces */

struct dns;
/* server: "HOST[:PORT]" (HOST an address literal), NULL for /etc/resolv.conf; trust_ad: believe AD although the server
 * is not on loopback. timeout_ms for one try (0: 5000). NULL with err. */
struct dns *dns_open(const char *server, bool trust_ad, int64_t timeout_ms, struct err *err);
void dns_close(struct dns *d);

/* Records of one type at one name, CNAMEs followed (at most LIMIT_DNS_CNAMES). In the arena. */
struct dns_rr {
	uint16_t type;
	uint32_t ttl;
	uint16_t preference;   /* MX; priority of SRV */
	struct span name;      /* MX exchange, CNAME, PTR, SRV target: lower case, no final dot, "" for the root */
	struct net_addr addr;  /* A, AAAA */
	struct span data;      /* TXT: strings joined; others: rdata */
	uint16_t weight, port; /* SRV */
};
struct dns_answer {
	enum dns_status status;
	bool ad;           /* authenticated by DNSSEC */
	struct span cname; /* final name when CNAMEs were followed, "" otherwise */
	struct dns_rr *rr;
	size_t n;
	char why[160]; /* for a person */
};
/* type: T_A, T_AAAA, T_MX, T_TXT, T_PTR, T_TLSA (52), T_SRV... name: A-labels. */
void dns_query(struct dns *d, struct arena *a, struct span name, int type, struct dns_answer *out);

/* Several questions at once, all answered or given up within `ms` milliseconds: DNS_TIMEOUT then. */
struct dns_question {
	struct span name;
	int type;
	struct dns_answer answer;
};
enum {
	DNS_MANY = 64
};
void dns_query_many(struct dns *d, struct arena *a, struct dns_question *q, size_t n, int64_t ms);

/* U-labels to A-labels by libidn2 (UTS 46 non-transitional), lower case; false when not a domain name. */
bool dns_to_ascii(struct span domain, struct buf *out);
/* And back, for display; copies what it can't convert. */
void dns_to_unicode(struct span domain, struct buf *out);

/* Where mail for a domain goes: RFC 5321 5.1. */
struct mx_host {
	uint16_t preference;
	struct span name; /* "" for an address literal */
	struct net_addr *addr;
	size_t n_addr;
	enum dns_status status; /* of its address look-ups: OK when at least one address */
	bool ad;                /* both the MX and the addresses were authenticated */
	uint32_t ttl;           /* the shortest of its addresses', UINT32_MAX without any */
	bool is_cname;          /* an MX points at an alias: RFC 2181 10.3 */
};
enum mx_kind {
	MX_RECORDS,
	MX_IMPLICIT /* no MX, but an address */,
	MX_LITERAL,
	MX_NULL /* RFC 7505 */,
	MX_NONE
};
enum mx_family {
	MX_ANY,
	MX_V4_FIRST,
	MX_V6_FIRST,
	MX_V4_ONLY,
	MX_V6_ONLY
};
struct mx_result {
	enum mx_kind kind;
	enum dns_status status; /* of the MX (or implicit address) look-up: why kind is MX_NONE */
	bool ad;
	uint32_t ttl;         /* the shortest of the records that were found, in seconds; UINT32_MAX without any */
	struct span domain;   /* A-labels */
	struct mx_host *host; /* by preference, equal ones shuffled */
	size_t n;
	char why[200];
	struct span cname; /* the domain is an alias of this name, "" when it is none: RFC 5321 5.1 */
};
/* domain: A- or U-labels, or "[192.0.2.1]", "[IPv6:...]". Emits trace events of kind "dns". */
void mx_lookup(struct dns *d, struct arena *a, struct span domain, enum mx_family family, struct mx_result *out);

/* "1.2.0.192.in-addr.arpa" (RFC 1035 3.5), or under ip6.arpa (RFC 3596 2.5). */
void dns_reverse_name(const struct net_addr *addr, struct buf *out);
/* The name of an address, confirmed by the name's own addresses (RFC 1912 2.1, iprev of RFC 8601 3). */
struct ptr_result {
	enum dns_status status; /* of the PTR look-up */
	struct span name;       /* the confirmed name, else the first PTR; "" when there is none */
	bool confirmed;
	bool temporary; /* not confirmed, but a name's look-up failed and may succeed later */
};
void dns_fcrdns(struct dns *d, struct arena *a, const struct net_addr *addr, struct ptr_result *out);

#endif
