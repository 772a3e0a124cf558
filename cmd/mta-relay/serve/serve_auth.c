/* SPDX-License-Identifier: ISC
 *
 * Who may log in: users by their passwords, and by what proves them to others, bearer tokens and certificates.
 */
#include "mta-relay/serve/serve_check.h"

static enum users_result lookup(void *arg, struct span name, struct user *out, struct err *err)
{
	struct relay_session *s = arg;
	enum users_result rc = users_lookup(s->rs->users, s->arena, name, "", out, err);
	if (rc != USERS_ERROR && guard_account_look(s, rc == USERS_OK ? out->name : name, err) < 0)
		return USERS_ERROR;
	return rc == USERS_OK && out->nologin ? USERS_UNKNOWN : rc;
}

static int token(void *arg, const struct sasl_token *t, struct buf *user, struct err *err)
{
	struct relay_session *s = arg;
	return sasl_proofs_token(&s->rs->proofs, t, s->peer_ip, user, err);
}

static bool certificate(void *arg, struct buf *user)
{
	struct relay_session *s = arg;
	return sasl_proofs_certificate(&s->rs->proofs, s->stream, user);
}

static bool doubtful(void *arg)
{
	const struct relay_session *s = arg;
	return s->rs->users && users_out_of_reach(s->rs->users);
}

static int set_up(struct relay_server *rs, struct err *err)
{
	if (sasl_proofs_set_up(&rs->proofs, &rs->o.sasl, rs->o.tls_cert, err) < 0)
		return -1;
	struct sasl_oauth *oauth = &rs->proofs.oauth;
	if (oauth->command && (oauth->index = serve_command(rs, oauth->command, NULL, err)) < 0)
		return -1;
	oauth->broker = rs->broker;
	rs->sasl = (struct sasl_server_ops){ .lookup = rs->users ? lookup : NULL,
		.token = rs->proofs.oauth.command ? token : NULL,
		.certificate = rs->proofs.ask_client ? certificate : NULL,
		.doubtful = doubtful };
	return 0;
}

static int reload(struct relay_server *rs, struct err *err)
{
	return sasl_proofs_reload(&rs->proofs, &rs->o.sasl, err);
}

static void clean_up(struct relay_server *rs)
{
	sasl_proofs_clean_up(&rs->proofs);
}

const struct sasl_server_ops *serve_sasl(const struct relay_server *rs)
{
	const struct sasl_server_ops *ops = &rs->sasl;
	return ops->lookup || ops->token || ops->certificate ? ops : NULL;
}

const struct serve_check auth_check = {
	.name = "authentication", .set_up = set_up, .reload = reload, .clean_up = clean_up
};
