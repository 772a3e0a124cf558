/* SPDX-License-Identifier: ISC
 *
 * How other programs take part in what serve decides: their options. docs/ARCHITECTURE.md says in which order they are
 * asked.
 */
#ifndef MTA_RELAY_SERVE_HOOKS_H
#define MTA_RELAY_SERVE_HOOKS_H

#include "base/opts.h"

struct hook_settings {
	struct opt_list milters, policies;
};
extern const struct opt relay_hook_options[];

/* A worker's; each NULL when there is none. */
struct hooks {
	struct milter_seats *milters;
	struct policy_seats *policies;
};

#endif
