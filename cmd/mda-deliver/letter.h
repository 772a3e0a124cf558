/* SPDX-License-Identifier: ISC
 *
 * The message as it is filed: what its header says that delivery cares for, and the fields that final delivery puts on
 * top (RFC 5321 4.4): Return-Path, Delivered-To and, over LMTP, Received. Return-Path fields that are there already are
 * taken out, as is an mbox "From " line at the top. Nothing is copied: the letter points into the content.
 */
#ifndef MDA_DELIVER_LETTER_H
#define MDA_DELIVER_LETTER_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

struct letter {
	struct span *piece; /* the content without what is taken out */
	size_t n;
	struct span *delivered_to; /* the values, trimmed */
	size_t n_delivered_to;
	size_t received; /* how many Received fields */
	struct span message_id;
};
void letter_read(struct letter *l, struct arena *a, struct span content);
/* Has it been delivered to this address before, or passed more hosts than it may (RFC 5321 6.3)? ERR_DATA, 554 5.4.6.
 */
int letter_check_loop(const struct letter *l, struct span rcpt, struct err *err);

struct letter_trace {
	struct span sender, rcpt;
	/* Received, LMTP only: NULL helo.p for none. */
	struct span helo;
	const char *peer, *hostname, *protocol, *id;
};
/* Appends the fields with LF line ends. */
void letter_trace_fields(const struct letter_trace *t, int64_t when, struct buf *out);

#endif
