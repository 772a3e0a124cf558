/* SPDX-License-Identifier: ISC
 *
 * The header field MT-Priority (RFC 6758), which carries a message's priority (RFC 6710) through hosts that have no
 * MT-PRIORITY. Total: any bytes are a header, with such fields or without.
 */
#ifndef WP_MSG_PRIORITY_H
#define WP_MSG_PRIORITY_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/span.h"

/* A field's value: -9 to 9, between blanks and comments (RFC 6758 4). */
bool priority_parse(struct span value, int *out);
/* Has this header such fields, whatever they say? */
bool priority_in(struct span header);
/* Appends the header with one such field at its top, and without those that it had (RFC 6758 3.3). Its first line is a
 * field, as Received is, not the continuation of one. */
void priority_replace(struct span header, int priority, struct buf *out);

#endif
