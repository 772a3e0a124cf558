/* SPDX-License-Identifier: ISC */
#include <stdlib.h>

#include "msg/charset.h"
#include "mua-read/flow.h"
#include "mua-read/term.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Valid UTF-8 without controls, C1 and overrides, and not grown beyond reason. */
static void check(const struct buf *laid, size_t size)
{
	struct buf safe;
	uint32_t c;
	if (laid->bad || laid->len > 64 * size + 64)
		abort();
	buf_init(&safe, SIZE_MAX / 4);
	term_safe(buf_span(laid), true, &safe);
	for (size_t i = 0, n; i < safe.len; i += n) {
		n = utf8_decode(safe.p + i, safe.len - i, &c);
		if (!n || (c < 32 && c != '\n') || (c >= 127 && c < 160) || (c >= 0x202a && c <= 0x202e))
			abort();
	}
	buf_free(&safe);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = span_of((const char *)data, size);
	struct buf out;
	buf_init(&out, SIZE_MAX / 4);
	flow_html(text, size % 3 ? 40 : 0, &out);
	check(&out, size);
	buf_reset(&out);
	flow_flowed(text, size % 2, 40, &out);
	check(&out, size);
	buf_reset(&out);
	flow_fixed(text, 30, &out);
	check(&out, size);
	buf_free(&out);
	return 0;
}
