/* SPDX-License-Identifier: ISC
 *
 * The Received field (RFC 5321 4.4) that each message gains here.
 */
#ifndef MTA_RELAY_RECEIVED_H
#define MTA_RELAY_RECEIVED_H

#include "base/buf.h"
#include "smtp/server.h"

/* Appends the field with CRLF. by: our name; id: the queue id or our own; when: seconds since 1970;
 * hidden: where the client is stays out of it. */
void received_field(
    const struct smtp_session *x, const char *by, const char *id, int64_t when, bool hidden, struct buf *out);

#endif
