/* SPDX-License-Identifier: ISC
 *
 * What a socketmap server sends: whole and byte by byte it must read the same.
 */
#include <stdint.h>
#include <stdlib.h>

#include "users/table_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int read_one(struct span in, size_t chunk, struct buf *out)
{
	struct err err = { 0 };
	struct stream *s = stream_from_mem(in, chunk);
	int rc = socketmap_read(s, out, &err);
	if (rc < 0 && err.class == ERR_NONE)
		abort();
	stream_close(s);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of((const char *)data, size), value;
	struct buf whole, bytes;
	struct err err = { 0 };
	buf_init(&whole, SOCKETMAP_REPLY);
	buf_init(&bytes, SOCKETMAP_REPLY);
	int a = read_one(in, 0, &whole), b = read_one(in, 1, &bytes);
	if (a != b || (a == 0 && !span_eq(buf_span(&whole), buf_span(&bytes))))
		abort();
	if (a == 0 && socketmap_reply(buf_span(&whole), &value, &err) == TABLE_FOUND && span_has_ctl(value))
		abort();
	buf_free(&whole);
	buf_free(&bytes);
	return 0;
}
