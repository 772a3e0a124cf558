/* SPDX-License-Identifier: ISC
 *
 * TLS on a stream (OpenSSL 3; TLS 1.2 and 1.3; RFC 8314, 8996, 9325). A tls_ctx holds certificates and policy, is made
 * once per process or destination and outlives its streams. Only this module and lib/sasl's channel binding know of
 * OpenSSL.
 */
#ifndef WP_IO_TLS_H
#define WP_IO_TLS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/opts.h"
#include "io/stream.h"

struct tls_ctx;

/* What servers let their administrator say beyond one certificate and its key. */
struct tls_server_settings {
	struct opt_list sni; /* "NAME=CERT[,KEY]": for clients that ask for NAME, also "*.example.org" */
	int min;             /* the oldest version: 0 TLS 1.2, 1 TLS 1.3 */
};
extern const struct opt tls_server_options[];

struct tls_server_config {
	const char *cert_file;      /* PEM, leaf first, chain after; may hold the key too */
	const char *key_file;       /* NULL: in cert_file */
	const char *client_ca_file; /* ask clients for a certificate, and verify it by these; NULL: no authorities */
	bool ask_client;            /* ask also without client_ca_file. Whatever is shown, the conversation goes on */
	const char *const *alpn;    /* "imap", "pop3" (RFC 7301); NULL-terminated; NULL: none */
	const struct tls_server_settings *more; /* outlives the context; NULL: nothing more */
};
enum tls_verify {
	TLS_VERIFY_NONE, /* opportunistic: any certificate will do */
	TLS_VERIFY_NAME, /* chain and host name (RFC 6125, 7817) */
};
struct tls_client_config {
	enum tls_verify verify;
	const char *ca_file;              /* NULL: the system's trust store */
	const char *cert_file, *key_file; /* client certificate, or NULL */
	const char *const *alpn;
	/* Instead of chain and name: "[SHA256:]HEX[,...]", hex pairs with or without ':', each the SHA-256 of the leaf
	 * certificate or of its public key (SubjectPublicKeyInfo); one of them must match. */
	const char *fingerprint;
	bool sessions; /* keep the servers' tickets: tls_connect_again resumes with them */
};
/* Is the text one for `fingerprint`? -1 with ERR_USAGE. */
int tls_fingerprint_check(const char *text, struct err *err);

struct tls_ctx *tls_server_new(const struct tls_server_config *c, struct err *err);
struct tls_ctx *tls_client_new(const struct tls_client_config *c, struct err *err);
void tls_ctx_free(struct tls_ctx *ctx);
/* Reads the files again if they have changed; keeps all old certificates and returns -1 when a new one is bad.
 * Conversations go on with what they began with. */
int tls_server_reload(struct tls_ctx *ctx, struct err *err);
/* For the parent of a server's workers, every few seconds (now: ms of a clock that only goes forward). Makes new keys
 * for session tickets when it is time; processes that were forked after tls_server_new share them. True when the files
 * are others than those in use, and rest since the last call: time for tls_server_reload, and for new workers. */
bool tls_server_tend(struct tls_ctx *ctx, int64_t now);

/* Handshake, then all of the stream's bytes go through TLS. -1: the stream must be closed. host is for SNI and
 * verification; an IP address is verified as one and not sent as SNI. */
int tls_accept(struct stream *s, struct tls_ctx *ctx, struct err *err);
int tls_connect(struct stream *s, struct tls_ctx *ctx, const char *host, struct err *err);
/* The same; resumes the session of an earlier connection of this context to the same host and `server` (any text: its
 * address and port), and keeps this one's for the next. What the context demands of a certificate was checked when the
 * session began, an hour ago at most, and a fingerprint is compared again: a session never passes from one context to
 * another. */
int tls_connect_again(struct stream *s, struct tls_ctx *ctx, const char *host, const char *server, struct err *err);
/* All failures are ERR_TEMP (mail waits for a certificate to be mended) but a plaintext injection, which is
 * ERR_PROTO. After a failed handshake nothing more is sent. The engines trace. */

/* tls_connect with DANE for SMTP (RFC 7672) instead of the context's verification: usages DANE-TA(2) and DANE-EE(3).
 * With records but no usable one the handshake goes on unauthenticated (7672 2.2), usable is false then. */
struct tls_tlsa {
	uint8_t usage, selector, matching;
	struct span data;
};
struct tls_dane {
	const struct tls_tlsa *rr;
	size_t n;
	const char *next_name; /* another name a DANE-TA certificate may bear: the next-hop domain; NULL: none */
	bool usable;           /* out */
};
int tls_connect_dane(struct stream *s, struct tls_ctx *ctx, const char *host, struct tls_dane *dane, struct err *err);

struct tls_info {
	const char *version; /* "TLSv1.3" */
	const char *cipher;  /* "TLS_AES_256_GCM_SHA384" */
	int bits;
	bool verified; /* the peer's certificate was verified as asked */
	bool resumed;
	const char *peer_name; /* subject CN or first SAN of the peer's certificate, "" if none */
	/* The certificate's subject CN and issuer CN, its first rfc822Name; its SHA-256 and that of its
	 * SubjectPublicKeyInfo in hexadecimal; "" if none. */
	const char *peer_cn, *peer_issuer, *peer_email, *peer_fingerprint, *peer_key;
	const char *sni;
	const char *alpn;
};
/* NULL when the stream has no TLS. Valid as long as the stream. */
const struct tls_info *stream_tls(const struct stream *s);
/* Channel binding for SCRAM-PLUS: tls-exporter (RFC 9266), 32 bytes. -1 without TLS 1.3 (or 1.2 with extended
 * master secret). */
int tls_exporter(const struct stream *s, unsigned char out[32]);
/* tls-server-end-point (RFC 5929 4): hash of the server's certificate; returns its length or -1. */
int tls_server_end_point(const struct stream *s, unsigned char out[64]);

#endif
