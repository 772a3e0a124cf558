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

#include "base/account.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "io/trace.h"
#include "mua-send/mua.h"
#include "mua-send/sendmail.h"

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

static const char *prog = "mua-send";

static int failed(const struct err *err)
{
	fprintf(stderr, "%s: %s\n", prog, err->text);
	return err_exit_status(err);
}

static int send_it(struct mail *m, bool as_sendmail, struct err *err)
{
	if (!options.direct && !options.server && as_sendmail)
		return mail_inject(m, err);
	if (mail_check_lines(m, err) < 0)
		return -1;
	if (options.direct)
		return mail_direct(m, err);
	if (!options.server)
		options.server = default_server;
	return mail_submit(m, err);
}

static int run(char **operands, size_t n, const struct sendmail *s)
{
	struct err err = { 0 };
	struct mail m = { .o = &options, .arena = arena_new(), .relay_config = s ? s->config : NULL };
	struct buf text;
	bool dots = !options.ignore_dots && (s || isatty(STDIN_FILENO));
	int status;
	buf_init(&text, 0);
	mail_init(&m);
	if (trace_open("mua-send", "mua", options.trace, options.explain, &err))
		return failed(&err);
	if (options.verbose)
		trace_transcript();
	if (input_read(STDIN_FILENO, dots, options.max_size, &text, &err) ||
	    mail_prepare(&m, buf_span(&text), operands, n, &err)) {
		status = failed(&err);
	} else if (options.dry_run) {
		status = mail_print(&m);
	} else {
		send_it(&m, s, &err);
		status = mail_report(&m, prog, &err);
	}
	mail_free(&m);
	buf_free(&text);
	return status;
}

/* Once more over the account's section, when one is named. */
static enum opts_result parse(int argc, char **argv, int *first, struct err *err)
{
	struct mua_options start = options;
	enum opts_result rc = opts_parse(&opts, argc, argv, first, err);
	if (rc != OPTS_OK || !options.account)
		return rc;
	opts.section = xasprintf("account %s", options.account);
	opts.also = account_tables;
	options = start;
	return opts_parse(&opts, argc, argv, first, err);
}

/* The machine's own settings, under the person's. The certificate in them is a server's, with a key that is not ours to
 * read. */
static int read_system_config(struct err *err)
{
	if (opts_read_config(&opts, "/etc/waypost.conf", opts.prog, false, err))
		return -1;
	options.tls_cert = options.tls_key = NULL;
	return 0;
}

static int run_mua(int argc, char **argv, const struct sendmail *s)
{
	struct err err = { 0 };
	int first;
	switch (parse(argc, argv, &first, &err)) {
	case OPTS_DONE:
		return EX_OK;
	case OPTS_ERROR:
		return failed(&err);
	case OPTS_OK:
		break;
	}
	return run(argv + first, (size_t)(argc - first), s);
}

static int do_sendmail(const struct sendmail *s)
{
	struct err err = { 0 };
	if (s->act == SENDMAIL_NOTHING)
		return EX_OK;
	if (s->act != SENDMAIL_SEND) {
		sendmail_become_relay(s, &err);
		return failed(&err);
	}
	if (!s->config && read_system_config(&err))
		return failed(&err);
	return run_mua(s->argc, s->argv, s);
}

static int run_sendmail(int argc, char **argv)
{
	struct err err = { 0 };
	struct sendmail s;
	prog = "sendmail";
	int status = sendmail_parse(argc, argv, &s, &err) ? failed(&err) : do_sendmail(&s);
	arena_free(s.arena);
	return status;
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	log_open("mua-send", LOG_TO_AUTO, LOG_LVL_INFO);
	options = mua_defaults;
	if (sendmail_is(argv[0]))
		return run_sendmail(argc, argv);
	return run_mua(argc, argv, NULL);
}
