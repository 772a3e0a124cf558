/* SPDX-License-Identifier: ISC
 *
 * A message composed from a text and files (RFC 2045, 2046, 2047, 2183, 2231).
 */
#ifndef MUA_SEND_COMPOSE_H
#define MUA_SEND_COMPOSE_H

#include "mua-send/mua.h"

/* Do the options ask for a new message rather than describe one that is given? */
bool compose_wanted(const struct mua_options *o);
/* text is UTF-8 (or bytes in an unknown charset). The message, with a header but Date, From and Message-ID, in the
 * arena. Operands stand in its To field when --to is not given. -1 with err: an unreadable file. */
int compose(struct mail *m, struct span text, char **operands, size_t n, struct span *out, struct err *err);

#endif
