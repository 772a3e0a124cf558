/* SPDX-License-Identifier: ISC
 *
 * Options and configuration from one table. The table drives getopt_long, the keys of the configuration file,
 * --help, and what the lint holds against the manual page, so that they can't disagree. Values land in a struct of
 * the program by offset. Strings are copied and live as long as the process. The order of strength: command line,
 * then the configuration's program (or account) section, then [common], then the default already in the struct.
 *
 * Every program has --help, --version and --config=FILE besides its own table.
 *
 * Configuration: `key = value` lines, `#` at a line's start or after a blank begins a comment, `[section]`; a value
 * may stand in double quotes (\" and \\ inside) to keep blanks or a '#'. A list key may be repeated. A key nobody
 * knows is an error with file:line. Sections that belong to nobody who reads are skipped only if the caller says
 * that they are other programs' (opts.sections).
 */
#ifndef WP_BASE_OPTS_H
#define WP_BASE_OPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum opt_type {
	OPT_FLAG,     /* bool; --no-NAME clears it; yes|no|true|false|on|off in a file */
	OPT_STR,      /* const char * */
	OPT_LIST,     /* struct opt_list, one entry each time it is given */
	OPT_UINT,     /* unsigned */
	OPT_SIZE,     /* uint64_t bytes: 10k, 50M, 2G are powers of 1024 */
	OPT_DURATION, /* int64_t milliseconds: 500ms, 30 (seconds), 30s, 5m, 4h, 5d */
	OPT_CHOICE,   /* int: the index in `choices`, "require|try|never" */
};

struct opt_list {
	const char **v;
	size_t n;
};

enum opt_flags {
	OPT_NO_CONFIG = 1, /* means nothing in a file, e.g. --help-like switches and one message's own values */
	OPT_OPTIONAL = 2,  /* OPT_STR: the argument may be left out (--json, --json=x), "" then */
};

struct opt {
	const char *name; /* long name without dashes: also the configuration key; NULL ends the table */
	char letter;      /* short option, 0 for none */
	enum opt_type type;
	size_t offset;       /* offsetof(struct program_options, member) */
	const char *arg;     /* what --help calls the argument: "FILE" */
	const char *help;    /* one line */
	const char *choices; /* OPT_CHOICE */
	unsigned flags;
};

/* Options of one topic, with a table and a struct of their own, which is a member of the program's. */
struct opt_group {
	const struct opt *table; /* NULL ends the groups */
	size_t offset;           /* offsetof(struct program_options, member) */
};

struct opts {
	const char *prog;
	const char *synopsis; /* "[OPTION]... DOMAIN...": may hold several lines */
	const char *about;    /* one sentence */
	const struct opt *table;
	const struct opt_group *groups; /* further rows, after the table's; NULL: none */
	void *values;
	const char *section; /* configuration section read after [common]; NULL for prog */
	bool personal;       /* reads $XDG_CONFIG_HOME/waypost.conf rather than /etc/waypost.conf */
	bool in_order;       /* stop at the first argument that is no option: for subcommands */
	/* Tables of other subcommands that read the same section, NULL-terminated: their keys are skipped there. */
	const struct opt *const *also;
};

enum opts_result {
	OPTS_OK,
	OPTS_DONE /* --help or --version was printed: exit 0 */,
	OPTS_ERROR
};

/* Parses argv, reads the configuration beneath it, fills values. *first becomes the index in argv (permuted) of the
 * first operand. On OPTS_ERROR err is ERR_USAGE, or ERR_CONFIG with "file:line: ". */
enum opts_result opts_parse(const struct opts *o, int argc, char **argv, int *first, struct err *err);
/* One value from text, as the file or the command line would give it. 0, or -1 with err. */
int opts_set(const struct opt *opt, void *values, const char *text, struct err *err);
/* Reads `section` (and [common] before it) of a file into values. Missing file: 0 unless required. */
int opts_read_config(const struct opts *o, const char *path, const char *section, bool required, struct err *err);
void opts_print_help(const struct opts *o);

/* The parsers behind the types, for other tables. False when malformed or out of range. */
bool opts_parse_size(const char *text, uint64_t *bytes);
bool opts_parse_duration(const char *text, int64_t *ms);

#endif
