/* SPDX-License-Identifier: ISC */
#include <openssl/crypto.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/xalloc.h"
#include "io/tls/tls.h"
#include "sasl/mech.h"

static client_step_fn plain_step, login_step, xoauth2_step, oauthbearer_step, external_step;

/* Strongest first. */
static const struct client_mech mechs[] = {
	{ "SCRAM-SHA-256-PLUS", scram_client_step, MECH_SCRAM | MECH_BINDS | MECH_CLIENT_FIRST },
	{ "SCRAM-SHA-256", scram_client_step, MECH_SCRAM | MECH_CLIENT_FIRST },
	{ "PLAIN", plain_step, MECH_PLAINTEXT | MECH_CLIENT_FIRST },
	{ "LOGIN", login_step, MECH_PLAINTEXT },
	{ "OAUTHBEARER", oauthbearer_step, MECH_PLAINTEXT | MECH_CLIENT_FIRST | MECH_ON_REQUEST },
	{ "XOAUTH2", xoauth2_step, MECH_PLAINTEXT | MECH_CLIENT_FIRST | MECH_ON_REQUEST },
	{ "EXTERNAL", external_step, MECH_CLIENT_FIRST | MECH_ON_REQUEST },
	{ "CRAM-MD5", cram_client_step, MECH_ON_REQUEST },
};

bool sasl_client_knows(struct span mech)
{
	for (size_t i = 0; i < sizeof mechs / sizeof *mechs; i++)
		if (span_ieqs(mech, mechs[i].name))
			return true;
	return false;
}

static bool offers(struct span offered, const char *name)
{
	struct span word;
	while ((word = span_word(&offered)).n)
		if (span_ieqs(word, name))
			return true;
	return false;
}

static bool usable(const struct client_mech *m, const struct sasl_client_config *c, const struct stream *s)
{
	if ((m->flags & MECH_PLAINTEXT) && !c->allow_plaintext && !stream_tls(s))
		return false;
	return !(m->flags & MECH_BINDS) || scram_can_bind(s);
}

static const struct client_mech *choose(
    const struct sasl_client_config *c, struct span offered, const struct stream *s, struct err *err)
{
	const struct client_mech *known = NULL;
	for (size_t i = 0; i < sizeof mechs / sizeof *mechs; i++) {
		const struct client_mech *m = &mechs[i];
		if (c->mech ? !span_ieqs(span_str(m->name), c->mech) : (m->flags & MECH_ON_REQUEST) != 0)
			continue;
		known = m;
		if (!offers(offered, m->name))
			continue;
		if (usable(m, c, s))
			return m;
		if (c->mech)
			break;
	}
	if (!known)
		err_set(err, ERR_USAGE, "unknown authentication mechanism %s", c->mech);
	else if (c->mech && !offers(offered, known->name))
		err_set(err, ERR_ACCESS, "the server does not offer %s", known->name);
	else if (!stream_tls(s))
		err_set(err, ERR_ACCESS, "no way to authenticate that does not show the password: there is no TLS");
	else
		err_set(err, ERR_ACCESS, "the server offers no authentication mechanism that is known here");
	return NULL;
}

struct sasl_client *sasl_client_new(
    const struct sasl_client_config *c, struct span offered, const struct stream *s, struct err *err)
{
	const struct client_mech *m = choose(c, offered, s, err);
	if (!m)
		return NULL;
	struct sasl_client *x = xcalloc(1, sizeof *x);
	*x = (struct sasl_client){ .mech = m, .config = *c, .s = s };
	if (!x->config.user)
		x->config.user = "";
	if (!x->config.password)
		x->config.password = "";
	x->offered_plus = offers(offered, "SCRAM-SHA-256-PLUS");
	buf_init(&x->gs2, SCRAM_MESSAGE);
	buf_init(&x->messages, (size_t)4 * SCRAM_MESSAGE);
	if (m->flags & MECH_SCRAM)
		scram_nonce(x->nonce);
	return x;
}

void sasl_client_free(struct sasl_client *x)
{
	if (!x)
		return;
	buf_free(&x->gs2);
	buf_free(&x->messages);
	OPENSSL_cleanse(x, sizeof *x);
	free(x);
}

const char *sasl_client_mech(const struct sasl_client *x)
{
	return x->mech->name;
}

bool sasl_client_first(const struct sasl_client *x)
{
	return x->mech->flags & MECH_CLIENT_FIRST;
}

bool sasl_client_done(const struct sasl_client *x)
{
	return x->done;
}

enum sasl_result sasl_client_step(struct sasl_client *x, struct span in, struct buf *out, struct err *err)
{
	enum sasl_result r = x->mech->step(x, in, out, err);
	x->step++;
	if (r != SASL_FAIL && out->bad)
		return sasl_fail(err, ERR_LIMIT, "user name or password too long");
	return r;
}

static enum sasl_result no_more(struct err *err)
{
	return sasl_fail(err, ERR_PROTO, "the server asks on after the mechanism's end");
}

static enum sasl_result plain_step(struct sasl_client *x, struct span in, struct buf *out, struct err *err)
{
	(void)in;
	if (x->step > 0)
		return no_more(err);
	buf_addc(out, '\0');
	buf_adds(out, x->config.user);
	buf_addc(out, '\0');
	buf_adds(out, x->config.password);
	x->done = true;
	return SASL_OK;
}

static enum sasl_result login_step(struct sasl_client *x, struct span in, struct buf *out, struct err *err)
{
	(void)in; /* servers word the questions as they like */
	if (x->step > 1)
		return no_more(err);
	buf_adds(out, x->step == 0 ? x->config.user : x->config.password);
	x->done = x->step == 1;
	return x->done ? SASL_OK : SASL_CONTINUE;
}

static enum sasl_result external_step(struct sasl_client *x, struct span in, struct buf *out, struct err *err)
{
	(void)in;
	if (x->step > 0)
		return no_more(err);
	buf_adds(out, x->config.user);
	x->done = true;
	return SASL_OK;
}

/* Both token mechanisms answer a refusal in two moves: a challenge with JSON that says why, which the client
 * acknowledges, and only then the protocol's own failure (RFC 7628 3.2.3). */
static enum sasl_result token_refused(struct sasl_client *x, struct buf *out, const char *ack, struct err *err)
{
	if (x->step > 1)
		return no_more(err);
	x->done = false;
	buf_adds(out, ack);
	return SASL_CONTINUE;
}

static enum sasl_result xoauth2_step(struct sasl_client *x, struct span in, struct buf *out, struct err *err)
{
	(void)in;
	if (x->step > 0)
		return token_refused(x, out, "", err);
	buf_addf(out, "user=%s\001auth=Bearer %s\001\001", x->config.user, x->config.password);
	x->done = true;
	return SASL_OK;
}

static enum sasl_result oauthbearer_step(struct sasl_client *x, struct span in, struct buf *out, struct err *err)
{
	(void)in;
	if (x->step > 0)
		return token_refused(x, out, "\001", err);
	buf_adds(out, "n,a=");
	scram_name_encode(span_str(x->config.user), out);
	buf_addf(out, ",\001host=%s\001", x->config.host ? x->config.host : "");
	if (x->config.port)
		buf_addf(out, "port=%u\001", x->config.port);
	buf_addf(out, "auth=Bearer %s\001\001", x->config.password);
	x->done = true;
	return SASL_OK;
}
