/* SPDX-License-Identifier: ISC
 *
 * The client side of IMAP (RFC 3501, 9051), as much as retrieving needs: greeting, STARTTLS, authentication, SELECT,
 * listing, FETCH of whole messages, deleting, IDLE. Messages are streamed to the caller, never held in memory; all else
 * that a server says is bounded. A server that speaks out of turn is an error (ERR_PROTO).
 *
 * After any -1 but a refused command (imap_client_alive tells) only imap_client_close is of use.
 */
#ifndef WP_IMAP_CLIENT_H
#define WP_IMAP_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "io/stream.h"
#include "io/tls/tls.h"
#include "sasl/sasl.h"

enum imap_tls {
	IMAP_TLS_IMPLICIT, /* before the greeting */
	IMAP_TLS_REQUIRE,  /* STARTTLS, or nothing is said that matters */
	IMAP_TLS_TRY,
	IMAP_TLS_NEVER
};
struct imap_client_config {
	enum imap_tls policy;
	struct tls_ctx *tls; /* needed unless IMAP_TLS_NEVER */
	const char *host;    /* for SNI and the certificate */
	const struct sasl_client_config *auth;
};
struct imap_client;

/* Owns s from here, also on failure. NULL with err: ERR_ACCESS for failed authentication. */
struct imap_client *imap_client_open(struct stream *s, const struct imap_client_config *c, struct err *err);
/* LOGOUT when polite and possible, then close. NULL is fine. */
void imap_client_close(struct imap_client *c, bool polite);
bool imap_client_alive(const struct imap_client *c);
/* Is it among the server's capabilities, "UIDPLUS"? */
bool imap_client_has(const struct imap_client *c, const char *capability);

struct imap_mailbox {
	uint32_t uidvalidity, uidnext, exists; /* uidnext 0 when not told */
};
/* mailbox in the server's encoding (modified UTF-7). ERR_PERM when it can't be selected. */
int imap_client_select(
    struct imap_client *c, struct span mailbox, bool read_only, struct imap_mailbox *out, struct err *err);

struct imap_item {
	uint32_t uid;
	uint64_t size; /* RFC822.SIZE */
};
struct imap_items {
	struct imap_item *v; /* by rising UID; free() */
	size_t n;
};
/* All messages with a UID of at least `from`. */
int imap_client_list(struct imap_client *c, uint32_t from, struct imap_items *out, struct err *err);

enum {
	IMAP_SEEN = 1,
	IMAP_ANSWERED = 2,
	IMAP_FLAGGED = 4,
	IMAP_DELETED = 8,
	IMAP_DRAFT = 16
};
struct imap_fetched {
	uint32_t uid;
	unsigned flags;
	int64_t date; /* INTERNALDATE as Unix time, 0 when not told */
};
/* Where messages go, one after the other: begin, data..., and end when all of it came and the server said whose it is;
 * or abort. A result other than 0 ends the session, with err set by the sink. */
struct imap_sink {
	int (*begin)(void *arg, uint64_t size, struct err *err);
	int (*data)(void *arg, struct span piece, struct err *err);
	int (*end)(void *arg, const struct imap_fetched *m, struct err *err);
	void (*abort)(void *arg);
	void *arg;
};
/* Messages that are gone meanwhile are passed over. uids rise. */
int imap_client_fetch(
    struct imap_client *c, const uint32_t *uids, size_t n, const struct imap_sink *sink, struct err *err);
/* Marks them deleted, and expunges just them where the server has UIDPLUS; *expunged tells. */
int imap_client_delete(struct imap_client *c, const uint32_t *uids, size_t n, bool *expunged, struct err *err);
/* Waits until the mailbox grows (1), ms have passed (0), or -1. By IDLE (RFC 2177) where offered, otherwise by NOOP
 * after poll_ms. */
int imap_client_idle(struct imap_client *c, int64_t ms, int64_t poll_ms, struct err *err);

#endif
