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
	int64_t filter_timeout;
};
enum {
	HOOK_FILTER_TIMEOUT = 5 * 60 * 1000
};
extern const struct opt relay_hook_options[];

/* A worker's; each NULL when there is none. */
struct hooks {
	struct milter_seats *milters;
	struct policy_seats *policies;
};

#endif
