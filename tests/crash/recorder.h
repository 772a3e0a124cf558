/* SPDX-License-Identifier: ISC
 *
 * The file-system operations below one directory, in the order in which the program under test made them. The
 * recorder stands in for libc's functions; everything is done for real as well. Names are numbers (path_name gives
 * their text, relative to the root); files are numbers too, never used twice.
 */
#ifndef WP_TESTS_CRASH_RECORDER_H
#define WP_TESTS_CRASH_RECORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum op_kind {
	OP_CREATE, /* path, file */
	OP_LINK,   /* path, file */
	OP_RENAME, /* from, path, file */
	OP_UNLINK, /* path, file */
	OP_WRITE,  /* file, at, data, n; data NULL: zeros */
	OP_TRUNCATE,
	OP_SYNC, /* nothing by itself: what it made durable says so */
};

struct op {
	enum op_kind kind;
	size_t from, path, file;
	off_t at;
	char *data;
	size_t n;
	size_t durable; /* the operation after which it survives; SIZE_MAX: none does that */
};

struct recording {
	struct op *ops;
	size_t n;
	char **paths;
	size_t n_paths, n_files;
};
extern struct recording rec;

void recorder_start(const char *root);
void recorder_stop(void);
void recorder_free(void);

#endif
