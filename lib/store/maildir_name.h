/* SPDX-License-Identifier: ISC
 *
 * Names in a Maildir++: "SECS.MusecPpidQn.host,S=size,W=vsize:2,flags" of messages, ".Work.2026" of folders. Text only,
 * no files.
 */
#ifndef WP_STORE_MAILDIR_NAME_H
#define WP_STORE_MAILDIR_NAME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

struct maildir_name {
	struct span base;     /* up to ':': what stays when flags change, and what a uidlist holds */
	unsigned flags;       /* enum mail_flag */
	uint64_t keywords;    /* bit i: letter 'a' + i */
	struct span other;    /* letters of the flags that are neither, as they stand */
	uint64_t size, vsize; /* S= and W=; UINT64_MAX when the name does not tell */
};
/* Total. */
void maildir_name_parse(struct span name, struct maildir_name *out);
/* ":2," and the flags in ASCII order, with the unknown ones of `other` kept. */
void maildir_name_flags(unsigned flags, uint64_t keywords, struct span other, struct buf *out);
/* A new name without sizes, unique on this host and, by the host's name, among hosts. */
void maildir_name_new(struct buf *out);
/* Seconds, microseconds (0 when not told): the order in which messages that have no UID yet get theirs. */
int maildir_name_order(struct span a, struct span b);

/* "Work/2026" -> ".Work.2026", "INBOX" (any case) -> "". ERR_PERM for names that have no form on disk: empty
 * components, '.' or control characters in one, ill-formed UTF-8, too long. */
int maildir_folder_to_disk(struct span folder, struct buf *out, struct err *err);
/* And back, for a directory's entry; false when it is no folder's name. */
bool maildir_folder_from_disk(struct span entry, struct buf *out);

#endif
