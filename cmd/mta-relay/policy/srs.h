/* SPDX-License-Identifier: ISC
 *
 * The Sender Rewriting Scheme: a message that an alias sends on to another domain gets a reverse-path of ours, so that
 * the next host's SPF check (RFC 7208) sees the address of who sends it; and an error report that comes back to it is
 * sent on to the first sender.
 *
 *   SRS0=HASH=TT=domain=local@ours        of local@domain, on day TT
 *   SRS1=HASH=domain1==HASH1=TT=...@ours  of another forwarder's SRS0 address, whose own hash it keeps
 *
 * HASH is an HMAC-SHA-256 with a secret of ours, cut to 40 bits and without regard to case, as some hosts change it:
 * nobody else makes such addresses, so that they can't be used to send mail through us. They are good for three weeks.
 */
#ifndef MTA_RELAY_SRS_H
#define MTA_RELAY_SRS_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

struct srs;

/* The secrets: lines of a file that is not everybody's to read; the first signs, all are believed. NULL with err. */
struct srs *srs_open(const char *domain, const char *secret_file, struct err *err);
/* The same with the text of the file. */
struct srs *srs_new(const char *domain, struct span secrets, struct err *err);
void srs_free(struct srs *s); /* NULL is fine */
struct span srs_domain(const struct srs *s);

/* Is it a local part of that form? */
bool srs_is(struct span local);
/* Appends the new local part, for srs_domain. False when it would be too long to be an address. */
bool srs_forward(const struct srs *s, struct span local, struct span domain, int64_t now, struct buf *out);
/* Appends local@domain that it stands for (the local part quoted where needed). -1 with err, 550 5.7.1: forged or too
 * old. */
int srs_reverse(const struct srs *s, struct span local, int64_t now, struct buf *out, struct err *err);

#endif
