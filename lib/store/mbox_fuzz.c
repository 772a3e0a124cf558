/* SPDX-License-Identifier: ISC
 *
 * Splitting is total and in order; a message that was formatted comes back as it was.
 */
#include <stdint.h>
#include <stdlib.h>

#include "store/mbox.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void split(struct span file)
{
	struct arena *a = arena_new();
	struct mbox_msg *msg;
	size_t n;
	mbox_split(a, file, &msg, &n);
	const char *at = file.p;
	for (size_t i = 0; i < n; i++) {
		if (msg[i].from_line.p < at || !span_starts(msg[i].from_line, "From ") ||
		    msg[i].content.p < msg[i].from_line.p || msg[i].content.p + msg[i].content.n > file.p + file.n)
			abort();
		at = msg[i].content.p + msg[i].content.n;
	}
	arena_free(a);
}

/* Of a message with LF line ends and one at its end. */
static void there_and_back(struct span message)
{
	struct arena *a = arena_new();
	struct mbox_msg *msg;
	struct buf file, back;
	size_t n;
	buf_init(&file, 1 << 22);
	buf_init(&back, 1 << 22);
	mbox_format(SPAN("s"), 0, message, &file);
	mbox_split(a, buf_span(&file), &msg, &n);
	if (n != 1)
		abort();
	mbox_unquote(msg[0].content, &back);
	if (!span_eq(buf_span(&back), message))
		abort();
	buf_free(&file);
	buf_free(&back);
	arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of((const char *)data, size);
	split(in);
	if (size && data[size - 1] == '\n' && !memchr(data, '\r', size))
		there_and_back(in);
	return 0;
}
