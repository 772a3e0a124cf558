/* SPDX-License-Identifier: ISC
 *
 * Whatever one direction takes, the other gives back byte for byte.
 */
#include <stdint.h>
#include <stdlib.h>

#include "store/mutf7.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of((const char *)data, size);
	struct buf there, back;
	buf_init(&there, 1 << 20);
	buf_init(&back, 1 << 20);
	if (mutf7_decode(in, &there) && (!mutf7_encode(buf_span(&there), &back) || !span_eq(in, buf_span(&back))))
		abort();
	buf_reset(&there);
	buf_reset(&back);
	if (mutf7_encode(in, &there) && (!mutf7_decode(buf_span(&there), &back) || !span_eq(in, buf_span(&back))))
		abort();
	buf_free(&there);
	buf_free(&back);
	return 0;
}
