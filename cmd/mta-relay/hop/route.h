/* SPDX-License-Identifier: ISC
 *
 * Where a recipient's mail goes: the MDA for our own domains, what the routes file says about the recipient, what it
 * says about the sender, its line for all others or the smarthost, or the MX records of the domain. Decided by
 * configuration alone; the DNS is asked by who goes there. Equal keys are one destination, talked to in the same way.
 * The routes file's grammar is waypost-routes(5)'s.
 */
#ifndef MTA_RELAY_ROUTE_H
#define MTA_RELAY_ROUTE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"
#include "mta-relay/hop/route_settings.h"
#include "mta-relay/policy/rewrite.h"
#include "users/domains.h"

enum route_kind {
	ROUTE_MX,
	ROUTE_SMTP,
	ROUTE_LMTP,
	ROUTE_ERROR
};

struct route {
	enum route_kind kind;
	const char *key;         /* "mx:example.org", "smtp://host:25 tls=verify", "lmtp:...", "error:..." */
	const char *target;      /* the domain, URL or LMTP specification */
	struct route_settings s; /* MX and SMTP: as they apply, the defaults among them; tls is never unset */
	const char *own;         /* the settings of the line as text: conversations with others are not shared */
	struct route *next;      /* to be tried when this one can't be reached; NULL: none */
	struct err error;        /* ROUTE_ERROR: what its recipients get */
	const char *why, *rfc;   /* for --explain and the trace */
};

enum {
	ROUTE_KEY_MAX = 2048,
	ROUTE_TEXT_MAX = 900, /* destinations and settings of one line */
	ROUTE_LINKS = 4,      /* destinations of one line */
};

/* --starttls, where it was given: for URLs, before tls. */
enum route_starttls {
	ROUTE_STARTTLS_REQUIRE,
	ROUTE_STARTTLS_TRY,
	ROUTE_STARTTLS_NEVER,
	ROUTE_STARTTLS_UNSET
};

struct route_config {
	const char *domains;   /* as --domains; NULL: none are ours */
	const char *mda;       /* "lmtp:..."; NULL: none */
	const char *file;      /* the routes file; NULL: none */
	const char *smarthost; /* URL[,URL]; NULL: none */
	int starttls;          /* enum route_starttls */
	const char *source;    /* ADDR[,ADDR]; NULL: the system's choice */
	const char *tls_ca;    /* NULL: the system's */
	enum route_tls tls;    /* unset: may */
	int family;            /* enum mx_family */
	const char *generic;   /* a table; NULL: none */
};
struct routes;

/* NULL with err: ERR_CONFIG with file:line, ERR_USAGE. What c points to must outlive it. */
struct routes *routes_open(const struct route_config *c, struct err *err);
void routes_close(struct routes *r);
/* Every destination of the file and the configuration, those that follow one included. */
void routes_each(const struct routes *r, void (*fn)(void *arg, const struct route *r), void *arg);
/* Always decides; what out points to lies in the arena or in r. from: the envelope sender without <>. */
void route_find(const struct routes *r, struct arena *a, struct span from, struct span address, struct route *out);

/* The route to a next hop that the message names itself (next_hop.h). */
void route_named(const struct routes *r, struct arena *a, struct span target, struct route *out);

/* How addresses are written to other hosts than the MDA; NULL: as they are. A table that has changed is read again. */
const struct rewrite_rules *routes_generic(struct routes *r);

/* The domain of local@domain, "" when there is none: quoted local parts may hold an '@'. */
struct span route_domain(struct span address);

#endif
