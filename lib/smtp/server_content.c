/* SPDX-License-Identifier: ISC
 *
 * What a message's content may look like beyond its size: the length of its header, and of its lines.
 */
#include "smtp/server_int.h"

void content_shape_init(struct content_shape *c)
{
	*c = (struct content_shape){ .in_header = true };
}

/* n more bytes of the present line; ends: with its LF. */
static void line_part(struct content_shape *c, uint64_t n, bool ends)
{
	c->line += n;
	if (c->line > c->longest)
		c->longest = c->line;
	if (c->in_header)
		c->header += n;
	if (!ends)
		return;
	if (c->line == 2) /* CRLF alone */
		c->in_header = false;
	c->line = 0;
}

void content_shape_add(struct content_shape *c, struct span piece, uint64_t max_line)
{
	while (piece.n) {
		/* Behind the header it matters only how much stands behind the last LF, as long as no line can be too
		 * long. */
		bool short_enough = !c->in_header && (!max_line || c->line + piece.n <= max_line);
		const char *lf = short_enough ? memrchr(piece.p, '\n', piece.n) : memchr(piece.p, '\n', piece.n);
		size_t n = lf ? (size_t)(lf - piece.p) + 1 : piece.n;
		line_part(c, n, lf);
		piece = span_from(piece, n);
	}
}
