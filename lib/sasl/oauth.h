/* SPDX-License-Identifier: ISC
 *
 * A command that knows whose bearer token something is: what introspection (RFC 7662), a JWT's signature or a list in a
 * file say is its business. It gets the token on its stdin, never in its arguments, as lines "key=value": token, user
 * (whom the client wants to be), host, port, mech, client (the address); a line without value is left out. Exit status
 * 0: the first line of its stdout is the user's name. 1: the token lets nobody in. Anything else, silence beyond the
 * timeout, or no name: it can't be told now.
 */
#ifndef WP_SASL_OAUTH_H
#define WP_SASL_OAUTH_H

#include "sasl/sasl.h"

struct broker;

struct sasl_oauth {
	const char *command; /* for /bin/sh -c */
	int64_t timeout_ms;
	const struct broker *broker; /* who starts it, as what; NULL: we do */
	int index;
};

/* 0 and the name is appended to user; -1: ERR_ACCESS refused, ERR_TEMP anything else. */
int sasl_oauth_ask(
    const struct sasl_oauth *o, const struct sasl_token *t, const char *client, struct buf *user, struct err *err);

#endif
