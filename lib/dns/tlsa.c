/* SPDX-License-Identifier: ISC */
#include "dns/tlsa.h"

#include <arpa/nameser.h>
#include <stdio.h>

#include "base/limits.h"
#include "io/trace.h"

bool tlsa_parse(struct span rdata, struct tlsa *out)
{
	if (rdata.n < 4)
		return false;
	*out = (struct tlsa){ .usage = (uint8_t)rdata.p[0],
		.selector = (uint8_t)rdata.p[1],
		.matching = (uint8_t)rdata.p[2],
		.data = span_from(rdata, 3) };
	bool length_ok = out->matching == 0 || (out->matching == 1 && out->data.n == 32) ||
			 (out->matching == 2 && out->data.n == 64);
	out->usable = (out->usage == 2 || out->usage == 3) && out->selector <= 1 && length_ok;
	return true;
}

static size_t take_records(struct arena *a, const struct dns_answer *ans, struct tlsa_result *out)
{
	size_t usable = 0;
	out->v = arena_alloc(a, (ans->n + 1) * sizeof *out->v);
	for (size_t i = 0; i < ans->n; i++) {
		if (!tlsa_parse(ans->rr[i].data, &out->v[out->n]))
			continue;
		usable += out->v[out->n].usable;
		out->n++;
	}
	return usable;
}

static void judge(const struct dns_answer *ans, bool host_secure, size_t usable, struct tlsa_result *out)
{
	const char *why;
	out->secure = ans->ad && host_secure;
	if (ans->status == DNS_OK && out->secure) {
		out->verdict = usable ? TLSA_DANE : TLSA_ENCRYPT_ONLY;
		why = usable
			  ? "DANE: TLS is a must and the certificate must match a TLSA record"
			  : "TLSA records, but none is usable for SMTP: TLS is a must, the certificate is not judged";
	} else if (ans->status == DNS_OK) {
		why = "TLSA records, but not authenticated by DNSSEC: they don't count";
	} else if (ans->status == DNS_SERVFAIL || ans->status == DNS_TIMEOUT) {
		out->verdict = host_secure ? TLSA_DEFER : TLSA_NONE;
		why = host_secure ? "the TLSA look-up failed below a secure host name: delivery would wait"
				  : "the TLSA look-up failed; the host is not secure, so it doesn't matter";
	} else {
		why = "no TLSA record";
	}
	snprintf(out->why, sizeof out->why, "%s", why);
}

void tlsa_lookup(
    struct dns *d, struct arena *a, struct span host, uint16_t port, bool host_secure, struct tlsa_result *out)
{
	struct buf name;
	struct dns_answer ans;
	*out = (struct tlsa_result){ .verdict = TLSA_NONE };
	buf_init(&name, LIMIT_DOMAIN + 16);
	buf_addf(&name, "_%u._tcp.%.*s", port, SPAN_FMT(host));
	dns_query(d, a, buf_span(&name), ns_t_tlsa, &ans);
	out->status = ans.status;
	judge(&ans, host_secure, take_records(a, &ans, out), out);
	trace_why("dns", out->verdict == TLSA_DEFER ? "temp" : "ok", "7672#2.2", "%.*s: %s", SPAN_FMT(host), out->why);
	buf_free(&name);
}
