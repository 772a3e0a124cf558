/* SPDX-License-Identifier: ISC
 *
 * Inside the POP3 server: the session and what its files call of each other. pop3.c owns the loop and the table,
 * pop3_auth.c what happens before login, pop3_trans.c the maildrop.
 */
#ifndef WP_MAA_SERVE_POP3_SESSION_H
#define WP_MAA_SERVE_POP3_SESSION_H

#include "maa.h"

enum pop3_state {
	POP3_AUTHORIZATION = 1,
	POP3_TRANSACTION = 2,
	POP3_ENDED = 4
};

struct pop3_msg {
	struct maildir_msg *m;
	bool deleted, seen;
};
struct pop3 {
	struct maa_session *x;
	struct stream *s;
	enum pop3_state state;
	struct span name; /* after USER */
	bool have_name;
	unsigned bad; /* commands that were none */
	struct maildir_folder *f;
	struct pop3_msg *msg; /* the snapshot; number i stands at msg[i - 1] */
	size_t n;
	bool sized; /* all sizes are known */
};

/* One reply line, with a printf'd text after +OK or -ERR. */
void pop3_ok(struct pop3 *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void pop3_err(struct pop3 *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void pop3_capa(struct pop3 *p, struct span arg);
void pop3_stls(struct pop3 *p, struct span arg);
void pop3_user(struct pop3 *p, struct span arg);
void pop3_pass(struct pop3 *p, struct span arg);
void pop3_auth(struct pop3 *p, struct span arg);
/* After login, also by --preauth: takes the snapshot and says +OK, or why not. */
void pop3_open(struct pop3 *p);

void pop3_stat(struct pop3 *p, struct span arg);
void pop3_list(struct pop3 *p, struct span arg);
void pop3_uidl(struct pop3 *p, struct span arg);
void pop3_retr(struct pop3 *p, struct span arg);
void pop3_top(struct pop3 *p, struct span arg);
void pop3_dele(struct pop3 *p, struct span arg);
void pop3_rset(struct pop3 *p, struct span arg);
/* QUIT in TRANSACTION: the UPDATE state (RFC 1939 6). */
void pop3_update(struct pop3 *p);
void pop3_release(struct pop3 *p);

#endif
