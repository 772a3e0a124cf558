/* SPDX-License-Identifier: ISC
 *
 * CRAM-MD5 (RFC 2195), both sides: HMAC-MD5 of a challenge that is never used twice. Weak: the server must know
 * passwords in the clear, and who reads along can try out words.
 */
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/limits.h"
#include "base/xalloc.h"
#include "sasl/mech.h"

bool cram_digest(struct span password, struct span challenge, char hex[CRAM_DIGEST + 1])
{
	unsigned char md[CRAM_DIGEST / 2];
	unsigned n = 0;
	if (password.n > LIMIT_SECRET ||
	    !HMAC(EVP_md5(), password.p, (int)password.n, (const unsigned char *)challenge.p, challenge.n, md, &n) ||
	    n != sizeof md)
		return false;
	for (size_t i = 0; i < sizeof md; i++)
		snprintf(hex + 2 * i, 3, "%02x", md[i]);
	return true;
}

/* "<RANDOM.SECONDS@HOST>", of the syntax of a message id. */
static enum sasl_result ask(struct sasl_server *x, struct buf *out, struct err *err)
{
	unsigned char random[16];
	if (RAND_bytes(random, sizeof random) != 1)
		return sasl_fail(err, ERR_TEMP, "no random bytes for a challenge");
	buf_addc(&x->challenge, '<');
	for (size_t i = 0; i < sizeof random; i++)
		buf_addf(&x->challenge, "%02x", random[i]);
	buf_addf(&x->challenge, ".%lld@waypost>", (long long)time(NULL));
	buf_addspan(out, buf_span(&x->challenge));
	return SASL_CONTINUE;
}

/* "user digest": the name may hold blanks, the digest not. The work is the same for users who do not exist. */
static enum sasl_result judge(struct sasl_server *x, struct span in, struct err *err)
{
	struct user row;
	struct span password;
	bool known;
	char want[CRAM_DIGEST + 1];
	ptrdiff_t blank = span_rchr(in, ' ');
	if (blank < 1 || in.n - (size_t)blank - 1 != CRAM_DIGEST)
		return sasl_fail(err, ERR_PROTO, "malformed CRAM-MD5 response");
	buf_addspan(&x->user, span_slice(in, 0, (size_t)blank));
	if (x->user.bad || span_has_ctl(buf_span(&x->user)))
		return sasl_fail(err, ERR_ACCESS, "no usable user name");
	if (sasl_server_lookup(x, &row, &known, err) != SASL_OK)
		return SASL_FAIL;
	bool clear = known && users_plain(row.secret, &password);
	if (!cram_digest(clear ? password : SPAN("decoy"), buf_span(&x->challenge), want))
		return sasl_fail(err, ERR_TEMP, "the cryptographic library refuses MD5");
	bool right = !CRYPTO_memcmp(want, in.p + blank + 1, CRAM_DIGEST); /* UNSAFE: so much stands behind the blank */
	if (!known || !clear || !right)
		return sasl_fail(err, ERR_ACCESS, "%s",
		    !known   ? "no such user"
		    : !clear ? "the password is not stored in the clear"
			     : "wrong password");
	return sasl_server_admit(x, SPAN(""), err);
}

enum sasl_result cram_server_step(struct sasl_server *x, struct span in, struct buf *out, struct err *err)
{
	/* RFC 4954 4: an initial response to a mechanism in which the server speaks first is an error. */
	if (x->step == 0)
		return in.n ? sasl_fail(err, ERR_PROTO, "CRAM-MD5 begins with the server") : ask(x, out, err);
	return judge(x, in, err);
}

enum sasl_result cram_client_step(struct sasl_client *x, struct span in, struct buf *out, struct err *err)
{
	char digest[CRAM_DIGEST + 1];
	if (x->step > 0)
		return sasl_fail(err, ERR_PROTO, "the server asks on after the mechanism's end");
	if (!cram_digest(span_str(x->config.password), in, digest))
		return sasl_fail(err, ERR_TEMP, "the cryptographic library refuses MD5");
	buf_addf(out, "%s %s", x->config.user, digest);
	x->done = true;
	return SASL_OK;
}
