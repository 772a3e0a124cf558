/* SPDX-License-Identifier: ISC */
#include <openssl/crypto.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/xalloc.h"
#include "io/tls/tls.h"
#include "sasl/mech.h"

static server_step_fn plain_step, login_step, external_step;

static const struct server_mech mechs[] = {
	{ "PLAIN", plain_step, MECH_PLAINTEXT | MECH_PASSWORD, "" },
	{ "LOGIN", login_step, MECH_PLAINTEXT | MECH_PASSWORD, "Username:" },
	{ "SCRAM-SHA-256", scram_server_step, MECH_SCRAM | MECH_PASSWORD | MECH_STORED, "" },
	{ "SCRAM-SHA-256-PLUS", scram_server_step, MECH_SCRAM | MECH_PASSWORD | MECH_STORED | MECH_BINDS, "" },
	{ "OAUTHBEARER", oauthbearer_server_step, MECH_PLAINTEXT | MECH_TOKEN, "" },
	{ "XOAUTH2", xoauth2_server_step, MECH_PLAINTEXT | MECH_TOKEN, "" },
	{ "EXTERNAL", external_step, MECH_CERT, "" },
	{ "CRAM-MD5", cram_server_step, MECH_PASSWORD | MECH_STORED | MECH_ON_REQUEST, NULL },
};
enum {
	MECHS = sizeof mechs / sizeof *mechs
};

static bool scram_offered = true;
static unsigned chosen; /* bits of mechs; 0: the usual ones */

void sasl_server_offer_scram(bool yes)
{
	scram_offered = yes;
}

static unsigned bit_of(struct span name)
{
	for (unsigned i = 0; i < MECHS; i++)
		if (span_ieqs(name, mechs[i].name))
			return 1u << i;
	return 0;
}

int sasl_server_choose(const char *list, struct err *err)
{
	struct span rest = span_str(list);
	unsigned bits = 0;
	while (rest.n) {
		struct span part = span_cut(&rest, ','), word;
		while ((word = span_word(&part)).n) {
			unsigned bit = bit_of(word);
			if (!bit)
				return err_set(err, ERR_USAGE, "unknown authentication mechanism '%.*s'",
				    SPAN_FMT(span_slice(word, 0, 40)));
			bits |= bit;
		}
	}
	if (!bits)
		return err_set(err, ERR_USAGE, "the list of authentication mechanisms is empty");
	chosen = bits;
	return 0;
}

/* By the settings of the process. */
static bool enabled(const struct server_mech *m)
{
	if (chosen)
		return chosen >> (m - mechs) & 1;
	return !(m->flags & MECH_ON_REQUEST) && (scram_offered || !(m->flags & MECH_SCRAM));
}

/* Can those who decide say anything about it? */
static bool decidable(const struct server_mech *m, const struct sasl_server_ops *ops, void *arg)
{
	if (m->flags & MECH_PASSWORD)
		return ops->lookup || (ops->verify && !(m->flags & MECH_STORED));
	if (m->flags & MECH_TOKEN)
		return ops->token;
	struct buf name;
	buf_init(&name, LIMIT_SMTP_PATH);
	bool known = ops->certificate && ops->certificate(arg, &name);
	buf_free(&name);
	return known;
}

static bool allowed(const struct server_mech *m, const struct stream *s, bool allow_plaintext,
    const struct sasl_server_ops *ops, void *arg)
{
	if (!enabled(m) || ((m->flags & MECH_PLAINTEXT) && !allow_plaintext && !stream_tls(s)))
		return false;
	return decidable(m, ops, arg) && (!(m->flags & MECH_BINDS) || scram_can_bind(s));
}

void sasl_server_mechs(
    const struct stream *s, bool allow_plaintext, const struct sasl_server_ops *ops, void *arg, struct buf *out)
{
	bool first = true;
	for (size_t i = 0; i < MECHS; i++) {
		if (!allowed(&mechs[i], s, allow_plaintext, ops, arg))
			continue;
		buf_addf(out, "%s%s", first ? "" : " ", mechs[i].name);
		first = false;
	}
}

