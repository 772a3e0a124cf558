/* SPDX-License-Identifier: ISC
 *
 * A client's whole authentication in a protocol of lines (IMAP, POP3): the first command, base64 challenges and
 * responses, cancelling with "*", and the second attempt without SCRAM where a server keeps some passwords only as a
 * hash. The protocol's own words are two functions.
 */
#ifndef WP_SASL_EXCHANGE_H
#define WP_SASL_EXCHANGE_H

#include "sasl/sasl.h"

enum sasl_heard {
	SASL_HEARD_CHALLENGE,
	SASL_HEARD_OK,
	SASL_HEARD_NO,    /* refused; err says why: ERR_ACCESS, or ERR_TEMP when it may pass */
	SASL_HEARD_BROKEN /* the conversation cannot go on */
};

struct sasl_talk {
	const char *verb; /* "AUTHENTICATE " */
	bool initial;     /* an initial response may stand in the first line */
	size_t first_max; /* which may have this many bytes with it; 0: no limit */
	/* A line without its end; secret: not to be recorded. */
	void (*say)(void *arg, struct span line, bool secret);
	/* *challenge: the text after "+ ", valid until the next call. */
	enum sasl_heard (*hear)(void *arg, struct span *challenge, struct err *err);
	void *arg;
};

/* 0 when authenticated, -1 with err: ERR_ACCESS for wrong credentials or no usable mechanism (nothing was said
 * then). */
int sasl_exchange(const struct sasl_client_config *c, struct span offered, const struct stream *s,
    const struct sasl_talk *talk, struct err *err);

#endif
