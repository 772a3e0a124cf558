/* SPDX-License-Identifier: ISC
 *
 * ENVELOPE (RFC 3501 7.4.2, 2.3.5) of a message's header: fields unfolded, encoded words as written.
 */
#ifndef WP_IMAP_ENVELOPE_H
#define WP_IMAP_ENVELOPE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/span.h"

/* Appends "(date subject from sender reply-to to cc bcc in-reply-to message-id)". The arena holds addresses meanwhile.
 */
void imap_envelope(struct arena *a, struct span header, struct buf *out);

#endif
