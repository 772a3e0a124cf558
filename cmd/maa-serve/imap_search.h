/* SPDX-License-Identifier: ISC
 *
 * SEARCH's inside: the expression as a tree (imap_search_parse.c), and whether a message fits (imap_search.c). The
 * children of an AND stand in the order of their cost, so that a file is opened only for messages that everything
 * cheaper has let through.
 */
#ifndef WP_MAA_SERVE_IMAP_SEARCH_H
#define WP_MAA_SERVE_IMAP_SEARCH_H

#include "imap_session.h"

enum search_kind {
	SEARCH_ALL,
	SEARCH_NONE,
	SEARCH_SET,
	SEARCH_FLAG,   /* all of `mask` set */
	SEARCH_UNFLAG, /* none of it */
	SEARCH_NEW,
	SEARCH_KEYWORD,
	SEARCH_UNKEYWORD,
	SEARCH_AND,
	SEARCH_OR,
	SEARCH_NOT,
	SEARCH_LARGER,
	SEARCH_SMALLER,
	SEARCH_BEFORE,
	SEARCH_ON,
	SEARCH_SINCE,
	SEARCH_SENTBEFORE,
	SEARCH_SENTON,
	SEARCH_SENTSINCE,
	SEARCH_HEADER,
	SEARCH_ADDRESS, /* FROM, TO, CC, BCC: the field as it reads, and each address without its decoration */
	SEARCH_BODY,
	SEARCH_TEXT,
};

struct search_key {
	enum search_kind kind;
	unsigned cost;
	uint64_t mask; /* flags or keywords */
	uint64_t size;
	int64_t days;
	struct imap_set set;
	struct span field;
	struct span text; /* UTF-8, case folded */
	struct search_key *child, *next;
};

/* Everything after "SEARCH". NULL with s->in.bad set, or with NO said (charset). */
struct search_key *search_parse(struct imap *s);
/* Folds case where upper and lower have the same length in UTF-8: ASCII, Latin, Greek, Cyrillic. In place. */
void search_fold(char *p, size_t n);

#endif
