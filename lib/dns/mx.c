/* SPDX-License-Identifier: ISC
 *
 * Where mail for a domain goes: RFC 5321 5.1, RFC 7505 (null MX), RFC 2181 10.3 (an MX must not point at an alias).
 */
#include <arpa/nameser.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/limits.h"
#include "dns/dns.h"
#include "io/trace.h"

enum {
	SILENT_HOSTS = 2 /* in a row that nobody answers about: then the rest isn't asked for */
};

static const char *result_of(enum dns_status st)
{
	return st == DNS_OK ? "ok" : st == DNS_SERVFAIL || st == DNS_TIMEOUT ? "temp" : "perm";
}

/* Decides, and says why: to the caller and to the trace. */
__attribute__((format(printf, 5, 6))) static void decide(
    struct mx_result *out, enum mx_kind kind, enum dns_status st, const char *rfc, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(out->why, sizeof out->why, fmt, ap);
	va_end(ap);
	out->kind = kind;
	out->status = st;
	trace_why("dns", kind == MX_NULL ? "perm" : result_of(st), rfc, "%s", out->why);
}

/* Uniform in 0 to n-1, n small; from the kernel, so that nobody can guess which of our hosts comes first. */
static size_t random_below(size_t n)
{
	uint32_t r, limit = UINT32_MAX - UINT32_MAX % (uint32_t)n;
	do {
		if (getrandom(&r, sizeof r, 0) != (ssize_t)sizeof r)
			return 0;
	} while (r >= limit);
	return r % n;
}

static int by_preference(const void *a, const void *b)
{
	const struct dns_rr *x = a, *y = b;
	return (x->preference > y->preference) - (x->preference < y->preference);
}

/* "the sender-SMTP MUST randomize them": all first, then a stable sort keeps the equals' order. */
static void order_records(struct dns_rr *rr, size_t n)
{
	for (size_t i = n; i > 1; i--) {
		size_t j = random_below(i);
		struct dns_rr keep = rr[i - 1];
		rr[i - 1] = rr[j];
		rr[j] = keep;
	}
	/* glibc's qsort is a merge sort of small arrays; where it isn't, equals are merely shuffled once more. */
	qsort(rr, n, sizeof *rr, by_preference);
}

static bool seen_before(const struct mx_result *out, struct span name)
{
	for (size_t i = 0; i < out->n; i++)
		if (span_eq(out->host[i].name, name))
			return true;
	return false;
}

static void shorten(uint32_t *ttl, const struct dns_answer *ans)
{
	for (size_t i = 0; i < ans->n; i++)
		if (ans->rr[i].ttl < *ttl)
			*ttl = ans->rr[i].ttl;
}

static void add_family(struct dns *d, struct arena *a, struct mx_host *h, int type, struct dns_answer *ans)
{
	dns_query(d, a, h->name, type, ans);
	if (ans->cname.n)
		h->is_cname = true;
	h->ad = h->ad && ans->ad;
	shorten(&h->ttl, ans);
}

/* A failure that may pass weighs more than one that stays: the other family might have had an address. */
static enum dns_status worse(const struct dns_answer *first, const struct dns_answer *second)
{
	static const enum dns_status order[] = { DNS_TIMEOUT, DNS_SERVFAIL, DNS_NXDOMAIN, DNS_NODATA, DNS_BADNAME };
	for (size_t i = 0; i < sizeof order / sizeof *order; i++)
		if ((first && first->status == order[i]) || (second && second->status == order[i]))
			return order[i];
	return DNS_OK;
}

/* Takes addresses from both in turn, or all of the first and then the second. */
static void merge(
    struct arena *a, struct mx_host *h, const struct dns_answer *first, const struct dns_answer *second, bool in_turn)
{
	size_t i = 0, j = 0, n1 = first ? first->n : 0, n2 = second ? second->n : 0;
	h->addr = arena_alloc(a, (n1 + n2 + 1) * sizeof *h->addr);
	while (h->n_addr < LIMIT_HOST_ADDRESSES && (i < n1 || j < n2)) {
		bool from_first = i < n1 && (j >= n2 || !in_turn || i <= j);
		h->addr[h->n_addr++] = from_first ? first->rr[i++].addr : second->rr[j++].addr;
	}
	h->status = h->n_addr ? DNS_OK : worse(first, second);
}

