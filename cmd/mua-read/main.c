/* SPDX-License-Identifier: ISC
 *
 * mua-read: the reading half of a mail user agent. Options, operands, where the mail is; each command does the rest.
 */
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "base/opts.h"
#include "io/trace.h"
#include "mua-read/mua.h"

#define AT(member) offsetof(struct mua_options, member)
static const struct opt options[] = {
	{ .name = "json",
	    .type = OPT_FLAG,
	    .offset = AT(json),
	    .help = "list, search, thread: JSON instead of a table" },
	{ .name = "headers",
	    .type = OPT_FLAG,
	    .offset = AT(headers),
	    .help = "show: all header fields",
	    .flags = OPT_NO_CONFIG },
	{ .name = "raw",
	    .type = OPT_FLAG,
	    .offset = AT(raw),
	    .help = "show: the message's bytes as they are",
	    .flags = OPT_NO_CONFIG },
	{ .name = "seen", .type = OPT_FLAG, .offset = AT(seen), .help = "show: mark the message as seen" },
	{ .name = "folder",
	    .type = OPT_STR,
	    .offset = AT(folder),
	    .arg = "NAME",
	    .help = "folder of a Maildir, such as Work/2026; INBOX by default" },
	{ .name = "width",
	    .type = OPT_UINT,
	    .offset = AT(width),
	    .arg = "COLUMNS",
	    .help = "lines this wide, instead of the terminal's width" },
	{ .name = "trace", .type = OPT_STR, .offset = AT(trace), .arg = "FILE", .help = "append events to FILE" },
	{ 0 },
};

/* What stands before an optional LOCATION. */
enum operand {
	NOTHING,
	NUMBER,
	EXPRESSION,
	NUMBER_AND_PART
};

static const struct command {
	const char *name;
	enum operand operand;
	int (*run)(struct mua *m, struct err *err);
} commands[] = {
	{ "list", NOTHING, command_list },
	{ "show", NUMBER, command_show },
	{ "search", EXPRESSION, command_search },
	{ "thread", NOTHING, command_thread },
	{ "export", NUMBER_AND_PART, command_export },
};

static int fail(const struct err *err)
{
	/* No terminal escape comes from a name in an error either. */
	fprintf(stderr, "mua-read: ");
	for (const char *p = err->text; *p; p++)
		putc((unsigned char)*p < 32 || *p == 127 ? '?' : *p, stderr);
	putc('\n', stderr);
	if (err->sys == ENOENT || err->sys == ENOTDIR)
		return EX_NOINPUT;
	return err_exit_status(err);
}

static bool exists(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0;
}

static bool has_kind(const char *word)
{
	return !strncmp(word, "maildir:", 8) || !strncmp(word, "mbox:", 5) || !strcmp(word, "-");
}

/* A path without its kind counts when it can't be taken for something else. */
static bool looks_like_location(const char *word)
{
	return has_kind(word) || (strchr(word, '/') && exists(word));
}

/* Standard input when something is piped into it; else $MAIL, $MAILDIR, ~/Maildir, the first that is there. */
static const char *default_location(struct arena *a)
{
	const char *mail = getenv("MAIL"), *maildir = getenv("MAILDIR"), *home = getenv("HOME");
	struct stat st;
	if (fstat(STDIN_FILENO, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISREG(st.st_mode)))
		return "-";
	if (mail && *mail && (has_kind(mail) || exists(mail)))
		return mail;
	if (maildir && *maildir)
		return arena_printf(a, "maildir:%s", maildir);
	return arena_printf(a, "maildir:%s/Maildir", home ? home : "");
}

/* "maildir:~/Mail": the shell does not see this '~'. */
static const char *expanded(struct arena *a, const char *location)
{
	const char *colon = strchr(location, ':'), *home = getenv("HOME");
	if (!has_kind(location) || !colon || strncmp(colon + 1, "~/", 2) != 0 || !home)
		return location;
	return arena_printf(a, "%.*s:%s%s", (int)(colon - location), location, home, colon + 2);
}

static size_t terminal_width(unsigned wanted)
{
	struct winsize w;
	const char *columns = getenv("COLUMNS");
	uint64_t n = 0;
	if (wanted)
		return wanted;
	if (!isatty(STDOUT_FILENO))
		return 0;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col)
		return w.ws_col;
	return columns && span_u64(span_str(columns), 10000, &n) && n ? (size_t)n : 80;
}

static bool is_number(const char *word)
{
	return word[strspn(word, "0123456789")] == '\0';
}

