/* SPDX-License-Identifier: ISC
 *
 * Parts of a message by the names that IMAP gives them (RFC 9051 6.4.5.1): "1", "2.1".
 */
#ifndef WP_MUA_READ_PART_H
#define WP_MUA_READ_PART_H

#include "base/buf.h"
#include "msg/mime.h"

/* Appends the part's name; nothing for a multipart that is the whole message. */
void part_name(const struct mime_part *p, struct buf *out);
/* The part of that name; NULL when there is none. */
const struct mime_part *part_find(const struct mime_part *root, const char *name);

#endif
