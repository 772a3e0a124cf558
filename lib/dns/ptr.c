/* SPDX-License-Identifier: ISC
 *
 * The names of addresses.
 */
#include <arpa/nameser.h>

#include "base/limits.h"
#include "dns/dns.h"

void dns_reverse_name(const struct net_addr *addr, struct buf *out)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *p = (const unsigned char *)&addr->sa;
	if (addr->sa.ss_family == AF_INET) {
		p += offsetof(struct sockaddr_in, sin_addr);
		buf_addf(out, "%u.%u.%u.%u.in-addr.arpa", p[3], p[2], p[1], p[0]);
	} else if (addr->sa.ss_family == AF_INET6) {
		p += offsetof(struct sockaddr_in6, sin6_addr);
		for (int i = 15; i >= 0; i--)
			buf_addf(out, "%c.%c.", hex[p[i] & 15], hex[p[i] >> 4]);
		buf_adds(out, "ip6.arpa");
	}
}

static bool same_ip(const struct net_addr *a, const struct net_addr *b)
{
	if (a->sa.ss_family != b->sa.ss_family)
		return false;
	size_t at = a->sa.ss_family == AF_INET ? offsetof(struct sockaddr_in, sin_addr)
					       : offsetof(struct sockaddr_in6, sin6_addr);
	/* UNSAFE: both are of that family, so at + 4 or at + 16 octets lie inside. */
	return memcmp((const char *)&a->sa + at, (const char *)&b->sa + at, a->sa.ss_family == AF_INET ? 4 : 16) == 0;
}

static bool name_has(struct dns *d, struct arena *a, struct span name, const struct net_addr *addr, bool *temporary)
{
	struct dns_answer ans;
	dns_query(d, a, name, addr->sa.ss_family == AF_INET ? ns_t_a : ns_t_aaaa, &ans);
	if (ans.status == DNS_SERVFAIL || ans.status == DNS_TIMEOUT)
		*temporary = true;
	for (size_t i = 0; i < ans.n; i++)
		if (same_ip(&ans.rr[i].addr, addr))
			return true;
	return false;
}

void dns_fcrdns(struct dns *d, struct arena *a, const struct net_addr *addr, struct ptr_result *out)
{
	struct buf reverse;
	struct dns_answer ptr;
	*out = (struct ptr_result){ .name = span_str("") };
	buf_init(&reverse, LIMIT_DOMAIN);
	dns_reverse_name(addr, &reverse);
	dns_query(d, a, buf_span(&reverse), ns_t_ptr, &ptr);
	buf_free(&reverse);
	out->status = ptr.status;
	for (size_t i = 0; i < ptr.n && i < LIMIT_PTR_NAMES && !out->confirmed; i++) {
		out->confirmed = name_has(d, a, ptr.rr[i].name, addr, &out->temporary);
		if (i == 0 || out->confirmed)
			out->name = ptr.rr[i].name;
	}
	if (out->confirmed)
		out->temporary = false;
}
