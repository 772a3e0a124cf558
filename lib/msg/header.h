/* SPDX-License-Identifier: ISC
 *
 * Header fields of a message in memory (RFC 5322 2.2). Total: any bytes give some fields and a body; nothing is an
 * error, nothing is copied. Lines may end with CRLF or LF. A line that is neither a field nor a continuation is kept as
 * a field with an empty name, so that the raw fields put together are the header again, byte for byte.
 */
#ifndef WP_MSG_HEADER_H
#define WP_MSG_HEADER_H

#include "base/buf.h"
#include "base/span.h"

struct header_field {
	struct span raw;   /* everything, with its line ends */
	struct span name;  /* as written, without trailing blanks before ':'; empty for a malformed line */
	struct span value; /* after the ':', folded as written, without the last line end */
};

/* The next field of *rest; false at the header's end. Then *rest is the body (the blank line is consumed). mbox "From "
 * and ">From " first lines count as malformed fields. */
bool header_next(struct span *rest, struct header_field *f);
/* The header of msg including the blank line that ends it, and where the body starts. */
struct span header_of(struct span msg, struct span *body);
/* First field called name (any case). header_find_nth: the n-th, from 0; header_count: how many there are. */
bool header_find(struct span msg, const char *name, struct header_field *f);
bool header_find_nth(struct span msg, const char *name, size_t n, struct header_field *f);
size_t header_count(struct span msg, const char *name);
/* Of the comment (RFC 5322 3.2.2) at the start of s, which begins with '(': nested, with quoted pairs. All of s when it
 * does not end. */
size_t header_comment_length(struct span s);
/* What follows blanks, line ends and comments (RFC 5322 3.2.2) at the beginning; a comment that is not closed is all of
 * the rest. */
struct span header_skip_cfws(struct span value);
/* Appends the value without line ends, leading and trailing blanks trimmed (RFC 5322 2.2.3). */
void header_unfold(struct span value, struct buf *out);
/* Appends "Name: value" folded at blanks to at most 76 columns (RFC 2047 2) where it can, with CRLF or LF line ends
 * (eol). */
void header_fold(const char *name, struct span value, const char *eol, struct buf *out);

#endif
