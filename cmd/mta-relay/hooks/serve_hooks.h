/* SPDX-License-Identifier: ISC
 *
 * How other programs take part in what serve decides: their options. docs/ARCHITECTURE.md says in which order they are
 * asked.
 */
#ifndef MTA_RELAY_SERVE_HOOKS_H
#define MTA_RELAY_SERVE_HOOKS_H

#include <stdint.h>

#include "base/opts.h"

struct hook_settings {
	struct opt_list milters, policies, filters;
	const char *proxy;
	int64_t filter_timeout, proxy_timeout;
};
extern const struct opt relay_hook_options[];
extern const struct hook_settings hook_defaults;

/* Each NULL when there is none. */
struct hooks {
	struct milter_seats *milters;
	struct policy_seats *policies;
	struct mda *proxy;
	int *filter_index; /* of each filter, at the broker */
};

#endif
