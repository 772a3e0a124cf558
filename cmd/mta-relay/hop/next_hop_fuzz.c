/* SPDX-License-Identifier: ISC */
#include <stdlib.h>

#include "base/limits.h"
#include "mta-relay/hop/next_hop.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What comes out is one destination, and stays one when it is read again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf out;
	buf_init(&out, LIMIT_SMTP_PATH);
	if (next_hop_parse(span_of((const char *)data, size), &out)) {
		struct span s = buf_span(&out);
		if (!next_hop_ok(s) || span_has_ctl(s) || span_chr(s, ' ') >= 0 || span_chr(s, '@') >= 0 ||
		    span_chr(s, '|') == 5)
			abort();
	}
	buf_free(&out);
	return 0;
}
