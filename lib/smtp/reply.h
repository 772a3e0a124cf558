/* SPDX-License-Identifier: ISC
 *
 * A server's reply (RFC 5321 4.2): its code, the enhanced status code (RFC 2034), its text. Strict about form, because
 * a reply that is misread is a message lost or sent twice: lines end with CRLF (LF where the stream is a pipe), each
 * begins with the same three digits, and number and length of lines are bounded. Control characters in the text become
 * '?'.
 *
 * Errors: ERR_PROTO for a malformed reply, ERR_LIMIT for one without end, the stream's own (ERR_TEMP) when the
 * connection broke before a whole reply.
 */
#ifndef WP_SMTP_REPLY_H
#define WP_SMTP_REPLY_H

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "io/stream.h"

struct smtp_reply {
	int code;        /* 0: the connection broke before a whole reply */
	char enh[12];    /* "5.1.1", "" when none */
	struct buf text; /* lines joined with '\n', without codes but with the enhanced ones */
	unsigned lines;
};

void smtp_reply_init(struct smtp_reply *r);
void smtp_reply_reset(struct smtp_reply *r);
void smtp_reply_free(struct smtp_reply *r);

/* One line without its end. 1: more lines follow; 0: the reply is whole; -1 with err. */
int smtp_reply_add(struct smtp_reply *r, struct span line, struct err *err);
/* Reads one whole reply, tracing each line; secret: a challenge of an authentication. 0, or -1 with err. */
int smtp_reply_read(struct stream *s, struct smtp_reply *r, bool secret, struct err *err);

/* "550 5.1.1 no such user", all lines in one, cut at the size of out. */
void smtp_reply_line(const struct smtp_reply *r, char *out, size_t n);
/* "<bob@example.org>: no such user" for a trace. Where the text names the address itself ("<bob@example.org>: no such
 * user", "2.1.5 <bob@example.org> Ok") it is taken out there: said once. Cut at the size of out. */
void smtp_about(struct span address, struct span text, char *out, size_t n);
/* Takes an enhanced status code (RFC 3463 2) that fits the reply code from the front of *rest; false when there is
 * none, and *rest stays. */
bool smtp_take_enhanced(struct span *rest, int code, char enh[12]);
/* err from a reply: code, enh, class by the first digit, the reply itself as text. Returns -1. */
int smtp_reply_err(const struct smtp_reply *r, struct err *err);

#endif
