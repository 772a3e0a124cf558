/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <unistd.h>

#include "mua-send/mua.h"

enum {
	PIECE = 65536
};

/* Looks at what came since from; the offset of a line of one dot, or -1. *from moves to the start of the last line. */
static ptrdiff_t lone_dot(const struct buf *b, size_t *from)
{
	ptrdiff_t lf;
	struct span rest = span_from(buf_span(b), *from);
	while ((lf = span_chr(rest, '\n')) >= 0) {
		struct span line = span_slice(rest, 0, (size_t)lf);
		if (span_eqs(line, ".") || span_eqs(line, ".\r"))
			return line.p - b->p;
		rest = span_from(rest, (size_t)lf + 1);
	}
	*from = b->len - rest.n;
	return -1;
}

int input_read(int fd, bool dot_ends, uint64_t max, struct buf *out, struct err *err)
{
	size_t seen = 0;
	buf_init(out, (size_t)max + PIECE);
	for (;;) {
		char *at = buf_room(out, PIECE);
		ssize_t n = at ? read(fd, at, PIECE) : 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "standard input");
		if (!at || out->len + (size_t)n > max)
			return err_set(
			    err, ERR_LIMIT, "the message is larger than %llu bytes", (unsigned long long)max);
		buf_grew(out, (size_t)n);
		ptrdiff_t dot = dot_ends ? lone_dot(out, &seen) : -1;
		if (dot >= 0)
			buf_truncate(out, (size_t)dot);
		else if (dot_ends && n == 0 && span_eqs(span_from(buf_span(out), seen), "."))
			buf_truncate(out, seen);
		if (n == 0 || dot >= 0)
			return 0;
	}
}
