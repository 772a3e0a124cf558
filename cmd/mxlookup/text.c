/* SPDX-License-Identifier: ISC
 *
 * For people: a line that says what was found, then one line for each host, and below it what was asked for besides.
 */
#include "mxlookup/report.h"

/* What a user or a DNS server wrote, without control characters. */
static void add_visible(struct buf *out, struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		buf_addc(out, (unsigned char)s.p[i] < ' ' || s.p[i] == 127 ? '?' : s.p[i]);
}

static void add_addresses(struct buf *out, const struct mx_host *h)
{
	for (size_t i = 0; i < h->n_addr; i++) {
		char ip[64];
		net_addr_text(&h->addr[i], ip, sizeof ip);
		buf_addf(out, " %s", ip);
	}
	if (!h->n_addr)
		buf_addf(out, " no address (%s)", dns_status_text(h->status));
}

static void add_tlsa(struct buf *out, const struct tlsa_result *t)
{
	buf_addf(out, "        tlsa %s\n", t->why);
	for (size_t i = 0; i < t->n; i++) {
		const struct tlsa *r = &t->v[i];
		buf_addf(out, "        tlsa %u %u %u ", r->usage, r->selector, r->matching);
		for (size_t k = 0; k < r->data.n && k < 64; k++)
			buf_addf(out, "%02x", (unsigned)(unsigned char)r->data.p[k]);
		buf_addf(out, "%s %s%s\n", r->data.n > 64 ? "..." : "", t->secure ? "secure" : "insecure",
		    r->usable ? "" : ", not usable for SMTP");
	}
}

static void add_ptr(struct buf *out, const struct net_addr *addr, const struct ptr_result *p)
{
	char ip[64];
	net_addr_text(addr, ip, sizeof ip);
	buf_addf(out, "        ptr %s ", ip);
	if (p->name.n)
		add_visible(out, p->name);
	else
		buf_addf(out, "no name (%s)", dns_status_text(p->status));
	if (p->confirmed)
		buf_adds(out, ", confirmed");
	else if (p->name.n)
		buf_adds(out, p->temporary ? ", not confirmed now" : ", NOT confirmed: that name has another address");
	buf_addc(out, '\n');
}

static void add_host(struct buf *out, const struct report *r, size_t i)
{
	const struct mx_host *h = &r->mx.host[i];
	buf_addf(out, "    %5u ", h->preference);
	if (h->name.n)
		add_visible(out, h->name);
	else
		buf_adds(out, "-");
	add_addresses(out, h);
	buf_addf(out, "%s%s\n", h->ad ? " (dnssec)" : "", h->is_cname ? " (an alias: RFC 2181 10.3 forbids that)" : "");
	if (r->with_tlsa && h->name.n)
		add_tlsa(out, &r->host[i].tlsa);
	for (size_t k = 0; r->with_ptr && k < h->n_addr; k++)
		add_ptr(out, &h->addr[k], &r->host[i].ptr[k]);
}

void report_text(const struct report *r, struct buf *out)
{
	add_visible(out, r->query);
	buf_addf(out, ": %s\n", r->mx.why);
	if (r->mx.cname.n) {
		buf_adds(out, "    alias of ");
		add_visible(out, r->mx.cname);
		buf_addc(out, '\n');
	}
	for (size_t i = 0; i < r->mx.n; i++)
		add_host(out, r, i);
	if (r->with_sts)
		buf_addf(out, "    sts %s\n", r->sts.why);
}
