/* SPDX-License-Identifier: ISC
 *
 * The arguments of XCLIENT and XFORWARD, by which a proxy or filter that is trusted tells whose mail it brings:
 * "NAME=VALUE ..." with values in xtext, as Postfix's XCLIENT_README and XFORWARD_README describe. The names' and the
 * values' case does not matter where theirs does not.
 */
#ifndef WP_SMTP_XCLIENT_H
#define WP_SMTP_XCLIENT_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"

enum xclient_attr {
	XCLIENT_NAME, /* the verified reverse name */
	XCLIENT_ADDR, /* "192.0.2.1" or "2001:db8::1", without "IPV6:" */
	XCLIENT_PORT,
	XCLIENT_PROTO, /* SMTP or ESMTP */
	XCLIENT_HELO,
	XCLIENT_LOGIN, /* XCLIENT only */
	XCLIENT_DESTADDR,
	XCLIENT_DESTPORT,
	XCLIENT_IDENT, /* XFORWARD only */
	XCLIENT_SOURCE,
	XCLIENT_ATTRS
};
/* The names as EHLO lists them. */
#define XCLIENT_NAMES "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"
#define XFORWARD_NAMES "NAME ADDR PORT PROTO HELO IDENT SOURCE"

struct xclient {
	unsigned given; /* bits 1 << enum xclient_attr */
	/* "" when not given, or given as [UNAVAILABLE] or [TEMPUNAVAIL]. No control characters. */
	struct span v[XCLIENT_ATTRS];
};

/* Values are added to what *x has, allocated from the arena. -1 with code and enhanced status for the reply; *x is as
 * it was then. */
int xclient_parse(struct span arg, bool forward, struct arena *a, struct xclient *x, struct err *err);
/* The number of PORT or DESTPORT; 0 when there is none. */
unsigned xclient_port(const struct xclient *x, enum xclient_attr which);

#endif
