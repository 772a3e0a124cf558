/* SPDX-License-Identifier: ISC
 *
 * The envelope's recipients: from operands and from the header's address fields, in order, each once. Addresses without
 * a domain get one; domains become A-labels. Everything is kept in the arena.
 */
#ifndef MUA_SEND_RECIPIENTS_H
#define MUA_SEND_RECIPIENTS_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"
#include "smtp/client.h"

struct recipients {
	struct arena *arena;
	const char *domain; /* for addresses without one */
	struct smtp_rcpt *v;
	size_t n, room;
	size_t *table, slots; /* 1 + index in v by hash: who is there already */
};

void recipients_free(struct recipients *r);
/* The addresses of a list "a@x, Bob <b@y>", as an operand or a field's value has it. -1 with ERR_DATA, naming what (a
 * field, or "recipient"), when a part of it is no address, or none can be sent to. */
int recipients_add(struct recipients *r, struct span list, const char *what, struct err *err);
/* The fields To, Cc and Bcc; of a message that is sent on, those of the uppermost block of Resent- fields instead
 * (RFC 5322 3.6.6). */
int recipients_from_header(struct recipients *r, struct span msg, struct err *err);
/* One address in SMTP's form, with a domain, "" for "" and "<>"; NULL with ERR_USAGE when it is none. */
const char *recipients_normal(struct arena *a, struct span text, const char *domain, struct err *err);

#endif
