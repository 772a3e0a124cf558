/* SPDX-License-Identifier: ISC
 *
 * Changes to a message that was received (content.h): its header as a list of fields that can be inserted, changed and
 * deleted at an index, and a new body. Nothing is changed before content_edit_commit: who finds out in the middle that
 * it must not be (a filter that died) just ends. Memory is bounded as content's is: the header by LIMIT_HEADER_BYTES, a
 * new body by CONTENT_MEMORY and a temporary file.
 *
 * Fields stand from 0, as they were received or put there; our own Received field is not among them, what is to stand
 * above it is given to content_edit_above. A line within the header that is no field is kept and has an empty name; a
 * message that begins with such a line has no header at all. Values are written as given but for what could end the
 * field: LF, CR and NUL are made into folding, or left out.
 *
 * Ownership: new fields lie in the arena, all others in the content, which must not be changed by others meanwhile.
 */
#ifndef MTA_RELAY_CONTENT_EDIT_H
#define MTA_RELAY_CONTENT_EDIT_H

#include "base/arena.h"
#include "msg/header.h"
#include "mta-relay/content/content.h"

/* Text from another program, line by line into a content. */
struct content_text {
	struct content *to;
	bool after_cr, mid_line;
};
/* A piece, cut anywhere: CRLF, CR and LF all become CRLF, NUL is left out. -1 as content_add. */
int content_text_add(struct content_text *t, struct span piece);
/* The last line gets its end. */
int content_text_end(struct content_text *t);

struct content_edit {
	struct content *c;
	struct arena *arena;
	struct span *field; /* each whole, with its line ends */
	size_t n, cap;
	struct span body; /* what of it is in memory */
	bool blank;       /* a blank line ended the header */
	struct buf above;
	size_t added;        /* bytes of new fields */
	struct content *new; /* NULL: the body stays */
	struct content_text text;
	bool reading; /* content_edit_read has begun */
};

/* -1 with ERR_LIMIT when the header is too long to be worked on. */
int content_edit_begin(struct content_edit *e, struct content *c, struct arena *a, struct err *err);
void content_edit_field(const struct content_edit *e, size_t i, struct header_field *f);
/* The nth (from 0) field of that name; -1: there is none. */
ptrdiff_t content_edit_find(const struct content_edit *e, struct span name, size_t nth);
/* Before the field that is at index i, or as the last one. "Name: value"; with `exact` "Name:value". -1 with ERR_DATA
 * for a name that is none, ERR_LIMIT. */
int content_edit_insert(
    struct content_edit *e, size_t i, struct span name, struct span value, bool exact, struct err *err);
int content_edit_change(
    struct content_edit *e, size_t i, struct span name, struct span value, bool exact, struct err *err);
void content_edit_delete(struct content_edit *e, size_t i);
/* Above our own Received field, the last one given on top. */
int content_edit_above(struct content_edit *e, struct span name, struct span value, bool exact, struct err *err);
/* A piece of a new body; the first one, which may be empty, takes the old one's place. Line ends become CRLF. -1 with
 * err when the temporary file failed. */
int content_edit_body(struct content_edit *e, struct span piece, struct err *err);
/* The body as it was, in pieces: 1 with *out, 0 at its end, -1 with err. Begins anew after content_edit_rewind. */
void content_edit_rewind(struct content_edit *e);
int content_edit_read(struct content_edit *e, struct span *out, struct err *err);
/* The content is what was asked for, or with -1 what it was. Ends the edit either way. Facts of content_look point to
 * what was there before. */
int content_edit_commit(struct content_edit *e, struct err *err);
/* Ends it without a change. */
void content_edit_end(struct content_edit *e);

#endif
