/* SPDX-License-Identifier: ISC */
#include "users/users_secret.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/xalloc.h"
#include "msg/codec.h"
#include "users/users.h"

enum {
	SCRAM_ITERATIONS = 4096 /* RFC 7677 4 */,
	ITERATIONS_MAX = 10000000
};

/* The cost that an unknown user's check imitates until a file gave another: SHA-512 crypt with its default rounds. */
static char decoy[512] = "$6$wpdecoywpdecoy$";

static bool plain_check(struct span secret)
{
	(void)secret;
	return true;
}

/* Digests first: the comparison then takes a time that tells nothing of either's length. */
static bool plain_verify(struct span secret, struct span password)
{
	unsigned char a[SHA256_DIGEST_LENGTH], b[SHA256_DIGEST_LENGTH];
	SHA256((const unsigned char *)secret.p, secret.n, a);
	SHA256((const unsigned char *)password.p, password.n, b);
	return CRYPTO_memcmp(a, b, sizeof a) == 0;
}

static bool crypt_check(struct span secret)
{
	return secret.n < CRYPT_OUTPUT_SIZE;
}

static bool crypt_verify(struct span secret, struct span password)
{
	if (secret.n >= CRYPT_OUTPUT_SIZE || password.n >= CRYPT_MAX_PASSPHRASE_SIZE ||
	    memchr(password.p, 0, password.n))
		return false;
	struct crypt_data *data = xcalloc(1, sizeof *data);
	char *setting = xstrndup(secret.p, secret.n), *phrase = xstrndup(password.p, password.n);
	const char *got = crypt_r(phrase, setting, data);
	bool ok = got && got[0] != '*' && strlen(got) == secret.n && CRYPTO_memcmp(got, secret.p, secret.n) == 0;
	OPENSSL_cleanse(phrase, password.n);
	OPENSSL_cleanse(data, sizeof *data);
	free(phrase);
	free(setting);
	free(data);
	return ok;
}

static bool decode_exact(struct span text, unsigned char *out, size_t least, size_t most, size_t *n)
{
	struct buf b;
	buf_init(&b, 1024);
	bool ok = base64_decode_strict(text, &b) && !b.bad && b.len >= least && b.len <= most;
	if (ok) {
		memcpy(out, b.p, b.len);
		*n = b.len;
	}
	buf_free(&b);
	return ok;
}

/* "iterations,salt,StoredKey,ServerKey", as Dovecot writes it. */
static bool scram_parse(struct span secret, struct scram_keys *out)
{
	uint64_t iterations;
	size_t n;
	*out = (struct scram_keys){ 0 };
	if (!span_u64(span_cut(&secret, ','), ITERATIONS_MAX, &iterations) || !iterations)
		return false;
	out->iterations = (unsigned)iterations;
	return decode_exact(span_cut(&secret, ','), out->salt, 1, sizeof out->salt, &out->salt_len) &&
	       decode_exact(span_cut(&secret, ','), out->stored_key, 32, 32, &n) &&
	       decode_exact(secret, out->server_key, 32, 32, &n);
}

static bool scram_check(struct span secret)
{
	struct scram_keys keys;
	return scram_parse(secret, &keys);
}

/* RFC 5802 3: SaltedPassword, ClientKey, StoredKey, ServerKey. Uses out's iterations and salt. */
static bool scram_derive(struct span password, struct scram_keys *out)
{
	unsigned char salted[32], client[32];
	unsigned n = 0;
	bool ok =
	    password.n <= LIMIT_SECRET &&
	    PKCS5_PBKDF2_HMAC(password.p, (int)password.n, out->salt, (int)out->salt_len, (int)out->iterations,
		EVP_sha256(), sizeof salted, salted) == 1 &&
	    HMAC(EVP_sha256(), salted, sizeof salted, (const unsigned char *)"Client Key", 10, client, &n) &&
	    HMAC(EVP_sha256(), salted, sizeof salted, (const unsigned char *)"Server Key", 10, out->server_key, &n);
	if (ok)
		SHA256(client, sizeof client, out->stored_key);
	OPENSSL_cleanse(salted, sizeof salted);
	OPENSSL_cleanse(client, sizeof client);
	return ok;
}

static bool scram_verify(struct span secret, struct span password)
{
	struct scram_keys want, got;
	if (!scram_parse(secret, &want))
		return false;
	got = want;
	return scram_derive(password, &got) && CRYPTO_memcmp(got.stored_key, want.stored_key, 32) == 0;
}

