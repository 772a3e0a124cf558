/* SPDX-License-Identifier: ISC */
#include <stdlib.h>

#include "msg/addr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_list(struct arena *a, struct span s)
{
	struct addr_list list;
	addr_parse_list(a, s, &list);
	for (size_t i = 0; i < list.n; i++) {
		struct buf out;
		buf_init(&out, 2 * s.n + 10);
		addr_format(&list.v[i], &out);
		if (out.bad || span_has_ctl(buf_span(&out)))
			abort();
		buf_free(&out);
	}
}

/* What is accepted is written so that it is accepted again, as the same. */
static void check_mailbox(struct arena *a, struct span s)
{
	struct addr addr, again;
	struct buf out;
	if (!addr_parse_mailbox(s, true, true, &addr, a))
		return;
	buf_init(&out, 2 * s.n + 10);
	addr_format(&addr, &out);
	if (span_has_ctl(s) || !addr_parse_mailbox(buf_span(&out), true, true, &again, a) ||
	    !span_eq(addr.local, again.local) || !span_eq(addr.domain, again.domain))
		abort();
	buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new();
	struct span s = span_of((const char *)data, size);
	check_list(a, s);
	check_mailbox(a, s);
	arena_free(a);
	return 0;
}
