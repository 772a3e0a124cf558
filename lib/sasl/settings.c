/* SPDX-License-Identifier: ISC */
#include "sasl/settings.h"

#define AT(member) offsetof(struct sasl_settings, member)
const struct opt sasl_options[] = {
	{ "auth-mechs", 0, OPT_STR, AT(mechs), "LIST", "offer these mechanisms; by default all but CRAM-MD5", NULL, 0 },
	{ "oauth-command", 0, OPT_STR, AT(oauth_command), "CMD", "tells whose bearer token it is", NULL, 0 },
	{ "oauth-timeout", 0, OPT_DURATION, AT(oauth_timeout), "TIME", "how long that may take", NULL, 0 },
	{ "tls-client-ca", 0, OPT_STR, AT(client_ca), "FILE", "ask clients for certificates by these authorities", NULL,
	    0 },
	{ "tls-client-name", 0, OPT_CHOICE, AT(client_name), NULL, "what in a client's certificate is the user",
	    CERT_NAME_CHOICES, 0 },
	{ "tls-client-users", 0, OPT_STR, AT(client_users), "FILE", "users by their certificates' fingerprints", NULL,
	    0 },
	{ NULL, 0, 0, 0, NULL, NULL, NULL, 0 },
};

const struct sasl_settings sasl_defaults = { .oauth_timeout = 30 * 1000 };

int sasl_proofs_set_up(struct sasl_proofs *p, const struct sasl_settings *o, bool tls, struct err *err)
{
	*p = (struct sasl_proofs){ .oauth = { .command = o->oauth_command, .timeout_ms = o->oauth_timeout },
		.ask_client = o->client_ca || o->client_users,
		.cert_name = (enum cert_name)o->client_name };
	if (p->ask_client && !tls)
		return err_set(err, ERR_USAGE, "clients' certificates need --tls-cert");
	if (o->mechs && sasl_server_choose(o->mechs, err) < 0)
		return err_prefix(err, "--auth-mechs");
	return sasl_proofs_reload(p, o, err);
}

int sasl_proofs_reload(struct sasl_proofs *p, const struct sasl_settings *o, struct err *err)
{
	struct cert_table *now = o->client_users ? cert_table_read(o->client_users, err) : NULL;
	if (o->client_users && !now)
		return -1;
	cert_table_free(p->certs);
	p->certs = now;
	return 0;
}

void sasl_proofs_clean_up(struct sasl_proofs *p)
{
	cert_table_free(p->certs);
	p->certs = NULL;
}

int sasl_proofs_token(
    const struct sasl_proofs *p, const struct sasl_token *t, const char *client, struct buf *user, struct err *err)
{
	return sasl_oauth_ask(&p->oauth, t, client, user, err);
}

bool sasl_proofs_certificate(const struct sasl_proofs *p, const struct stream *s, struct buf *user)
{
	return cert_user(p->certs, p->cert_name, stream_tls(s), user);
}
