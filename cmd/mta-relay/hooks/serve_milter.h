/* SPDX-License-Identifier: ISC
 *
 * The milters of a worker, in the order of their options, and what each of them makes of the client in hand. Private to
 * serve_milter.c (the conversation), serve_milter_macros.c and serve_milter_message.c (the content).
 */
#ifndef MTA_RELAY_SERVE_MILTER_H
#define MTA_RELAY_SERVE_MILTER_H

#include "mta-relay/hooks/milter.h"
#include "mta-relay/serve/serve_check.h"

enum seat_state {
	SEAT_ON,
	SEAT_PASS,         /* it has accepted the client */
	SEAT_PASS_MESSAGE, /* it has accepted the message in hand */
	SEAT_LOST,         /* broken; tried again with the next message */
};
struct milter_seat {
	struct milter *m;
	enum seat_state state;
	bool met;        /* it was told of the client */
	bool in_message; /* it was told of a message that has not ended */
};
struct milter_seats {
	struct milter_seat *v;
	size_t n;
	bool rcpt_asked; /* they know of the RCPT in hand */
};

/* Macros as they are now; r: the recipient in hand, or NULL; refused: the answer that it got, or NULL. All in the
 * transaction's arena. */
struct milter_macros milter_macros_of(const struct milter_seat *seat, const struct relay_session *s,
    const struct smtp_session *x, const struct smtp_env_rcpt *r, const struct smtp_answer *refused);
/* What a milter said becomes the seat's state, a change of the message, or the answer. */
void milter_obey(struct milter_seat *seat, struct relay_session *s, struct smtp_session *x, const char *stage,
    enum milter_verdict v, const struct smtp_answer *said, const struct err *err, struct smtp_answer *a);
/* The content, to one that is ON. */
void milter_message(struct milter_seat *seat, struct relay_session *s, struct smtp_session *x, struct smtp_answer *a);

#endif
