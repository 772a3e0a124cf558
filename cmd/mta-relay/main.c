/* SPDX-License-Identifier: ISC
 *
 * mta-relay: the mail transfer and submission agent. Finds the subcommand; each does the rest.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/log.h"
#include "mta-relay/relay.h"

static const struct subcommand {
	const char *name;
	const char *title; /* what the subcommand's help and messages call it */
	int (*run)(int argc, char **argv);
	const char *help;
} subcommands[] = {
	{ "serve", "mta-relay serve", relay_serve, "takes mail over SMTP" },
	{ "inject", "mta-relay inject", relay_inject, "accepts a message on stdin" },
	{ "run", "mta-relay run", relay_run, "delivers the queue" },
	{ "queue", "mta-relay queue", relay_queue, "lists and changes the queue" },
	{ "state", "mta-relay state", relay_state, "lists and changes what serve remembers" },
	{ "explain", "mta-relay explain", relay_explain, "tells where mail for an address would go" },
	{ NULL, NULL, NULL, NULL },
};

static int usage(FILE *out, int status)
{
	fputs("Relays mail: SMTP server in the roles mta and msa, queue, and client towards the next hop.\n\n", out);
	for (const struct subcommand *s = subcommands; s->name; s++)
		fprintf(out, "  %s %-*s %s\n", s->title, (int)(24 - strlen(s->title)), "...", s->help);
	fputs("\nEach subcommand tells its options with --help.\n", out);
	return status;
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc < 2)
		return usage(stderr, EX_USAGE);
	if (!strcmp(argv[1], "--help"))
		return usage(stdout, EX_OK);
	if (!strcmp(argv[1], "--version")) {
		puts("mta-relay (waypost) " WAYPOST_VERSION);
		return EX_OK;
	}
	log_open("mta-relay", LOG_TO_AUTO, LOG_LVL_INFO);
	for (const struct subcommand *s = subcommands; s->name; s++) {
		if (strcmp(argv[1], s->name))
			continue;
		argv[1] = (char *)s->title;
		return s->run(argc - 1, argv + 1);
	}
	fprintf(stderr, "mta-relay: no subcommand '%s'\n", argv[1]);
	return usage(stderr, EX_USAGE);
}
