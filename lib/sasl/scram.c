/* SPDX-License-Identifier: ISC */
#include "sasl/scram.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>

#include "io/tls/tls.h"
#include "msg/codec.h"

bool scram_attr(struct span *rest, char name, struct span *value)
{
	if (rest->n < 2 || rest->p[0] != name || rest->p[1] != '=')
		return false;
	*value = span_from(span_cut(rest, ','), 2);
	return true;
}

bool scram_skip_extensions(struct span rest)
{
	while (rest.n) {
		struct span attr = span_cut(&rest, ',');
		if (attr.n < 3 || !ascii_isalpha(attr.p[0]) || attr.p[1] != '=')
			return false;
	}
	return true;
}

bool scram_nonce_ok(struct span nonce)
{
	for (size_t i = 0; i < nonce.n; i++)
		if (nonce.p[i] < 0x21 || nonce.p[i] > 0x7e || nonce.p[i] == ',')
			return false;
	return nonce.n > 0;
}

void scram_nonce(char out[SCRAM_NONCE + 1])
{
	unsigned char raw[SCRAM_NONCE / 4 * 3];
	if (RAND_bytes(raw, sizeof raw) != 1)
		abort(); /* without randomness nothing here is safe */
	EVP_EncodeBlock((unsigned char *)out, raw, sizeof raw);
}

void scram_name_encode(struct span name, struct buf *out)
{
	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] == ',')
			buf_adds(out, "=2C");
		else if (name.p[i] == '=')
			buf_adds(out, "=3D");
		else
			buf_addc(out, name.p[i]);
	}
}

bool scram_name_decode(struct span text, struct buf *out)
{
	for (; text.n; text = span_from(text, 1)) {
		char c = text.p[0];
		if (c == '\0')
			return false;
		if (c == '=') {
			if (!span_starts(text, "=2C") && !span_starts(text, "=3D"))
				return false;
			c = text.p[1] == '2' ? ',' : '=';
			text = span_from(text, 2);
		}
		buf_addc(out, c);
	}
	return out->len > 0 && !out->bad;
}

void scram_hmac(const unsigned char *key, size_t n, struct span text, unsigned char out[SCRAM_HASH])
{
	unsigned len = SCRAM_HASH;
	if (!HMAC(EVP_sha256(), key, (int)n, (const unsigned char *)text.p, text.n, out, &len))
		abort();
}

void scram_sha256(const unsigned char *p, size_t n, unsigned char out[SCRAM_HASH])
{
	if (EVP_Digest(p, n, out, NULL, EVP_sha256(), NULL) != 1)
		abort();
}

bool scram_salted(struct span password, struct span salt, unsigned iterations, unsigned char out[SCRAM_HASH])
{
	return PKCS5_PBKDF2_HMAC(password.p, (int)password.n, (const unsigned char *)salt.p, (int)salt.n,
		   (int)iterations, EVP_sha256(), SCRAM_HASH, out) == 1;
}

bool scram_binding(const struct stream *s, struct span type, struct buf *out)
{
	unsigned char data[64];
	int n = -1;
	if (span_eqs(type, "tls-exporter") && tls_exporter(s, data) == 0)
		n = 32;
	else if (span_eqs(type, "tls-server-end-point"))
		n = tls_server_end_point(s, data);
	if (n <= 0)
		return false;
	buf_add(out, data, (size_t)n);
	return true;
}

bool scram_can_bind(const struct stream *s)
{
	unsigned char data[32];
	return stream_tls(s) && tls_exporter(s, data) == 0;
}

void scram_cbind(struct span gs2_header, struct span binding, struct buf *out)
{
	struct buf raw;
	buf_init(&raw, SCRAM_MESSAGE);
	buf_addspan(&raw, gs2_header);
	buf_addspan(&raw, binding);
	base64_encode(buf_span(&raw), NULL, out);
	buf_free(&raw);
}
