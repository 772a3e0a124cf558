/* SPDX-License-Identifier: ISC
 *
 * What both sides of SCRAM-SHA-256 share (RFC 5802, 7677): the attribute grammar, saslname, the key derivation and the
 * channel binding (RFC 9266 tls-exporter, RFC 5929 tls-server-end-point). Internal to lib/sasl.
 */
#ifndef WP_SASL_SCRAM_H
#define WP_SASL_SCRAM_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/span.h"
#include "io/stream.h"

enum {
	SCRAM_HASH = 32,
	SCRAM_NONCE = 24,               /* characters of base64 that we add */
	SCRAM_MESSAGE = 8192,           /* the longest message that is read or made */
	SCRAM_ITERATIONS_MIN = 4096,    /* RFC 7677 4 */
	SCRAM_ITERATIONS_MAX = 2000000, /* about a second: a server must not make a client compute for ever */
};

/* "x=value" up to the next comma, for a given x; false (and *rest untouched) when something else stands there. */
bool scram_attr(struct span *rest, char name, struct span *value);
/* Skips further "x=value" attributes, which RFC 5802 5.1 reserves for extensions; false when malformed. */
bool scram_skip_extensions(struct span rest);
/* Printable ASCII without comma, not empty. */
bool scram_nonce_ok(struct span nonce);
void scram_nonce(char out[SCRAM_NONCE + 1]);
/* saslname: ',' and '=' as =2C and =3D. */
void scram_name_encode(struct span name, struct buf *out);
bool scram_name_decode(struct span text, struct buf *out);

void scram_hmac(const unsigned char *key, size_t n, struct span text, unsigned char out[SCRAM_HASH]);
void scram_sha256(const unsigned char *p, size_t n, unsigned char out[SCRAM_HASH]);
/* SaltedPassword = Hi(password, salt, iterations): PBKDF2. */
bool scram_salted(struct span password, struct span salt, unsigned iterations, unsigned char out[SCRAM_HASH]);

/* The binding data of a type on this stream, appended; false when the stream can't give it or the type is unknown. */
bool scram_binding(const struct stream *s, struct span type, struct buf *out);
bool scram_can_bind(const struct stream *s);
/* "base64(gs2-header + binding)", what the c attribute holds, appended. */
void scram_cbind(struct span gs2_header, struct span binding, struct buf *out);

#endif
