/* SPDX-License-Identifier: ISC
 *
 * The run that is recorded: some hundred deliveries and what becomes of them, and what was promised of each thing when.
 */
#ifndef WP_TESTS_CRASH_HISTORY_H
#define WP_TESTS_CRASH_HISTORY_H

#include <stdbool.h>
#include <stddef.h>

/* How a thing stands: under which name with which content. */
struct stand {
	char *path; /* below the root; NULL: nowhere */
	char *content;
	size_t n;
};

/* From operation `start` on it may stand so, from `end` on (success was returned) it must. */
struct event {
	size_t start, end;
	struct stand then;
	bool weak;  /* nothing is promised: the way it stood before stays allowed */
	bool grows; /* an append: while it is under way any beginning of it may stand, and what no reader takes for
		       whole */
};

struct thing {
	struct event events[8];
	size_t n;
};

struct history {
	struct thing *things;
	size_t n;
};

/* Directories of the run, for every state too. */
extern const char *const history_dirs[];
/* Where the log lies below the root, after the run. */
extern char history_log[128];

void history_make_dirs(const char *root);
/* Runs it with the recorder on. */
void history_run(struct history *h, const char *root, unsigned deliveries);
void history_free(struct history *h);

#endif
