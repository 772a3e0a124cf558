/* SPDX-License-Identifier: ISC */
#include <stdlib.h>

#include "msg/header.h"
#include "msg/priority.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was written is read again, once, and nothing else is lost. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span body, header = header_of(span_of((const char *)data, size), &body);
	struct header_field f;
	struct buf out;
	int n = 0;
	if (priority_parse(header, &n) && (n < -9 || n > 9))
		abort();
	if (header.n && ascii_isblank(header.p[0]))
		return 0;
	buf_init(&out, size + 100);
	priority_replace(header, n, &out);
	int again = 0;
	if (out.bad || header_count(buf_span(&out), "MT-Priority") != 1 ||
	    !header_next(&(struct span){ out.p, out.len }, &f) || !priority_parse(f.value, &again) || again != n)
		abort();
	if (!priority_in(header) && out.len != f.raw.n + header.n)
		abort();
	buf_free(&out);
	return 0;
}
