/* SPDX-License-Identifier: ISC */
#include "base/opts.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/config.h"
#include "base/xalloc.h"

enum {
	OPT_HELP = 1000,
	OPT_VERSION,
	OPT_CONFIG,
	OPT_FIRST,
	OPT_NEGATED = 1 << 16
};

static void *member(const struct opt *opt, void *values)
{
	/* UNSAFE: offset comes from offsetof in the program's own table. */
	return (char *)values + opt->offset;
}

bool opts_parse_size(const char *text, uint64_t *bytes)
{
	static const char units[] = "kmgt";
	struct span s = span_str(text);
	unsigned shift = 0;
	if (s.n && ascii_lower(s.p[s.n - 1]) == 'b')
		s.n--;
	if (s.n > 1 && s.p[s.n - 1] == 'i')
		s.n--;
	const char *u = s.n ? strchr(units, ascii_lower(s.p[s.n - 1])) : NULL;
	if (u && *u) {
		shift = 10 * (unsigned)(u - units + 1);
		s.n--;
	}
	if (!span_u64(s, UINT64_MAX >> shift, bytes))
		return false;
	*bytes <<= shift;
	return true;
}

bool opts_parse_duration(const char *text, int64_t *ms)
{
	static const struct {
		const char *suffix;
		int64_t ms;
	} units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 },
		{ "w", 604800000 }, { "", 1000 } };
	struct span s = span_str(text);
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		uint64_t v;
		size_t cut = strlen(units[i].suffix);
		if (!span_ends(s, units[i].suffix))
			continue;
		if (!span_u64(span_slice(s, 0, s.n - cut), (uint64_t)(INT64_MAX / units[i].ms), &v))
			return false;
		*ms = (int64_t)v * units[i].ms;
		return true;
	}
	return false;
}

static bool parse_flag(const char *text, bool *out)
{
	static const char *const yes[] = { "yes", "true", "on", "1" }, *const no[] = { "no", "false", "off", "0" };
	for (size_t i = 0; i < 4; i++) {
		if (span_ieqs(span_str(text), yes[i]))
			return *out = true;
		if (span_ieqs(span_str(text), no[i])) {
			*out = false;
			return true;
		}
	}
	return false;
}

static bool parse_choice(const char *choices, const char *text, int *out)
{
	struct span rest = span_str(choices);
	for (int i = 0; rest.n; i++) {
		if (span_ieqs(span_cut(&rest, '|'), text)) {
			*out = i;
			return true;
		}
	}
	return false;
}

static bool parse_uint(const char *text, unsigned *out)
{
	uint64_t v;
	if (!span_u64(span_str(text), 0xffffffffu, &v))
		return false;
	*out = (unsigned)v;
	return true;
}

/* A copy that lives as long as the process, as opts.h says; held here, so that a leak checker sees it even when the
 * program's struct was on a stack. */
static const char *keep(const char *text)
{
	static char **kept;
	static size_t n;
	kept = xreallocarray(kept, n + 1, sizeof *kept);
	return kept[n++] = xstrdup(text);
}

static bool list_add(struct opt_list *list, const char *text)
{
	list->v = xreallocarray(list->v, list->n + 1, sizeof *list->v);
	list->v[list->n++] = keep(text);
	return true;
}

static bool set_string(const char **slot, const char *text)
{
	/* The old value may be a default in read-only memory: it is let go, once per option at most. */
	*slot = keep(text);
	return true;
}

int opts_set(const struct opt *opt, void *values, const char *text, struct err *err)
{
	void *at = member(opt, values);
	bool ok = false;
	switch (opt->type) {
	case OPT_FLAG:
		ok = parse_flag(text, at);
		break;
	case OPT_STR:
		ok = set_string(at, text);
		break;
	case OPT_LIST:
		ok = list_add(at, text);
		break;
	case OPT_UINT:
		ok = parse_uint(text, at);
		break;
	case OPT_SIZE:
		ok = opts_parse_size(text, at);
		break;
	case OPT_DURATION:
		ok = opts_parse_duration(text, at);
		break;
	case OPT_CHOICE:
		ok = parse_choice(opt->choices, text, at);
		break;
	}
	if (ok)
		return 0;
	if (opt->type == OPT_CHOICE)
		return err_set(err, ERR_USAGE, "%s: '%s' is none of %s", opt->name, text, opt->choices);
	return err_set(err, ERR_USAGE, "%s: '%s' is no %s", opt->name, text, opt->arg ? opt->arg : "yes or no");
}

static size_t table_size(const struct opt *table)
{
	size_t n = 0;
	while (table[n].name)
		n++;
	return n;
}

