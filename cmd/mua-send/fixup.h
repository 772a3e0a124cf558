/* SPDX-License-Identifier: ISC
 *
 * A message as it was given, made fit for submission (RFC 6409 8): what is missing is put at its top, Bcc fields are
 * taken out, a mailbox's "From " line too. Nothing else changes: from its first kept field on, the text stays byte for
 * byte what it was.
 */
#ifndef MUA_SEND_FIXUP_H
#define MUA_SEND_FIXUP_H

#include <stdbool.h>
#include <time.h>

#include "base/buf.h"
#include "base/span.h"

struct fixup {
	const char *from;       /* the From field's address, when there is none */
	const char *name;       /* and display name, UTF-8; NULL: none */
	const char *message_id; /* "<...>", when there is none */
	time_t now;
	int zone_min;
};

/* Without the mbox separator that may stand before a message. */
struct span fixup_without_from_line(struct span text);
/* Does the text begin with a header field, or with the blank line that ends an empty header? */
bool fixup_has_header(struct span text);
/* The header to be sent in head (appended), what follows it in *body. */
void fixup_message(const struct fixup *c, struct span text, struct buf *head, struct span *body);
/* "NAME <ADDRESS>", encoded where it must be. */
void fixup_mailbox(const char *name, const char *address, struct buf *out);

#endif
