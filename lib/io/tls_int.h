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
	TLS_PIN_LEN = 32
};

struct tls_ctx {
	SSL_CTX *ssl;
	enum tls_verify verify;
	bool has_pin;
	unsigned char pin[TLS_PIN_LEN]; /* SHA-256 of the leaf */
	/* A server's files, to read them again. */
	char *cert_file, *key_file, *client_ca_file;
	struct stat seen[3];
	int64_t looked;      /* when, in ms */
	unsigned char *alpn; /* in wire form: lengths and names */
	unsigned alpn_len;
};

/* tls_server_reload, but not more often than makes sense; errors are told by the trace. */
void tls_server_refresh(struct tls_ctx *ctx, int64_t now);

/* OpenSSL's oldest queued error as a short text, "" when there is none. Clears the queue. */
const char *tls_queue_text(void);

#endif
