/* SPDX-License-Identifier: ISC
 *
 * Text laid out in lines: plain text, format=flowed (RFC 3676), HTML reduced to text. UTF-8 in; out comes text that is
 * not yet safe for a terminal (term_safe), in time linear in the input.
 */
#ifndef WP_MUA_READ_FLOW_H
#define WP_MUA_READ_FLOW_H

#include "base/buf.h"
#include "base/span.h"

/* One paragraph in lines of at most width columns (0: one line), broken at blanks, each after "> " for each level of
 * quoting. A word longer than the line stays whole. */
void flow_paragraph(struct span text, size_t quotes, size_t width, struct buf *out);
/* Lines as they are; those wider than width (0: none) are broken. */
void flow_fixed(struct span text, size_t width, struct buf *out);
/* format=flowed; delsp as its parameter says. */
void flow_flowed(struct span text, bool delsp, size_t width, struct buf *out);
void flow_html(struct span html, size_t width, struct buf *out);

#endif
