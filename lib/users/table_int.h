/* SPDX-License-Identifier: ISC
 *
 * The kinds of tables, between table.c that chooses one and the files that are one. Each kind's state is its own.
 */
#ifndef WP_USERS_TABLE_INT_H
#define WP_USERS_TABLE_INT_H

#include <sys/stat.h>

#include "io/stream.h"
#include "users/table.h"

struct table_kind {
	const char *name;
	bool plain;
	/* What stands behind "name:"; the state, or NULL with err. */
	void *(*open)(struct span rest, struct err *err);
	enum table_result (*get)(void *state, struct arena *a, struct span key, struct span *value, struct err *err);
	int (*refresh)(void *state, struct err *err);             /* NULL: it can't change */
	bool (*hidden)(const void *state);                        /* NULL: never */
	struct span (*first)(const void *state);                  /* NULL: nobody can say */
	void (*rules)(struct span rest, struct confine_rules *r); /* NULL: needs nothing */
	void (*close)(void *state);
};
extern const struct table_kind table_kind_file, table_kind_inline, table_kind_list, table_kind_regexp,
    table_kind_socketmap;

/* A file that is read again when it changes. */
struct table_file {
	char *path;
	struct stat seen;
	int64_t looked;
	bool hidden; /* another took its place, beyond the reach of a confined process */
};
/* Remembers and reads it. -1 with err (ERR_CONFIG). */
int table_file_read(struct table_file *f, struct buf *text, struct err *err);
/* Not when it is hidden. */
bool table_file_changed(struct table_file *f);
/* For table_kind.rules. */
void table_file_rules(struct span path, struct confine_rules *r);

/* Logical lines of a table's text: those that begin with a blank continue the one before, empty ones and comments are
 * skipped. */
struct table_lines {
	struct span rest;
	unsigned next; /* lines that were read */
	struct buf joined;
	/* out */
	struct span text; /* trimmed; until the next one */
	unsigned line;
};
void table_lines_init(struct table_lines *l, struct span text);
void table_lines_free(struct table_lines *l);
/* 1, 0 at the end, -1 for one that continues nothing. */
int table_lines_next(struct table_lines *l);

/* Rows of keys and values that are found by a hash. */
struct table_rows;
/* Text as `key value` lines; name for errors. NULL with err. The text is copied where it is kept. */
struct table_rows *table_rows_text(struct span text, const char *name, struct err *err);
struct table_rows *table_rows_inline(struct span text, struct err *err);
struct table_rows *table_rows_list(struct span text, struct err *err);
void table_rows_free(struct table_rows *r);
bool table_rows_find(const struct table_rows *r, struct span key, struct span *value);
struct span table_rows_first(const struct table_rows *r);

/* Regular expressions, in order. */
struct table_regexps;
struct table_regexps *table_regexps_text(struct span text, const char *name, struct err *err);
void table_regexps_free(struct table_regexps *r);
enum table_result table_regexps_find(
    const struct table_regexps *r, struct arena *a, struct span key, struct span *value, struct err *err);

/* One netstring from a stream into out (reset first); -1 with err. */
enum {
	SOCKETMAP_REPLY = 100000 /* bytes, as sendmail and Postfix have it */
};
int socketmap_read(struct stream *s, struct buf *out, struct err *err);
/* What a reply says; *value lies in it. */
enum table_result socketmap_reply(struct span reply, struct span *value, struct err *err);

#endif
