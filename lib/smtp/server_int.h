/* SPDX-License-Identifier: ISC
 *
 * The server engine's inside: what its files share. server.c has the table of commands and the loop, server_reply.c
 * what goes to the client, server_mail.c the envelope, server_data.c the content, server_auth.c STARTTLS and AUTH.
 */
#ifndef WP_SMTP_SERVER_INT_H
#define WP_SMTP_SERVER_INT_H

#include "smtp/dot_decode.h"
#include "smtp/server.h"

enum server_state {
	ST_NEW,   /* connected, or TLS just begun: who is it? */
	ST_READY, /* greeted, no transaction */
	ST_MAIL,  /* sender given */
	ST_RCPT,  /* at least one recipient accepted */
	ST_BDAT,  /* some of the content was given */
};
#define IN(state) (1u << (state))

/* The content's form, counted as it comes. Lines are counted with their CRLF. */
struct content_shape {
	bool in_header;
	uint64_t line, header, longest; /* longest: exact only for what is above the limit */
};
void content_shape_init(struct content_shape *c);
void content_shape_add(struct content_shape *c, struct span piece, uint64_t max_line);

enum {
	STRESS_COMMANDS = 6 /* so many commands' times under stress without a message, and the client has to go */
};

struct server {
	const struct smtp_server_config *c;
	const struct smtp_server_ops *ops;
	struct smtp_session *x;
	enum server_state state;
	struct arena *session, *txn;
	size_t rcpt_cap;
	bool rcpt_refused; /* some recipient of this transaction was */
	bool prdr;         /* MAIL asked for it */
	unsigned errors, junk, auth_tries;
	struct xclient xclient;     /* all that was told so far */
	bool introduced;            /* XCLIENT was said, */
	bool handed_over;           /* and EHLO after it: the conversation is the client's */
	unsigned put_off;           /* recipients that were told to come back */
	bool closing;               /* the conversation ends after this command */
	bool in_auth;               /* lines are a mechanism's messages */
	bool utf8_reply;            /* this VRFY or EXPN may be answered in UTF-8 */
	int last_code;              /* of the command in hand */
	struct smtp_answer refusal; /* the last one's words */
	struct err *err;
	/* The content being received */
	struct dot_decoder dot;
	struct content_shape shape;
	uint64_t content;  /* bytes so far */
	bool chunk_failed; /* ops->chunk said so */
	bool started;      /* ops->data was called */
	unsigned head;     /* where in the header of a binary message, server_data.c's */
	/* ms, server_clock.c's: when it all began, the transaction did, and the last message was taken */
	int64_t began, txn_began, progress;
};

/* server.c */
/* The one way back to idle: forgets the transaction, tells the ops. */
void server_reset(struct server *sv);
void server_enter(struct server *sv, enum server_state state);
/* 220, or the refusal to talk. */
void server_greet(struct server *sv);
/* A line of the client's; false when none came (closing then) or after the reply that it is a bad one. One of an AUTH
 * exchange is told apart (RFC 4954 4). */
bool server_line(struct server *sv, struct line *line);

/* server_clock.c */
void server_clock_begin(struct server *sv);
void server_clock_transaction(struct server *sv);
void server_clock_message(struct server *sv);
/* How long the client may take for what is no content. */
void server_command_clock(struct server *sv);
/* For the line that comes now. */
void server_line_clock(struct server *sv);
/* For content, and back. */
void server_data_clock(struct server *sv, bool on);
/* Why the client has to go, NULL when he may stay. */
const char *server_overstayed(const struct server *sv);

/* server_reply.c */
/* "code enh text"; enh NULL or "" for none. Text may have several lines. Sets last_code. */
void server_reply(struct server *sv, int code, const char *enh, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* One line, more of the same reply follow. */
void server_more(struct server *sv, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* A line for each of the text, the last of them ends the reply. */
void server_lines(struct server *sv, int code, const char *enh, struct span lines);
/* An op's answer. */
void server_answer(struct server *sv, const struct smtp_answer *a);
/* An err with code and enh. */
void server_err(struct server *sv, const struct err *err);
/* Traces what became of a step: ev with the result by the code. */
void server_event(const char *ev, int code, const char *why);
/* The same of an address: "<address>: why". */
void server_event_about(const char *ev, int code, struct span address, const char *why);

/* server_mail.c */
void cmd_mail(struct server *sv, struct span arg);
void cmd_rcpt(struct server *sv, struct span arg);

/* server_ask.c */
void cmd_vrfy(struct server *sv, struct span arg);
void cmd_expn(struct server *sv, struct span arg);
void cmd_etrn(struct server *sv, struct span arg);

/* server_data.c */
void cmd_data(struct server *sv, struct span arg);
void cmd_bdat(struct server *sv, struct span arg);
/* Reads and drops the bytes of a BDAT that is refused. */
void server_skip_bdat(struct server *sv, struct span arg);

/* server_xclient.c */
void cmd_xclient(struct server *sv, struct span arg);
void cmd_xforward(struct server *sv, struct span arg);
bool server_may_xclient(const struct server *sv);
bool server_may_xforward(const struct server *sv);

/* server_auth.c, which nothing else names: the functions of STARTTLS are called where config's tls is, those of AUTH
 * where ops' sasl is. */
struct smtp_server_security {
	/* Handshake, then everything learnt in the clear is forgotten. */
	int (*begin_tls)(struct server *sv);
	void (*starttls)(struct server *sv);
	void (*authenticate)(struct server *sv, struct span arg);
	/* Mechanisms offered now, into b; empty for none. */
	void (*mechs)(const struct server *sv, struct buf *b);
};

#endif
