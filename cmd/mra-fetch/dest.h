/* SPDX-License-Identifier: ISC
 *
 * Where fetched messages go: maildir:DIR, mbox:FILE, |COMMAND, lmtp:HOST:PORT, lmtp:unix:PATH, smtp://HOST[:PORT].
 * One message at a time: begin, write..., then commit or abort. From commit's 0 on the message is safe: on disk, or
 * taken over by the command or server. A Maildir is written as the message comes; the others get it from an unlinked
 * temporary file once it is whole, so that nobody takes half a message for a whole one.
 */
#ifndef MRA_FETCH_DEST_H
#define MRA_FETCH_DEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

struct dest;
struct broker;
struct confine_rules;

struct dest_config {
	const char *spec;
	const char *const *rcpt; /* lmtp, smtp: the recipients */
	size_t n_rcpt;
	const char *helo;
	const char *tls_ca;   /* for smtp:// with STARTTLS; NULL: the system's */
	const char *fallback; /* the recipient when rcpt is empty */
	int64_t timeout_ms;
	const struct broker *broker; /* who starts the command, when it was registered there; NULL: we do */
};

/* Nothing is connected or made yet but a Maildir. NULL with err. */
struct dest *dest_open(const struct dest_config *c, struct err *err);
void dest_close(struct dest *d);
const char *dest_name(const struct dest *d);

/* What a process that is to be confined needs for it; the broker is not launched yet. */
int dest_register(const char *spec, struct broker *b, struct err *err);
void dest_allow(const struct dest *d, struct confine_rules *r);

int dest_begin(struct dest *d, struct err *err);
int dest_write(struct dest *d, struct span piece, struct err *err);
void dest_abort(struct dest *d);

struct dest_meta {
	unsigned flags;  /* enum mail_flag: kept by a Maildir */
	int64_t date;    /* Unix time, 0: now; kept by a Maildir and an mbox */
	const char *uid; /* for messages: UID or UIDL */
};
/* ERR_PERM: this message is refused, others may do better. Anything else: try again later. */
int dest_commit(struct dest *d, const struct dest_meta *meta, struct err *err);

/* Of the message begun last: its Message-ID with <>, "" if none was seen; its size so far. */
struct span dest_message_id(struct dest *d);
uint64_t dest_size(const struct dest *d);

#endif
