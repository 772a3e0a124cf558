/* SPDX-License-Identifier: ISC
 *
 * The schemes of secrets and how they are written. What they are for, and with it all cryptography, is in
 * users_secret.c: who reads a users file and lets nobody in is linked without it.
 */
#include <crypt.h>
#include <stdio.h>

#include "base/buf.h"
#include "msg/codec.h"
#include "users/users_secret.h"

enum {
	ITERATIONS_MAX = 10000000
};

/* The cost that an unknown user's check imitates until a file gave another: SHA-512 crypt with its default rounds. */
static char decoy[512] = "$6$wpdecoywpdecoy$";

static bool plain_check(struct span secret)
{
	(void)secret;
	return true;
}

static bool crypt_check(struct span secret)
{
	return secret.n < CRYPT_OUTPUT_SIZE;
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
bool users_secret_scram(struct span secret, struct scram_keys *out)
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
	return users_secret_scram(secret, &keys);
}

/* Dovecot's {PBKDF2}: "$1$salt$rounds$hex", HMAC-SHA-1 with a 20 byte key. */
bool users_secret_pbkdf2(struct span s, struct span *salt, uint64_t *rounds, unsigned char key[20])
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
	return users_secret_pbkdf2(secret, &salt, &rounds, key);
}

static const struct scheme {
	const char *name;
	enum secret_kind kind;
	bool (*check)(struct span secret);
} schemes[] = {
	{ "PLAIN", SECRET_PLAIN, plain_check },
	{ "CLEARTEXT", SECRET_PLAIN, plain_check },
	{ "CRYPT", SECRET_CRYPT, crypt_check },
	{ "SHA512-CRYPT", SECRET_CRYPT, crypt_check },
	{ "SHA256-CRYPT", SECRET_CRYPT, crypt_check },
	{ "BLF-CRYPT", SECRET_CRYPT, crypt_check },
	{ "MD5-CRYPT", SECRET_CRYPT, crypt_check },
	{ "YESCRYPT", SECRET_CRYPT, crypt_check },
	{ "SCRAM-SHA-256", SECRET_SCRAM, scram_check },
	{ "PBKDF2", SECRET_PBKDF2, pbkdf2_check },
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

struct span users_secret_of_nobody(void)
{
	return span_str(decoy);
}

enum secret_kind users_secret_kind(struct span secret, struct span *rest)
{
	struct span name;
	const struct scheme *s = scheme_of(secret, &name, rest);
	return s ? s->kind : SECRET_UNKNOWN;
}

bool users_plain(struct span secret, struct span *password)
{
	return secret.n && users_secret_kind(secret, password) == SECRET_PLAIN;
}
