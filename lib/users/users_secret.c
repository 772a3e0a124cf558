/* SPDX-License-Identifier: ISC */
#include "users/users_secret.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/xalloc.h"
#include "users/users.h"

enum {
	SCRAM_ITERATIONS = 4096 /* RFC 7677 4 */
};

/* Digests first: the comparison then takes a time that tells nothing of either's length. */
static bool plain_verify(struct span secret, struct span password)
{
	unsigned char a[SHA256_DIGEST_LENGTH], b[SHA256_DIGEST_LENGTH];
	SHA256((const unsigned char *)secret.p, secret.n, a);
	SHA256((const unsigned char *)password.p, password.n, b);
	return CRYPTO_memcmp(a, b, sizeof a) == 0;
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
	if (!users_secret_scram(secret, &want))
		return false;
	got = want;
	return scram_derive(password, &got) && CRYPTO_memcmp(got.stored_key, want.stored_key, 32) == 0;
}

static bool pbkdf2_verify(struct span secret, struct span password)
{
	struct span salt;
	uint64_t rounds;
	unsigned char want[20], got[20];
	return users_secret_pbkdf2(secret, &salt, &rounds, want) && password.n <= LIMIT_SECRET &&
	       PKCS5_PBKDF2_HMAC_SHA1(password.p, (int)password.n, (const unsigned char *)salt.p, (int)salt.n,
		   (int)rounds, sizeof got, got) == 1 &&
	       CRYPTO_memcmp(got, want, sizeof got) == 0;
}

static bool (*const verify[])(struct span secret, struct span password) = { [SECRET_PLAIN] = plain_verify,
	[SECRET_CRYPT] = crypt_verify,
	[SECRET_SCRAM] = scram_verify,
	[SECRET_PBKDF2] = pbkdf2_verify };

bool users_verify(struct span secret, struct span password)
{
	struct span rest;
	bool known = secret.n > 0;
	enum secret_kind kind = users_secret_kind(known ? secret : users_secret_of_nobody(), &rest);
	return kind != SECRET_UNKNOWN && verify[kind](rest, password) && known;
}

bool users_scram_keys(struct span secret, struct scram_keys *out)
{
	struct span rest;
	enum secret_kind kind = secret.n ? users_secret_kind(secret, &rest) : SECRET_UNKNOWN;
	if (kind == SECRET_SCRAM)
		return users_secret_scram(rest, out);
	if (kind != SECRET_PLAIN)
		return false;
	*out = (struct scram_keys){ .iterations = SCRAM_ITERATIONS, .salt_len = 16 };
	return RAND_bytes(out->salt, 16) == 1 && scram_derive(rest, out);
}
