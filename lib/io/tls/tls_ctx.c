/* SPDX-License-Identifier: ISC
 *
 * TLS contexts: certificates, keys, trust and policy. TLS 1.2 is the oldest version (RFC 8996) and key exchange is
 * always ephemeral (RFC 9325 4.1).
 */
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "io/tls/tls_int.h"

static const char ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:ECDHE+AES:DHE+AES:!aNULL:!PSK:!SRP";

const char *tls_queue_text(void)
{
	unsigned long e = ERR_get_error();
	const char *text = e ? ERR_reason_error_string(e) : "";
	if (e && ERR_SYSTEM_ERROR(e))
		text = strerror(ERR_GET_REASON(e));
	ERR_clear_error();
	return text ? text : "unknown error";
}

/* An encrypted key must not make a server ask on its terminal. */
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)arg;
	return 0;
}

SSL_CTX *tls_new_ssl_ctx(const SSL_METHOD *method)
{
	SSL_CTX *c = SSL_CTX_new(method);
	if (!c)
		return NULL;
	SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
	SSL_CTX_set_cipher_list(c, ciphers);
	/* Mail's protocols tell the end of a message themselves; many peers close without close_notify. */
	SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_default_passwd_cb(c, no_passphrase);
	return c;
}

int tls_load_cert(SSL_CTX *c, const char *cert, const char *key, struct err *err)
{
	if (!key)
		key = cert;
	if (SSL_CTX_use_certificate_chain_file(c, cert) != 1)
		return err_set(err, ERR_CONFIG, "certificate %s: %s", cert, tls_queue_text());
	if (SSL_CTX_use_PrivateKey_file(c, key, SSL_FILETYPE_PEM) != 1)
		return err_set(err, ERR_CONFIG, "key %s: %s", key, tls_queue_text());
	if (SSL_CTX_check_private_key(c) != 1)
		return err_set(err, ERR_CONFIG, "key %s does not belong to certificate %s", key, cert);
	return 0;
}

/* ---- ALPN ---- */

int tls_alpn_encode(struct tls_ctx *ctx, const char *const *names, struct err *err)
{
	size_t len = 0;
	for (const char *const *n = names; n && *n; n++)
		len += strlen(*n) + 1;
	ctx->alpn = xmalloc(len + 1);
	for (const char *const *n = names; n && *n; n++) {
		size_t k = strlen(*n);
		if (k == 0 || k > 255)
			return err_set(err, ERR_BUG, "ALPN name of %zu bytes", k);
		ctx->alpn[ctx->alpn_len] = (unsigned char)k;
		memcpy(ctx->alpn + ctx->alpn_len + 1, *n, k);
		ctx->alpn_len += (unsigned)k + 1;
	}
	return 0;
}

/* ---- client ---- */

static int client_setup(struct tls_ctx *ctx, const struct tls_client_config *c, struct err *err)
{
	if (c->fingerprint && tls_pin_parse(ctx, c->fingerprint, err))
		return -1;
	if (c->cert_file && tls_load_cert(ctx->ssl, c->cert_file, c->key_file, err))
		return -1;
	if (c->ca_file && SSL_CTX_load_verify_locations(ctx->ssl, c->ca_file, NULL) != 1)
		return err_set(err, ERR_CONFIG, "CA file %s: %s", c->ca_file, tls_queue_text());
	/* The system's store has a hundred certificates to parse: only for those who look at it. */
	if (!c->ca_file && c->verify == TLS_VERIFY_NAME)
		SSL_CTX_set_default_verify_paths(ctx->ssl);
	if (tls_alpn_encode(ctx, c->alpn, err))
		return -1;
	if (ctx->alpn_len)
		SSL_CTX_set_alpn_protos(ctx->ssl, ctx->alpn, ctx->alpn_len);
	if (SSL_CTX_dane_enable(ctx->ssl) != 1)
		return err_set(err, ERR_TEMP, "TLS: %s", tls_queue_text());
	ctx->verify = c->verify;
	if (c->sessions)
		tls_sessions_init(ctx);
	return 0;
}

struct tls_ctx *tls_client_new(const struct tls_client_config *c, struct err *err)
{
	struct tls_ctx *ctx = xcalloc(1, sizeof *ctx);
	ctx->ssl = tls_new_ssl_ctx(TLS_client_method());
	if (!ctx->ssl)
		err_set(err, ERR_TEMP, "TLS: %s", tls_queue_text());
	else if (client_setup(ctx, c, err) == 0)
		return ctx;
	tls_ctx_free(ctx);
	return NULL;
}

void tls_ctx_free(struct tls_ctx *ctx)
{
	if (!ctx)
		return;
	tls_sessions_free(ctx);
	free(ctx->pin);
	SSL_CTX_free(ctx->ssl);
	tls_server_free(ctx);
	free(ctx->alpn);
	free(ctx);
}
