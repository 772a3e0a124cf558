/* SPDX-License-Identifier: ISC
 *
 * dovecot-uidlist: which UID each file of a Maildir folder has. Version 3, as Dovecot writes it:
 *
 *     3 V<UIDVALIDITY> N<UIDNEXT> G<GUID>
 *     <UID>[ <letter><value>]... :<file name without flags>
 *
 * and version 1 ("1 UIDVALIDITY UIDNEXT", "UID NAME") for reading. Records added at the end by another program may have
 * UIDs of UIDNEXT and above. Parsing is total: a record that cannot be used is passed over, and its message gets a new
 * UID. What a record holds besides (sizes, POP3 UIDL, GUID) is kept as it is. Text in, text out: files and locks are
 * maildir_uids.c's.
 */
#ifndef WP_STORE_UIDLIST_H
#define WP_STORE_UIDLIST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/span.h"

enum {
	UIDLIST_BYTES_MAX = 512 * 1024 * 1024
};

struct uidlist_rec {
	uint32_t uid;
	struct span ext;  /* "W123 S120", "" when none */
	struct span name; /* up to, not including, its ':' */
};
struct uidlist {
	uint32_t uidvalidity, uidnext; /* uidvalidity 0: no list was there */
	char guid[33];
	struct span extra;       /* header words besides V, N and G */
	struct uidlist_rec *rec; /* ascending UIDs */
	size_t n, cap;
	uint32_t *slot; /* hash of names: index + 1 */
	size_t n_slots;
	struct buf text;     /* what was parsed; records point into it */
	struct arena *added; /* names of added records */
};

void uidlist_init(struct uidlist *u);
void uidlist_free(struct uidlist *u);
/* Empty, with this UIDVALIDITY and a random GUID. */
void uidlist_fresh(struct uidlist *u, uint32_t uidvalidity);
/* Parses u->text, which the caller filled. False when the header is unusable: then the list is empty, uidvalidity 0. */
bool uidlist_parse(struct uidlist *u);
/* A name as a file name's part before ':'. NULL when there is none. Valid until the next add. */
const struct uidlist_rec *uidlist_find(const struct uidlist *u, struct span base);
/* Allots the next UID; the name is copied. 0 when no UID is left. */
uint32_t uidlist_add(struct uidlist *u, struct span base);
/* Keeps only the records for which keep[i]. */
void uidlist_keep(struct uidlist *u, const bool *keep);
void uidlist_format(const struct uidlist *u, struct buf *out);

#endif
