/* SPDX-License-Identifier: ISC
 *
 * Replies from a hostile server, read one after another.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "smtp/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stream *s = stream_from_mem(span_of((const char *)data, size), size % 7);
	struct smtp_reply r;
	char line[64];
	smtp_reply_init(&r);
	while (smtp_reply_read(s, &r, false, NULL) == 0) {
		if (r.code < 200 || r.code > 599 || r.text.bad || memchr(r.text.p, 0, r.text.len))
			abort();
		smtp_reply_line(&r, line, sizeof line);
		if (memchr(line, '\n', strlen(line)))
			abort();
	}
	smtp_reply_free(&r);
	stream_close(s);
	return 0;
}
