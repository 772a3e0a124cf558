/* SPDX-License-Identifier: ISC
 *
 * Any message: what comes out has 7 bits, and doing it again changes nothing. Binary MIME becomes lines.
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

static void check_binary(struct span msg, unsigned keep)
{
	struct buf out;
	struct msg_needs needs;
	buf_init(&out, 16 * msg.n + 65536);
	if (msg_downgrade(msg, MSG_FROM_BINARY | keep, &out, NULL) == 0) {
		msg_scan(buf_span(&out), &needs);
		if (needs.nul || needs.bare_cr || (needs.eightbit && !keep))
			abort();
		for (size_t i = 0; i < out.len; i++)
			if (out.p[i] == '\n' && (!i || out.p[i - 1] != '\r'))
				abort();
	}
	buf_free(&out);
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
	if (msg_downgrade(msg, 0, &once, &err) == 0) {
		if (!seven_bits(buf_span(&once)))
			abort();
		if (msg_downgrade(buf_span(&once), 0, &twice, &err) == 0 && !needs.nul && !needs.bare_cr &&
		    !needs.long_line && !span_eq(buf_span(&once), buf_span(&twice)))
			abort();
	}
	buf_free(&once);
	buf_free(&twice);
	check_binary(msg, 0);
	check_binary(msg, MSG_KEEP_8BIT);
	return 0;
}
