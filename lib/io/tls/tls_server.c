/* SPDX-License-Identifier: ISC
 *
 * A server's TLS context: one certificate, or several by the name that the client asks for (RFC 6066 3), read again
 * when their files change; clients' certificates; ALPN. Each certificate has an SSL_CTX of its own with the same
 * policy. A conversation keeps a reference to the one that it began with.
 */
#include <openssl/err.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/xalloc.h"
#include "io/tls/tls_int.h"

enum {
	SESSION_SECONDS = 7200
};

#define AT(member) offsetof(struct tls_server_settings, member)
const struct opt tls_server_options[] = {
	{ "tls-sni", 0, OPT_LIST, AT(sni), "NAME=CERT[,KEY]", "certificate for clients that ask for NAME; repeatable",
	    NULL, 0 },
	{ "tls-min", 0, OPT_CHOICE, AT(min), NULL, "the oldest version of TLS", "1.2|1.3", 0 },
	{ NULL, 0, 0, 0, NULL, NULL, NULL, 0 },
};

/* ---- ALPN ---- */

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

/* ---- names ---- */

/* "*.example.org" stands for one label (RFC 6125 6.4.3). */
static bool name_matches(const char *pattern, struct span name)
{
	if (!span_starts(span_str(pattern), "*."))
		return span_ieqs(name, pattern);
	ptrdiff_t dot = span_chr(name, '.');
	return dot > 0 && span_ieqs(span_from(name, (size_t)dot), pattern + 1);
}

/* The exact name before a wildcard. */
static SSL_CTX *find(const struct tls_ctx *ctx, struct span name)
{
	SSL_CTX *wild = NULL;
	for (size_t i = 1; i < ctx->n_cert; i++) {
		const struct tls_cert *c = &ctx->cert[i];
		if (span_ieqs(name, c->name))
			return c->ssl;
		if (!wild && name_matches(c->name, name))
			wild = c->ssl;
	}
	return wild;
}

