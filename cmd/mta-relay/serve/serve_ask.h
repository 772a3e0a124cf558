/* SPDX-License-Identifier: ISC
 *
 * mta-relay serve: the functions of smtp_server_ops for what a client asks about addresses and about the queue.
 */
#ifndef MTA_RELAY_SERVE_ASK_H
#define MTA_RELAY_SERVE_ASK_H

#include "smtp/server.h"

void ask_vrfy(struct smtp_session *x, struct span what, struct smtp_answer *a);
void ask_expn(struct smtp_session *x, struct span what, struct buf *lines, struct smtp_answer *a);
void ask_etrn(struct smtp_session *x, struct span node, struct smtp_answer *a);

#endif
