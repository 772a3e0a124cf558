/* SPDX-License-Identifier: ISC
 *
 * Arguments of XCLIENT (first byte 'f': XFORWARD): what is taken has no control characters, and an error changes
 * nothing.
 */
#include <stdint.h>
#include <stdlib.h>

#include "smtp/xclient.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	struct arena *a = arena_new();
	struct xclient x = { .given = 1, .v = { SPAN("before.example") } }, before = x;
	struct err err = { 0 };
	struct span arg = span_of((const char *)data + 1, size - 1);
	if (xclient_parse(arg, data[0] == 'f', a, &x, &err) < 0) {
		if (memcmp(&x, &before, sizeof x) != 0 || err.code != 501 || span_has_ctl(span_str(err.text)))
			abort();
	} else {
		for (int i = 0; i < XCLIENT_ATTRS; i++)
			if (x.v[i].n && (span_has_ctl(x.v[i]) || !(x.given >> i & 1)))
				abort();
		if (xclient_port(&x, XCLIENT_PORT) > 65535)
			abort();
	}
	arena_free(a);
	return 0;
}
