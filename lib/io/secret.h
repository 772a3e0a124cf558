/* SPDX-License-Identifier: ISC
 *
 * Who we are to a server, and the secret that proves it, from where a person keeps it: a command's output, a netrc file
 * that nobody else can read, the terminal. Never from argv. The caller owns the bufs and wipes the password.
 */
#ifndef WP_IO_SECRET_H
#define WP_IO_SECRET_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

struct broker;

struct secret_source {
	const char *command;         /* its first line of output is the secret; NULL: none */
	const struct broker *broker; /* who starts it, as what (its stdin is /dev/null then); NULL: we do */
	int index;
	const char *netrc; /* NULL: $NETRC or ~/.netrc, if there is one */
	const char *host;  /* whose secret */
	bool none;         /* only the user is wanted: a certificate proves it (EXTERNAL) */
};
/* An empty user is filled in, from the netrc entry or with our own name. The password is asked for on the terminal when
 * neither command nor netrc gives one. -1 with err: ERR_CONFIG when there is none, or others may read the file. */
int secret_find(const struct secret_source *src, struct buf *user, struct buf *password, struct err *err);

/* A netrc's text: the entry of host (and user, unless ""), or its default. 1 found, 0 not, -1 malformed. */
int netrc_find(struct span text, struct span host, struct buf *user, struct buf *password);

#endif
