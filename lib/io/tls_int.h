/* SPDX-License-Identifier: ISC
 *
 * Inside of TLS, shared by tls.c (handshake and layer) and tls_ctx.c (certificates and policy).
 */
#ifndef WP_IO_TLS_INT_H
#define WP_IO_TLS_INT_H

#include <openssl/ssl.h>
#include <sys/stat.h>

#include "io/tls.h"

enum {
	TLS_PIN_LEN = 32,
	TLS_SESSIONS = 64,      /* kept by one context */
	TLS_SESSION_KEY = 512,  /* host and server, as text */
	TLS_SESSION_AGE = 3600, /* seconds: a certificate may expire or be revoked */
};

struct tls_session {
	char key[TLS_SESSION_KEY];
	SSL_SESSION *session;
	int64_t used; /* the order of their keeping */
};
struct tls_ctx {
	SSL_CTX *ssl;
	enum tls_verify verify;
	unsigned char (*pin)[TLS_PIN_LEN]; /* SHA-256 of a leaf or of its public key */
	size_t n_pin;
	struct tls_session *session; /* TLS_SESSIONS of them, NULL: none are kept */
	int64_t kept;
	/* A server's files, to read them again. */
	char *cert_file, *key_file, *client_ca_file;
	bool ask_client;
	struct stat seen[3];
	int64_t looked;      /* when, in ms */
	unsigned char *alpn; /* in wire form: lengths and names */
	unsigned alpn_len;
};

/* tls_server_reload, but not more often than makes sense; errors are told by the trace. */
void tls_server_refresh(struct tls_ctx *ctx, int64_t now);

/* "[SHA256:]HEX[,...]" into ctx->pin. */
int tls_pin_parse(struct tls_ctx *ctx, const char *text, struct err *err);
/* Does one match? hex: the certificate's own. */
bool tls_pin_match(const struct tls_ctx *ctx, const X509 *cert, char hex[3 * TLS_PIN_LEN + 1]);

/* A client's sessions. The key of a connection is its SSL's app data: a char[TLS_SESSION_KEY], "" for none. */
void tls_sessions_init(struct tls_ctx *ctx);
void tls_sessions_free(struct tls_ctx *ctx);
/* Takes it out: the caller has the reference. NULL when there is none. */
SSL_SESSION *tls_sessions_take(struct tls_ctx *ctx, const char *key);
/* Gives the reference away; the oldest makes room. */
void tls_sessions_keep(struct tls_ctx *ctx, const char *key, SSL_SESSION *session);

/* OpenSSL's oldest queued error as a short text, "" when there is none. Clears the queue. */
const char *tls_queue_text(void);

#endif
