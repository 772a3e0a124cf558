/* SPDX-License-Identifier: ISC
 *
 * mbox (RFC 4155 and what programs do): mboxrd quoting, fcntl lock and dotlock, an append that fails is truncated back.
 */
#ifndef WP_STORE_MBOX_H
#define WP_STORE_MBOX_H

#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "io/durable/durable.h"

/* Appends one message (LF or CRLF in, LF stored), fsynced; sender for the "From " line ("MAILER-DAEMON" when ""). A
 * missing file is made with mode 0600; its directory must exist. Where no lock file can be made beside it (a mail spool
 * that only its group may write) the fcntl lock alone excludes others. ERR_TEMP while another program keeps it locked.
 */
struct mbox_append {
	struct span sender;
	int64_t when; /* Unix time */
	enum durable_mode mode;
};
int mbox_append(const char *path, const struct mbox_append *how, struct span message, struct err *err);
/* What mbox_append writes for it: the "From " line, the quoted content, the blank line. */
void mbox_format(struct span sender, int64_t when, struct span message, struct buf *out);

struct mbox_msg {
	struct span from_line; /* without its LF */
	struct span content;   /* as stored: ">From " still quoted */
};
/* Splits a file's content at "From " lines that follow a blank line. Total. */
void mbox_split(struct arena *a, struct span file, struct mbox_msg **msgs, size_t *n);
/* Appends the content with mboxrd quoting undone. */
void mbox_unquote(struct span content, struct buf *out);

#endif
