/* SPDX-License-Identifier: ISC
 *
 * aliases(5), read as text: waypost-aliases(5). `name: dest, dest`, continuation lines, `#`, quoted names,
 * `:include:/path`,
 * `\name` (not expanded further), `owner-name`; and the virtual forms `user@domain: dest` and `@domain: dest`
 * (catch-all).
 * `|command` and `/file` are refused when the file is read: this program starts no commands for a recipient and writes
 * no files.
 *
 * Names are compared without case, domains as A-labels. A bare name on the left stands for that local part in every
 * local domain, on the right for the same domain as the address being expanded.
 */
#ifndef WP_USERS_ALIASES_H
#define WP_USERS_ALIASES_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"

enum {
	ALIASES_DEPTH = 30,     /* rows that lead to one another */
	ALIASES_INCLUDES = 8,   /* files that include one another */
	ALIASES_RESULT = 10000, /* recipients that one address becomes */
};

struct aliases;

/* NULL with err: ERR_CONFIG with file:line. Included files are read too. */
struct aliases *aliases_open(const char *path, struct err *err);
void aliases_free(struct aliases *a);
/* Reads the files again when one of them has changed (looks at most once a second). -1 with err when the new ones are
 * bad: the old rows stay. */
int aliases_refresh(struct aliases *a, struct err *err);

enum alias_place {
	ALIAS_REMOTE,
	ALIAS_LOCAL_USER,
	ALIAS_LOCAL_UNKNOWN
};
struct alias_context {
	const char *delimiters; /* of "+detail", "" for none */
	/* What the address is without aliases. Only local addresses have bare rows and a catch-all, the latter when no
	 * user. */
	enum alias_place (*place)(void *arg, struct span local, struct span domain);
	void *arg;
};
struct alias_dest {
	struct span local, domain; /* local part without quotes */
	struct span owner;         /* address of the list's owner-name, "" when there is none: the new sender */
};
struct alias_list {
	struct alias_dest *v;
	size_t n, cap;
};
enum aliases_result {
	ALIASES_NONE,  /* no row: the address stands for itself, out has it alone */
	ALIASES_FOUND, /* out has at least one destination, none twice */
	ALIASES_ERROR, /* a loop without end, or a limit: ERR_PERM */
};
enum aliases_result aliases_expand(const struct aliases *a, struct arena *arena, const struct alias_context *c,
    struct span local, struct span domain, struct alias_list *out, struct err *err);

#endif
