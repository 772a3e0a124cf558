/* SPDX-License-Identifier: ISC
 *
 * Where mail may be kept, told to the rules of a process that must be confined (io/confine/confine.h) before it knows
 * whose mail is asked for: the directory that the location has for all, or the places of the users that there are.
 */
#ifndef WP_USERS_PLACES_H
#define WP_USERS_PLACES_H

#include "base/opts.h"
#include "io/confine/confine.h"
#include "users/users.h"

/* The option of servers that can't always know: directories that mail is kept in besides. */
struct place_settings {
	struct opt_list more;
};
extern const struct opt place_options[]; /* --confine-path */

struct places {
	struct span location;        /* of whom no row tells otherwise */
	const struct users *users;   /* NULL: none */
	const struct user *only;     /* NULL, or the one who is served, when there is no users file */
	const struct opt_list *more; /* NULL: none */
	enum {
		PLACES_ANYWHERE, /* others' homes are not known: everywhere, unless `more` says where */
		PLACES_SYSTEM    /* they are the system's users, as far as they can be listed, and all in /home */
	} others;                /* whoever users and only don't tell of */
};
void places_allow(const struct places *p, struct confine_rules *r);
/* One place: what is needed to keep mail in it. */
void places_allow_one(struct confine_rules *r, enum location_kind kind, const char *path);
/* The files that tell who the system's users are. */
void places_allow_accounts(struct confine_rules *r);

#endif
