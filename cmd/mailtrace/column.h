/* SPDX-License-Identifier: ISC
 *
 * Text for a terminal: what others wrote is made harmless and wrapped to the columns there are.
 */
#ifndef WP_MAILTRACE_COLUMN_H
#define WP_MAILTRACE_COLUMN_H

#include "base/buf.h"
#include "base/span.h"

/* Appends s with '?' for each control character, direction override and byte that is no character of the locale. At
 * most max columns (0: all); what is cut ends with "...". Returns the columns used. */
size_t column_text(struct buf *out, struct span s, size_t max);
/* The same, padded with blanks to exactly width columns. */
void column_pad(struct buf *out, struct span s, size_t width);
/* Text from the present column `indent` on, wrapped at blanks (or inside a word that is too long) so that no line
 * passes columns; the next lines begin at indent. Ends with a newline. */
void column_wrap(struct buf *out, struct span s, size_t indent, size_t columns);
/* "3.021 ms", "12.300 s", "4 min 10 s", "2 h 3 min", "5 d 1 h"; negative ones with a '-'. */
void column_duration(struct buf *out, int64_t us);

#endif
