/* SPDX-License-Identifier: ISC
 *
 * Sessions that a client may resume: a few for each context, in memory. Contexts differ in what they demand of a
 * certificate, so that a session that began without verification is never resumed where it is asked for.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/xalloc.h"
#include "io/tls/tls_int.h"

/* OpenSSL's callback: a session that can be resumed, in TLS 1.3 each ticket, which comes after the handshake. 1: the
 * reference is ours. */
static int new_session(SSL *ssl, SSL_SESSION *session)
{
	const char *key = SSL_get_app_data(ssl);
	struct tls_ctx *ctx = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	if (!key || !*key)
		return 0;
	tls_sessions_keep(ctx, key, session);
	return 1;
}

void tls_sessions_init(struct tls_ctx *ctx)
{
	ctx->session = xcalloc(TLS_SESSIONS, sizeof *ctx->session);
	SSL_CTX_set_app_data(ctx->ssl, ctx);
	SSL_CTX_set_session_cache_mode(ctx->ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx->ssl, new_session);
}

void tls_sessions_free(struct tls_ctx *ctx)
{
	for (size_t i = 0; ctx->session && i < TLS_SESSIONS; i++)
		SSL_SESSION_free(ctx->session[i].session);
	free(ctx->session);
	ctx->session = NULL;
}

static struct tls_session *find(const struct tls_ctx *ctx, const char *key)
{
	for (size_t i = 0; i < TLS_SESSIONS; i++)
		if (ctx->session[i].session && !strcmp(ctx->session[i].key, key))
			return &ctx->session[i];
	return NULL;
}

static bool fresh(const SSL_SESSION *session)
{
	time_t age = time(NULL) - (time_t)SSL_SESSION_get_time(session);
	return SSL_SESSION_is_resumable(session) && age >= 0 && age < TLS_SESSION_AGE;
}

SSL_SESSION *tls_sessions_take(struct tls_ctx *ctx, const char *key)
{
	struct tls_session *at = find(ctx, key);
	if (!at)
		return NULL;
	SSL_SESSION *session = at->session;
	at->session = NULL;
	if (fresh(session))
		return session;
	SSL_SESSION_free(session);
	return NULL;
}

/* The one of the same key, a free one, or the oldest. */
static struct tls_session *place(struct tls_ctx *ctx, const char *key)
{
	struct tls_session *at = find(ctx, key);
	if (at)
		return at;
	at = &ctx->session[0];
	for (size_t i = 0; i < TLS_SESSIONS && at->session; i++)
		if (!ctx->session[i].session || ctx->session[i].used < at->used)
			at = &ctx->session[i];
	return at;
}

void tls_sessions_keep(struct tls_ctx *ctx, const char *key, SSL_SESSION *session)
{
	if (!*key) {
		SSL_SESSION_free(session);
		return;
	}
	struct tls_session *at = place(ctx, key);
	SSL_SESSION_free(at->session);
	at->session = session;
	at->used = ++ctx->kept;
	snprintf(at->key, sizeof at->key, "%s", key);
}
