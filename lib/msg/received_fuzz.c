/* SPDX-License-Identifier: ISC
 *
 * Any bytes as the value of a Received field.
 */
#include <stdint.h>
#include <stdlib.h>

#include "msg/received.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new();
	struct received r;
	bool ok = received_parse(a, span_of((const char *)data, size), &r);
	const struct span all[] = { r.from, r.rdns, r.ip, r.by, r.software, r.via, r.with, r.id, r.rcpt,
		r.envelope_from, r.tls_version, r.tls_cipher };
	volatile unsigned char sink = 0;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		for (size_t k = 0; k < all[i].n; k++)
			sink = (unsigned char)(sink ^ (unsigned char)all[i].p[k]);
	if (!ok && (r.from.n || r.by.n || r.has_time))
		abort();
	arena_free(a);
	return 0;
}
