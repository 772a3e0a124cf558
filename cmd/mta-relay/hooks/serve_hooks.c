/* SPDX-License-Identifier: ISC */
#include "mta-relay/hooks/serve_hooks.h"

#define AT(member) offsetof(struct hook_settings, member)

const struct opt relay_hook_options[] = {
	{ "milter", 0, OPT_LIST, AT(milters), "WHERE", "ask this milter, inet:HOST:PORT or unix:PATH; repeatable", NULL,
	    0 },
	{ "policy", 0, OPT_LIST, AT(policies), "WHERE", "ask this policy service, as Postfix does; repeatable", NULL,
	    0 },
	{ "filter", 0, OPT_LIST, AT(filters), "COMMAND", "pipe messages through this; repeatable", NULL, 0 },
	{ "filter-timeout", 0, OPT_DURATION, AT(filter_timeout), "TIME", "how long it may take", NULL, 0 },
	{ "proxy-filter", 0, OPT_STR, AT(proxy), "WHERE", "pass mail to this filter, smtp:HOST:PORT or lmtp:unix:PATH",
	    NULL, 0 },
	{ "proxy-timeout", 0, OPT_DURATION, AT(proxy_timeout), "TIME", "how long it may take for a reply", NULL, 0 },
	{ 0 },
};

const struct hook_settings hook_defaults = { .filter_timeout = 5 * 60 * 1000, .proxy_timeout = 100 * 1000 };
