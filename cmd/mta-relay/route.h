/* SPDX-License-Identifier: ISC
 *
 * Where a recipient's mail goes: the MDA for our own domains, what the routes file says, the smarthost, or the MX
 * records of its domain. Decided by configuration alone; the DNS is asked by who goes there. Equal keys are one
 * destination. The routes file: `DOMAIN DESTINATION [password-file=FILE]`, one a line, `#` comments; DOMAIN a domain,
 * `.DOMAIN` for all below it, `*` for all others; DESTINATION smtp://[USER@]HOST[:PORT], smtps://..., lmtp:... as
 * --mda, `mx`, or `error:[CODE [STATUS]] TEXT`.
 */
#ifndef MTA_RELAY_ROUTE_H
#define MTA_RELAY_ROUTE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"
#include "users/domains.h"

enum route_kind {
	ROUTE_MX,
	ROUTE_SMTP,
	ROUTE_LMTP,
	ROUTE_ERROR
};

struct route {
	enum route_kind kind;
	const char *key;           /* "mx:example.org", "smtp://host:25", "lmtp:...", "error:..." */
	const char *target;        /* the domain, URL or LMTP specification */
	const char *password_file; /* NULL: that of the smarthost */
	struct err error;          /* ROUTE_ERROR: what its recipients get */
	const char *why, *rfc;     /* for --explain and the trace */
};

enum {
	ROUTE_KEY_MAX = 2048
};

struct route_config {
	const char *domains;   /* as --domains; NULL: none are ours */
	const char *mda;       /* "lmtp:..."; NULL: none */
	const char *file;      /* the routes file; NULL: none */
	const char *smarthost; /* URL; NULL: none */
};
struct routes;

/* NULL with err: ERR_CONFIG with file:line, ERR_USAGE. */
struct routes *routes_open(const struct route_config *c, struct err *err);
void routes_close(struct routes *r);
/* Always decides; what out points to lies in the arena or in r. */
void route_find(const struct routes *r, struct arena *a, struct span address, struct route *out);

/* The domain of local@domain, "" when there is none: quoted local parts may hold an '@'. */
struct span route_domain(struct span address);

#endif
