/* SPDX-License-Identifier: ISC
 *
 * TLS contexts of a worker, one for each policy: sessions are resumed only under the policy that they began with.
 */
#include <stdlib.h>

#include "base/xalloc.h"
#include "mta-relay/hop/hop_int.h"

void hop_tls_free(struct hop *h)
{
	for (size_t i = 0; i < HOP_CONTEXTS; i++) {
		tls_ctx_free(h->context[i].ctx);
		free(h->context[i].key);
	}
}

/* With a user the certificate is verified under `may` as well: what follows a failure is in the clear, where no
 * password is sent. */
static bool verifies(const struct route_settings *s, bool with_user)
{
	return s->tls == ROUTE_TLS_VERIFY || (s->tls == ROUTE_TLS_MAY && with_user);
}

static struct tls_ctx *make(struct hop *h, const char *key, const struct tls_client_config *c, struct err *err)
{
	/* No conversation lasts while another begins: an old context has no streams. */
	struct hop_context *at = &h->context[h->next_context];
	struct tls_ctx *fresh = tls_client_new(c, err);
	if (!fresh)
		return NULL;
	tls_ctx_free(at->ctx);
	free(at->key);
	*at = (struct hop_context){ .key = xstrdup(key), .ctx = fresh };
	h->next_context = (h->next_context + 1) % HOP_CONTEXTS;
	return fresh;
}

struct tls_ctx *hop_tls(struct hop *h, const struct route_settings *s, bool with_user, struct err *err)
{
	bool verify = verifies(s, with_user), pinned = s->tls == ROUTE_TLS_FINGERPRINT;
	struct tls_client_config c = { .verify = verify ? TLS_VERIFY_NAME : TLS_VERIFY_NONE,
		.ca_file = verify ? s->tls_ca : NULL,
		.fingerprint = pinned ? s->fingerprint : NULL,
		.cert_file = s->tls_cert,
		.key_file = s->tls_key,
		.sessions = true };
	char *key = xasprintf("%s %s %s %s",
	    verify   ? "verify"
	    : pinned ? "fingerprint"
		     : "any",
	    c.ca_file       ? c.ca_file
	    : c.fingerprint ? c.fingerprint
			    : "",
	    s->tls_cert ? s->tls_cert : "", s->tls_key ? s->tls_key : "");
	struct tls_ctx *ctx = NULL;
	for (size_t i = 0; i < HOP_CONTEXTS && !ctx; i++)
		if (h->context[i].key && !strcmp(h->context[i].key, key))
			ctx = h->context[i].ctx;
	if (!ctx)
		ctx = make(h, key, &c, err);
	free(key);
	return ctx;
}
