/* SPDX-License-Identifier: ISC
 *
 * The PROXY header's parser: what it takes byte by byte it takes at once, it never reads behind the header's end, and
 * gives addresses of the two families only.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "io/listen/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_header all, part;
	size_t used, again;
	enum proxy_result r = proxy_parse(span_of((const char *)data, size), &all, &used), p = PROXY_MORE;
	size_t n = 0;
	while (p == PROXY_MORE && n <= size) {
		/* A copy of its own size, so that reading behind it is found. */
		char *copy = malloc(n + 1);
		memcpy(copy, data, n);
		p = proxy_parse(span_of(copy, n), &part, &again);
		free(copy);
		n++;
	}
	if (p != r)
		abort();
	if (r != PROXY_OK)
		return 0;
	if (used > size || used > PROXY_HEADER_MAX || again != used || n - 1 != used)
		abort();
	if (!all.own && ((all.src.sa.ss_family != AF_INET && all.src.sa.ss_family != AF_INET6) ||
			    all.src.sa.ss_family != all.dst.sa.ss_family))
		abort();
	return 0;
}
