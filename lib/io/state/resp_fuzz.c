/* SPDX-License-Identifier: ISC
 *
 * Any bytes as a server's replies: each value lies inside the input, something is taken for each, and what is taken
 * whole does not depend on what follows.
 */
#include <stdint.h>
#include <stdlib.h>

#include "io/state/resp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of((const char *)data, size);
	for (;;) {
		struct resp r, again;
		struct span before = in;
		if (resp_next(&in, &r) <= RESP_BAD)
			break;
		if (in.n >= before.n)
			abort();
		if (r.text.n && (r.text.p < before.p || r.text.p + r.text.n > before.p + before.n))
			abort();
		struct span alone = span_slice(before, 0, before.n - in.n);
		if (resp_next(&alone, &again) != r.type || alone.n || !span_eq(again.text, r.text) || again.n != r.n)
			abort();
		alone = span_slice(before, 0, before.n - in.n - 1);
		if (resp_next(&alone, &again) != RESP_MORE)
			abort();
	}
	return 0;
}
