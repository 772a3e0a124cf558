/* SPDX-License-Identifier: ISC
 *
 * IMAP's strings as they are sent (RFC 3501 4.3): the shortest form that can hold the text. Server and client use it.
 */
#ifndef WP_IMAP_FORMAT_H
#define WP_IMAP_FORMAT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/span.h"

/* As atom (when atom_ok and it is one, and is not NIL), quoted, or a literal {n}. Only a server may send a literal
 * without asking; a client checks imap_is_quotable first. */
void imap_add_string(struct buf *out, struct span text, bool atom_ok);
/* NIL when text is empty, else a quoted string or literal. */
void imap_add_nstring(struct buf *out, struct span text);

#endif
