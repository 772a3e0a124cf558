/* SPDX-License-Identifier: ISC
 *
 * Tables from keys to values, whatever keeps them, behind one look-up: waypost-tables(5).
 *
 *   file:PATH             text, `key value` a line; any text with a '/' that names no kind is such a file
 *   inline:{k=v, k={v}}   in the option itself
 *   list:k, k k           keys without values; also any text that names no kind
 *   regexp:PATH           `/pattern/flags value` a line, the first that matches, PCRE2
 *   socketmap:unix:PATH:NAME, socketmap:inet:HOST:PORT:NAME    a server that speaks sendmail's socketmap protocol
 *
 * Keys are compared in one form (table_key): without case, domains as A-labels, local parts without quotes. A file is
 * read whole and found by a hash. A table is opened before workers are forked: a connection is each process's own.
 */
#ifndef WP_USERS_TABLE_H
#define WP_USERS_TABLE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

struct table;

/* NULL with err: ERR_USAGE for the spec, ERR_CONFIG with file:line for what it names. No server is called yet. */
struct table *table_open(const char *spec, struct err *err);
void table_close(struct table *t); /* NULL is fine */
/* Reads a file again when it has changed (looks ten times a second at most). -1 with err when the new one is bad: the
 * old rows stay. NULL is fine. */
int table_refresh(struct table *t, struct err *err);

/* Was the file replaced by one that this process can't read, so that what it knows is old? As of the last refresh; NULL
 * is fine. */
bool table_out_of_reach(const struct table *t);

enum table_result {
	TABLE_FOUND,
	TABLE_NONE,
	TABLE_ERROR, /* nobody knows now: ERR_TEMP, 451 4.3.0 */
};
/* key in table_key's form. *value lives in the arena, or as long as the table is not refreshed; "" when the row has
 * none. NULL has no rows. */
enum table_result table_get(struct table *t, struct arena *a, struct span key, struct span *value, struct err *err);

/* Is a key found by what is written, so that to ask for ".suffix" of a domain makes sense and costs nothing? */
bool table_is_plain(const struct table *t);
/* The first key of a plain table, "" when there is none. */
struct span table_first(const struct table *t);
struct confine_rules;
/* What a process needs that uses a table of this spec. */
void table_rules(const char *spec, struct confine_rules *r);
/* As given to table_open. */
const char *table_spec(const struct table *t);
/* Does the text name a kind of table ("regexp:...")? */
bool table_names_kind(const char *spec);

/* Appends the form in which keys are compared: of "local@domain", "@domain", a domain or a name. False when it can be
 * none. */
bool table_key(struct span text, struct buf *out);
/* The same of an address in two parts, the local part without quotes. */
bool table_key_address(struct span local, struct span domain, struct buf *out);

#endif
