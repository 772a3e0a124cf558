/* SPDX-License-Identifier: ISC
 *
 * A message's content onto the wire (RFC 5321 4.5.2, 2.3.8): LF becomes CRLF, a dot that begins a line is doubled. A
 * CR that no LF follows never reaches the wire, where a lenient receiver could take it for a line end (SMTP
 * smuggling): it becomes a blank. Whoever wants to keep it encodes the message beforehand (msg/downgrade.h).
 */
#ifndef WP_SMTP_DOT_ENCODE_H
#define WP_SMTP_DOT_ENCODE_H

#include <stdbool.h>

#include "base/span.h"
#include "io/stream.h"

struct dot_encoder {
	bool mid_line; /* the last byte was not a line end */
	bool held_cr;  /* a CR that ended a piece: what follows decides */
};

/* Starts from a zeroed struct; pieces may be cut anywhere. 0, or -1 once the stream has failed. */
int dot_encode(struct dot_encoder *e, struct span piece, struct stream *s);
/* Ends the last line if it has no end, and the message: ".\r\n". */
int dot_encode_end(struct dot_encoder *e, struct stream *s);

#endif
