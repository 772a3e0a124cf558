/* SPDX-License-Identifier: ISC
 *
 * Search expressions:
 *
 *    expression = conjunction *( "or" conjunction )
 *    conjunction = term *( [ "and" ] term )
 *    term = "not" term | "(" expression ")" | KEY ":" value | value
 *    value = word | DQUOTE text DQUOTE
 *
 * Keys: from, to, cc, subject, body, since, before, flag. A value alone is looked for in From, To, Cc and Subject.
 * Texts match anywhere, whatever their case.
 */
#ifndef WP_MUA_READ_SEARCH_H
#define WP_MUA_READ_SEARCH_H

#include "base/arena.h"
#include "base/err.h"
#include "mua-read/summary.h"

struct search;
/* In the arena. now: what "since:7d" counts from. NULL with err (ERR_USAGE). */
struct search *search_parse(struct arena *a, const char *expression, int64_t now, struct err *err);
/* Does the message match? a: for what is decoded, the caller resets it. */
bool search_match(const struct search *s, struct arena *a, const struct summary *summary, struct span msg);

#endif