/* The same with the groups' rows in the table, which is the caller's to free. */
static struct opts with_groups(const struct opts *o, struct opt **rows)
{
	struct opts flat = *o;
	size_t n = table_size(o->table), k = 0;
	for (const struct opt_group *g = o->groups; g && g->table; g++)
		n += table_size(g->table);
	*rows = xcalloc(n + 1, sizeof **rows);
	for (const struct opt *row = o->table; row->name; row++)
		(*rows)[k++] = *row;
	for (const struct opt_group *g = o->groups; g && g->table; g++) {
		for (const struct opt *row = g->table; row->name; row++) {
			(*rows)[k] = *row;
			(*rows)[k++].offset += g->offset;
		}
	}
	flat.table = *rows;
	flat.groups = NULL;
	return flat;
}

struct reader {
	const struct opts *o;
	const char *wanted;
	bool *given; /* by the command line: those are stronger */
	bool found;
};

/* Is it a key of another subcommand that shares the section? */
static bool known_elsewhere(const struct opts *o, struct span key)
{
	for (const struct opt *const *t = o->also; t && *t; t++)
		for (const struct opt *opt = *t; opt->name; opt++)
			if (span_eqs(key, opt->name) && !(opt->flags & OPT_NO_CONFIG))
				return true;
	return false;
}

static int config_key(void *arg, const struct config_line *line, struct err *err)
{
	struct reader *r = arg;
	if (!span_eqs(line->section, r->wanted))
		return 0;
	r->found = true;
	for (size_t i = 0; r->o->table[i].name; i++) {
		const struct opt *opt = &r->o->table[i];
		if (!span_eqs(line->key, opt->name) || (opt->flags & OPT_NO_CONFIG))
			continue;
		if (r->given && r->given[i])
			return 0;
		char *text = xstrndup(line->value.p, line->value.n);
		int rc = opts_set(opt, r->o->values, text, err);
		if (rc < 0 && err)
			err->class = ERR_CONFIG;
		free(text);
		return rc;
	}
	/* [common] serves all programs: a key that this one lacks is another's. */
	if (span_eqs(line->section, "common") || known_elsewhere(r->o, line->key))
		return 0;
	return err_set(err, ERR_CONFIG, "unknown key '%.*s' in [%s]", SPAN_FMT(line->key), r->wanted);
}

static int read_sections(
    const struct opts *o, const char *path, const char *section, bool *given, bool required, struct err *err)
{
	const char *const wanted[] = { "common", section };
	for (size_t i = 0; i < 2; i++) {
		struct reader r = { .o = o, .wanted = wanted[i], .given = given };
		struct err why = { 0 };
		if (config_read_file(path, config_key, &r, &why) == 0)
			continue;
		if (why.sys == ENOENT && !required)
			return 0;
		why.class = ERR_CONFIG;
		if (err)
			*err = why;
		return -1;
	}
	return 0;
}

int opts_read_config(const struct opts *o, const char *path, const char *section, bool required, struct err *err)
{
	struct opt *rows;
	struct opts flat = with_groups(o, &rows);
	int rc = read_sections(&flat, path, section, NULL, required, err);
	free(rows);
	return rc;
}

static char *default_path(const struct opts *o)
{
	const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	if (!o->personal)
		return xstrdup("/etc/waypost.conf");
	if (xdg && *xdg)
		return xasprintf("%s/waypost.conf", xdg);
	return home ? xasprintf("%s/.config/waypost.conf", home) : NULL;
}

/* getopt's own tables, made from ours. Each flag also gets its --no-NAME. */
struct getopt_tables {
	struct option *longs;
	char *shorts;
};

static void add_long(struct option *l, const char *name, int has_arg, int val)
{
	*l = (struct option){ .name = name, .has_arg = has_arg, .val = val };
}

static struct getopt_tables make_tables(const struct opts *o)
{
	size_t n = table_size(o->table), k = 0;
	struct getopt_tables t = { xcalloc(2 * n + 4, sizeof *t.longs), xcalloc(3 * n + 4, 1) };
	char *s = t.shorts;
	if (o->in_order)
		*s++ = '+';
	*s++ = ':';
	for (size_t i = 0; i < n; i++) {
		const struct opt *opt = &o->table[i];
		int has_arg = opt->type == OPT_FLAG       ? no_argument
			      : opt->flags & OPT_OPTIONAL ? optional_argument
							  : required_argument;
		add_long(&t.longs[k++], opt->name, has_arg, OPT_FIRST + (int)i);
		if (opt->type == OPT_FLAG)
			add_long(&t.longs[k++], xasprintf("no-%s", opt->name), no_argument, OPT_NEGATED + (int)i);
		if (opt->letter) {
			*s++ = opt->letter;
			if (has_arg == required_argument)
				*s++ = ':';
		}
	}
	add_long(&t.longs[k++], "help", no_argument, OPT_HELP);
	add_long(&t.longs[k++], "version", no_argument, OPT_VERSION);
	add_long(&t.longs[k++], "config", required_argument, OPT_CONFIG);
	return t;
}

