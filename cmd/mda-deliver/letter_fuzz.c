/* SPDX-License-Identifier: ISC
 *
 * Any message: what is kept stands in its order, nothing but Return-Path fields and a From line is taken out, and a
 * second reading takes out nothing more.
 */
#include <stdint.h>
#include <stdlib.h>

#include "mda-deliver/letter.h"
#include "msg/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of((const char *)data, size);
	struct arena *a = arena_new();
	struct letter l;
	struct buf kept;
	struct err err;
	buf_init(&kept, 1 << 22);
	letter_read(&l, a, in);
	const char *at = in.p;
	for (size_t i = 0; i < l.n; i++) {
		if (l.piece[i].p < at || l.piece[i].p + l.piece[i].n > in.p + in.n)
			abort();
		at = l.piece[i].p + l.piece[i].n;
		buf_addspan(&kept, l.piece[i]);
	}
	struct header_field f;
	if (size < 1000000 && header_find(buf_span(&kept), "Return-Path", &f))
		abort();
	letter_check_loop(&l, SPAN("a@b"), &err);
	buf_free(&kept);
	arena_free(a);
	return 0;
}
