/* SPDX-License-Identifier: ISC
 *
 * Content is stored with LF and presented with CRLF (a line that was stored with CRLF stays as it is). Sizes and
 * offsets that a client sees count the presented octets; these functions translate without building a second copy.
 */
#ifndef WP_MAA_SERVE_CRLF_H
#define WP_MAA_SERVE_CRLF_H

#include <stdint.h>

#include "base/span.h"
#include "io/stream.h"

/* Octets of s as presented. */
uint64_t crlf_size(struct span s);

/* A known pair of places, stored and presented, at which a later call may start. {0, 0} is always right. */
struct crlf_at {
	size_t stored;
	uint64_t shown;
};
/* Writes the octets [from, from + count) of s as presented; clamped to its end. at: where to start looking (its place
 * must lie at or before `from`), and afterwards a place near the end of what was written. */
int crlf_send(struct stream *o, struct span s, uint64_t from, uint64_t count, struct crlf_at *at);

/* RFC 1939 3: CRLF lines, "." doubled at a line's start, a last line end added when there is none. The final ".CRLF"
 * is the caller's. */
int crlf_send_dots(struct stream *o, struct span s);

#endif
