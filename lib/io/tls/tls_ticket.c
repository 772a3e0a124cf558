/* SPDX-License-Identifier: ISC
 *
 * Keys of session tickets (RFC 5077 4), which carry a session's whole state. They lie in memory that a server's workers
 * share, so that one resumes what another began. The parent makes a new key each hour and forgets the oldest of three:
 * whoever takes a key from memory later can't read what was sent long before (RFC 9325 3.4). A worker that looks while
 * a key is overwritten finds no key of that name, or a MAC that does not fit: a full handshake follows.
 */
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "io/tls/tls_int.h"

enum {
	KEYS = 3,
	TURN_MS = 3600 * 1000,
	NAME = 16,
	IV = 16,
	SECRET = 32
};

struct ticket_key {
	unsigned char name[NAME], aes[SECRET], mac[SECRET];
};
struct ticket_ring {
	_Atomic unsigned now; /* the key that tickets are made with */
	int64_t turned;       /* ms; the parent's. 0: not looked at yet */
	struct ticket_key key[KEYS];
};

static bool fill(struct ticket_key *k)
{
	struct ticket_key fresh;
	bool ok = RAND_bytes(fresh.name, NAME) == 1 && RAND_priv_bytes(fresh.aes, SECRET) == 1 &&
		  RAND_priv_bytes(fresh.mac, SECRET) == 1;
	if (ok)
		*k = fresh;
	OPENSSL_cleanse(&fresh, sizeof fresh);
	return ok;
}

struct ticket_ring *ticket_ring_new(struct err *err)
{
	struct ticket_ring *r = mmap(NULL, sizeof *r, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (r == MAP_FAILED) {
		err_sys(err, "no memory for the keys of session tickets");
		return NULL;
	}
	for (size_t i = 0; i < KEYS; i++) {
		if (!fill(&r->key[i])) {
			err_set(err, ERR_TEMP, "no random bytes for the keys of session tickets");
			ticket_ring_free(r);
			return NULL;
		}
	}
	return r;
}

void ticket_ring_free(struct ticket_ring *r)
{
	/* Other processes go on with it: it is not wiped. */
	if (r)
		munmap(r, sizeof *r);
}

void ticket_ring_turn(struct ticket_ring *r, int64_t now)
{
	if (!r->turned)
		r->turned = now;
	if (now - r->turned < TURN_MS)
		return;
	unsigned next = (atomic_load(&r->now) + 1) % KEYS;
	if (!fill(&r->key[next]))
		return; /* tried again at the next turn */
	atomic_store(&r->now, next);
	r->turned = now;
}

static bool use(const struct ticket_key *k, const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int enc)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = { OSSL_PARAM_construct_octet_string(
				    OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)k->mac, SECRET),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end() };
	return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, k->aes, iv, enc) == 1 &&
	       EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* OpenSSL's callback: -1 no, 0 make a full handshake, 1 go on, 2 go on and give a new ticket. */
static int ticket_key(
    SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int enc)
{
	const struct tls_ctx *ctx = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	const struct ticket_ring *r = ctx->tickets;
	unsigned now = atomic_load(&r->now);
	if (enc) {
		memcpy(name, r->key[now].name, NAME);
		return RAND_bytes(iv, IV) == 1 && use(&r->key[now], iv, cipher, mac, 1) ? 1 : -1;
	}
	for (unsigned i = 0; i < KEYS; i++) {
		if (CRYPTO_memcmp(name, r->key[i].name, NAME) != 0)
			continue;
		if (!use(&r->key[i], iv, cipher, mac, 0))
			return -1;
		/* RFC 8446 C.4: a ticket of TLS 1.3 is for one use. */
		return i == now && SSL_version(ssl) < TLS1_3_VERSION ? 1 : 2;
	}
	return 0;
}

void ticket_ring_use(SSL_CTX *c)
{
	SSL_CTX_set_tlsext_ticket_key_evp_cb(c, ticket_key);
}
