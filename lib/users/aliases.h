/* SPDX-License-Identifier: ISC
 *
 * aliases(5), read as text: waypost-aliases(5). `name: dest, dest`, continuation lines, `#`, quoted names,
 * `:include:/path`,
 * `\name` (not expanded further), `owner-name`; and the virtual forms `user@domain: dest` and `@domain: dest`
 * (catch-all).
 * `:fail: text`, `error:CODE STATUS text`. `|command` and `/file` are refused when the file is read, unless the opener
 * allows them; nothing is run or written here: such a destination becomes an address, `|NAME=HASH`, that only the
 * delivery agent understands, which reads the same file (aliases_action).
 *
 * Names are compared without case, domains as A-labels. A bare name on the left stands for that local part in every
 * local domain, on the right for the same domain as the address being expanded.
 */
#ifndef WP_USERS_ALIASES_H
#define WP_USERS_ALIASES_H

#include <stdbool.h>
#include <sys/types.h>

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
/* With `|command` or `/file` where they are allowed: never in included files, and only in a file that nobody but its
 * owner may write to. */
enum {
	ALIASES_COMMANDS = 1,
	ALIASES_FILES = 2
};
struct aliases *aliases_open_allowing(const char *path, unsigned allow, struct err *err);
void aliases_free(struct aliases *a);
/* Reads the files again when one of them has changed (looks at most once a second): 1 then, 0 when there was nothing to
 * do. -1 with err when the new ones are bad: the old rows stay. */
int aliases_refresh(struct aliases *a, struct err *err);
/* Were they replaced by files that this process can't read, so that what it knows is old? */
bool aliases_out_of_reach(const struct aliases *a);

/* The files that were read: the table, then what it includes; NULL after the last. */
const char *aliases_file(const struct aliases *a, size_t i);

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
enum alias_kind {
	ALIAS_TO_ADDRESS,
	ALIAS_TO_COMMAND,
	ALIAS_TO_FILE
};
struct alias_dest {
	struct span local, domain; /* local part without quotes; of a command or file its action's address */
	struct span owner;         /* address of the list's owner-name, "" when there is none: the new sender */
	enum alias_kind kind;
	bool final; /* "\name" */
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
/* Has the address a row? */
bool aliases_has(const struct aliases *a, const struct alias_context *c, struct span local, struct span domain);

/* Is it the local part of a command's or a file's address? */
bool aliases_is_action(struct span local);
/* What it stands for, in the arena; false when the file has no such row (any more). */
bool aliases_action(
    const struct aliases *a, struct arena *arena, struct span local, enum alias_kind *kind, struct span *text);
/* All commands and files, "|command" without its bar. */
void aliases_each_action(
    const struct aliases *a, void (*fn)(void *arg, enum alias_kind kind, struct span text), void *arg);
/* Whose file it is. */
uid_t aliases_owner(const struct aliases *a);

/* ":fail: text", "error:[CODE [STATUS]] text"; false when it is something else. Without a code: 550 5.1.1. */
struct alias_error {
	int code;
	char enh[12];
	struct span text;
};
bool alias_error_parse(struct span value, struct alias_error *out);

#endif
