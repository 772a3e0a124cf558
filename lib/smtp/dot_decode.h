/* SPDX-License-Identifier: ISC
 *
 * The content that follows DATA (RFC 5321 4.5.2), in one pass: finds its end, removes the dots that stuffing added, and
 * notices what must not stand in it. Knows no stream. Only CRLF "." CRLF ends the content: a bare CR, a bare LF or a
 * NUL (RFC 5321 2.3.8) is noted in `bad` and is content like any other byte, so that what follows is never taken for
 * commands (SMTP smuggling).
 *
 * What `mend` names is made good instead: a bare CR or LF comes out as CRLF, a NUL not at all. Where the content ends
 * and which dots go is judged by the bytes as they came, before that, so that mending can neither end a message nor
 * begin one; a dot that begins a line only now stays, and dot_encode doubles it on the way out.
 *
 * Nothing is copied: pieces are spans of the input, or of static text, valid until the next call.
 */
#ifndef WP_SMTP_DOT_DECODE_H
#define WP_SMTP_DOT_DECODE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

enum dot_mode {
	DOT_DATA, /* as the header says */
	DOT_LF,   /* typed or piped: LF ends a line too, and comes out as CRLF */
	DOT_RAW,  /* BDAT: no dots, no end, only the check of line ends */
};
enum dot_bad {
	DOT_BARE_CR = 1,
	DOT_BARE_LF = 2,
	DOT_NUL = 4
};

struct dot_decoder {
	enum dot_mode mode;
	unsigned state;
	unsigned mend;   /* enum dot_bad: set after dot_init */
	unsigned bad;    /* enum dot_bad, of all input so far, and not mended */
	unsigned mended; /* the same, mended */
	bool ended;
};

/* Gets each piece of content; never an empty one. */
typedef void dot_piece(void *arg, struct span piece);

void dot_init(struct dot_decoder *d, enum dot_mode mode);
/* Decodes from the start of `in`; returns how many bytes belong to the content (all, unless it ended here). */
size_t dot_decode(struct dot_decoder *d, struct span in, dot_piece *piece, void *arg);
/* For DOT_RAW, after the last chunk: notes a CR that nothing followed, and gives what the last line lacks of its end.
 */
void dot_finish(struct dot_decoder *d, dot_piece *piece, void *arg);

#endif
