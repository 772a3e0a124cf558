/* SPDX-License-Identifier: ISC
 *
 * The value of ORCPT, "type;address" (RFC 3461 4.2), and what it becomes in another place: xtext for all types but
 * utf-8, whose address has characters as they are or as \x{HEX} (RFC 6533 3). Values are taken as smtp_rcpt_params
 * accepts them.
 */
#ifndef WP_SMTP_ORCPT_H
#define WP_SMTP_ORCPT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/span.h"

/* For a server without SMTPUTF8: nothing but ASCII, by \x{HEX}. False when it holds bytes that are no UTF-8. */
bool orcpt_to_ascii(struct span value, struct buf *out);
/* For Original-Recipient (RFC 3464 2.3.1, RFC 6533 4): the address as it was given, in a report that may hold UTF-8 or
 * in one that may not. False when malformed. */
bool orcpt_to_field(struct span value, bool utf8, struct buf *out);
/* Of an address: rfc822 or utf-8, as it needs. False when it is too long. */
bool orcpt_from_address(struct span address, struct buf *out);

#endif
