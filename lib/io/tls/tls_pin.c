/* SPDX-License-Identifier: ISC
 *
 * Certificates known by their fingerprint, or by that of their public key, which outlives a renewal.
 */
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "io/tls/tls_int.h"

/* 32 pairs of hex digits, with ':' between all of them or none. */
static bool parse_one(struct span s, unsigned char out[TLS_PIN_LEN])
{
	if (span_istarts(s, "SHA256:") || span_istarts(s, "SHA256="))
		s = span_from(s, 7);
	bool colons = s.n == 3 * TLS_PIN_LEN - 1;
	if (!colons && s.n != (size_t)2 * TLS_PIN_LEN)
		return false;
	for (size_t i = 0; i < TLS_PIN_LEN; i++) {
		size_t at = i * (colons ? 3 : 2);
		int hi = ascii_hex(s.p[at]), lo = ascii_hex(s.p[at + 1]);
		if (hi < 0 || lo < 0 || (colons && i + 1 < TLS_PIN_LEN && s.p[at + 2] != ':'))
			return false;
		out[i] = (unsigned char)(hi << 4 | lo);
	}
	return true;
}

int tls_pin_parse(struct tls_ctx *ctx, const char *text, struct err *err)
{
	struct span rest = span_str(text);
	do {
		unsigned char one[TLS_PIN_LEN];
		if (!parse_one(span_trim(span_cut(&rest, ',')), one))
			return err_set(
			    err, ERR_USAGE, "a SHA-256 fingerprint is 32 pairs of hex digits, with or without ':'");
		ctx->pin = xreallocarray(ctx->pin, ctx->n_pin + 1, sizeof *ctx->pin);
		memcpy(ctx->pin[ctx->n_pin++], one, sizeof one);
	} while (rest.n);
	return 0;
}

int tls_fingerprint_check(const char *text, struct err *err)
{
	struct tls_ctx scratch = { 0 };
	int rc = tls_pin_parse(&scratch, text, err);
	free(scratch.pin);
	return rc;
}

static bool known(const struct tls_ctx *ctx, const unsigned char got[TLS_PIN_LEN])
{
	for (size_t i = 0; i < ctx->n_pin; i++)
		if (!memcmp(ctx->pin[i], got, TLS_PIN_LEN))
			return true;
	return false;
}

bool tls_key_digest(const X509 *cert, unsigned char out[EVP_MAX_MD_SIZE])
{
	unsigned char *der = NULL;
	unsigned n = 0;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
	bool ok = len > 0 && EVP_Digest(der, (size_t)len, out, &n, EVP_sha256(), NULL) == 1 && n == TLS_PIN_LEN;
	OPENSSL_free(der);
	return ok;
}

bool tls_pin_match(const struct tls_ctx *ctx, const X509 *cert, char hex[3 * TLS_PIN_LEN + 1])
{
	unsigned char got[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	hex[0] = '\0';
	if (!cert || X509_digest(cert, EVP_sha256(), got, &n) != 1 || n != TLS_PIN_LEN)
		return false;
	for (size_t i = 0; i < TLS_PIN_LEN; i++)
		snprintf(hex + 3 * i, 4, "%02X:", got[i]);
	hex[3 * TLS_PIN_LEN - 1] = '\0';
	return known(ctx, got) || (tls_key_digest(cert, got) && known(ctx, got));
}
