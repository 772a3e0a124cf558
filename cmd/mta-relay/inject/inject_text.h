/* SPDX-License-Identifier: ISC
 *
 * `mta-relay inject`: the message that was read, as it goes into the queue. Held in memory, whole: what it needs of
 * transports stands in the envelope, which is written before it.
 */
#ifndef MTA_RELAY_INJECT_TEXT_H
#define MTA_RELAY_INJECT_TEXT_H

#include "mta-relay/policy/rewrite.h"
#include "mta-relay/spool/spool.h"

struct inject_text {
	struct buf whole, encoded, header;
	struct span head, body; /* of one of them; the blank line is in the head */
};

/* From fd up to its end, less a "From " line that a mailbox put before it; inits t. -1 with err, ERR_LIMIT over max. */
int inject_text_read(struct inject_text *t, int fd, uint64_t max, struct err *err);
void inject_text_free(struct inject_text *t);
/* Binary MIME (RFC 3030) is taken to the byte; bytes that are no text in any other message are encoded (RFC 2045 6).
 * Notes in env what it is then. -1 with err, ERR_DATA, when that can't be done. */
int inject_text_fit(struct inject_text *t, bool binary, struct spool_envelope *env, struct err *err);
/* The header's addresses as they are written here. -1 with err. */
int inject_text_rewrite(struct inject_text *t, const struct rewrite_rules *rules, struct arena *arena, struct err *err);

#endif
