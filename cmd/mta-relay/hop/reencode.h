/* SPDX-License-Identifier: ISC
 *
 * Content in another form for a next hop that can't take it as it is: 8-bit lines as 7-bit ones (RFC 6152 3), binary
 * MIME as lines (RFC 3030 3). In memory, whole.
 */
#ifndef MTA_RELAY_REENCODE_H
#define MTA_RELAY_REENCODE_H

#include "msg/downgrade.h"
#include "smtp/client.h"

struct reencoded {
	struct smtp_message m; /* to be sent in the original's place */
	struct smtp_message *original;
	struct buf text;
	bool given;
};

/* Reads the content, rewinds it before and after, and fills out->m. how: enum msg_how. -1 with err when it can't be
 * done without harm, as msg_downgrade has it; out->m is the original then. What is read from the new message calls the
 * original's reader too, which may note that sending has begun. */
int reencode(struct smtp_message *m, void (*rewind)(void *arg), unsigned how, struct reencoded *out, struct err *err);
void reencode_free(struct reencoded *x);

#endif