struct sasl_server *sasl_server_new(
    struct span mech, const struct stream *s, bool allow_plaintext, const struct sasl_server_ops *ops, void *arg)
{
	const struct server_mech *m = NULL;
	for (size_t i = 0; i < MECHS; i++)
		if (span_ieqs(mech, mechs[i].name) && allowed(&mechs[i], s, allow_plaintext, ops, arg))
			m = &mechs[i];
	if (!m)
		return NULL;
	struct sasl_server *x = xcalloc(1, sizeof *x);
	*x = (struct sasl_server){ .mech = m, .s = s, .ops = ops, .arg = arg };
	buf_init(&x->user, LIMIT_SMTP_PATH);
	buf_init(&x->gs2, SCRAM_MESSAGE);
	buf_init(&x->binding, 64);
	buf_init(&x->full_nonce, SCRAM_MESSAGE);
	buf_init(&x->messages, (size_t)4 * SCRAM_MESSAGE);
	buf_init(&x->challenge, LIMIT_DOMAIN * 2);
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
	buf_free(&x->challenge);
	OPENSSL_cleanse(x, sizeof *x);
	free(x);
}

struct span sasl_server_user(const struct sasl_server *x)
{
	return buf_span(&x->user);
}

bool sasl_server_refused(const struct sasl_server *x)
{
	return x->refused;
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
	/* A mechanism in which the server speaks first makes its own challenge. */
	if (!have_in && x->step == 0 && x->mech->question) {
		if (x->asked)
			return sasl_fail(err, ERR_PROTO, "no response");
		x->asked = true;
		buf_adds(out, x->mech->question);
		return SASL_CONTINUE;
	}
	enum sasl_result r = x->mech->step(x, have_in ? in : span_str(""), out, err);
	x->step++;
	if (r == SASL_FAIL && err && err->class == ERR_ACCESS && x->ops->doubtful && x->ops->doubtful(x->arg))
		err_set(err, ERR_TEMP, "the users file was replaced, and is not read yet");
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

/* As it is filed, which may be shorter than what was said, or share our buffer. */
static void take_name(struct sasl_server *x, struct span filed)
{
	char *name = xstrndup(filed.p, filed.n);
	buf_reset(&x->user);
	buf_adds(&x->user, name);
	free(name);
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
	take_name(x, row.name);
	return SASL_OK;
}

enum sasl_result sasl_server_admit(struct sasl_server *x, struct span authzid, struct err *err)
{
	struct user row;
	bool known;
	if (!x->user.len || x->user.bad || span_has_ctl(buf_span(&x->user)))
		return sasl_fail(err, ERR_ACCESS, "no usable user name");
	if (sasl_server_lookup(x, &row, &known, err) != SASL_OK)
		return SASL_FAIL;
	if (!known || row.nologin)
		return sasl_fail(err, ERR_ACCESS, known ? "this user may not log in" : "no such user");
	bool same = !authzid.n || span_ieq(authzid, buf_span(&x->user)) || span_ieq(authzid, row.name);
	take_name(x, row.name);
	return same ? SASL_OK : sasl_fail(err, ERR_ACCESS, "may not act for another user");
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

/* RFC 4422 A: the authorization identity, empty for the one that the certificate names. */
static enum sasl_result external_step(struct sasl_server *x, struct span in, struct buf *out, struct err *err)
{
	(void)out;
	if (x->step > 0 || span_chr(in, '\0') >= 0)
		return sasl_fail(err, ERR_PROTO, "malformed EXTERNAL message");
	if (!x->ops->certificate(x->arg, &x->user))
		return sasl_fail(err, ERR_ACCESS, "the certificate names nobody");
	return sasl_server_admit(x, in, err);
}
