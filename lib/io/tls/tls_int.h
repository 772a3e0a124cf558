/* SPDX-License-Identifier: ISC
 *
 * Inside of TLS, shared by tls.c (handshake and layer) and tls_ctx.c (certificates and policy).
 */
#ifndef WP_IO_TLS_INT_H
#define WP_IO_TLS_INT_H

#include <openssl/ssl.h>
#include <sys/stat.h>

#include "io/tls/tls.h"

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
/* A server's certificate. */
struct tls_cert {
	char *name; /* that clients ask for, "*.example.org"; NULL: the first one's, which all others get */
	char *cert_file, *key_file;
	SSL_CTX *ssl;
	struct stat seen[2];   /* of the files in use, or of those that could not be */
	struct stat looked[2]; /* when tls_server_tend looked last */
};
struct ticket_ring;
struct tls_ctx {
	SSL_CTX *ssl; /* a server's: that of its first certificate */
	enum tls_verify verify;
	unsigned char (*pin)[TLS_PIN_LEN]; /* SHA-256 of a leaf or of its public key */
	size_t n_pin;
	struct tls_session *session; /* TLS_SESSIONS of them, NULL: none are kept */
	int64_t kept;
	/* A server's */
	struct tls_cert *cert;
	size_t n_cert;
	struct tls_cert client_ca; /* cert_file only */
	bool ask_client;
	int min_version;
	struct ticket_ring *tickets;
	unsigned char *alpn; /* in wire form: lengths and names */
	unsigned alpn_len;
};

/* What both sides' contexts have in common. NULL with OpenSSL's error queued. */
SSL_CTX *tls_new_ssl_ctx(const SSL_METHOD *method);
/* key NULL: in the same file. */
int tls_load_cert(SSL_CTX *c, const char *cert, const char *key, struct err *err);
int tls_alpn_encode(struct tls_ctx *ctx, const char *const *names, struct err *err);
void tls_server_free(struct tls_ctx *ctx);

/* A server's session tickets: keys in memory that all processes share. */
struct ticket_ring *ticket_ring_new(struct err *err);
void ticket_ring_free(struct ticket_ring *r);
/* A new key when it is time. */
void ticket_ring_turn(struct ticket_ring *r, int64_t now);
/* Makes a context use it; its app data is the struct tls_ctx. */
void ticket_ring_use(SSL_CTX *c);

/* The SHA-256 of SubjectPublicKeyInfo (RFC 5280 4.1.2.7), as `openssl pkey -pubin -outform DER | openssl dgst`. */
bool tls_key_digest(const X509 *cert, unsigned char out[EVP_MAX_MD_SIZE]);
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
