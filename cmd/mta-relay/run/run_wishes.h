/* SPDX-License-Identifier: ISC
 *
 * What the envelope of a queued message asks of its delivery, by extensions of SMTP: over TLS (RFC 8689), by when (RFC
 * 2852), not before (RFC 4865), under which name (RFC 3461).
 */
#ifndef MTA_RELAY_RUN_WISHES_H
#define MTA_RELAY_RUN_WISHES_H

#include "mta-relay/run/run_deliver.h"

/* Where this recipient's mail goes, or the whole message by its own word. */
void wishes_find(
    const struct routes *r, struct arena *a, const struct spool_envelope *env, size_t rcpt, struct route *out);
/* The route as this message needs it, in the arena; r itself where it needs nothing. */
const struct route *wishes_route(struct arena *a, const struct spool_envelope *env, const struct route *r);
/* As it goes into MAIL or RCPT: a domain alone is no reason to ask for SMTPUTF8, it has an ASCII form (RFC 6531 3.2).
 */
const char *wishes_address(struct arena *a, struct span address);
/* The value of ORCPT; NULL: none. */
const char *wishes_orcpt(struct arena *a, const struct spool_rcpt *r, bool utf8);
/* Was it to be returned by now? */
bool wishes_by_over(const struct spool_envelope *env, int64_t now);

#endif
