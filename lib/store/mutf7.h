/* SPDX-License-Identifier: ISC
 *
 * Modified UTF-7 (RFC 3501 5.1.3), in which IMAP4rev1 sends mailbox names and Maildir++ keeps folder names on disk.
 * Strict both ways: only what the other direction gives back byte for byte is taken, so that a name and its form are
 * one to one.
 */
#ifndef WP_STORE_MUTF7_H
#define WP_STORE_MUTF7_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/span.h"

/* UTF-8 to modified UTF-7, appended. False for ill-formed UTF-8 (RFC 3629); what was appended is to be thrown away
 * then. */
bool mutf7_encode(struct span utf8, struct buf *out);
/* And back. False for 8-bit or control bytes, unfinished or needless shifts, surrogates that stand alone. */
bool mutf7_decode(struct span text, struct buf *out);

#endif
