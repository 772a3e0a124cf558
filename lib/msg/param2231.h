/* SPDX-License-Identifier: ISC
 *
 * A MIME parameter as it is written (RFC 2045 5.1, RFC 2231): a token or quoted string where that suffices, the
 * extended form with UTF-8 and percent signs otherwise, in continuations when it is long.
 */
#ifndef WP_MSG_PARAM2231_H
#define WP_MSG_PARAM2231_H

#include "base/buf.h"
#include "base/span.h"

/* Appends "; name=value", each on a folded line of its own when eol is given ("; name" + eol + blank). Control
 * characters of the value become '_'. */
void param2231_add(const char *name, struct span utf8, const char *eol, struct buf *out);

#endif
