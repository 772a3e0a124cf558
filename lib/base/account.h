/* SPDX-License-Identifier: ISC
 *
 * [account NAME] sections of the personal configuration. One account is for sending and for retrieving: mua-send and
 * mra-fetch read the same section, and each passes over the keys that only the other one has. For opts.also, when
 * opts.section is an account's. A key that neither has is an error as elsewhere.
 */
#ifndef WP_BASE_ACCOUNT_H
#define WP_BASE_ACCOUNT_H

#include "base/opts.h"

extern const struct opt *const account_tables[];

#endif
