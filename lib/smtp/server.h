/* SPDX-License-Identifier: ISC
 *
 * The server side of SMTP and LMTP (RFC 5321, 2033, 6409): the conversation's grammar, states and replies, over any
 * stream. What is accepted is decided by the functions of smtp_server_ops: mta-relay's in roles mta and msa,
 * mda-deliver's for LMTP. One transaction has one arena; every way back to idle (RSET, end of DATA, EHLO, STARTTLS,
 * each refusal) goes through one reset, which calls ops->reset.
 */
#ifndef WP_SMTP_SERVER_H
#define WP_SMTP_SERVER_H

#include <signal.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "io/stream.h"
#include "io/tls/tls.h"
#include "msg/addr.h"
#include "sasl/sasl.h"
#include "smtp/when.h"
#include "smtp/xclient.h"

/* A reply that an op gives. code 0 means "all is well": the engine says its usual words. */
struct smtp_answer {
	int code;
	char enh[12];
	char text[400];
	bool close; /* 421 or policy: end the conversation after it */
	bool whole; /* with PRDR, in answers[0]: for the message, no recipient has an answer of his own */
};
void smtp_answer(struct smtp_answer *a, int code, const char *enh, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

struct smtp_env_rcpt {
	struct addr addr;
	struct span text;          /* "local@domain" as given, without <> */
	struct span notify, orcpt; /* "" when absent; orcpt still xtext */
	void *op;                  /* the ops' own */
};
struct smtp_env {
	struct arena *arena; /* the transaction's */
	struct span from;    /* reverse-path without <>, "" for the null one */
	struct addr from_addr;
	struct span ret, envid; /* DSN */
	struct span auth;       /* RFC 4954 5, a mailbox, decoded: as claimed; "" for <> or what is none */
	bool utf8, eightbit, binary, requiretls;
	bool has_priority;
	int priority;                  /* RFC 6710; 0 when nothing else was asked for, or allowed */
	int64_t hold_until;            /* RFC 4865, seconds since 1970; 0: not to be held */
	const char *hold;              /* "for;60", "until;2026-11-30T08:00:00Z": as it was asked for */
	struct smtp_by by;             /* RFC 2852; mode 0: none */
	int64_t by_time;               /* seconds since 1970 */
	bool prdr;                     /* asked for, and there is more than one recipient: each is answered for */
	uint64_t size;                 /* declared, 0 when not */
	const struct xclient *forward; /* whose message it is, by XFORWARD; NULL: not told */
	struct smtp_env_rcpt *rcpt;
	size_t n_rcpt;
};
struct smtp_session {
	struct stream *s;
	struct span helo;
	bool esmtp, lmtp, tls;
	struct span user;    /* authenticated as, "" */
	struct span claimed; /* whom the last AUTH that failed wanted to be: any bytes; "" when it did not get so far */
	const char *peer_ip; /* "192.0.2.1" or "local" */
	const char *peer_name; /* verified reverse name, "" */
	struct smtp_env env;
	void *arg;        /* the ops' */
	const char *peer; /* as events name it, \"192.0.2.1:40312\"; NULL: peer_ip */
};

/* A command that was answered, for logs and counts. */
struct smtp_command {
	const char *verb;   /* "RCPT"; "UNKNOWN" for what is none, "CONNECT" when the greeting refused */
	struct span line;   /* as it came, cut at SMTP_COMMAND_SAID bytes; "" where it may hold a secret */
	int code;           /* of the last reply to it; 354 when the content broke off */
	const char *enh;    /* of a refusal, else "" */
	const char *answer; /* its text, the same */
};
enum {
	SMTP_COMMAND_SAID = 400
};

struct smtp_server_ops {
	/* Each fills the answer to refuse; leaves code 0 to accept. NULL functions accept. */
	void (*connect)(struct smtp_session *x, struct smtp_answer *a);
	void (*helo)(struct smtp_session *x, struct smtp_answer *a);
	void (*mail)(struct smtp_session *x, struct smtp_answer *a);
	/* r is the row being added; it is kept if accepted. */
	void (*rcpt)(struct smtp_session *x, struct smtp_env_rcpt *r, struct smtp_answer *a);
	/* Before 354 (or the first BDAT): open the tmp file, start the MDA. */
	void (*data)(struct smtp_session *x, struct smtp_answer *a);
	/* Content, dots removed, CRLF line ends (with env.binary: of the header), in pieces. -1: keep reading, but the
	 * message fails with what done then answers. */
	int (*chunk)(struct smtp_session *x, struct span piece);
	/* What of bare CR, bare LF and NUL in the content (enum dot_bad) is mended and not refused: asked before it
	 * begins. NULL: nothing. */
	unsigned (*mend)(struct smtp_session *x);
	/* The end. SMTP: answers[0]. LMTP: one per accepted recipient. An unset answer is 250. With env.prdr the same
	 * as LMTP, and answers[n] for the message: unset, it follows from the others. */
	void (*done)(struct smtp_session *x, struct smtp_answer *answers, size_t n);
	void (*reset)(struct smtp_session *x);
	/* Unset: 252, neither yes nor no. */
	void (*vrfy)(struct smtp_session *x, struct span what, struct smtp_answer *a);
	/* A line for each address, or the answer that refuses; NULL: 502. */
	void (*expn)(struct smtp_session *x, struct span what, struct buf *lines, struct smtp_answer *a);
	/* RFC 1985, with the reply; NULL: not offered. */
	void (*etrn)(struct smtp_session *x, struct span node, struct smtp_answer *a);
	const struct sasl_server_ops *sasl; /* NULL: no AUTH offered; its arg is x->arg */
	/* AUTH is about to begin: may this client try? */
	void (*auth)(struct smtp_session *x, struct span mech, struct smtp_answer *a);
	/* A proxy tells whose the conversation is: takes over peer_ip, peer_name and peer (kept by the ops); helo and
	 * user are taken by the engine. The greeting follows, with `connect` before it. NULL: not to be had. */
	void (*xclient)(struct smtp_session *x, const struct xclient *c, struct smtp_answer *a);
	/* An authentication ended; why is NULL when it went well. Also of one that the client broke off after it was
	 * refused. For logging and counting; NULL: not told. */
	void (*authenticated)(struct smtp_session *x, struct span mech, const struct err *why);
	/* After each command's reply, also when the engine alone refused it. NULL: not told. */
	void (*command)(struct smtp_session *x, const struct smtp_command *c);
};
/* STARTTLS and AUTH. Who offers neither is linked without them, and without OpenSSL, whose start costs a short-lived
 * process more than all it does. */
extern const struct smtp_server_security smtp_server_security;
struct smtp_server_config {
	const struct smtp_server_security *security; /* NULL: no STARTTLS, no AUTH, whatever tls and sasl say */
	bool lmtp;
	const char *hostname; /* greeting and replies */
	const char *banner;   /* after the host name, "ESMTP" by default */
	struct tls_ctx *tls;  /* NULL: no STARTTLS */
	bool implicit_tls;
	bool require_tls, require_auth, auth_without_tls;
	bool xclient, xforward; /* this client may say so */
	bool prdr;              /* offered (SMTP only); done knows env.prdr */
	bool binary;     /* BINARYMIME offered; chunk then gets any bytes after the header when env.binary is set */
	bool requiretls; /* offered under TLS (RFC 8689) */
	bool deliver_by; /* offered (RFC 2852) */
	bool priority;   /* offered (RFC 6710) */
	bool priority_trusted; /* who did not authenticate may raise it, too */
	int64_t hold_max;      /* seconds; FUTURERELEASE is offered (RFC 4865); 0: it is not */
	uint64_t max_size;
	unsigned max_rcpt;
	unsigned max_errors, max_commands_junk; /* 0: limits.h */
	bool bare_lf_ok;                        /* the stream is a terminal or pipe: lines may end with LF */
	int64_t timeout_ms, data_timeout_ms;    /* 0: RFC 5321 4.5.3.2's */
	/* Bytes of content a second at least, on average after the grace. 0: limits.h. */
	unsigned data_rate;
	int64_t data_grace_ms;
	/* From MAIL to the end of the content; of the conversation, after which no transaction begins. 0: no limit. */
	int64_t transaction_ms, session_ms;
	/* While others wait for a free process (io/stream.h, stream_is_stressed): for a command, and the grace for
	 * content, of which LIMIT_SMTP_STRESS_RATE bytes a second must come then. 0: as ever. */
	int64_t stress_ms;
	/* Then, between two transactions: the client is to come back on a new connection. 0: stress_ms. */
	int64_t yield_ms;
	uint64_t max_header, max_line;         /* bytes of the content's header, of a line with its CRLF; 0: no limit */
	const volatile sig_atomic_t *stopping; /* 421 at the next command */
	/* Commands may come before the reply to EHLO, DATA and the like was read, content before 354 (RFC 2920 3.1
	 * forbids it). Implied by bare_lf_ok: what is piped in comes at once. */
	bool early_input_ok;
	/* After a refused DATA what came early may be content as well as commands: the conversation ends then. */
	bool data_is_last;
};
/* The whole conversation, with its trace events (trace_begin and trace_end, conn.open, lines, smtp.mail, smtp.rcpt,
 * accept, refuse). The caller fills s, peer_ip, peer_name and arg of x, and closes s afterwards. 0 when it ended with
 * QUIT or the peer's close, -1 with err otherwise. */
int smtp_server_run(
    const struct smtp_server_config *c, const struct smtp_server_ops *ops, struct smtp_session *x, struct err *err);

#endif
