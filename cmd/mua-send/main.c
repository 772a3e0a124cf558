/* SPDX-License-Identifier: ISC
 *
 * mua-send: submits the message on stdin.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "io/trace.h"
#include "mua-send/mua.h"

static const char default_server[] = "smtp://localhost:587";

static struct mua_options options;
static struct opts opts = {
	.prog = "mua-send",
	.synopsis = "[OPTION]... [-t] [RECIPIENT]... <MESSAGE",
	.about = "Submits the message on standard input.",
	.table = mua_table,
	.values = &options,
	.personal = true,
};

static int failed(const char *prog, const struct err *err)
{
	fprintf(stderr, "%s: %s\n", prog, err->text);
	return err_exit_status(err);
}

static int send_it(struct mail *m, struct err *err)
{
	if (options.direct)
		return mail_direct(m, err);
	if (!options.server)
		options.server = default_server;
	return mail_submit(m, err);
}

static int run(char **operands, size_t n)
{
	struct err err = { 0 };
	struct mail m = { .o = &options, .arena = arena_new() };
	struct buf text;
	bool dots = !options.ignore_dots && isatty(STDIN_FILENO);
	if (trace_open("mua-send", "mua", options.trace, options.explain, &err))
		return failed(opts.prog, &err);
	if (options.verbose)
		trace_transcript();
	int status;
	if (input_read(STDIN_FILENO, dots, options.max_size, &text, &err) ||
	    mail_prepare(&m, buf_span(&text), operands, n, &err)) {
		status = failed(opts.prog, &err);
	} else if (options.dry_run) {
		status = mail_print(&m);
	} else {
		send_it(&m, &err);
		status = mail_report(&m, opts.prog, &err);
	}
	mail_free(&m);
	buf_free(&text);
	return status;
}

/* Once more over the account's section, when one is named. */
static enum opts_result parse(int argc, char **argv, int *first, struct err *err)
{
	options = mua_defaults;
	enum opts_result rc = opts_parse(&opts, argc, argv, first, err);
	if (rc != OPTS_OK || !options.account)
		return rc;
	opts.section = xasprintf("account %s", options.account);
	options = mua_defaults;
	return opts_parse(&opts, argc, argv, first, err);
}

int main(int argc, char **argv)
{
	struct err err = { 0 };
	int first;
	signal(SIGPIPE, SIG_IGN);
	log_open("mua-send", LOG_TO_AUTO, LOG_LVL_INFO);
	switch (parse(argc, argv, &first, &err)) {
	case OPTS_DONE:
		return EX_OK;
	case OPTS_ERROR:
		return failed(opts.prog, &err);
	case OPTS_OK:
		break;
	}
	return run(argv + first, (size_t)(argc - first));
}
