/* SPDX-License-Identifier: ISC
 *
 * Any message: what comes out has 7 bits, and doing it again changes nothing.
 */
#include <stdlib.h>

#include "msg/downgrade.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static bool seven_bits(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] >= 0x80)
			return false;
	return true;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct span msg = span_of((const char *)data, size);
	struct buf once, twice;
	struct msg_needs needs;
	struct err err = { 0 };
	buf_init(&once, 16 * size + 65536);
	buf_init(&twice, 64 * size + 262144);
	msg_scan(msg, &needs);
	if (needs.eightbit == seven_bits(msg) || msg_wire_size(msg) < size)
		abort();
	if (msg_downgrade(msg, &once, &err) == 0) {
		if (!seven_bits(buf_span(&once)))
			abort();
		if (msg_downgrade(buf_span(&once), &twice, &err) == 0 && !needs.nul && !needs.bare_cr &&
		    !needs.long_line && !span_eq(buf_span(&once), buf_span(&twice)))
			abort();
	}
	buf_free(&once);
	buf_free(&twice);
	return 0;
}
