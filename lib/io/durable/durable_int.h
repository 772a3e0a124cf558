/* SPDX-License-Identifier: ISC
 *
 * What the parts of io/durable share; private to them. A path given to any of them lies below the tree's root
 * (durable_check). Records name files by their place in the log's tree.
 */
#ifndef WP_IO_DURABLE_INT_H
#define WP_IO_DURABLE_INT_H

#include <stdbool.h>

#include "io/durable/durable.h"
#include "io/durable/durable_log.h"

struct durable_dir {
	char *root; /* without trailing slashes, except "/" */
	size_t root_len;
	enum durable_mode mode;
	char *log_prefix; /* where root lies in the commit log's tree; NULL: no log */
};

/* ERR_BUG for a path that does not lie below the root. */
int durable_check(const struct durable_dir *d, const char *path, struct err *err);
bool durable_by_log(const struct durable_dir *d);
/* One record for a path; *full holds its name in the log's tree and is to be freed. */
struct commitlog_record durable_record(
    const struct durable_dir *d, enum commitlog_kind kind, const char *path, char **full);
void durable_free_names(char **names, size_t n);

#endif
