/* SPDX-License-Identifier: ISC
 *
 * A conversation that was kept for the next message may end before it has said anything about that message: the
 * recipients without a verdict are asked for again on a new one, once. Those that a server has put off may be offered
 * to another one.
 */
#ifndef MTA_RELAY_RESEND_H
#define MTA_RELAY_RESEND_H

#include <stdbool.h>

#include "smtp/client.h"

/* The conversation broke before this one was answered. */
bool resend_unanswered(const struct smtp_rcpt *r);
/* 421 is no verdict but its leaving (RFC 5321 3.8): makes who got it from a conversation that had rested count as
 * unanswered. Was there any? */
bool resend_left(struct smtp_message *m);
/* Calls send with those that are unanswered; their results become m's. Where nobody was asked at all, what *err says
 * stands. */
int resend_rest(struct smtp_message *m, int (*send)(void *arg, struct smtp_message *rest, struct err *err), void *arg,
    struct err *err);

/* RFC 5321 4.5.3.1.10: there was no room for it in this transaction. */
bool resend_too_many(const struct smtp_rcpt *r);
/* Whom another server may take. */
struct resend_which {
	unsigned mark;     /* those that bear it */
	bool nothing_sent; /* the conversation ended before any content: who was not answered, too */
	bool full; /* out: there was room for nobody; else those for whom there was none wait for their turn here */
};
/* Nobody has the message for those that were refused for now. Copies them to v, which has room for all, with a clean
 * result, and tells how many they are. */
size_t resend_pick(const struct smtp_message *m, struct resend_which *w, struct smtp_rcpt *v);
/* Puts what became of them in their places. */
void resend_merge(struct smtp_message *m, const struct resend_which *w, const struct smtp_rcpt *v);

#endif
