/* SPDX-License-Identifier: ISC
 *
 * Where a program that takes part in our decisions listens, as options name it: "inet:HOST:PORT", "inet6:HOST:PORT",
 * "unix:PATH" ("local:PATH"), then settings of its own, ",name=value". Milter's "inet:PORT@HOST" is understood too.
 */
#ifndef MTA_RELAY_HOOK_PLACE_H
#define MTA_RELAY_HOOK_PLACE_H

#include <stdint.h>

#include "base/opts.h"

struct hook_place {
	char *name; /* without the settings, for the log */
	char *path; /* of a UNIX socket, or NULL */
	char *host; /* without brackets */
	uint16_t port;
};

/* `settings`, a table of opts.h, reads into values what follows the first comma; a flag may stand without its value.
 * `what`, the option, begins an error's text. 0, or -1 with ERR_USAGE. */
int hook_place_parse(const char *what, const char *spec, const struct opt *settings, void *values, struct hook_place *p,
    struct err *err);
void hook_place_free(struct hook_place *p);
struct confine_rules;
/* What a process must be allowed for that. */
void hook_place_rules(const struct hook_place *p, struct confine_rules *r);
/* A connected socket, or -1 with err. */
int hook_place_connect(const struct hook_place *p, int64_t timeout_ms, struct err *err);

#endif
