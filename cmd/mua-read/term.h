/* SPDX-License-Identifier: ISC
 *
 * Text on its way to a terminal. What a message says never reaches it as a command: controls (C0, DEL, C1), overrides
 * of the writing direction and other characters that hide or move text are shown by name, wherever the output goes.
 * Then the text is converted to the terminal's charset.
 */
#ifndef WP_MUA_READ_TERM_H
#define WP_MUA_READ_TERM_H

#include <stdio.h>

#include "base/buf.h"
#include "base/span.h"

struct term {
	FILE *out;
	const char *charset;
	size_t width; /* columns, 0: no limit */
};

/* Appends UTF-8 (malformed bytes become U+FFFD) so that it can be shown. lines: line ends stay, tabs are expanded; else
 * all is one line. */
void term_safe(struct span text, bool lines, struct buf *out);
/* Columns that safe text takes, and how many of its bytes fit in so many columns. */
size_t term_columns(struct span safe);
size_t term_fit(struct span safe, size_t columns);

/* Writes safe text. */
void term_put(const struct term *t, struct span safe);
void term_puts(const struct term *t, const char *safe);
/* Text made safe here, on one line. */
void term_text(const struct term *t, struct span text);
/* The same in a field of so many columns: cut with an ellipsis or filled with blanks. 0: as long as it is. */
void term_field(const struct term *t, struct span text, size_t columns);

#endif
