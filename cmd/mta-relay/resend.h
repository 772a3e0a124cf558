/* SPDX-License-Identifier: ISC
 *
 * A conversation that was kept for the next message may end before it has said anything about that message: the
 * recipients without a verdict are asked for again on a new one, once.
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

#endif
