/* SPDX-License-Identifier: ISC
 *
 * A message through a command: the content on its stdin with LF line ends, what it writes on stdout in its place. What
 * the exit status means is the caller's. Nothing of the message stands in the command; the envelope is in its
 * environment.
 */
#ifndef MTA_RELAY_FILTER_H
#define MTA_RELAY_FILTER_H

#include "mta-relay/content/content.h"

struct broker;

enum {
	FILTER_SAID_MAX = 1000 /* bytes of stderr that are kept */
};
struct filter {
	const char *command;         /* for /bin/sh -c */
	const char *const *env;      /* "NAME=value" */
	const struct broker *broker; /* who starts it, NULL: we do; as which of its commands */
	int index;
	int64_t timeout;   /* ms for all of it */
	uint64_t max_size; /* of what it writes; 0: no limit */
};
/* in is read from its start, out was empty; said gets the beginning of stderr. The exit status, 128 + signal, or -1
 * with err: sys ETIMEDOUT, ERR_LIMIT for too much output, ERR_TEMP for what failed here. It may leave some of its stdin
 * unread. */
int filter_run(const struct filter *f, struct content *in, struct content *out, struct buf *said, struct err *err);

#endif
