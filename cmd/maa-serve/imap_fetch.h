/* SPDX-License-Identifier: ISC
 *
 * FETCH's inside: what is asked for (imap_fetch_parse.c), where in a message it stands (imap_section.c), and sending it
 * (imap_fetch.c).
 */
#ifndef WP_MAA_SERVE_IMAP_FETCH_H
#define WP_MAA_SERVE_IMAP_FETCH_H

#include "base/limits.h"
#include "imap_session.h"
#include "msg/mime.h"

enum section_what {
	SECTION_ALL,
	SECTION_HEADER,
	SECTION_FIELDS,
	SECTION_FIELDS_NOT,
	SECTION_TEXT,
	SECTION_MIME
};

struct section {
	uint32_t path[LIMIT_IMAP_DEPTH];
	size_t depth;
	enum section_what what;
	struct imap_words fields;
	bool peek, partial;
	uint32_t from, count;
	const char *label; /* RFC822 and its kin; NULL: BODY[...] */
};

enum fetch_kind {
	FETCH_UID,
	FETCH_FLAGS,
	FETCH_DATE,
	FETCH_SIZE,
	FETCH_ENVELOPE,
	FETCH_BODY,
	FETCH_BODYSTRUCTURE,
	FETCH_SECTION
};
struct fetch_item {
	enum fetch_kind kind;
	const struct section *section; /* FETCH_SECTION */
};
struct fetch_items {
	struct fetch_item *v;
	size_t n;
	bool seen;    /* reading marks as read */
	bool content; /* the file must be opened */
	bool flags;   /* FLAGS were asked for */
	bool uid;     /* the UID is among them */
	bool body;    /* what is sent is more than the header: an event for the trace */
};
/* Macro, one item or a list, in the session's arena; false with s->in.bad set. */
bool fetch_parse(struct imap *s, struct fetch_items *out);

/* A message while its items are sent. */
struct fetch_message {
	struct span content;
	struct arena *arena;    /* this message's */
	struct mime_part *root; /* parsed when first needed */
};
struct mime_part *fetch_mime(struct fetch_message *m);

/* The section's text as stored: a part of m->content, or for header fields collected in `fields`. False: there is no
 * such section (NIL). */
bool section_find(struct fetch_message *m, const struct section *sec, struct buf *fields, struct span *out);
/* "BODY[1.HEADER.FIELDS (From)]<0>" */
void section_label(const struct section *sec, struct buf *out);

#endif