static void find_addresses(struct dns *d, struct arena *a, enum mx_family family, struct mx_host *h)
{
	struct dns_answer v4, v6;
	bool want4 = family != MX_V6_ONLY, want6 = family != MX_V4_ONLY;
	if (want6)
		add_family(d, a, h, ns_t_aaaa, &v6);
	/* Even when the name is said not to exist: servers err about AAAA (RFC 4074 4.2). */
	if (want4)
		add_family(d, a, h, ns_t_a, &v4);
	struct dns_answer *p4 = want4 ? &v4 : NULL, *p6 = want6 ? &v6 : NULL;
	if (family == MX_V4_FIRST)
		merge(a, h, p4, p6, false);
	else
		merge(a, h, p6, p4, family == MX_ANY);
}

static void describe_host(const struct mx_host *h)
{
	char first[64] = "";
	if (h->n_addr)
		net_addr_text(&h->addr[0], first, sizeof first);
	if (h->n_addr > 1)
		trace_why(
		    "dns", "ok", NULL, "%.*s has %zu addresses, %s is the first", SPAN_FMT(h->name), h->n_addr, first);
	else if (h->n_addr)
		trace_why("dns", "ok", NULL, "%.*s has the address %s", SPAN_FMT(h->name), first);
	else
		trace_why("dns", result_of(h->status), NULL, "%.*s has no usable address (%s)", SPAN_FMT(h->name),
		    dns_status_text(h->status));
	if (h->is_cname)
		trace_why("dns", NULL, "2181#10.3", "%.*s is an alias: an MX must not point at one", SPAN_FMT(h->name));
}

/* Each look-up that is not answered takes seconds, and there may be many hosts: a domain must not hold us for minutes.
 */
static bool nobody_answers(const struct mx_result *out)
{
	size_t silent = 0;
	while (silent < out->n && out->host[out->n - 1 - silent].status == DNS_TIMEOUT)
		silent++;
	return silent >= SILENT_HOSTS;
}

/* h.status: DNS_OK to look for its addresses. */
static void add_host(struct dns *d, struct arena *a, enum mx_family family, struct mx_host h, struct mx_result *out)
{
	struct buf ascii;
	buf_init(&ascii, LIMIT_DOMAIN);
	/* An address or a host name with odd bytes where a host name belongs: never asked for, never connected to. */
	if (!dns_to_ascii(h.name, &ascii)) {
		h.status = DNS_BADNAME;
		trace_why("dns", "perm", "5321#5.1", "the MX record's \"%.*s\" is no host name", SPAN_FMT(h.name));
	} else if (h.status != DNS_TIMEOUT) {
		find_addresses(d, a, family, &h);
		describe_host(&h);
	}
	buf_free(&ascii);
	if (h.ttl < out->ttl)
		out->ttl = h.ttl;
	out->host[out->n++] = h;
}

static void use_records(
    struct dns *d, struct arena *a, enum mx_family family, struct dns_answer *mx, struct mx_result *out)
{
	order_records(mx->rr, mx->n);
	out->host = arena_alloc(a, LIMIT_MX_HOSTS * sizeof *out->host);
	decide(out, MX_RECORDS, DNS_OK, "5321#5.1", "%.*s has %zu MX record%s%s", SPAN_FMT(out->domain), mx->n,
	    mx->n == 1 ? "" : "s", out->ad ? ", authenticated by DNSSEC" : "");
	for (size_t i = 0; i < mx->n && out->n < LIMIT_MX_HOSTS; i++) {
		struct dns_rr *rr = &mx->rr[i];
		if (!rr->name.n)
			trace_why("dns", NULL, "7505#3", "a null MX beside other MX records means nothing");
		else if (!seen_before(out, rr->name))
			add_host(d, a, family,
			    (struct mx_host){ .preference = rr->preference,
				.name = rr->name,
				.ad = out->ad,
				.ttl = UINT32_MAX,
				.status = nobody_answers(out) ? DNS_TIMEOUT : DNS_OK },
			    out);
	}
}

