/* SPDX-License-Identifier: ISC
 *
 * First byte: mode, what is mended, and how the input is cut. Whole and in pieces must agree; nothing ends but at a
 * line of one dot; what is not bad has CRLF for all its line ends.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "smtp/dot_decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add(void *arg, struct span piece)
{
	if (!piece.n)
		abort();
	buf_addspan(arg, piece);
}

static size_t run(struct dot_decoder *d, unsigned how, struct span in, size_t step, struct buf *out)
{
	size_t used = 0;
	dot_init(d, how % 3);
	d->mend = how & 64 ? how / 3 % 8 : 0;
	buf_init(out, 1 << 24);
	while (used < in.n && !d->ended)
		used += dot_decode(d, span_slice(in, used, used + step), add, out);
	if (d->mode == DOT_RAW)
		dot_finish(d, add, out);
	return used;
}

static void check_good(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		bool after_cr = i && s.p[i - 1] == '\r';
		if (!s.p[i] || (s.p[i] == '\n') != after_cr)
			abort();
	}
	if (s.n && s.p[s.n - 1] == '\r')
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dot_decoder a, b;
	struct buf whole, cut;
	if (size < 1)
		return 0;
	enum dot_mode mode = data[0] % 3;
	struct span in = { (const char *)data + 1, size - 1 };
	size_t used = run(&a, data[0], in, in.n + 1, &whole);
	size_t used_cut = run(&b, data[0], in, 1 + data[0] / 3, &cut);
	if (used != used_cut || a.bad != b.bad || a.ended != b.ended || !span_eq(buf_span(&whole), buf_span(&cut)))
		abort();
	/* The end is CRLF "." CRLF, or the content was only ".\r\n". */
	if (a.ended && mode == DOT_DATA && used != 3 && !span_ends(span_slice(in, 0, used), "\r\n.\r\n"))
		abort();
	if (!a.bad && (a.ended || mode == DOT_RAW))
		check_good(buf_span(&whole));
	buf_free(&whole);
	buf_free(&cut);
	return 0;
}
