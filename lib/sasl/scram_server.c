/* SPDX-License-Identifier: ISC */
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>

#include "base/config.h"
#include "base/limits.h"
#include "base/xalloc.h"
#include "msg/codec.h"
#include "sasl/mech.h"

static unsigned char secret[SCRAM_HASH];
static bool have_secret;

void sasl_server_secret(struct span seed)
{
	if (seed.n)
		scram_hmac((const unsigned char *)"waypost scram", 13, seed, secret);
	else if (RAND_bytes(secret, sizeof secret) != 1)
		abort();
	have_secret = true;
}

void sasl_server_secret_file(const char *path)
{
	struct buf seed;
	buf_init(&seed, LIMIT_SECRET);
	sasl_server_secret(config_slurp(path, &seed, NULL) == 0 ? buf_span(&seed) : span_str(""));
	buf_free(&seed);
}

/* RFC 5802 9: an attacker must not tell by the salt that a user does not exist. A user without stored keys gets the
 * same ones each time too, derived from the name; so does a user with a plain password, and the work is done for all.
 */
static void made_up_keys(struct span name, struct span password, struct scram_keys *keys)
{
	unsigned char salt[SCRAM_HASH], salted[SCRAM_HASH], key[SCRAM_HASH];
	if (!have_secret)
		sasl_server_secret(span_str(""));
	char *folded = xstrndup(name.p, name.n); /* the users file's comparison ignores case */
	for (char *c = folded; *c; c++)
		*c = ascii_lower(*c);
	scram_hmac(secret, sizeof secret, span_str(folded), salt);
	free(folded);
	*keys = (struct scram_keys){ .iterations = SCRAM_ITERATIONS_MIN, .salt_len = 16 };
	memcpy(keys->salt, salt, keys->salt_len);
	if (!scram_salted(password, span_of((const char *)salt, keys->salt_len), keys->iterations, salted))
		abort();
	scram_hmac(salted, sizeof salted, SPAN("Client Key"), key);
	scram_sha256(key, sizeof key, keys->stored_key);
	scram_hmac(salted, sizeof salted, SPAN("Server Key"), keys->server_key);
	OPENSSL_cleanse(salted, sizeof salted);
	OPENSSL_cleanse(key, sizeof key);
}

static bool user_keys(const struct user *row, bool known, struct scram_keys *keys)
{
	static const char *const plain[] = { "{PLAIN}", "{CLEARTEXT}" };
	struct scram_keys stored;
	for (size_t i = 0; i < 2; i++) {
		if (span_istarts(row->secret, plain[i])) {
			made_up_keys(row->name, span_from(row->secret, strlen(plain[i])), keys);
			return known && !row->nologin;
		}
	}
	made_up_keys(row->name, span_str(""), keys);
	if (!known || row->nologin || !users_scram_keys(row->secret, &stored))
		return false;
	*keys = stored;
	return true;
}

/* gs2-header: "n,," "y,a=name," "p=tls-exporter,,". What follows it stays in *in. */
static enum sasl_result read_gs2(struct sasl_server *x, struct span *in, struct span *authzid, struct err *err)
{
	struct span whole = *in, flag = span_cut(in, ','), type = flag;
	bool binds = x->mech->flags & MECH_BINDS;
	if (scram_attr(&type, 'p', &flag)) {
		if (!binds)
			return sasl_fail(err, ERR_PROTO, "channel binding with a mechanism that has none");
		if (!scram_binding(x->s, flag, &x->binding))
			return sasl_fail(err, ERR_PROTO, "unsupported channel binding type");
	} else if (binds || (!span_eqs(flag, "n") && !span_eqs(flag, "y"))) {
		return sasl_fail(err, ERR_PROTO, "malformed gs2 header");
	} else if (span_eqs(flag, "y") && scram_can_bind(x->s)) {
		/* RFC 5802 6: the client was told that we can't bind, which is not what we said. */
		return sasl_fail(err, ERR_ACCESS, "the list of mechanisms was tampered with");
	}
	struct span rest = *in;
	*authzid = span_str("");
	if (!rest.n || (rest.p[0] != ',' && !scram_attr(&rest, 'a', authzid)))
		return sasl_fail(err, ERR_PROTO, "malformed gs2 header");
	*in = authzid->n ? rest : span_from(rest, 1);
	buf_add(&x->gs2, whole.p, (size_t)(in->p - whole.p));
	return SASL_OK;
}

static enum sasl_result find_keys(struct sasl_server *x, struct span authzid, struct err *err)
{
	struct user row;
	bool known;
	if (sasl_server_lookup(x, &row, &known, err) != SASL_OK)
		return SASL_FAIL;
	x->real = user_keys(&row, known, &x->keys);
	if (!x->real)
		return SASL_OK;
	struct buf name;
	buf_init(&name, x->user.max);
	bool same = !authzid.n || (scram_name_decode(authzid, &name) && (span_eq(buf_span(&name), buf_span(&x->user)) ||
									    span_ieq(buf_span(&name), row.name)));
	buf_free(&name);
	char *as_filed = xstrndup(row.name.p, row.name.n);
	buf_reset(&x->user);
	buf_adds(&x->user, as_filed);
	free(as_filed);
	return same ? SASL_OK : sasl_fail(err, ERR_ACCESS, "may not act for another user");
}

