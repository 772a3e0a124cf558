/* SPDX-License-Identifier: ISC */
#include <stdlib.h>

#include "msg/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The raw fields are the header, and folding keeps a value one field. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span msg = span_of((const char *)data, size), body, header = header_of(msg, &body), rest = header;
	struct header_field f, back;
	struct buf plain, folded;
	size_t n = 0;
	buf_init(&plain, size + 1);
	buf_init(&folded, 3 * size + 100);
	while (header_next(&rest, &f)) {
		n += f.raw.n;
		buf_reset(&plain);
		buf_reset(&folded);
		header_unfold(f.value, &plain);
		if (plain.bad || memchr(plain.p, '\n', plain.len))
			abort();
		header_fold("X", buf_span(&plain), "\n", &folded);
		struct span one = buf_span(&folded);
		if (folded.bad || !header_next(&one, &back) || one.n || !span_eqs(back.name, "X"))
			abort();
	}
	if (header.n - n > 2 || header.n + body.n != size)
		abort();
	buf_free(&plain);
	buf_free(&folded);
	return 0;
}
