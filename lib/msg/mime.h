/* SPDX-License-Identifier: ISC
 *
 * MIME structure (RFC 2045, 2046, 2231, 2183) of a message in memory, as a tree of spans into it. Total: any bytes give
 * some tree, in time linear in their number; depth and number of parts are bounded (limits.h), beyond which the rest is
 * a leaf.
 */
#ifndef WP_MSG_MIME_H
#define WP_MSG_MIME_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/span.h"
#include "msg/codec.h"

struct mime_param {
	struct span name;  /* lower case */
	struct span value; /* RFC 2231 continuations joined, percent-decoded, converted to UTF-8 */
	struct span raw;   /* as written (first segment's value, unquoted) */
};
struct mime_params {
	struct mime_param *v;
	size_t n;
};
/* A multipart whose boundary never comes has no children; one without a usable boundary is a leaf. */
enum mime_kind {
	MIME_LEAF,
	MIME_MULTIPART,
	MIME_MESSAGE /* message/rfc822, message/global: one child */
};

struct mime_part {
	enum mime_kind kind;
	struct span type, subtype; /* lower case; text plain by default, message rfc822 inside multipart/digest */
	struct mime_params params; /* of Content-Type */
	struct span disposition;   /* lower case, "" when absent */
	struct mime_params disposition_params;
	enum codec codec;
	struct span encoding;                                 /* Content-Transfer-Encoding lower case, "" when absent */
	struct span id, description, language, location, md5; /* raw values trimmed, "" when absent */
	struct span header;                                   /* with the blank line that ends it */
	struct span body;                           /* encoded, without the line end before the next boundary */
	size_t lines;                               /* line ends in body */
	struct mime_part *parent, *children, *next; /* first child, next sibling */
	unsigned number;                            /* 1-based place among its siblings; 0 for the root */
	unsigned depth;
};

/* The tree in the arena, pointing into msg, which must outlive it. Never NULL. */
struct mime_part *mime_parse(struct arena *a, struct span msg);
/* A parameter by name; false when absent. */
bool mime_param(const struct mime_params *p, const char *name, struct span *value);
/* A structured value "token/token; name=value" or "token; name=value" split into its first word and parameters. */
void mime_parse_params(struct arena *a, struct span value, struct span *first, struct mime_params *params);
/* Content decoded; as_text: converted from its charset to UTF-8 and CRLF to LF too. */
void mime_content(const struct mime_part *p, bool as_text, struct buf *out);
/* File name from Content-Disposition, else Content-Type's name (encoded words decoded); "" when none. Path separators
 * and control characters are replaced by '_'. */
void mime_filename(const struct mime_part *p, struct buf *out);
/* The part that a reader should show first: the best text of alternatives. NULL when there is no text. */
const struct mime_part *mime_best_text(const struct mime_part *root);
/* Depth-first next part, NULL at the end. */
struct mime_part *mime_next(struct mime_part *p);

#endif