static enum sasl_result first_message(struct sasl_server *x, struct span in, struct buf *out, struct err *err)
{
	struct span authzid, name, nonce;
	if (in.n > SCRAM_MESSAGE)
		return sasl_fail(err, ERR_PROTO, "SCRAM message too long");
	if (read_gs2(x, &in, &authzid, err) != SASL_OK)
		return SASL_FAIL;
	struct span bare = in;
	/* RFC 5802 5.1: an "m" here is an extension that must be understood; there is none. */
	if (!scram_attr(&in, 'n', &name) || !scram_name_decode(name, &x->user) || span_has_ctl(buf_span(&x->user)) ||
	    !scram_attr(&in, 'r', &nonce) || !scram_nonce_ok(nonce) || !scram_skip_extensions(in))
		return sasl_fail(err, ERR_PROTO, "malformed SCRAM client-first message");
	if (find_keys(x, authzid, err) != SASL_OK)
		return SASL_FAIL;
	buf_addspan(&x->full_nonce, nonce);
	buf_adds(&x->full_nonce, x->nonce);
	size_t start = out->len;
	buf_adds(out, "r=");
	buf_addspan(out, buf_span(&x->full_nonce));
	buf_adds(out, ",s=");
	base64_encode(span_of((const char *)x->keys.salt, x->keys.salt_len), NULL, out);
	buf_addf(out, ",i=%u", x->keys.iterations);
	buf_addspan(&x->messages, bare);
	buf_addc(&x->messages, ',');
	buf_addspan(&x->messages, span_from(buf_span(out), start));
	buf_addc(&x->messages, ',');
	return out->bad || x->messages.bad ? sasl_fail(err, ERR_PROTO, "SCRAM message too long") : SASL_CONTINUE;
}

/* ClientProof XOR ClientSignature is the client's key, whose hash we store. */
static bool proof_right(const struct sasl_server *x, struct span proof)
{
	unsigned char key[SCRAM_HASH], stored[SCRAM_HASH];
	if (proof.n != SCRAM_HASH)
		return false;
	scram_hmac(x->keys.stored_key, SCRAM_HASH, buf_span(&x->messages), key);
	for (size_t i = 0; i < SCRAM_HASH; i++)
		key[i] ^= (unsigned char)proof.p[i];
	scram_sha256(key, SCRAM_HASH, stored);
	OPENSSL_cleanse(key, sizeof key);
	return CRYPTO_memcmp(stored, x->keys.stored_key, SCRAM_HASH) == 0 && x->real;
}

static enum sasl_result final_message(struct sasl_server *x, struct span in, struct buf *out, struct err *err)
{
	struct span cbind, nonce, proof64, whole = in;
	unsigned char signature[SCRAM_HASH];
	struct buf want, proof;
	if (in.n > SCRAM_MESSAGE)
		return sasl_fail(err, ERR_PROTO, "SCRAM message too long");
	ptrdiff_t last = span_rchr(in, ',');
	struct span tail = span_from(in, last < 0 ? in.n : (size_t)last + 1);
	if (!scram_attr(&in, 'c', &cbind) || !scram_attr(&in, 'r', &nonce) || !scram_skip_extensions(in) ||
	    !scram_attr(&tail, 'p', &proof64))
		return sasl_fail(err, ERR_PROTO, "malformed SCRAM client-final message");
	buf_addspan(&x->messages, span_slice(whole, 0, (size_t)last));
	buf_init(&want, SCRAM_MESSAGE);
	buf_init(&proof, SCRAM_MESSAGE);
	scram_cbind(buf_span(&x->gs2), buf_span(&x->binding), &want);
	bool bound = span_eq(cbind, buf_span(&want)), fresh = span_eq(nonce, buf_span(&x->full_nonce));
	bool right = base64_decode_strict(proof64, &proof) && proof_right(x, buf_span(&proof));
	buf_free(&want);
	buf_free(&proof);
	if (!bound || !fresh)
		return sasl_fail(err, ERR_ACCESS, bound ? "wrong nonce" : "channel bindings don't match");
	if (!right)
		return sasl_fail(
		    err, ERR_ACCESS, x->real ? "wrong password" : "no such user, or one without SCRAM keys");
	scram_hmac(x->keys.server_key, SCRAM_HASH, buf_span(&x->messages), signature);
	buf_adds(out, "v=");
	base64_encode(span_of((const char *)signature, sizeof signature), NULL, out);
	return SASL_OK;
}

enum sasl_result scram_server_step(struct sasl_server *x, struct span in, struct buf *out, struct err *err)
{
	return x->step == 0 ? first_message(x, in, out, err) : final_message(x, in, out, err);
}
