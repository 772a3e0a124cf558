/* SPDX-License-Identifier: ISC
 *
 * The grammar of a configuration file, without any knowledge of keys: text in, one event per `[section]` and per
 * `key = value` out. See opts.h for the grammar. Total: every text gives events or one error with its line.
 */
#ifndef WP_BASE_CONFIG_H
#define WP_BASE_CONFIG_H

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

struct config_line {
	struct span section; /* "common" when none was opened yet; "account work" keeps its blank */
	struct span key, value;
	unsigned line;
};

/* Called for each key; non-zero stops the reading and is returned. err is to be set with the reason only: the reader
 * puts file and line before it. */
typedef int config_fn(void *arg, const struct config_line *line, struct err *err);

/* name is used in errors. 0, -1 with err (ERR_CONFIG), or what fn returned. */
int config_read_text(struct span text, const char *name, config_fn *fn, void *arg, struct err *err);
/* The same of a file; a missing one is -1 with err->sys == ENOENT. */
int config_read_file(const char *path, config_fn *fn, void *arg, struct err *err);
/* A whole file into b (reset first), for other tables; -1 with err when it is missing, unreadable or over b->max. */
int config_slurp(const char *path, struct buf *b, struct err *err);

#endif
