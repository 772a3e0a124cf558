/* SPDX-License-Identifier: ISC
 *
 * The client side of POP3 (RFC 1939, 2449, 2595, 5034): greeting, STLS, authentication, UIDL and LIST, RETR (pipelined
 * where offered), DELE, QUIT. Messages are streamed to the caller, never held in memory; all else that a server says is
 * bounded.
 *
 * After a -1 that leaves the session broken (pop3_client_alive tells) only pop3_client_close is of use.
 */
#ifndef WP_POP3_CLIENT_H
#define WP_POP3_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "io/stream.h"
#include "io/tls/tls.h"
#include "sasl/sasl.h"

enum pop3_tls {
	POP3_TLS_IMPLICIT, /* before the greeting */
	POP3_TLS_REQUIRE,  /* STLS, or nothing is said that matters */
	POP3_TLS_TRY,
	POP3_TLS_NEVER
};
struct pop3_client_config {
	enum pop3_tls policy;
	struct tls_ctx *tls; /* needed unless POP3_TLS_NEVER */
	const char *host;    /* for SNI and the certificate */
	const struct sasl_client_config *auth;
};
struct pop3_client;

/* Owns s from here, also on failure. NULL with err: ERR_ACCESS for failed authentication, ERR_TEMP when the mailbox is
 * in use. err must not be NULL here and below. */
struct pop3_client *pop3_client_open(struct stream *s, const struct pop3_client_config *c, struct err *err);
/* Closes without QUIT: nothing that was marked is deleted. NULL is fine. */
void pop3_client_close(struct pop3_client *c);
bool pop3_client_alive(const struct pop3_client *c);

enum {
	POP3_UIDL_MAX = 70 /* RFC 1939 7 */
};
struct pop3_item {
	uint32_t number;
	char uidl[POP3_UIDL_MAX + 1]; /* "" when the server has no UIDL */
	uint64_t size;
};
struct pop3_items {
	struct pop3_item *v; /* by rising number; free() */
	size_t n;
	bool has_uidl;
};
int pop3_client_list(struct pop3_client *c, struct pop3_items *out, struct err *err);

/* Where messages go, one after the other: begin, data (CRLF line ends, dots removed)..., end; or abort. A result other
 * than 0 ends the session, with err set by the sink. `gone` instead: the server refused this one. */
struct pop3_sink {
	int (*begin)(void *arg, const struct pop3_item *item, struct err *err);
	int (*data)(void *arg, struct span piece, struct err *err);
	int (*end)(void *arg, const struct pop3_item *item, struct err *err);
	void (*abort)(void *arg);
	void (*gone)(void *arg, const struct pop3_item *item, const struct err *why);
	void *arg;
};
int pop3_client_retr(struct pop3_client *c, const struct pop3_item *const *items, size_t n,
    const struct pop3_sink *sink, struct err *err);
/* Marked now, deleted at QUIT. */
int pop3_client_dele(struct pop3_client *c, uint32_t number, struct err *err);
/* The marked ones are gone from 0 on. Closes and frees c in any case. */
int pop3_client_quit(struct pop3_client *c, struct err *err);

#endif
