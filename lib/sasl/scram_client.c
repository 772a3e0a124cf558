/* SPDX-License-Identifier: ISC */
#include <openssl/crypto.h>

#include "io/tls/tls.h"
#include "msg/codec.h"
#include "sasl/mech.h"
#include "sasl/prep.h"

static enum sasl_result say_hello(struct sasl_client *x, struct buf *out, struct err *err)
{
	struct buf name;
	buf_init(&name, SCRAM_MESSAGE);
	if (!sasl_prep(span_str(x->config.user), &name)) {
		buf_free(&name);
		return sasl_fail(err, ERR_USAGE, "the user name holds characters that SASLprep refuses");
	}
	/* RFC 5802 6: "y" tells a server that did offer -PLUS that somebody took it out of its list. */
	if (x->mech->flags & MECH_BINDS)
		buf_adds(&x->gs2, "p=tls-exporter,,");
	else
		buf_adds(&x->gs2, scram_can_bind(x->s) && !x->offered_plus ? "y,," : "n,,");
	buf_adds(&x->messages, "n=");
	scram_name_encode(buf_span(&name), &x->messages);
	buf_addf(&x->messages, ",r=%s", x->nonce);
	buf_addspan(out, buf_span(&x->gs2));
	buf_addspan(out, buf_span(&x->messages));
	buf_free(&name);
	return x->messages.bad ? sasl_fail(err, ERR_USAGE, "the user name is too long") : SASL_CONTINUE;
}

struct challenge {
	struct span nonce;
	struct buf salt;
	uint64_t iterations;
};

static bool read_challenge(const struct sasl_client *x, struct span in, struct challenge *ch)
{
	struct span salt, count;
	return scram_attr(&in, 'r', &ch->nonce) && scram_nonce_ok(ch->nonce) && scram_attr(&in, 's', &salt) &&
	       base64_decode_strict(salt, &ch->salt) && ch->salt.len && scram_attr(&in, 'i', &count) &&
	       span_u64(count, UINT32_MAX, &ch->iterations) && scram_skip_extensions(in) && ch->nonce.n > SCRAM_NONCE &&
	       span_starts(ch->nonce, x->nonce);
}

/* Appends ",p=proof" and keeps the signature that the server has to show. */
static bool prove(struct sasl_client *x, const struct challenge *ch, struct buf *out)
{
	unsigned char salted[SCRAM_HASH], key[SCRAM_HASH], stored[SCRAM_HASH], sig[SCRAM_HASH], server_key[SCRAM_HASH];
	struct buf password;
	buf_init(&password, SCRAM_MESSAGE);
	bool ok = sasl_prep(span_str(x->config.password), &password) &&
		  scram_salted(buf_span(&password), buf_span(&ch->salt), (unsigned)ch->iterations, salted);
	OPENSSL_cleanse(password.p, password.len);
	buf_free(&password);
	if (!ok)
		return false;
	scram_hmac(salted, SCRAM_HASH, SPAN("Client Key"), key);
	scram_hmac(salted, SCRAM_HASH, SPAN("Server Key"), server_key);
	scram_sha256(key, SCRAM_HASH, stored);
	scram_hmac(stored, SCRAM_HASH, buf_span(&x->messages), sig);
	scram_hmac(server_key, SCRAM_HASH, buf_span(&x->messages), x->server_signature);
	for (size_t i = 0; i < SCRAM_HASH; i++)
		key[i] ^= sig[i];
	buf_adds(out, ",p=");
	base64_encode(span_of((const char *)key, sizeof key), NULL, out);
	OPENSSL_cleanse(salted, sizeof salted);
	OPENSSL_cleanse(key, sizeof key);
	return true;
}

static enum sasl_result answer(
    struct sasl_client *x, struct span in, struct challenge *ch, struct buf *out, struct err *err)
{
	struct buf binding;
	if (in.n > SCRAM_MESSAGE || !read_challenge(x, in, ch))
		return sasl_fail(err, ERR_PROTO, "malformed SCRAM server-first message");
	if (ch->iterations < SCRAM_ITERATIONS_MIN || ch->iterations > SCRAM_ITERATIONS_MAX)
		return sasl_fail(err, ERR_ACCESS, "the server asks for %llu iterations, which is too %s",
		    (unsigned long long)ch->iterations, ch->iterations < SCRAM_ITERATIONS_MIN ? "few" : "many");
	buf_init(&binding, 64);
	bool bound = !(x->mech->flags & MECH_BINDS) || scram_binding(x->s, SPAN("tls-exporter"), &binding);
	size_t start = out->len;
	buf_adds(out, "c=");
	scram_cbind(buf_span(&x->gs2), buf_span(&binding), out);
	buf_free(&binding);
	if (!bound)
		return sasl_fail(err, ERR_ACCESS, "this TLS session has no channel binding");
	buf_adds(out, ",r=");
	buf_addspan(out, ch->nonce);
	buf_addc(&x->messages, ',');
	buf_addspan(&x->messages, in);
	buf_addc(&x->messages, ',');
	buf_addspan(&x->messages, span_from(buf_span(out), start));
	if (x->messages.bad || out->bad)
		return sasl_fail(err, ERR_PROTO, "SCRAM message too long");
	return prove(x, ch, out) ? SASL_CONTINUE
				 : sasl_fail(err, ERR_USAGE, "the password holds characters that SASLprep refuses");
}

static enum sasl_result check_server(struct sasl_client *x, struct span in, struct err *err)
{
	struct span text;
	struct buf sig;
	if (scram_attr(&in, 'e', &text))
		return sasl_fail(err, ERR_ACCESS, "the server says: %.*s", text.n < 100 ? (int)text.n : 100, text.p);
	buf_init(&sig, SCRAM_MESSAGE);
	x->done = scram_attr(&in, 'v', &text) && base64_decode_strict(text, &sig) && sig.len == SCRAM_HASH &&
		  CRYPTO_memcmp(sig.p, x->server_signature, SCRAM_HASH) == 0;
	buf_free(&sig);
	return x->done ? SASL_OK
		       : sasl_fail(err, ERR_ACCESS, "the server does not know the password either: wrong signature");
}

enum sasl_result scram_client_step(struct sasl_client *x, struct span in, struct buf *out, struct err *err)
{
	if (x->step == 0)
		return say_hello(x, out, err);
	if (x->step > 1)
		return check_server(x, in, err);
	struct challenge ch = { 0 };
	buf_init(&ch.salt, SCRAM_MESSAGE);
	enum sasl_result r = answer(x, in, &ch, out, err);
	buf_free(&ch.salt);
	return r;
}
