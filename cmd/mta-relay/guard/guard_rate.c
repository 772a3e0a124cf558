/* SPDX-License-Identifier: ISC */
#include "mta-relay/guard/guard_rate.h"

#include "base/opts.h"
#include "base/span.h"

enum {
	COUNT_MAX = 1000000000,
};

int rate_parse(const char *text, struct rate *out, struct err *err)
{
	struct span rest = span_str(text), count = span_trim(span_cut(&rest, '/'));
	char time[32] = "";
	int64_t ms = 0;
	*out = (struct rate){ 0 };
	rest = span_trim(rest);
	if (!text || !*text || (span_eqs(count, "0") && !rest.n))
		return 0;
	if (rest.n && rest.n < sizeof time)
		memcpy(time, rest.p, rest.n);
	if (!span_u64(count, COUNT_MAX, &out->n) || !opts_parse_duration(time, &ms) || ms < 1000) {
		*out = (struct rate){ 0 };
		return err_set(err, ERR_USAGE, "'%.40s' is no rate: N/TIME, such as 100/1h", text);
	}
	out->life = ms / 1000;
	return 0;
}
