/* SPDX-License-Identifier: ISC
 *
 * How a destination is talked to: what may stand behind it on a line of the routes file, and what the options of
 * `mta-relay run` say for all. Owns nothing: strings lie in the arena that was given.
 */
#ifndef MTA_RELAY_ROUTE_SETTINGS_H
#define MTA_RELAY_ROUTE_SETTINGS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "dns/dns.h"

enum route_tls {
	ROUTE_TLS_UNSET,
	ROUTE_TLS_NONE,        /* never STARTTLS */
	ROUTE_TLS_MAY,         /* where it is offered; in the clear when that fails (RFC 7435) */
	ROUTE_TLS_ENCRYPT,     /* always, with any certificate */
	ROUTE_TLS_VERIFY,      /* always, with a certificate for the host's name by a known authority */
	ROUTE_TLS_FINGERPRINT, /* always, with the certificate or public key that is named */
};
extern const char *const route_tls_names[];    /* by enum route_tls; "" for unset */
extern const char *const route_family_names[]; /* by enum mx_family: any 4first 6first 4 6 */

struct route_settings {
	enum route_tls tls;
	const char *fingerprint, *tls_ca, *tls_name; /* NULL: not given */
	struct net_addr source4, source6;            /* to bind; len 0: the system's choice */
	bool has_family;
	enum mx_family family;
	const char *helo, *password_file;
	const char *auth;               /* the mechanism; NULL: the strongest */
	const char *tls_cert, *tls_key; /* ours; key NULL: in the same file */
	/* Of one message, not of the configuration: the server must offer REQUIRETLS and its certificate be verified.
	 */
	bool requiretls;
};

/* One NAME=VALUE. -1 with ERR_CONFIG: unknown, malformed, or a file that is not there. */
int route_setting(struct arena *a, struct span word, struct route_settings *out, struct err *err);
/* After all words: what contradicts itself is an error, and what one implies is set (a fingerprint its policy). */
int route_settings_check(struct route_settings *s, struct err *err);
/* "ADDR[,ADDR]", one of each family at most. */
int route_source(struct span value, struct route_settings *out, struct err *err);
/* " tls=verify source=192.0.2.1", always the same text for the same settings; "" for none. */
void route_settings_text(const struct route_settings *s, struct buf *out);
/* What own leaves open is taken from other. */
void route_settings_fill(struct route_settings *own, const struct route_settings *other);

#endif
