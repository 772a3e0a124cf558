/* SPDX-License-Identifier: ISC */
#include <stdio.h>

#include "base/log.h"
#include "dns/dns.h"
#include "io/hostname.h"
#include "mta-relay/relay.h"

void relay_complain(const char *prog, const struct err *err)
{
	/* Under inetd stderr is the client's. */
	if (log_where() == LOG_TO_SYSLOG)
		log_err("%s: %s", prog, err->text);
	else
		fprintf(stderr, "%s: %s\n", prog, err->text);
}

enum opts_result relay_options(int argc, char **argv, const struct opts *o, int *first, int *status)
{
	struct opts own = *o;
	struct err err = { 0 };
	own.section = RELAY_SECTION;
	own.also = relay_tables;
	enum opts_result rc = opts_parse(&own, argc, argv, first, &err);
	*status = 0;
	if (rc == OPTS_ERROR) {
		relay_complain(o->prog, &err);
		*status = err_exit_status(&err);
	}
	return rc;
}

int relay_family(int choice)
{
	static const enum mx_family families[] = { MX_ANY, MX_V4_ONLY, MX_V6_ONLY, MX_V4_FIRST, MX_V6_FIRST };
	return (int)families[choice];
}

const char *relay_hostname(const char *configured)
{
	return configured && *configured ? configured : hostname_full();
}
