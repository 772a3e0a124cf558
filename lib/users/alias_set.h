/* SPDX-License-Identifier: ISC
 *
 * What expansions of addresses need: a set of the steps that were taken, so that circles end, and the list of where
 * they led. ALIASES_RESULT bounds both.
 */
#ifndef WP_USERS_ALIAS_SET_H
#define WP_USERS_ALIAS_SET_H

#include "base/arena.h"
#include "users/aliases.h"

struct alias_set {
	struct arena *arena; /* keeps the keys */
	struct span *place;  /* a hash with open addressing */
	size_t n;
};

void alias_set_init(struct alias_set *s, struct arena *a);
void alias_set_free(struct alias_set *s);
/* False when the key was there before, or too many are. */
bool alias_set_add(struct alias_set *s, struct span key);
bool alias_set_full(const struct alias_set *s);

/* The list grows in the arena. */
void alias_list_add(struct alias_list *l, struct arena *a, const struct alias_dest *d);

#endif
