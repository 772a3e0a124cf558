/* SPDX-License-Identifier: ISC
 *
 * A field's value from the input: with nothing to rewrite it comes out byte for byte; with every address replaced the
 * rest stays, and what comes out is rewritten to the same again.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/limits.h"
#include "mta-relay/policy/rewrite.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int keep(void *arg, struct span mailbox, struct buf *out)
{
	(void)arg;
	(void)mailbox;
	(void)out;
	return 0;
}

static int replace(void *arg, struct span mailbox, struct buf *out)
{
	size_t *taken = arg;
	taken[0] += mailbox.n;
	taken[1] += 3;
	buf_adds(out, "a@b");
	return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span value = span_of((const char *)data, size);
	struct buf same, new, again;
	size_t taken[2] = { 0, 0 }, second[2] = { 0, 0 };
	if (size > LIMIT_CONFIG_LINE)
		return 0;
	buf_init(&same, LIMIT_HEADER_FIELD);
	buf_init(&new, LIMIT_HEADER_FIELD);
	buf_init(&again, LIMIT_HEADER_FIELD);
	if (rewrite_value(value, keep, NULL, &same) != 0 || !span_eq(buf_span(&same), value))
		abort();
	rewrite_value(value, replace, taken, &new);
	if (!new.bad &&new.len != size - taken[0] + taken[1])
		abort();
	rewrite_value(buf_span(&new), replace, second, &again);
	if (!new.bad && (second[1] != taken[1] || !span_eq(buf_span(&new), buf_span(&again))))
		abort();
	buf_free(&same);
	buf_free(&new);
	buf_free(&again);
	return 0;
}
