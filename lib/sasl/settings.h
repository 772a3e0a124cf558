/* SPDX-License-Identifier: ISC
 *
 * What servers let their administrator say about authentication: one table of options for all of them, and what is made
 * of it: who decides about tokens and certificates.
 */
#ifndef WP_SASL_SETTINGS_H
#define WP_SASL_SETTINGS_H

#include "base/opts.h"
#include "sasl/certs.h"
#include "sasl/oauth.h"

struct sasl_settings {
	const char *mechs, *oauth_command, *client_ca, *client_users;
	int64_t oauth_timeout;
	int client_name; /* enum cert_name */
};
extern const struct opt sasl_options[];
extern const struct sasl_settings sasl_defaults;

/* Proofs that are no passwords. */
struct sasl_proofs {
	struct sasl_oauth oauth; /* command NULL: tokens let nobody in */
	bool ask_client;         /* certificates are asked for */
	struct cert_table *certs;
	enum cert_name cert_name;
};
/* Before workers are forked: sets what the process offers, reads the table of certificates. tls: the server has a
 * certificate itself. -1 with ERR_USAGE or ERR_CONFIG. */
int sasl_proofs_set_up(struct sasl_proofs *p, const struct sasl_settings *o, bool tls, struct err *err);
/* Reads the table again; a bad one changes nothing. */
int sasl_proofs_reload(struct sasl_proofs *p, const struct sasl_settings *o, struct err *err);
void sasl_proofs_clean_up(struct sasl_proofs *p);

/* For sasl_server_ops' functions of these names. */
int sasl_proofs_token(
    const struct sasl_proofs *p, const struct sasl_token *t, const char *client, struct buf *user, struct err *err);
bool sasl_proofs_certificate(const struct sasl_proofs *p, const struct stream *s, struct buf *user);

#endif
