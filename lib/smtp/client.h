/* SPDX-License-Identifier: ISC
 *
 * The client side of SMTP and LMTP (RFC 5321, 2033): one session over a connected stream, any number of transactions.
 * Used by mua-send, mta-relay run and serve (towards its MDA) and mra-fetch. PIPELINING where offered (RFC 2920). Every
 * reply is traced.
 */
#ifndef WP_SMTP_CLIENT_H
#define WP_SMTP_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "io/stream.h"
#include "io/tls/tls.h"
#include "sasl/sasl.h"
#include "smtp/reply.h"
#include "smtp/when.h"

enum smtp_ext {
	SMTP_PIPELINING = 1,
	SMTP_SIZE = 2,
	SMTP_8BITMIME = 4,
	SMTP_UTF8 = 8,
	SMTP_CHUNKING = 16,
	SMTP_BINARYMIME = 32,
	SMTP_DSN = 64,
	SMTP_STARTTLS = 128,
	SMTP_AUTH = 256,
	SMTP_ENHANCED = 512,
	SMTP_REQUIRETLS = 1024,
	SMTP_PRDR = 2048,
	SMTP_XCLIENT = 4096,
	SMTP_LIMITS = 8192,
	SMTP_DELIVERBY = 16384,
	SMTP_FUTURERELEASE = 32768,
	SMTP_MTPRIORITY = 65536,
	SMTP_XFORWARD = 131072,
};

enum starttls_policy {
	STARTTLS_REQUIRE,
	STARTTLS_TRY,
	STARTTLS_NEVER
};
struct smtp_client_config {
	bool lmtp;
	const char *helo; /* our name: host name or address literal */
	enum starttls_policy starttls;
	bool implicit_tls;                     /* TLS before the greeting */
	struct tls_ctx *tls;                   /* needed unless STARTTLS_NEVER */
	const char *host;                      /* for SNI and certificate names */
	const char *tls_server;                /* as tls_connect_again's server; NULL: no session is resumed */
	const struct sasl_client_config *auth; /* NULL: none */
	int64_t timeout;                       /* ms, instead of RFC 5321 4.5.3.2's where those are longer; 0: none */
	int64_t budget;                        /* ms for all of opening, see smtp_client_budget */
};
struct smtp_client;

/* Greeting, EHLO (HELO as fallback), STARTTLS and EHLO again, AUTH. Owns s from here, also on failure. NULL with err:
 * class TEMP or PERM by the reply, code and enh set; ERR_ACCESS for failed authentication; ERR_TEMP with enh "4.7.4"
 * when TLS is required and not offered, "4.7.5" when the handshake failed (with STARTTLS_TRY the caller may connect
 * anew with STARTTLS_NEVER); ERR_PROTO and ERR_LIMIT when the server breaks the protocol. */
struct smtp_client *smtp_client_open(struct stream *s, const struct smtp_client_config *c, struct err *err);
/* QUIT when polite, then close. NULL is fine. */
void smtp_client_close(struct smtp_client *c, bool polite);
/* The name that the server gave itself in its answer to EHLO or HELO. */
const char *smtp_client_server(const struct smtp_client *c);
unsigned smtp_client_exts(const struct smtp_client *c);
/* SIZE's limit, 0 when none is told. */
uint64_t smtp_client_max_size(const struct smtp_client *c);
/* RFC 9422: messages that one conversation may carry, domains that one message may go to; 0: as many as one likes. */
unsigned smtp_client_max_mail(const struct smtp_client *c);
unsigned smtp_client_max_domains(const struct smtp_client *c);
struct stream *smtp_client_stream(struct smtp_client *c);
/* All that follows, whatever it is, is over in ms from now: waiting for replies then ends with ETIMEDOUT. 0: as long as
 * each reply may take. */
void smtp_client_budget(struct smtp_client *c, int64_t ms);
/* Still usable for another transaction? */
bool smtp_client_alive(const struct smtp_client *c);

