/* SPDX-License-Identifier: ISC
 *
 * The insides of the SMTP client: client.c opens and closes, client_auth.c authenticates, client_txn.c sends,
 * client_mail.c has what MAIL and RCPT say.
 */
#ifndef WP_SMTP_CLIENT_INT_H
#define WP_SMTP_CLIENT_INT_H

#include "base/limits.h"
#include "smtp/client.h"

struct smtp_client {
	struct stream *s;
	struct smtp_client_config config;
	struct smtp_reply reply; /* the last one read */
	int64_t end;             /* of all waiting, ms of CLOCK_MONOTONIC; 0: none */
	unsigned exts;
	uint64_t max_size;
	unsigned forwards;                       /* XFORWARD's attributes, bits of client_forwards */
	unsigned rcpt_max, mail_max, domain_max; /* RFC 9422 LIMITS, 0: none told */
	int64_t by_min;                          /* DELIVERBY's least time for mode R */
	char server[LIMIT_DOMAIN + 1];           /* its own name, as EHLO is answered */
	struct buf mechs;                        /* AUTH's mechanisms, blank-separated */
	bool authenticated;
	bool alive;      /* replies and commands are still in step */
	bool unfinished; /* a transaction was left open: RSET before the next */
};

/* Writes one line, tracing it. secret: all of it. */
void client_say(struct smtp_client *c, struct span line, bool secret);
/* Reads one reply into c->reply within ms. -1 with err when the connection broke or the reply is malformed. A 421 ends
 * the session's life but is a reply like others here. */
int client_hear(struct smtp_client *c, bool secret, int64_t ms, struct err *err);
/* Says a command and hears its reply. */
int client_command(struct smtp_client *c, struct span line, int64_t ms, struct err *err);
/* The server must be silent now. -1 with err when it spoke out of turn or went away. */
int client_quiet(struct smtp_client *c, struct err *err);

static inline bool client_positive(const struct smtp_client *c)
{
	return c->reply.code / 100 == 2;
}

/* XFORWARD's line of EHLO. */
unsigned client_forwards(struct span attributes);

/* How long to wait where RFC 5321 4.5.3.2 says ms. */
int64_t client_patience(const struct smtp_client *c, int64_t ms);

/* May the path stand between '<' and '>'? */
bool client_path_ok(const char *path, bool utf8);
/* RSET where a transaction was left open. */
int client_clean_up(struct smtp_client *c, struct err *err);
/* Is there nothing in them that could end a path, a parameter or the line? */
bool client_sender_ok(const struct smtp_message *m);
bool client_rcpt_ok(const struct smtp_message *m, const struct smtp_rcpt *r);
/* What the server would refuse, or would break: -1 with err. */
int client_check_extensions(const struct smtp_client *c, const struct smtp_message *m, struct err *err);
void client_mail_line(const struct smtp_client *c, const struct smtp_message *m, bool prdr, struct buf *line);
void client_rcpt_line(
    const struct smtp_client *c, const struct smtp_message *m, const struct smtp_rcpt *r, struct buf *line);

int client_auth(struct smtp_client *c, struct err *err);

#endif
