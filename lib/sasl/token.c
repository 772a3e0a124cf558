/* SPDX-License-Identifier: ISC
 *
 * Bearer tokens, the server's side: OAUTHBEARER (RFC 7628) and its forerunner XOAUTH2, which Google described. Who
 * decides is ops->token. A refusal is told in JSON, acknowledged by the client, and only then the protocol's own.
 */
#include "base/limits.h"
#include "sasl/mech.h"

/* RFC 7628 3.1: key=value pairs, each ended by SOH, then one SOH more. False at what is none. */
static bool next_pair(struct span *rest, struct span *key, struct span *value)
{
	if (span_chr(*rest, '\001') < 0)
		return false;
	*value = span_cut(rest, '\001');
	ptrdiff_t eq = span_chr(*value, '=');
	if (eq < 1)
		return false;
	*key = span_cut(value, '=');
	for (size_t i = 0; i < key->n; i++)
		if (!ascii_isalpha(key->p[i]))
			return false;
	return true;
}

static bool is_end(struct span rest)
{
	return rest.n == 1 && rest.p[0] == '\001';
}

static bool printable(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return false;
	return true;
}

/* "Bearer TOKEN"; the scheme's case does not matter (RFC 6750 2.1, RFC 9110 11.1). An empty value asks how to get a
 * token: bearer is empty then. */
static bool read_auth(struct span value, struct span *bearer)
{
	*bearer = SPAN("");
	if (!value.n)
		return true;
	struct span scheme = span_word(&value);
	*bearer = span_trim(value);
	return span_ieqs(scheme, "Bearer") && printable(*bearer);
}

static bool read_pairs(struct span rest, struct sasl_token *t)
{
	struct span key, value;
	bool have_auth = false;
	while (!is_end(rest)) {
		if (!next_pair(&rest, &key, &value))
			return false;
		if (span_ieqs(key, "auth")) {
			if (have_auth || !read_auth(value, &t->bearer))
				return false;
			have_auth = true;
		} else if (span_ieqs(key, "host") || span_ieqs(key, "port")) {
			if (!printable(value))
				return false;
			*(span_ieqs(key, "host") ? &t->host : &t->port) = value;
		} else if (span_ieqs(key, "user")) {
			t->user = value;
		} /* RFC 7628 3.1: unknown ones are ignored */
	}
	return have_auth;
}

/* "n,a=USER,": no channel binding is defined for it (RFC 7628 3.1), so that "p=" is refused. */
static bool read_gs2(struct sasl_server *x, struct span *in)
{
	struct span flag = span_cut(in, ','), authzid = SPAN("");
	if ((!span_eqs(flag, "n") && !span_eqs(flag, "y")) || span_chr(*in, ',') < 0)
		return false;
	struct span name = span_cut(in, ',');
	if (name.n && (!span_starts(name, "a=") || !(authzid = span_from(name, 2)).n))
		return false;
	return (!authzid.n || scram_name_decode(authzid, &x->user)) && span_starts(*in, "\001");
}

/* RFC 7628 3.2.2; XOAUTH2 has a status of HTTP. */
static enum sasl_result refuse(struct sasl_server *x, struct buf *out, const struct err *why)
{
	bool xoauth2 = x->mech->step == xoauth2_server_step;
	x->refused = true;
	x->refusal = *why;
	buf_addf(out, "{\"status\":\"%s\",\"schemes\":\"bearer\"}", xoauth2 ? "401" : "invalid_token");
	return SASL_CONTINUE;
}

static enum sasl_result judge(struct sasl_server *x, struct sasl_token *t, struct buf *out, struct err *err)
{
	struct err own = { 0 }, *why = err ? err : &own;
	struct buf owner, wish;
	enum sasl_result r = SASL_FAIL;
	buf_init(&owner, LIMIT_SMTP_PATH);
	buf_init(&wish, LIMIT_SMTP_PATH);
	buf_addspan(&wish, t->user);
	t->mech = x->mech->name;
	if (!t->bearer.n)
		err_set(why, ERR_ACCESS, "no token");
	else if (wish.bad || span_has_ctl(t->user))
		err_set(why, ERR_ACCESS, "no usable user name");
	else if (x->ops->token(x->arg, t, &owner, why) == 0) {
		buf_reset(&x->user);
		buf_addspan(&x->user, buf_span(&owner));
		r = sasl_server_admit(x, buf_span(&wish), why);
	}
	buf_free(&owner);
	buf_free(&wish);
	/* What a token can't help is told by the protocol alone. */
	return r == SASL_FAIL && why->class == ERR_ACCESS ? refuse(x, out, why) : r;
}

/* The client's acknowledgement of a refusal, whatever it holds. */
static enum sasl_result refused(const struct sasl_server *x, struct err *err)
{
	if (err)
		*err = x->refusal;
	return SASL_FAIL;
}

static const struct sasl_token empty = { "", { "", 0 }, { "", 0 }, { "", 0 }, { "", 0 } };

enum sasl_result oauthbearer_server_step(struct sasl_server *x, struct span in, struct buf *out, struct err *err)
{
	struct sasl_token t = empty;
	if (x->step > 0)
		return refused(x, err);
	if (!read_gs2(x, &in) || !read_pairs(span_from(in, 1), &t))
		return sasl_fail(err, ERR_PROTO, "malformed OAUTHBEARER message");
	t.user = buf_span(&x->user); /* a pair of that name means nothing here */
	return judge(x, &t, out, err);
}

enum sasl_result xoauth2_server_step(struct sasl_server *x, struct span in, struct buf *out, struct err *err)
{
	struct sasl_token t = empty;
	if (x->step > 0)
		return refused(x, err);
	if (!read_pairs(in, &t) || !t.user.n)
		return sasl_fail(err, ERR_PROTO, "malformed XOAUTH2 message");
	buf_addspan(&x->user, t.user);
	return judge(x, &t, out, err);
}