/* RFC 5321 5.1: "treated as if it was associated with an implicit MX RR, with a preference of 0". */
static void use_address(
    struct dns *d, struct arena *a, enum mx_family family, const struct dns_answer *mx, struct mx_result *out)
{
	struct mx_host *h = out->host = arena_alloc(a, sizeof *h);
	*h = (struct mx_host){ .name = out->domain, .ad = out->ad, .ttl = UINT32_MAX };
	find_addresses(d, a, family, h);
	/* The alias was the domain's own: only an MX must not point at one. */
	h->is_cname = false;
	out->ad = h->ad;
	out->ttl = h->ttl;
	if (!h->n_addr) {
		enum dns_status st = h->status == DNS_NXDOMAIN ? DNS_NODATA : h->status;
		decide(out, MX_NONE, st, "5321#5.1",
		    st == DNS_NODATA ? "%.*s has neither an MX record nor an address"
				     : "%.*s has no MX record, and its address can't be found out now",
		    SPAN_FMT(out->domain));
		return;
	}
	out->n = 1;
	decide(out, MX_IMPLICIT, DNS_OK, "5321#5.1", "%.*s has no MX record: its own address is used",
	    SPAN_FMT(out->domain));
	describe_host(h);
	if (mx->cname.n)
		trace_why(
		    "dns", NULL, "5321#5.1", "%.*s is an alias of %.*s", SPAN_FMT(out->domain), SPAN_FMT(mx->cname));
}

/* RFC 5321 4.1.3, brackets included. */
static void use_literal(struct arena *a, struct span text, struct mx_result *out)
{
	struct span inner = span_slice(text, 1, text.n ? text.n - 1 : 0);
	struct net_addr addr;
	bool tagged = span_istarts(inner, "IPv6:");
	const char *ip = arena_str(a, tagged ? span_from(inner, 5) : inner);
	if (!span_ends(text, "]") || memchr(inner.p, 0, inner.n) || inner.p[0] == '[' ||
	    !net_addr_parse(ip, 0, &addr) || tagged != (addr.sa.ss_family == AF_INET6)) {
		decide(out, MX_NONE, DNS_BADNAME, "5321#4.1.3", "not an address literal");
		return;
	}
	out->host = arena_alloc(a, sizeof *out->host);
	*out->host = (struct mx_host){ .name = span_str(""), .addr = arena_alloc(a, sizeof addr), .n_addr = 1 };
	*out->host->addr = addr;
	out->n = 1;
	decide(out, MX_LITERAL, DNS_OK, "5321#4.1.3", "an address literal names the host itself: no look-up");
}

static bool all_null(const struct dns_answer *mx)
{
	for (size_t i = 0; i < mx->n; i++)
		if (mx->rr[i].name.n)
			return false;
	return true;
}

static void look_up(struct dns *d, struct arena *a, enum mx_family family, struct mx_result *out)
{
	struct dns_answer mx;
	dns_query(d, a, out->domain, ns_t_mx, &mx);
	out->ad = mx.ad;
	out->cname = mx.cname;
	shorten(&out->ttl, &mx);
	if (mx.status == DNS_NODATA)
		use_address(d, a, family, &mx, out);
	else if (mx.status != DNS_OK)
		decide(out, MX_NONE, mx.status, "5321#5.1", "%s", mx.why);
	else if (all_null(&mx))
		decide(out, MX_NULL, DNS_OK, "7505#3", "%.*s accepts no mail: it has a null MX", SPAN_FMT(out->domain));
	else
		use_records(d, a, family, &mx, out);
}

void mx_lookup(struct dns *d, struct arena *a, struct span domain, enum mx_family family, struct mx_result *out)
{
	struct buf ascii;
	*out = (struct mx_result){ .kind = MX_NONE, .domain = domain, .cname = span_str(""), .ttl = UINT32_MAX };
	if (span_starts(domain, "[")) {
		use_literal(a, domain, out);
		return;
	}
	buf_init(&ascii, LIMIT_DOMAIN);
	if (dns_to_ascii(domain, &ascii)) {
		out->domain = arena_span(a, buf_span(&ascii));
		look_up(d, a, family, out);
	} else {
		decide(out, MX_NONE, DNS_BADNAME, "5321#4.1.2", "not a domain name");
	}
	buf_free(&ascii);
}
