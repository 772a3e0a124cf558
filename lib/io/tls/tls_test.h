/* SPDX-License-Identifier: ISC
 *
 * Certificates for the tests of TLS, made anew for each run.
 */
#ifndef WP_IO_TLS_TEST_H
#define WP_IO_TLS_TEST_H

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "io/tls/tls.h"

struct identity {
	X509 *cert;
	EVP_PKEY *key;
};

static inline void extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(e);
	X509_add_ext(cert, e, -1);
	X509_EXTENSION_free(e);
}

static inline struct identity make(const char *cn, const char *san, const struct identity *ca)
{
	static long serial;
	struct identity me = { X509_new(), EVP_EC_gen("P-256") };
	X509_set_version(me.cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(me.cert), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(me.cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(me.cert), 3600);
	X509_set_pubkey(me.cert, me.key);
	X509_NAME_add_entry_by_txt(
	    X509_get_subject_name(me.cert), "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0);
	const struct identity *by = ca ? ca : &me;
	X509_set_issuer_name(me.cert, X509_get_subject_name(by->cert));
	if (!san)
		extension(me.cert, by->cert, NID_basic_constraints, "critical,CA:TRUE");
	else
		extension(me.cert, by->cert, NID_subject_alt_name, san);
	assert_true(X509_sign(me.cert, by->key, EVP_sha256()) > 0);
	return me;
}

static inline void save(const struct identity *me, const char *cert_path, const char *key_path)
{
	FILE *f = fopen(cert_path, "w");
	assert_non_null(f);
	PEM_write_X509(f, me->cert);
	if (!strcmp(cert_path, key_path))
		PEM_write_PrivateKey(f, me->key, NULL, NULL, 0, NULL, NULL);
	fclose(f);
	if (strcmp(cert_path, key_path)) {
		f = fopen(key_path, "w");
		assert_non_null(f);
		PEM_write_PrivateKey(f, me->key, NULL, NULL, 0, NULL, NULL);
		fclose(f);
	}
}

static inline void drop(struct identity *me)
{
	X509_free(me->cert);
	EVP_PKEY_free(me->key);
}

#endif
