/* SPDX-License-Identifier: ISC
 *
 * For programs: one object a line. Names of DNS servers are escaped text already (dns/answer.h); a query that is no
 * UTF-8 is shown as Latin-1.
 */
#include <jansson.h>
#include <stdlib.h>

#include "base/limits.h"
#include "mxlookup/report.h"

static json_t *text(struct span s)
{
	json_t *j = json_stringn(s.p, s.n);
	if (j)
		return j;
	struct buf latin;
	buf_init(&latin, 2 * s.n + 1);
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c >= 0x80)
			buf_addc(&latin, (char)(0xc0 | c >> 6));
		buf_addc(&latin, (char)(c < 0x80 ? c : 0x80 | (c & 0x3f)));
	}
	j = json_stringn(latin.p, latin.len);
	buf_free(&latin);
	return j;
}

static json_t *address(const struct net_addr *a, const struct ptr_result *p)
{
	char ip[64];
	net_addr_text(a, ip, sizeof ip);
	json_t *j = json_pack("{s:s}", "ip", ip);
	if (!p)
		return j;
	json_object_set_new(j, "ptr", p->name.n ? text(p->name) : json_null());
	json_object_set_new(j, "ptr_status", json_string(dns_status_text(p->status)));
	json_object_set_new(j, "confirmed", json_boolean(p->confirmed));
	return j;
}

static json_t *tlsa_record(const struct tlsa *t)
{
	struct buf hex;
	buf_init(&hex, 2 * t->data.n + 1);
	for (size_t i = 0; i < t->data.n; i++)
		buf_addf(&hex, "%02x", (unsigned)(unsigned char)t->data.p[i]);
	json_t *j = json_pack("{s:i,s:i,s:i,s:s,s:b}", "usage", t->usage, "selector", t->selector, "matching",
	    t->matching, "data", hex.p, "usable", t->usable);
	buf_free(&hex);
	return j;
}

static json_t *tlsa(const struct tlsa_result *t)
{
	static const char *const verdicts[] = {
		[TLSA_NONE] = "none",
		[TLSA_DANE] = "dane",
		[TLSA_ENCRYPT_ONLY] = "encrypt",
		[TLSA_DEFER] = "defer",
	};
	json_t *records = json_array();
	for (size_t i = 0; i < t->n; i++)
		json_array_append_new(records, tlsa_record(&t->v[i]));
	return json_pack("{s:s,s:b,s:s,s:s,s:o}", "status", dns_status_text(t->status), "secure", t->secure, "verdict",
	    verdicts[t->verdict], "why", t->why, "records", records);
}

static json_t *host(const struct report *r, size_t i)
{
	const struct mx_host *h = &r->mx.host[i];
	json_t *addresses = json_array();
	for (size_t k = 0; k < h->n_addr; k++)
		json_array_append_new(addresses, address(&h->addr[k], r->with_ptr ? &r->host[i].ptr[k] : NULL));
	json_t *j = json_pack("{s:i,s:o,s:s,s:b,s:b,s:o}", "preference", h->preference, "name", text(h->name), "status",
	    dns_status_text(h->status), "dnssec", h->ad, "alias", h->is_cname, "addresses", addresses);
	if (r->with_tlsa && h->name.n)
		json_object_set_new(j, "tlsa", tlsa(&r->host[i].tlsa));
	return j;
}

static json_t *sts(const struct sts_record *s)
{
	json_t *j = json_pack("{s:s,s:s}", "status", dns_status_text(s->status), "why", s->why);
	if (s->id.n)
		json_object_set_new(j, "id", text(s->id));
	return j;
}

void report_json(const struct report *r, struct buf *out)
{
	struct buf unicode;
	json_t *hosts = json_array();
	for (size_t i = 0; i < r->mx.n; i++)
		json_array_append_new(hosts, host(r, i));
	buf_init(&unicode, 4 * LIMIT_DOMAIN + 1);
	dns_to_unicode(r->mx.domain, &unicode);
	json_t *j = json_pack("{s:o,s:o,s:o,s:s,s:s,s:b,s:i,s:s}", "query", text(r->query), "domain",
	    text(r->mx.domain), "unicode", text(buf_span(&unicode)), "kind", report_kind(r->mx.kind), "status",
	    dns_status_text(r->mx.status), "dnssec", r->mx.ad, "exit", r->status, "why", r->mx.why);
	if (r->mx.cname.n)
		json_object_set_new(j, "alias_of", text(r->mx.cname));
	json_object_set_new(j, "hosts", hosts);
	if (r->with_sts)
		json_object_set_new(j, "sts", sts(&r->sts));
	char *line = json_dumps(j, JSON_COMPACT);
	buf_adds(out, line ? line : "{}");
	buf_addc(out, '\n');
	free(line);
	json_decref(j);
	buf_free(&unicode);
}
