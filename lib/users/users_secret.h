/* SPDX-License-Identifier: ISC
 *
 * What a users file's secrets are made of. users_verify and users_scram_keys of users.h live here; so does the check
 * of a scheme when a file is read.
 */
#ifndef WP_USERS_USERS_SECRET_H
#define WP_USERS_USERS_SECRET_H

#include "base/err.h"
#include "base/span.h"

/* Is it a scheme that users_verify knows, written as it should be? ERR_CONFIG; the secret itself is never in the text.
 */
int users_secret_check(struct span secret, struct err *err);

/* What users_verify works on when there is no user, so that the time does not tell: a secret of the file that is in
 * use. Copied. */
void users_secret_decoy(struct span secret);

#endif
