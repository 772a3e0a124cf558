/* SPDX-License-Identifier: ISC
 *
 * BODY and BODYSTRUCTURE (RFC 3501 7.4.2) of a message's MIME tree. Sizes count octets as presented, with CRLF.
 */
#ifndef WP_IMAP_BODYSTRUCTURE_H
#define WP_IMAP_BODYSTRUCTURE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "msg/mime.h"

/* extended: BODYSTRUCTURE, with the extension data that BODY leaves out. The arena holds addresses meanwhile. */
void imap_bodystructure(struct arena *a, const struct mime_part *root, bool extended, struct buf *out);

#endif