/* Dovecot's {PBKDF2}: "$1$salt$rounds$hex", HMAC-SHA-1 with a 20 byte key. */
static bool pbkdf2_parse(struct span s, struct span *salt, uint64_t *rounds, unsigned char key[20])
{
	if (!span_starts(s, "$1$"))
		return false;
	s = span_from(s, 3);
	*salt = span_cut(&s, '$');
	if (!span_u64(span_cut(&s, '$'), ITERATIONS_MAX, rounds) || !*rounds || s.n != 40)
		return false;
	for (size_t i = 0; i < 20; i++) {
		int high = ascii_hex(s.p[2 * i]), low = ascii_hex(s.p[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		key[i] = (unsigned char)(high << 4 | low);
	}
	return true;
}

static bool pbkdf2_check(struct span secret)
{
	struct span salt;
	uint64_t rounds;
	unsigned char key[20];
	return pbkdf2_parse(secret, &salt, &rounds, key);
}

static bool pbkdf2_verify(struct span secret, struct span password)
{
	struct span salt;
	uint64_t rounds;
	unsigned char want[20], got[20];
	return pbkdf2_parse(secret, &salt, &rounds, want) && password.n <= LIMIT_SECRET &&
	       PKCS5_PBKDF2_HMAC_SHA1(password.p, (int)password.n, (const unsigned char *)salt.p, (int)salt.n,
		   (int)rounds, sizeof got, got) == 1 &&
	       CRYPTO_memcmp(got, want, sizeof got) == 0;
}

static const struct scheme {
	const char *name;
	bool (*check)(struct span secret);
	bool (*verify)(struct span secret, struct span password);
} schemes[] = {
	{ "PLAIN", plain_check, plain_verify },
	{ "CLEARTEXT", plain_check, plain_verify },
	{ "CRYPT", crypt_check, crypt_verify },
	{ "SHA512-CRYPT", crypt_check, crypt_verify },
	{ "SHA256-CRYPT", crypt_check, crypt_verify },
	{ "BLF-CRYPT", crypt_check, crypt_verify },
	{ "MD5-CRYPT", crypt_check, crypt_verify },
	{ "YESCRYPT", crypt_check, crypt_verify },
	{ "SCRAM-SHA-256", scram_check, scram_verify },
	{ "PBKDF2", pbkdf2_check, pbkdf2_verify },
};

/* The scheme of a secret, and in *rest what follows its name; crypt(3) when it names none. */
static const struct scheme *scheme_of(struct span secret, struct span *name, struct span *rest)
{
	*name = SPAN("CRYPT");
	*rest = secret;
	if (secret.n && secret.p[0] == '{') {
		if (span_chr(secret, '}') < 0)
			return NULL;
		*rest = span_from(secret, 1);
		*name = span_cut(rest, '}');
	}
	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
		if (span_ieqs(*name, schemes[i].name))
			return &schemes[i];
	return NULL;
}

int users_secret_check(struct span secret, struct err *err)
{
	struct span name, rest;
	const struct scheme *s = scheme_of(secret, &name, &rest);
	if (!s && span_chr(secret, '}') < 0)
		return err_set(err, ERR_CONFIG, "the scheme's '{' is never closed");
	if (!s)
		return err_set(
		    err, ERR_CONFIG, "unknown password scheme {%.*s}", (int)(name.n < 40 ? name.n : 40), name.p);
	return s->check(rest) ? 0 : err_set(err, ERR_CONFIG, "malformed {%s} secret", s->name);
}

void users_secret_decoy(struct span secret)
{
	if (secret.n && secret.n < sizeof decoy)
		snprintf(decoy, sizeof decoy, "%.*s", SPAN_FMT(secret));
}

bool users_verify(struct span secret, struct span password)
{
	struct span name, rest;
	bool known = secret.n > 0;
	const struct scheme *s = scheme_of(known ? secret : span_str(decoy), &name, &rest);
	return s && s->verify(rest, password) && known;
}

bool users_plain(struct span secret, struct span *password)
{
	struct span name;
	const struct scheme *s = secret.n ? scheme_of(secret, &name, password) : NULL;
	return s && s->verify == plain_verify;
}

bool users_scram_keys(struct span secret, struct scram_keys *out)
{
	struct span name, rest;
	const struct scheme *s = secret.n ? scheme_of(secret, &name, &rest) : NULL;
	if (s && s->verify == scram_verify)
		return scram_parse(rest, out);
	if (!s || s->verify != plain_verify)
		return false;
	*out = (struct scram_keys){ .iterations = SCRAM_ITERATIONS, .salt_len = 16 };
	return RAND_bytes(out->salt, 16) == 1 && scram_derive(rest, out);
}
