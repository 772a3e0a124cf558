/* SPDX-License-Identifier: ISC
 *
 * What maa-serve's protocols have in common: the configuration, one conversation, and the way from a name and its
 * proof to an open store. An engine (imap.c, pop3.c) gets a session with a stream and a configuration, and drives
 * login through here; everything below session->arena lives as long as the conversation.
 */
#ifndef WP_MAA_SERVE_MAA_H
#define WP_MAA_SERVE_MAA_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"
#include "io/stream.h"
#include "io/tls/tls.h"
#include "sasl/settings.h"
#include "store/maildir.h"
#include "users/users.h"

struct broker;

struct maa_config {
	const char *hostname;
	struct tls_ctx *tls;       /* NULL: no STARTTLS */
	bool allow_plaintext;      /* passwords in the clear without TLS */
	struct users *users;       /* NULL: none */
	const char *checkpassword; /* NULL: none; see checkpassword.h */
	struct sasl_proofs proofs; /* tokens, certificates */
	struct span mail;          /* LOCATION, unless the user's row has its own */
	const char *preauth;       /* the user who is logged in from the start; NULL: nobody */
	const char *home;          /* of whom no users file tells; NULL: none */
	unsigned login_attempts;   /* refused logins before the conversation ends */
	int64_t login_delay_ms;    /* after a refused login; doubles with each one */
	int64_t idle_ms;           /* silence that ends the conversation; 0: the protocol's own */
	uint64_t max_size;         /* of a message appended */
	enum durable_mode durable;
	enum durability durability;
	const volatile sig_atomic_t *stopping; /* NULL: never */
	bool confined;                         /* maa_confine.h: one user's mail after login */
	struct broker *broker;                 /* NULL: we start commands ourselves */
	int check;                             /* the broker's index of checkpassword */
};

struct maa_session {
	const struct maa_config *c;
	struct stream *s;
	struct arena *arena;
	const char *peer; /* address, for the log */
	bool tls;
	struct user user; /* after login */
	struct maildir *store;
	unsigned refused;
	bool have_ids; /* user.uid and user.gid came from checkpassword */
	struct sasl_server_ops sasl;
};

/* s and peer are borrowed. maa_session_end closes the store and frees the arena, not the stream. */
void maa_session_begin(struct maa_session *x, const struct maa_config *c, struct stream *s, const char *peer);
void maa_session_end(struct maa_session *x);

/* May a password be sent over this stream? */
bool maa_plaintext_ok(const struct maa_session *x);
/* Names of the mechanisms offered here, blank-separated; nothing when nobody can log in. */
void maa_mechs(struct maa_session *x, struct buf *out);
/* NULL when the mechanism is not offered. */
struct sasl_server *maa_sasl_new(struct maa_session *x, struct span mech);

/* Name and password. 0 and the store is open, or -1: ERR_ACCESS wrong, ERR_TEMP try later. */
int maa_login(struct maa_session *x, struct span name, struct span password, struct err *err);
/* Somebody has proved to be `name`: finds the store, becomes its owner when running as root, opens it. */
int maa_enter(struct maa_session *x, struct span name, struct err *err);
/* Logs, traces and counts what became of a login. A refusal is delayed; true: the conversation must end. */
bool maa_login_result(struct maa_session *x, struct span name, const struct err *err);

int maa_starttls(struct maa_session *x, struct err *err);
bool maa_stopping(const struct maa_session *x);
/* Tells the trace that a message's content was handed out. */
void maa_trace_fetch(struct span content, uint32_t uid);

#endif