static void free_tables(struct getopt_tables *t)
{
	for (struct option *l = t->longs; l->name; l++)
		if (l->val >= OPT_NEGATED)
			free((char *)l->name);
	free(t->longs);
	free(t->shorts);
}

static int bad_option(char **argv, int c, struct err *err)
{
	const char *word = optind > 0 ? argv[optind - 1] : "";
	if (c == ':')
		return err_set(err, ERR_USAGE, "%s needs an argument", word);
	if (optopt && optopt < OPT_HELP)
		return err_set(err, ERR_USAGE, "unknown option -%c", optopt);
	return err_set(err, ERR_USAGE, "unknown or ambiguous option %s", word);
}

static int find_option(const struct opts *o, int c)
{
	if (c >= OPT_NEGATED)
		return c - OPT_NEGATED;
	if (c >= OPT_FIRST)
		return c - OPT_FIRST;
	for (int i = 0; o->table[i].name; i++)
		if (o->table[i].letter == c)
			return i;
	return -1;
}

/* Walks argv. 1 when --help or --version was printed, 0, or -1 with err. */
static int read_argv(const struct opts *o, int argc, char **argv, bool *given, const char **config, struct err *err)
{
	struct getopt_tables t = make_tables(o);
	int rc = 0;
	optind = 0; /* GNU: start anew, also after an earlier parse of a subcommand */
	while (rc == 0) {
		int c = getopt_long(argc, argv, t.shorts, t.longs, NULL);
		if (c == -1)
			break;
		int i = c == '?' || c == ':' ? -1 : find_option(o, c);
		if (c == OPT_HELP) {
			opts_print_help(o);
			rc = 1;
		} else if (c == OPT_VERSION) {
			printf("%s (waypost) %s\n", o->prog, WAYPOST_VERSION);
			rc = 1;
		} else if (c == OPT_CONFIG) {
			*config = optarg;
		} else if (i < 0) {
			rc = bad_option(argv, c, err);
		} else {
			given[i] = true;
			const char *text = c >= OPT_NEGATED ? "no" : optarg ? optarg : "";
			if (o->table[i].type == OPT_FLAG && c < OPT_NEGATED)
				text = "yes";
			rc = opts_set(&o->table[i], o->values, text, err);
		}
	}
	free_tables(&t);
	return rc;
}

enum opts_result opts_parse(const struct opts *o, int argc, char **argv, int *first, struct err *err)
{
	struct opt *rows;
	struct opts flat = with_groups(o, &rows);
	bool *given = xcalloc(table_size(rows) + 1, sizeof *given);
	const char *config = NULL;
	int rc = read_argv(&flat, argc, argv, given, &config, err);
	if (rc == 0) {
		*first = optind;
		char *path = config ? xstrdup(config) : default_path(o);
		if (path)
			rc = read_sections(&flat, path, o->section ? o->section : o->prog, given, config != NULL, err);
		free(path);
	}
	free(given);
	free(rows);
	return rc < 0 ? OPTS_ERROR : rc > 0 ? OPTS_DONE : OPTS_OK;
}

static void help_line(const struct opt *opt)
{
	char left[64];
	char letter[4] = { opt->letter ? '-' : ' ', opt->letter ? opt->letter : ' ', opt->letter ? ',' : ' ', 0 };
	const char *arg = opt->type == OPT_FLAG ? "" : opt->choices ? opt->choices : opt->arg ? opt->arg : "VALUE";
	bool optional = opt->flags & OPT_OPTIONAL;
	snprintf(left, sizeof left, "%s --%s%s%s%s%s", letter, opt->name, optional ? "[" : "",
	    opt->type == OPT_FLAG ? "" : "=", arg, optional ? "]" : "");
	printf("  %-38s %s\n", left, opt->help);
}

void opts_print_help(const struct opts *o)
{
	struct span lines = span_str(o->synopsis);
	for (const char *lead = "usage:"; lines.n; lead = "      ") {
		struct span line = span_cut(&lines, '\n');
		printf("%s %s %.*s\n", lead, o->prog, SPAN_FMT(line));
	}
	printf("\n%s\n\n", o->about);
	struct opt *rows;
	with_groups(o, &rows);
	for (const struct opt *opt = rows; opt->name; opt++)
		help_line(opt);
	free(rows);
	printf("      --config=FILE                       configuration file, instead of the usual one\n"
	       "      --help                              this text\n"
	       "      --version                           name and version\n");
}
