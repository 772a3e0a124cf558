/* SPDX-License-Identifier: ISC
 *
 * HTML's character references, the common ones.
 */
#ifndef WP_MUA_READ_ENTITY_H
#define WP_MUA_READ_ENTITY_H

#include "base/buf.h"
#include "base/span.h"

/* The reference at the start of s ("&"): appends its character, returns its length; 0 when it is none that is known. */
size_t entity_one(struct span s, struct buf *out);
/* Text with all its references. */
void entity_decode(struct span s, struct buf *out);

#endif
