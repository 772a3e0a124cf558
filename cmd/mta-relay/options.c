/* SPDX-License-Identifier: ISC */
#include <stdio.h>

#include "base/log.h"
#include "dns/dns.h"
#include "io/confine.h"
#include "io/hostname.h"
#include "mta-relay/guard.h"
#include "mta-relay/address_options.h"
#include "io/tls.h"
#include "mta-relay/relay.h"
#include "mta-relay/serve_client.h"
#include "mta-relay/serve_address.h"
#include "mta-relay/serve_esmtp.h"
#include "mta-relay/serve_hooks.h"
#include "mta-relay/serve_patience.h"
#include "mta-relay/way_options.h"
#include "sasl/settings.h"

const struct opt *const relay_tables[] = {
	relay_serve_options,
	patience_options,
	sasl_options,
	guard_options,
	confine_options,
	confine_user_options,
	tls_server_options,
	client_options,
	relay_hook_options,
	relay_inject_options,
	relay_run_options,
	relay_queue_options,
	relay_state_options,
	relay_explain_options,
	relay_way_options,
	serve_esmtp_options,
	relay_address_options,
	relay_rewrite_options,
	serve_address_options,
	NULL,
};

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
