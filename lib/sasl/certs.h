/* SPDX-License-Identifier: ISC
 *
 * Whom a client's certificate names, for EXTERNAL: a table of fingerprints, in which a certificate may stand that no
 * authority has signed, or a name in one that the trusted authorities have verified.
 *
 * The table: lines "FINGERPRINT USER", the SHA-256 of the certificate in hexadecimal with or without colons; '#' begins
 * a comment.
 */
#ifndef WP_SASL_CERTS_H
#define WP_SASL_CERTS_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "io/tls/tls.h"

enum cert_name {
	CERT_NAME_EMAIL, /* the first rfc822Name of subjectAltName */
	CERT_NAME_CN,    /* the subject's common name */
};
#define CERT_NAME_CHOICES "email|cn"

struct cert_table;
/* NULL with err (ERR_CONFIG with file:line). */
struct cert_table *cert_table_read(const char *path, struct err *err);
void cert_table_free(struct cert_table *t);

/* Appends the user's name; false when the certificate names nobody. table NULL: names of verified ones only. info NULL
 * (no TLS): false. */
bool cert_user(const struct cert_table *table, enum cert_name from, const struct tls_info *info, struct buf *user);

#endif
