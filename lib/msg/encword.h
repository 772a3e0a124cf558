/* SPDX-License-Identifier: ISC
 *
 * Encoded words (RFC 2047, languages of RFC 2231 5). Decoding is total and gives UTF-8: what is malformed stays as
 * written, bytes that are no UTF-8 outside encoded words are taken as windows-1252.
 */
#ifndef WP_MSG_ENCWORD_H
#define WP_MSG_ENCWORD_H

#include "base/buf.h"
#include "base/span.h"

/* value: a field's value, folded or not; line ends vanish. */
void encword_decode(struct span value, struct buf *out);
/* UTF-8 text as ASCII, encoded words where needed (B or Q, whichever is shorter), each at most 75 long and whole
 * characters only; words are separated by a blank, so that header_fold can fold between them. phrase: inside a display
 * name, where fewer characters may stand (RFC 2047 5 (3)), quoted-string when ASCII with specials. */
void encword_encode(struct span utf8, bool phrase, struct buf *out);

#endif
