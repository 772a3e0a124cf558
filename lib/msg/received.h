/* SPDX-License-Identifier: ISC
 *
 * Received fields (RFC 5321 4.4), leniently: as Postfix, Exim, Sendmail, qmail, Exchange, OpenSMTPD, Dovecot, Google
 * and others write them. Total: any bytes give what can be made out of them. Nothing in a Received field is proven:
 * each is the word of the host that wrote it, and those below the first one that is trusted may be forged.
 */
#ifndef WP_MSG_RECEIVED_H
#define WP_MSG_RECEIVED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/span.h"

/* Texts are in the arena, "" when absent. */
struct received {
	struct span from;     /* the name that the client gave (HELO) */
	struct span rdns;     /* the name that the server found for its address; "unknown" counts as absent */
	struct span ip;       /* its address, without brackets or "IPv6:" */
	struct span by;       /* who wrote the field */
	struct span software; /* what that runs, from a comment: "Postfix" */
	struct span via;
	struct span with;          /* protocol: "ESMTPSA" of RFC 3848, or what stands there */
	struct span id;            /* queue id, without angle brackets */
	struct span rcpt;          /* of "for", without angle brackets */
	struct span envelope_from; /* without angle brackets */
	struct span tls_version, tls_cipher;
	bool tls;  /* by a comment or clause, or by the protocol's name */
	bool auth; /* by the protocol's name */
	bool has_time;
	int64_t time; /* UNIX time */
	int zone_min;
};

/* value: of the field, folded or not. False when it names no host, no program and no time. */
bool received_parse(struct arena *a, struct span value, struct received *out);

#endif