/* A name that nobody here has gets the first certificate: clients that are content with any go on with it. */
static int by_name(SSL *ssl, int *alert, void *arg)
{
	const struct tls_ctx *ctx = arg;
	(void)alert;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	struct span asked = span_str(name);
	if (span_ends(asked, "."))
		asked = span_slice(asked, 0, asked.n - 1);
	SSL_CTX *other = name ? find(ctx, asked) : NULL;
	if (other)
		SSL_set_SSL_CTX(ssl, other);
	return name ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

/* ---- files ---- */

static void look(const struct tls_cert *c, struct stat seen[2])
{
	const char *names[2] = { c->cert_file, c->key_file };
	for (int i = 0; i < 2; i++)
		if (!names[i] || stat(names[i], &seen[i]))
			memset(&seen[i], 0, sizeof seen[i]);
}

static bool same_files(const struct stat a[2], const struct stat b[2])
{
	for (int i = 0; i < 2; i++)
		if (a[i].st_ino != b[i].st_ino || a[i].st_size != b[i].st_size || a[i].st_dev != b[i].st_dev ||
		    a[i].st_mtim.tv_sec != b[i].st_mtim.tv_sec || a[i].st_mtim.tv_nsec != b[i].st_mtim.tv_nsec)
			return false;
	return true;
}

/* ---- clients' certificates ---- */

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

/* ---- the context ---- */

static SSL_CTX *make_one(struct tls_ctx *ctx, const struct tls_cert *cert, struct err *err)
{
	SSL_CTX *c = tls_new_ssl_ctx(TLS_server_method());
	if (!c) {
		err_set(err, ERR_TEMP, "TLS: %s", tls_queue_text());
		return NULL;
	}
	SSL_CTX_set_app_data(c, ctx);
	SSL_CTX_set_num_tickets(c, 1);
	SSL_CTX_set_timeout(c, SESSION_SECONDS);
	ticket_ring_use(c);
	if (tls_load_cert(c, cert->cert_file, cert->key_file, err) ||
	    (ctx->ask_client && ask_clients(c, ctx->client_ca.cert_file, err))) {
		SSL_CTX_free(c);
		return NULL;
	}
	if (ctx->min_version)
		SSL_CTX_set_min_proto_version(c, ctx->min_version);
	SSL_CTX_set_dh_auto(c, 1);
	SSL_CTX_set_tlsext_servername_callback(c, by_name);
	SSL_CTX_set_tlsext_servername_arg(c, ctx);
	if (ctx->alpn_len)
		SSL_CTX_set_alpn_select_cb(c, alpn_select, ctx);
	return c;
}

/* All certificates or none. */
static int make_all(struct tls_ctx *ctx, struct err *err)
{
	SSL_CTX **fresh = xcalloc(ctx->n_cert, sizeof *fresh);
	int rc = 0;
	for (size_t i = 0; i < ctx->n_cert && rc == 0; i++)
		rc = (fresh[i] = make_one(ctx, &ctx->cert[i], err)) ? 0 : -1;
	for (size_t i = 0; i < ctx->n_cert; i++) {
		SSL_CTX *old = rc == 0 ? ctx->cert[i].ssl : fresh[i];
		if (rc == 0)
			ctx->cert[i].ssl = fresh[i];
		SSL_CTX_free(old);
	}
	free(fresh);
	if (rc)
		return -1;
	SSL_CTX_free(ctx->ssl);
	ctx->ssl = ctx->cert[0].ssl;
	SSL_CTX_up_ref(ctx->ssl);
	return 0;
}

static char *dup_or_null(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

static void add_cert(struct tls_ctx *ctx, char *name, char *cert_file, char *key_file)
{
	ctx->cert = xreallocarray(ctx->cert, ctx->n_cert + 1, sizeof *ctx->cert);
	struct tls_cert *c = &ctx->cert[ctx->n_cert++];
	*c = (struct tls_cert){ .name = name, .cert_file = cert_file, .key_file = key_file };
	look(c, c->seen);
}

static bool name_ok(struct span name)
{
	if (span_starts(name, "*."))
		name = span_from(name, 2);
	for (size_t i = 0; i < name.n; i++)
		if (!ascii_isalnum(name.p[i]) && name.p[i] != '-' && name.p[i] != '.')
			return false;
	return name.n > 0 && name.n <= LIMIT_DOMAIN;
}

/* "NAME=CERT[,KEY]" */
static int add_sni(struct tls_ctx *ctx, const char *text, struct err *err)
{
	struct span rest = span_str(text), name = span_cut(&rest, '='), cert = span_cut(&rest, ',');
	if (!name_ok(name) || !cert.n)
		return err_set(err, ERR_USAGE, "'%s' is not NAME=CERT[,KEY]", text);
	add_cert(ctx, xstrndup(name.p, name.n), xstrndup(cert.p, cert.n), rest.n ? xstrndup(rest.p, rest.n) : NULL);
	return 0;
}

static int set_up(struct tls_ctx *ctx, const struct tls_server_config *c, struct err *err)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	add_cert(ctx, NULL, xstrdup(c->cert_file), dup_or_null(c->key_file));
	for (size_t i = 0; c->more && i < c->more->sni.n; i++)
		if (add_sni(ctx, c->more->sni.v[i], err))
			return -1;
	if (c->more)
		ctx->min_version = versions[c->more->min];
	ctx->client_ca.cert_file = dup_or_null(c->client_ca_file);
	look(&ctx->client_ca, ctx->client_ca.seen);
	ctx->ask_client = c->ask_client || c->client_ca_file;
	ctx->tickets = ticket_ring_new(err);
	return !ctx->tickets || tls_alpn_encode(ctx, c->alpn, err) ? -1 : make_all(ctx, err);
}

struct tls_ctx *tls_server_new(const struct tls_server_config *c, struct err *err)
{
	struct tls_ctx *ctx = xcalloc(1, sizeof *ctx);
	if (set_up(ctx, c, err) == 0)
		return ctx;
	tls_ctx_free(ctx);
	return NULL;
}

static void free_cert(struct tls_cert *c)
{
	free(c->name);
	free(c->cert_file);
	free(c->key_file);
	SSL_CTX_free(c->ssl);
}

void tls_server_free(struct tls_ctx *ctx)
{
	for (size_t i = 0; i < ctx->n_cert; i++)
		free_cert(&ctx->cert[i]);
	free(ctx->cert);
	free_cert(&ctx->client_ca);
	ticket_ring_free(ctx->tickets);
}

/* ---- as time goes by ---- */

static struct tls_cert *file_of(struct tls_ctx *ctx, size_t i)
{
	return i < ctx->n_cert ? &ctx->cert[i] : &ctx->client_ca;
}

int tls_server_reload(struct tls_ctx *ctx, struct err *err)
{
	bool changed = false;
	for (size_t i = 0; i <= ctx->n_cert; i++) {
		struct tls_cert *c = file_of(ctx, i);
		struct stat now[2];
		look(c, now);
		changed |= !same_files(now, c->seen);
		/* Remembered even when they are bad, so that the error is told once. */
		memcpy(c->seen, now, sizeof now);
	}
	return changed ? make_all(ctx, err) : 0;
}

/* Files that are just being written, or a certificate whose key comes a moment later, are left alone for a turn. */
bool tls_server_tend(struct tls_ctx *ctx, int64_t now)
{
	bool changed = false, rest = true;
	for (size_t i = 0; i <= ctx->n_cert; i++) {
		struct tls_cert *c = file_of(ctx, i);
		struct stat st[2];
		look(c, st);
		changed |= !same_files(st, c->seen);
		rest &= same_files(st, c->looked);
		memcpy(c->looked, st, sizeof st);
	}
	ticket_ring_turn(ctx->tickets, now);
	return changed && rest;
}
