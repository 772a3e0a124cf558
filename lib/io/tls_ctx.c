/* SPDX-License-Identifier: ISC
 *
 * TLS contexts: certificates, keys, trust and policy. TLS 1.2 is the oldest version (RFC 8996) and key exchange is
 * always ephemeral (RFC 9325 4.1). Session tickets carry the whole state, under keys made with the context: workers
 * forked after it resume each other's sessions.
 */
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "io/tls_int.h"
#include "io/trace.h"

enum {
	LOOK_MS = 1000 /* at the files, by tls_server_refresh */
};

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

static SSL_CTX *new_ssl_ctx(const SSL_METHOD *method)
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

static int load_cert(SSL_CTX *c, const char *cert, const char *key, struct err *err)
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

static int alpn_encode(struct tls_ctx *ctx, const char *const *names, struct err *err)
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

/* A client that asks for other protocols only is turned away: it was led here by somebody who mixes protocols up
 * (RFC 7301 3.2). */
static int alpn_select(
    SSL *ssl, const unsigned char **out, unsigned char *outlen, const unsigned char *in, unsigned inlen, void *arg)
{
	(void)ssl;
	const struct tls_ctx *ctx = arg;
	unsigned char *chosen;
	if (SSL_select_next_proto(&chosen, outlen, ctx->alpn, ctx->alpn_len, in, inlen) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

/* ---- server ---- */

static void look(const struct tls_ctx *ctx, struct stat seen[3])
{
	const char *names[3] = { ctx->cert_file, ctx->key_file, ctx->client_ca_file };
	for (int i = 0; i < 3; i++)
		if (!names[i] || stat(names[i], &seen[i]))
			memset(&seen[i], 0, sizeof seen[i]);
}

static bool same_files(const struct stat a[3], const struct stat b[3])
{
	for (int i = 0; i < 3; i++)
		if (a[i].st_ino != b[i].st_ino || a[i].st_size != b[i].st_size || a[i].st_dev != b[i].st_dev ||
		    a[i].st_mtim.tv_sec != b[i].st_mtim.tv_sec || a[i].st_mtim.tv_nsec != b[i].st_mtim.tv_nsec)
			return false;
	return true;
}

/* Whoever shows a certificate of no use here is served as those who show none: what it was worth stays known. */
static int any_client(int ok, X509_STORE_CTX *store)
{
	(void)ok;
	(void)store;
	return 1;
}

/* No sessions then: one would bring back a certificate that was revoked, or an authority no longer trusted. */
static int ask_clients(SSL_CTX *c, const char *ca_file, struct err *err)
{
	STACK_OF(X509_NAME) *names = ca_file ? SSL_load_client_CA_file(ca_file) : NULL;
	if (ca_file && (!names || SSL_CTX_load_verify_locations(c, ca_file, NULL) != 1)) {
		sk_X509_NAME_pop_free(names, X509_NAME_free);
		return err_set(err, ERR_CONFIG, "client CA file %s: %s", ca_file, tls_queue_text());
	}
	if (names)
		SSL_CTX_set_client_CA_list(c, names);
	SSL_CTX_set_verify(c, SSL_VERIFY_PEER, any_client);
	SSL_CTX_set_options(c, SSL_OP_NO_TICKET);
	SSL_CTX_set_num_tickets(c, 0);
	return 0;
}

static SSL_CTX *server_ssl_ctx(struct tls_ctx *ctx, struct err *err)
{
	static const unsigned char session_context[] = "waypost";
	SSL_CTX *c = new_ssl_ctx(TLS_server_method());
	if (!c) {
		err_set(err, ERR_TEMP, "TLS: %s", tls_queue_text());
		return NULL;
	}
	SSL_CTX_set_num_tickets(c, 1);
	if (load_cert(c, ctx->cert_file, ctx->key_file, err) ||
	    (ctx->ask_client && ask_clients(c, ctx->client_ca_file, err))) {
		SSL_CTX_free(c);
		return NULL;
	}
	SSL_CTX_set_dh_auto(c, 1);
	SSL_CTX_set_session_id_context(c, session_context, sizeof session_context - 1);
	if (ctx->alpn_len)
		SSL_CTX_set_alpn_select_cb(c, alpn_select, ctx);
	return c;
}

static char *dup_or_null(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

struct tls_ctx *tls_server_new(const struct tls_server_config *c, struct err *err)
{
	struct tls_ctx *ctx = xcalloc(1, sizeof *ctx);
	ctx->cert_file = dup_or_null(c->cert_file);
	ctx->key_file = dup_or_null(c->key_file);
	ctx->client_ca_file = dup_or_null(c->client_ca_file);
	ctx->ask_client = c->ask_client || c->client_ca_file;
	look(ctx, ctx->seen);
	if (!alpn_encode(ctx, c->alpn, err) && (ctx->ssl = server_ssl_ctx(ctx, err)))
		return ctx;
	tls_ctx_free(ctx);
	return NULL;
}

/* Clients that hold a ticket of the old context resume with the new one. */
static void keep_ticket_keys(SSL_CTX *from, SSL_CTX *to)
{
	unsigned char keys[256];
	long n = SSL_CTX_get_tlsext_ticket_keys(from, NULL, 0);
	if (n > 0 && n <= (long)sizeof keys && SSL_CTX_get_tlsext_ticket_keys(from, keys, n) == 1)
		SSL_CTX_set_tlsext_ticket_keys(to, keys, n);
	OPENSSL_cleanse(keys, sizeof keys);
}

int tls_server_reload(struct tls_ctx *ctx, struct err *err)
{
	struct stat now[3];
	look(ctx, now);
	if (same_files(now, ctx->seen))
		return 0;
	/* Remembered even when they are bad, so that the error is told once and not for each connection. */
	memcpy(ctx->seen, now, sizeof now);
	SSL_CTX *fresh = server_ssl_ctx(ctx, err);
	if (!fresh)
		return -1;
	keep_ticket_keys(ctx->ssl, fresh);
	SSL_CTX_free(ctx->ssl);
	ctx->ssl = fresh;
	return 0;
}

void tls_server_refresh(struct tls_ctx *ctx, int64_t now)
{
	struct err err;
	if (now - ctx->looked < LOOK_MS)
		return;
	ctx->looked = now;
	if (tls_server_reload(ctx, &err))
		trace_why("tls", "temp", NULL, "the old certificate stays in use: %s", err.text);
}

/* ---- client ---- */

static int client_setup(struct tls_ctx *ctx, const struct tls_client_config *c, struct err *err)
{
	if (c->fingerprint && tls_pin_parse(ctx, c->fingerprint, err))
		return -1;
	if (c->cert_file && load_cert(ctx->ssl, c->cert_file, c->key_file, err))
		return -1;
	if (c->ca_file && SSL_CTX_load_verify_locations(ctx->ssl, c->ca_file, NULL) != 1)
		return err_set(err, ERR_CONFIG, "CA file %s: %s", c->ca_file, tls_queue_text());
	/* The system's store has a hundred certificates to parse: only for those who look at it. */
	if (!c->ca_file && c->verify == TLS_VERIFY_NAME)
		SSL_CTX_set_default_verify_paths(ctx->ssl);
	if (alpn_encode(ctx, c->alpn, err))
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
	ctx->ssl = new_ssl_ctx(TLS_client_method());
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
	free(ctx->cert_file);
	free(ctx->key_file);
	free(ctx->client_ca_file);
	free(ctx->alpn);
	free(ctx);
}
