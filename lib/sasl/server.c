/* SPDX-License-Identifier: ISC */
#include <openssl/crypto.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/xalloc.h"
#include "io/tls.h"
#include "sasl/mech.h"

static server_step_fn plain_step, login_step;

static const struct server_mech mechs[] = {
	{ "PLAIN", plain_step, MECH_PLAINTEXT, "" },
	{ "LOGIN", login_step, MECH_PLAINTEXT, "Username:" },
	{ "SCRAM-SHA-256", scram_server_step, MECH_SCRAM, "" },
	{ "SCRAM-SHA-256-PLUS", scram_server_step, MECH_SCRAM | MECH_BINDS, "" },
};

static bool scram_offered = true;

void sasl_server_offer_scram(bool yes)
{
	scram_offered = yes;
}

static bool allowed(const struct server_mech *m, const struct stream *s, bool allow_plaintext)
{
	if ((m->flags & MECH_PLAINTEXT) && !allow_plaintext && !stream_tls(s))
		return false;
	if ((m->flags & MECH_SCRAM) && !scram_offered)
		return false;
	return !(m->flags & MECH_BINDS) || scram_can_bind(s);
}

void sasl_server_mechs(const struct stream *s, bool allow_plaintext, struct buf *out)
{
	bool first = true;
	for (size_t i = 0; i < sizeof mechs / sizeof *mechs; i++) {
		if (!allowed(&mechs[i], s, allow_plaintext))
			continue;
		buf_addf(out, "%s%s", first ? "" : " ", mechs[i].name);
		first = false;
	}
}

struct sasl_server *sasl_server_new(
    struct span mech, const struct stream *s, bool allow_plaintext, const struct sasl_server_ops *ops, void *arg)
{
	const struct server_mech *m = NULL;
	for (size_t i = 0; i < sizeof mechs / sizeof *mechs; i++)
		if (span_ieqs(mech, mechs[i].name) && allowed(&mechs[i], s, allow_plaintext))
			m = &mechs[i];
	if (!m || ((m->flags & MECH_SCRAM) && !ops->lookup))
		return NULL;
	struct sasl_server *x = xcalloc(1, sizeof *x);
	*x = (struct sasl_server){ .mech = m, .s = s, .ops = ops, .arg = arg };
	buf_init(&x->user, LIMIT_SMTP_PATH);
	buf_init(&x->gs2, SCRAM_MESSAGE);
	buf_init(&x->binding, 64);
	buf_init(&x->full_nonce, SCRAM_MESSAGE);
	buf_init(&x->messages, (size_t)4 * SCRAM_MESSAGE);
	if (m->flags & MECH_SCRAM)
		scram_nonce(x->nonce);
	return x;
}

void sasl_server_free(struct sasl_server *x)
{
	if (!x)
		return;
	buf_free(&x->user);
	buf_free(&x->gs2);
	buf_free(&x->binding);
	buf_free(&x->full_nonce);
	buf_free(&x->messages);
	OPENSSL_cleanse(x, sizeof *x);
	free(x);
}

struct span sasl_server_user(const struct sasl_server *x)
{
	return buf_span(&x->user);
}

enum sasl_result sasl_fail(struct err *err, enum err_class class, const char *fmt, ...)
{
	char text[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	err_set(err, class, "%s", text);
	return SASL_FAIL;
}

enum sasl_result sasl_server_step(struct sasl_server *x, bool have_in, struct span in, struct buf *out, struct err *err)
{
	if (!have_in && x->step == 0) {
		if (x->asked)
			return sasl_fail(err, ERR_PROTO, "no response");
		x->asked = true;
		buf_adds(out, x->mech->question);
		return SASL_CONTINUE;
	}
	enum sasl_result r = x->mech->step(x, have_in ? in : span_str(""), out, err);
	x->step++;
	return r;
}

enum sasl_result sasl_server_lookup(struct sasl_server *x, struct user *row, bool *known, struct err *err)
{
	*row = (struct user){ .name = buf_span(&x->user), .secret = span_str("") };
	*known = true;
	if (!x->ops->lookup)
		return SASL_OK;
	enum users_result r = x->ops->lookup(x->arg, buf_span(&x->user), row, err);
	if (r == USERS_ERROR) {
		if (err && err->class == ERR_NONE)
			err_set(err, ERR_TEMP, "the users file cannot be read");
		return SASL_FAIL;
	}
	*known = r == USERS_OK;
	if (!*known)
		*row = (struct user){ .name = buf_span(&x->user), .secret = span_str("") };
	return SASL_OK;
}

/* The password of x->user. The work is the same whether the user exists or not. */
static enum sasl_result check_password(struct sasl_server *x, struct span password, struct err *err)
{
	struct user row;
	bool known;
	if (!x->user.len || x->user.bad || span_has_ctl(buf_span(&x->user)))
		return sasl_fail(err, ERR_ACCESS, "no usable user name");
	if (sasl_server_lookup(x, &row, &known, err) != SASL_OK)
		return SASL_FAIL;
	bool right;
	struct err why = { 0 };
	if (x->ops->verify)
		right = x->ops->verify(x->arg, buf_span(&x->user), password, &why);
	else
		right = users_verify(row.secret, password);
	if (!right && why.class != ERR_NONE) {
		if (err)
			*err = why;
		return SASL_FAIL;
	}
	if (!right || !known || row.nologin)
		return sasl_fail(err, ERR_ACCESS, "%s",
		    !known   ? "no such user"
		    : !right ? "wrong password"
			     : "this user may not log in");
	/* The row's name may be shorter than what was said (a detail dropped) or share our buffer. */
	char *name = xstrndup(row.name.p, row.name.n);
	buf_reset(&x->user);
	buf_adds(&x->user, name);
	free(name);
	return SASL_OK;
}

/* RFC 4616: [authzid] NUL authcid NUL password. */
static enum sasl_result plain_step(struct sasl_server *x, struct span in, struct buf *out, struct err *err)
{
	(void)out;
	if (span_chr(in, '\0') < 0)
		return sasl_fail(err, ERR_PROTO, "malformed PLAIN message");
	struct span authzid = span_cut(&in, '\0');
	if (span_chr(in, '\0') < 0)
		return sasl_fail(err, ERR_PROTO, "malformed PLAIN message");
	struct span authcid = span_cut(&in, '\0');
	if (span_chr(in, '\0') >= 0)
		return sasl_fail(err, ERR_PROTO, "malformed PLAIN message");
	buf_addspan(&x->user, authcid);
	bool same = !authzid.n || span_eq(authzid, authcid);
	enum sasl_result r = check_password(x, in, err);
	if (r == SASL_OK && !same && !span_ieq(authzid, buf_span(&x->user)))
		return sasl_fail(err, ERR_ACCESS, "may not act for another user");
	return r;
}

/* LOGIN was never specified beyond an expired draft: two questions, two answers. */
static enum sasl_result login_step(struct sasl_server *x, struct span in, struct buf *out, struct err *err)
{
	if (x->step == 0) {
		buf_addspan(&x->user, in);
		buf_adds(out, "Password:");
		return SASL_CONTINUE;
	}
	return check_password(x, in, err);
}
