/* SPDX-License-Identifier: ISC
 *
 * Lines of regular expressions from the input, and its last line as a key: found or not, in bounded time.
 */
#include <stdint.h>
#include <stdlib.h>

#include "users/table_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = span_of((const char *)data, size), value;
	ptrdiff_t last = span_rchr(text, '\n');
	struct span key = last < 0 ? text : span_from(text, (size_t)last + 1);
	struct err err = { 0 };
	struct table_regexps *r = table_regexps_text(span_slice(text, 0, last < 0 ? text.n : (size_t)last), "in", &err);
	if (!r) {
		if (err.class == ERR_NONE)
			abort();
		return 0;
	}
	struct arena *a = arena_new();
	table_regexps_find(r, a, key, &value, &err);
	arena_free(a);
	table_regexps_free(r);
	return 0;
}
