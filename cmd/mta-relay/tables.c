/* SPDX-License-Identifier: ISC
 *
 * Every option that a section [mta-relay] may have.
 */
#include "io/confine/confine.h"
#include "io/tls/tls.h"
#include "mta-relay/guard/guard.h"
#include "mta-relay/hooks/serve_hooks.h"
#include "mta-relay/hop/way_options.h"
#include "mta-relay/policy/address_options.h"
#include "mta-relay/relay.h"
#include "mta-relay/serve/serve_address.h"
#include "mta-relay/serve/serve_client.h"
#include "mta-relay/serve/serve_esmtp.h"
#include "mta-relay/serve/serve_patience.h"
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
