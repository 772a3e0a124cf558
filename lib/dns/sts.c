/* SPDX-License-Identifier: ISC */
#include "dns/sts.h"

#include <arpa/nameser.h>
#include <stdio.h>

#include "base/limits.h"
#include "io/trace.h"

static bool id_ok(struct span id)
{
	for (size_t i = 0; i < id.n; i++)
		if (!ascii_isalnum(id.p[i]))
			return false;
	return id.n > 0 && id.n <= 32;
}

/* sts-text-record = sts-version 1*(sts-field-delim sts-field) [sts-field-delim] */
bool sts_parse(struct span txt, struct span *id)
{
	struct span rest = txt;
	bool found = false;
	/* "v=STSv1" must be the whole first field. */
	if (!span_eqs(span_trim(span_cut(&rest, ';')), "v=STSv1"))
		return false;
	while (rest.n) {
		struct span value = span_trim(span_cut(&rest, ';')), name;
		name = span_cut(&value, '=');
		if (!found && span_eqs(name, "id")) {
			if (!id_ok(value))
				return false;
			*id = value;
			found = true;
		}
	}
	return found;
}

static void judge(const struct dns_answer *ans, struct sts_record *out)
{
	size_t announced = 0, valid = 0;
	for (size_t i = 0; i < ans->n; i++) {
		struct span id;
		/* RFC 8461 3.1: records that don't begin with the version are somebody else's. */
		announced += span_starts(ans->rr[i].data, "v=STSv1");
		if (sts_parse(ans->rr[i].data, &id)) {
			out->id = id;
			valid++;
		}
	}
	out->status = ans->status != DNS_OK ? ans->status : announced == 1 && valid == 1 ? DNS_OK : DNS_NODATA;
	if (out->status == DNS_OK)
		snprintf(out->why, sizeof out->why, "an MTA-STS policy is announced, id %.*s", SPAN_FMT(out->id));
	else if (announced > 1)
		snprintf(out->why, sizeof out->why, "%zu MTA-STS records: more than one means none", announced);
	else if (announced == 1)
		snprintf(out->why, sizeof out->why, "the MTA-STS record is malformed: it means none");
	else if (ans->status == DNS_SERVFAIL || ans->status == DNS_TIMEOUT)
		snprintf(out->why, sizeof out->why, "whether there is an MTA-STS policy can't be found out now");
	else
		snprintf(out->why, sizeof out->why, "no MTA-STS policy is announced");
	if (out->status != DNS_OK)
		out->id = span_str("");
}

void sts_lookup(struct dns *d, struct arena *a, struct span domain, struct sts_record *out)
{
	struct buf name;
	struct dns_answer ans;
	*out = (struct sts_record){ .id = span_str("") };
	buf_init(&name, LIMIT_DOMAIN + 16);
	buf_addf(&name, "_mta-sts.%.*s", SPAN_FMT(domain));
	dns_query(d, a, buf_span(&name), ns_t_txt, &ans);
	judge(&ans, out);
	trace_why("dns", "ok", "8461#3.1", "%.*s: %s", SPAN_FMT(domain), out->why);
	buf_free(&name);
}