static int take_number(struct mua *m, int *argc, char ***argv, struct err *err)
{
	uint64_t n;
	if (!*argc)
		return err_set(err, ERR_USAGE, "which message? Its number is missing");
	if (!span_u64(span_str(**argv), SIZE_MAX / 2, &n) || !n)
		return err_set(err, ERR_USAGE, "'%s' is no message's number", **argv);
	m->number = (size_t)n;
	--*argc;
	++*argv;
	return 0;
}

/* The words of an expression may come as several operands; a LOCATION may follow. */
static int take_expression(struct mua *m, int *argc, char ***argv, struct err *err)
{
	struct buf text;
	buf_init(&text, 65536);
	for (; *argc && (!looks_like_location(**argv) || !text.len); --*argc, ++*argv) {
		if (text.len)
			buf_addc(&text, ' ');
		buf_adds(&text, **argv);
	}
	int rc = 0;
	if (!text.len)
		rc = err_set(err, ERR_USAGE, "what is to be searched?");
	else if (!buf_cstr(&text))
		rc = err_set(err, ERR_USAGE, "the expression is too long");
	m->expression = arena_str(m->arena, buf_span(&text));
	buf_free(&text);
	return rc;
}

static int take_operands(struct mua *m, enum operand operand, int *argc, char ***argv, struct err *err)
{
	switch (operand) {
	case NOTHING:
		return 0;
	case EXPRESSION:
		return take_expression(m, argc, argv, err);
	case NUMBER:
		/* Standard input or a file with one message needs no number. */
		if (!*argc || looks_like_location(**argv) || (!is_number(**argv) && exists(**argv))) {
			m->number = 0;
			return 0;
		}
		return take_number(m, argc, argv, err);
	case NUMBER_AND_PART:
		if (take_number(m, argc, argv, err) < 0)
			return -1;
		if (!*argc)
			return err_set(err, ERR_USAGE, "which part? Its number, as show lists it, is missing");
		m->part = *(*argv)++;
		--*argc;
		return 0;
	}
	return 0;
}

static int run(struct mua *m, const struct command *c, struct err *err)
{
	const struct location where = { m->where, m->options->folder };
	int rc = box_open(&m->box, &where, err);
	if (rc == 0 && c->operand == NUMBER && !m->number) {
		if (m->box.n != 1)
			rc = err_set(err, ERR_USAGE, "which message? %s has %zu", m->where, m->box.n);
		m->number = 1;
	}
	if (rc == 0)
		rc = c->run(m, err);
	box_close(&m->box);
	return rc;
}

static int start(struct mua *m, int argc, char **argv, struct err *err)
{
	const struct command *c = &commands[0];
	for (size_t i = 0; argc && i < sizeof commands / sizeof *commands; i++)
		if (!strcmp(argv[0], commands[i].name)) {
			c = &commands[i];
			argc--;
			argv++;
			break;
		}
	if (take_operands(m, c->operand, &argc, &argv, err) < 0)
		return -1;
	if (argc > 1)
		return err_set(err, ERR_USAGE, "'%s' is one operand too many", argv[1]);
	m->where = expanded(m->arena, argc ? argv[0] : default_location(m->arena));
	if (trace_open("mua-read", "mua", m->options->trace, false, err) < 0)
		return -1;
	trace_begin(NULL);
	int rc = run(m, c, err);
	trace_end();
	return rc;
}

int main(int argc, char **argv)
{
	static struct mua_options values = { .folder = "INBOX" }; /* its strings live as long as the process */
	const struct opts o = {
		.prog = "mua-read",
		.synopsis = "[OPTION...] [list | thread] [LOCATION]\n[OPTION...] show [N] [LOCATION]\n"
			    "[OPTION...] search EXPR... [LOCATION]\n[OPTION...] export N PART [LOCATION]",
		.about = "Lists, searches and shows the messages of a Maildir (maildir:PATH), an mbox (mbox:PATH) or "
			 "standard input (-).",
		.table = options,
		.values = &values,
		.personal = true,
	};
	struct err err = { 0 };
	int first = 0;
	setlocale(LC_CTYPE, "");
	signal(SIGPIPE, SIG_IGN);
	log_open("mua-read", LOG_TO_AUTO, LOG_LVL_INFO);
	switch (opts_parse(&o, argc, argv, &first, &err)) {
	case OPTS_DONE:
		return EX_OK;
	case OPTS_ERROR:
		return fail(&err);
	case OPTS_OK:
		break;
	}
	struct mua m = { .options = &values, .arena = arena_new() };
	m.term = (struct term){ stdout, nl_langinfo(CODESET), terminal_width(values.width) };
	int rc = start(&m, argc - first, argv + first, &err);
	arena_free(m.arena);
	return rc < 0 ? fail(&err) : EX_OK;
}
