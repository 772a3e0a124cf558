/* SPDX-License-Identifier: ISC
 *
 * Inside of the POP3 client: client.c opens and ends a session, client_cmd.c lists, retrieves and deletes.
 */
#ifndef WP_POP3_CLIENT_INT_H
#define WP_POP3_CLIENT_INT_H

#include "base/buf.h"
#include "pop3/client.h"

enum {
	POP3_CAPS_MAX = 100,
	POP3_ITEMS_MAX = 1 << 20, /* messages in a mailbox that we list */
	POP3_WINDOW = 8,          /* RETR commands on their way (RFC 2449 6.6) */
};

struct pop3_client {
	struct stream *s;
	struct pop3_client_config config;
	struct buf mechs;
	bool alive, stls, pipelining, user;
	bool authenticating; /* challenges are part of a secret exchange */
};

/* Marks the session dead; err is set when what is given. Returns -1. */
int pop3_broken(struct pop3_client *c, struct err *err, const char *what);
int pop3_stream_broken(struct pop3_client *c, struct err *err);
int pop3_line(struct pop3_client *c, struct span *out, struct err *err);
void pop3_say(struct pop3_client *c, bool secret, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* +OK: 0 with what follows. -ERR: -1, the session lives. */
int pop3_reply(struct pop3_client *c, struct span *text, struct err *err);
/* After a refusal that does not matter: 0 and no error, or -1 when the session broke. */
int pop3_tolerate(const struct pop3_client *c, struct err *err);
int pop3_command(struct pop3_client *c, const char *command, struct err *err);
int pop3_listed(struct pop3_client *c, struct span *out, struct err *err);

#endif
