/* SPDX-License-Identifier: ISC
 *
 * One conversation as the log sees it: counts of commands, the refusals that the engine made by itself, how it ended.
 */
#ifndef MTA_RELAY_SERVE_TALK_H
#define MTA_RELAY_SERVE_TALK_H

#include "mta-relay/events/events.h"
#include "smtp/server.h"

enum {
	TALK_VERBS = 18,
	TALK_PATH = 320
};
struct talk_count {
	const char *verb;
	unsigned ok, all;
};
struct serve_talk {
	unsigned port;
	struct talk_count count[TALK_VERBS];
	size_t verbs;
	const char *last;  /* the last verb */
	const char *check; /* who refused it, NULL: the engine */
	bool told;         /* the refusal in hand is logged */
	bool quit;         /* the client took its leave, or we sent it away */
	unsigned messages, refused;
	int64_t began; /* microseconds */
	char from[TALK_PATH], mech[32];
};

/* Fills in what is known of the conversation. */
void talk_fill(const struct smtp_session *x, const struct serve_talk *t, struct event *e);
void talk_begin(struct serve_talk *t, const struct smtp_session *x);
/* An op refused: at this stage, about this recipient ("" for none). */
void talk_refused(struct serve_talk *t, const struct smtp_session *x, const char *stage, struct span rcpt,
    const struct smtp_answer *a);
/* After each command. */
void talk_command(struct serve_talk *t, const struct smtp_session *x, const struct smtp_command *c);
void talk_end(struct serve_talk *t, const struct smtp_session *x, const struct err *err);

#endif
