/* SPDX-License-Identifier: ISC
 *
 * mua-read: what its commands share. Each command gets the open box and its operands, writes to standard output, and
 * returns 0 or -1 with err; main turns that into an exit status.
 */
#ifndef WP_MUA_READ_MUA_H
#define WP_MUA_READ_MUA_H

#include "mua-read/box.h"
#include "mua-read/term.h"

struct mua_options {
	bool json, headers, raw, seen;
	unsigned width; /* 0: the terminal's */
	const char *folder, *trace;
};

struct mua {
	const struct mua_options *options;
	const char *where;   /* the location, for messages and traces */
	struct arena *arena; /* operands */
	struct box box;
	struct term term;
	size_t number;          /* show, export: which message */
	const char *part;       /* export: which part */
	const char *expression; /* search */
};

int command_list(struct mua *m, struct err *err);
int command_show(struct mua *m, struct err *err);
int command_search(struct mua *m, struct err *err);
int command_thread(struct mua *m, struct err *err);
int command_export(struct mua *m, struct err *err);

#endif
