/* SPDX-License-Identifier: ISC
 *
 * mailtrace: the way of a message, from what every hop recorded and from its own Received fields.
 */
#include <locale.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "base/opts.h"
#include "mailtrace/model.h"

enum {
	LEAST_COLUMNS = 80,
	OUTPUT_MAX = 1 << 30
};

static struct options {
	bool text, json, lines;
	struct opt_list mid;
	unsigned width;
} options = { .lines = true };

#define AT(member) offsetof(struct options, member)
static const struct opt table[] = {
	{ "text", 0, OPT_FLAG, AT(text), NULL, "a timeline for people (the default)", NULL, OPT_NO_CONFIG },
	{ "json", 0, OPT_FLAG, AT(json), NULL, "one JSON document", NULL, OPT_NO_CONFIG },
	{ "mid", 0, OPT_LIST, AT(mid), "MESSAGE-ID", "only this message (may be repeated)", NULL, OPT_NO_CONFIG },
	{ "lines", 0, OPT_FLAG, AT(lines), NULL, "protocol lines too (the default)", NULL, 0 },
	{ "width", 0, OPT_UINT, AT(width), "COLUMNS", "of the text, 80 at least", NULL, 0 },
	{ NULL, 0, OPT_FLAG, 0, NULL, NULL, NULL, 0 },
};

static int failed(const struct err *err, int status)
{
	fprintf(stderr, "mailtrace: %s\n", err->text);
	return status;
}

static size_t terminal_columns(void)
{
	struct winsize w;
	size_t columns = options.width;
	if (!columns && ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0)
		columns = w.ws_col;
	return columns > LEAST_COLUMNS ? columns : LEAST_COLUMNS;
}

/* Every operand, or standard input. 0, or the status of a file that could not be read: the others are shown. */
static int read_inputs(struct input *in, char **operands)
{
	static char *const standard_input[] = { "-", NULL };
	int status = 0;
	for (char *const *path = *operands ? operands : standard_input; *path; path++) {
		struct err err;
		size_t before = in->malformed;
		if (input_read(in, *path, &err) < 0)
			status = failed(&err, EX_NOINPUT);
		if (in->malformed > before)
			fprintf(stderr, "mailtrace: %s: %zu of its lines can't be read as events\n", *path,
			    in->malformed - before);
	}
	return status;
}

/* With or without angle brackets. */
static bool same_mid(struct span mid, const char *wanted)
{
	struct span inner = mid.n >= 2 && mid.p[0] == '<' ? span_slice(mid, 1, mid.n - 1) : mid;
	return span_eqs(mid, wanted) || span_eqs(inner, wanted);
}

static void select_stories(struct stories *all)
{
	size_t kept = 0;
	for (size_t i = 0; options.mid.n && i < all->n; i++) {
		bool wanted = false;
		for (size_t k = 0; k < options.mid.n && all->v[i].mid.n; k++)
			wanted |= same_mid(all->v[i].mid, options.mid.v[k]);
		if (wanted)
			all->v[kept++] = all->v[i];
	}
	if (options.mid.n)
		all->n = kept;
}

static int show(const struct input *in, const struct stories *all, int status)
{
	struct buf out;
	struct err err;
	buf_init(&out, OUTPUT_MAX);
	if (options.json)
		show_json(in, all, options.lines, &out);
	else
		show_text(all, terminal_columns(), options.lines, &out);
	bool ok = !out.bad && fwrite(out.p, 1, out.len, stdout) == out.len && fflush(stdout) == 0;
	if (!ok) {
		err_sys(&err, "standard output");
		status = failed(&err, EX_IOERR);
	}
	buf_free(&out);
	return status;
}

static int run(char **operands)
{
	struct input in = { .a = arena_new() };
	struct stories all = { 0 };
	int status = read_inputs(&in, operands);
	if (!in.n_events && !in.n_mails) {
		fprintf(stderr, "mailtrace: nothing could be read\n");
		status = status ? status : EX_DATAERR;
	} else {
		join_stories(&in, &all);
		select_stories(&all);
		if (!all.n) {
			fprintf(stderr, "mailtrace: no event of that message\n");
			status = EX_DATAERR;
		} else {
			status = show(&in, &all, status);
		}
	}
	free(all.v);
	free(in.event);
	free(in.mail);
	arena_free(in.a);
	return status;
}

int main(int argc, char **argv)
{
	static const struct opts opts = {
		.prog = "mailtrace",
		.synopsis = "[--text | --json] [OPTION]... [TRACE-FILE | MESSAGE]...",
		.about = "Shows the way of a message: what every hop recorded, and its Received fields.",
		.table = table,
		.values = &options,
		.personal = true,
	};
	struct err err = { 0 };
	int first;
	signal(SIGPIPE, SIG_IGN);
	/* What is text does not depend on where it is read: traces are UTF-8. */
	setlocale(LC_CTYPE, "C.UTF-8");
	log_open("mailtrace", LOG_TO_AUTO, LOG_LVL_INFO);
	enum opts_result parsed = opts_parse(&opts, argc, argv, &first, &err);
	if (parsed == OPTS_DONE)
		return EX_OK;
	if (parsed == OPTS_OK && options.text && options.json)
		err_set(&err, ERR_USAGE, "--text and --json exclude each other");
	if (parsed == OPTS_ERROR || err.class != ERR_NONE)
		return failed(&err, err_exit_status(&err));
	return run(argv + first);
}
