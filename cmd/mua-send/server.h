/* SPDX-License-Identifier: ISC
 *
 * --server: smtp://[USER@]HOST[:PORT], smtps://, lmtp://HOST:PORT, lmtp:HOST:PORT, lmtp:unix:PATH.
 */
#ifndef MUA_SEND_SERVER_H
#define MUA_SEND_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct server {
	bool lmtp, implicit_tls, unix_socket;
	char *host; /* or the socket's path */
	uint16_t port;
	char *user; /* "" when none */
};

/* -1 with ERR_USAGE. */
int server_parse(const char *text, struct server *out, struct err *err);
void server_free(struct server *s);

#endif