/* Whom a filter's client speaks for (Postfix's XFORWARD_README). Empty: not known. */
struct smtp_xforward {
	struct span name, addr, helo, proto, ident, source; /* source: "LOCAL" or "REMOTE" */
	unsigned port;
};
/* Tells it before a transaction, as far as the server offers to listen; nothing is said to one that does not. A refusal
 * changes nothing. -1 with err when the connection broke. */
int smtp_client_xforward(struct smtp_client *c, const struct smtp_xforward *x, struct err *err);

struct smtp_rcpt {
	const char *address; /* without <> */
	const char *notify;  /* DSN NOTIFY= value, NULL: none */
	const char *orcpt;   /* DSN ORCPT= value, xtext encoded, NULL: none */
	struct err result;   /* out: class NONE accepted and delivered; otherwise why not, with code and enh */
	char reply[256];     /* out: the deciding reply, one line */
	unsigned mark;       /* the caller's */
};
struct smtp_message {
	const char *from;        /* reverse-path without <>, "" for the null one */
	const char *ret, *envid; /* DSN, envid xtext encoded; NULL: none */
	/* Who submitted it, a mailbox; "": nobody knows. Told (RFC 4954 5) to a server that we have authenticated to.
	 * NULL: nothing is said, as by who submits it himself. */
	const char *auth;
	struct smtp_rcpt *rcpt;
	size_t n_rcpt;
	bool utf8;     /* addresses or header need SMTPUTF8 */
	bool eightbit; /* body has bytes above 127 */
	/* The content is binary MIME of exactly `size` bytes (RFC 3030 3): by BDAT, to who offers BINARYMIME and
	 * CHUNKING; for others the caller has re-encoded it, or gets 5.6.3 results before anything is sent. */
	bool binary;
	uint64_t size; /* 0 when unknown */
	/* The content is exactly `size` bytes, lines that all end with CRLF, without another CR or LF: it may go out as
	 * it is, in one BDAT chunk together with the envelope (RFC 3030 4.2), where CHUNKING and PIPELINING are
	 * offered. read is then called before anything was answered. */
	bool exact;
	bool requiretls;   /* RFC 8689: only to who offers it; what the conversation must be is the caller's */
	struct smtp_by by; /* RFC 2852; mode 0: none. 'R' only to who offers DELIVERBY for so short a time */
	bool has_priority;
	int priority;      /* RFC 6710, where it is offered */
	const char *hold;  /* RFC 4865: "HOLDFOR=60", "HOLDUNTIL=..."; only to who offers it; NULL */
	const char *extra; /* further MAIL parameters, blank-separated, only those the server offers; NULL */
	/* The content in pieces, any line ends (LF becomes CRLF), 1 with *out, 0 at the end, -1 with err. May be called
	 * from the start again after rewind. */
	int (*read)(void *arg, struct span *out, struct err *err);
	void *arg;
};
/* One transaction; with PRDR where that is offered and there are several recipients. 0: each recipient's result says
 * how it went; -1: err is the session's failure, and every recipient without a result of its own has it. Dot-stuffing,
 * or BDAT, done here; when 8BITMIME or SMTPUTF8 is lacking the caller has re-encoded, or gets 5.6.3 / 5.6.7 results
 * before anything is sent. */
/* Recipients beyond the server's LIMITS (RFC 9422) have 452 4.5.3 as their result: they are for another transaction. */
int smtp_client_send(struct smtp_client *c, struct smtp_message *m, struct err *err);

/* Would the server take mail for this recipient? MAIL and RCPT, no content. 0: result says, class ERR_NONE for yes;
 * -1: err is the session's failure, and nothing was said. */
struct smtp_question {
	const char *from, *rcpt; /* without <> */
	bool utf8;
	uint64_t size; /* 0 when unknown */
};
int smtp_client_ask(struct smtp_client *c, const struct smtp_question *q, struct err *result, struct err *err);

#endif
