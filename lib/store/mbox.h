/* SPDX-License-Identifier: ISC
 *
 * mbox (RFC 4155 and what programs do): mboxrd quoting, fcntl lock and dotlock, an append that fails is truncated back.
 */
#ifndef WP_STORE_MBOX_H
#define WP_STORE_MBOX_H

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"

/* Appends one message (LF or CRLF in, LF stored), fsynced; sender for the "From " line ("MAILER-DAEMON" when ""). */
int mbox_append(const char *path, struct span sender, int64_t when, struct span message, struct err *err);

struct mbox_msg {
	struct span from_line; /* without its LF */
	struct span content;   /* as stored: ">From " still quoted */
};
/* Splits a file's content at "From " lines that follow a blank line. Total. */
void mbox_split(struct arena *a, struct span file, struct mbox_msg **msgs, size_t *n);
/* Appends the content with mboxrd quoting undone. */
void mbox_unquote(struct span content, struct buf *out);

#endif
