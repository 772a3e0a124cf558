/* SPDX-License-Identifier: ISC
 *
 * The line reader over any bytes in any pieces. The first byte is the size of the pieces, the second the longest
 * line. What comes out, line ends put back, must be what went in; the pieces must make no difference.
 */
#include <stdint.h>
#include <stdlib.h>

#include "io/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
	if (!ok)
		abort();
}

/* How far the line reached in the input: a too long one up to its LF, whatever was kept of it. */
static size_t line_extent(const struct line *l, struct span rest)
{
	static const size_t end_len[] = { [LINE_CRLF] = 2, [LINE_LF] = 1, [LINE_EOF] = 0 };
	ptrdiff_t lf = span_chr(rest, '\n');
	if (l->end != LINE_TOO_LONG) {
		check(lf < 0 ? l->end == LINE_EOF : l->text.n + end_len[l->end] == (size_t)lf + 1);
		return l->text.n + end_len[l->end];
	}
	return lf < 0 ? rest.n : (size_t)lf + 1;
}

static void read_all(struct span in, size_t chunk, size_t max)
{
	struct stream *s = stream_from_mem(in, chunk);
	struct span rest = in;
	struct line l;
	do {
		enum line_end end = stream_line(s, max, &l);
		check(end == l.end && end != LINE_TIMEOUT && end != LINE_ERROR);
		check(l.text.n <= max && l.text.n <= rest.n && !memcmp(l.text.p, rest.p, l.text.n));
		check(l.has_nul == (memchr(l.text.p, 0, l.text.n) != NULL));
		check(end != LINE_TOO_LONG || l.text.n == max);
		rest = span_from(rest, line_extent(&l, rest));
	} while (l.end != LINE_EOF);
	check(rest.n == 0 && !stream_has_input(s));
	stream_close(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	struct span in = span_of((const char *)data + 2, size - 2);
	read_all(in, data[0], data[1]);
	read_all(in, 0, data[1]);
	return 0;
}
