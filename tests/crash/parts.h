/* SPDX-License-Identifier: ISC
 *
 * A recording taken apart: operations that share a file or a name belong to one part, and the commit log is a part for
 * itself. What a replay makes of one part depends on that part and on the log's records about it alone: it goes by
 * files and their names (commitlog_plan.h joins records of one file or one name only; a replay looks at a record's
 * names, at the file of its identity, and at names with the same unique part). So all subsets of each part's pending
 * operations, with the log's, stand for all subsets of all. The test checks that as well: it builds some states of each
 * part in the company of all others, in any of their states.
 */
#ifndef WP_TESTS_CRASH_PARTS_H
#define WP_TESTS_CRASH_PARTS_H

#include <stdbool.h>
#include <stddef.h>

#include "tests/crash/recorder.h"

enum {
	PART_LOG = 0, /* the log's; the others are numbered behind it */
};

struct list {
	size_t *at, n; /* growing */
};

struct part {
	struct list ops;     /* indices into rec.ops */
	struct list paths;   /* indices into rec.paths */
	struct list records; /* those of the log's writes that speak of it */
};

struct parts {
	struct part *part;
	size_t n;
	size_t *about; /* for each operation: the part that this write to the log is about, PART_LOG else */
};
extern struct parts parts;

void parts_find(void);
void parts_free(void);
/* SIZE_MAX: no operation had this path. */
size_t parts_of_path(const char *path);
void list_add(struct list *l, size_t value);

#endif
