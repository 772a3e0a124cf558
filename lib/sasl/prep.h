/* SPDX-License-Identifier: ISC
 *
 * SASLprep (RFC 4013) of user names and passwords, as far as it can be done without Unicode's normalisation tables:
 * spaces become SP, what is invisible vanishes, control characters and the other prohibited ones are refused. NFKC is
 * not applied: text as keyboards and password managers give it is composed already, and stays as it is.
 */
#ifndef WP_SASL_PREP_H
#define WP_SASL_PREP_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/span.h"

/* Appends the prepared text; false when it is no UTF-8, or holds what RFC 4013 2.3 prohibits. */
bool sasl_prep(struct span utf8, struct buf *out);

#endif
