/* SPDX-License-Identifier: ISC
 *
 * The rows of an aliases file, between its parser (aliases_parse.c) and their expansion (aliases.c).
 */
#ifndef WP_USERS_ALIASES_INT_H
#define WP_USERS_ALIASES_INT_H

#include <sys/stat.h>

#include "users/aliases.h"

struct alias_target {
	struct span local, domain; /* domain "" for a bare name */
	bool literal;              /* "\name" */
	enum target_kind {
		TARGET_ADDRESS,
		TARGET_COMMAND,
		TARGET_FILE,
		TARGET_ERROR
	} kind;
	struct span text; /* of the last three */
};
struct alias_row {
	struct span key; /* "name", "name@domain", "@domain": lower case, domain in A-labels */
	struct alias_target *v;
	size_t n, cap;
	unsigned line;
};
struct alias_file {
	const char *path;
	struct stat seen;
};
struct alias_table {
	struct arena *arena;
	struct alias_row *row; /* sorted by key */
	size_t n, cap;
	struct alias_file *file; /* the file itself and what it includes */
	size_t n_files, cap_files;
	unsigned allow; /* ALIASES_COMMANDS... */
};

/* A table that aliases_table_free frees; NULL with err. */
struct alias_table *aliases_read(const char *path, unsigned allow, struct err *err);
/* The same of text in memory, `path` for errors; files of :include: are read. */
struct alias_table *aliases_read_text(struct span text, const char *path, unsigned allow, struct err *err);
void aliases_table_free(struct alias_table *t);

/* The key of a local part (and domain) into b (reset first): what rows are sorted and looked up by. False when it can
 * be none. */
struct buf;
bool aliases_key(struct span local, struct span domain, struct buf *b);

#endif
