/* SPDX-License-Identifier: ISC
 *
 * What a users file's secrets are made of: how they are written, and that a file's are well formed. users_verify and
 * users_scram_keys of users.h work on it.
 */
#ifndef WP_USERS_USERS_SECRET_H
#define WP_USERS_USERS_SECRET_H

#include "base/err.h"
#include "base/span.h"
#include "users/users.h"

enum secret_kind {
	SECRET_UNKNOWN,
	SECRET_PLAIN,
	SECRET_CRYPT,
	SECRET_SCRAM,
	SECRET_PBKDF2
};
/* By the name of its scheme, crypt(3) when it has none; in *rest what follows the name. */
enum secret_kind users_secret_kind(struct span secret, struct span *rest);
/* Is it a scheme that users_verify knows, written as it should be? ERR_CONFIG; the secret itself is never in the text.
 */
int users_secret_check(struct span secret, struct err *err);

/* Of what follows the name of the scheme; false when it is malformed. */
bool users_secret_scram(struct span rest, struct scram_keys *out);
bool users_secret_pbkdf2(struct span rest, struct span *salt, uint64_t *rounds, unsigned char key[20]);

/* What users_verify works on when there is no user, so that the time does not tell: a secret of the file that is in
 * use. Copied. */
void users_secret_decoy(struct span secret);
struct span users_secret_of_nobody(void);

#endif
