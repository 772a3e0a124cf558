/* SPDX-License-Identifier: ISC
 *
 * The arguments of MAIL and RCPT (RFC 5321 4.1.1.2, 4.1.1.3, 4.1.2): a path in angle brackets and ESMTP parameters; and
 * the values of the parameters that are known: SIZE (RFC 1870), BODY (RFC 6152, 3030), SMTPUTF8 (RFC 6531), AUTH (RFC
 * 4954), RET, ENVID, NOTIFY, ORCPT (RFC 3461), PRDR (draft-hall-prdr), REQUIRETLS (RFC 8689), HOLDFOR and HOLDUNTIL
 * (RFC 4865), BY (RFC 2852), MT-PRIORITY (RFC 6710). Spans point into the argument or the arena. Errors carry the
 * reply's code and enhanced status.
 *
 * A source route (RFC 5321 appendix C) is accepted and dropped: only what follows it is the address.
 */
#ifndef WP_SMTP_PARAM_H
#define WP_SMTP_PARAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "smtp/when.h"

enum {
	SMTP_PARAMS_MAX = 16,
	SMTP_ENVID_MAX = 100 /* RFC 3461 4.4 */,
	SMTP_ORCPT_MAX = 500 /* RFC 3461 4.2 */
};

struct smtp_param {
	struct span name, value;
	bool has_value;
};
struct smtp_args {
	struct span path; /* between the brackets, without source route; "" for <> */
	struct smtp_param v[SMTP_PARAMS_MAX];
	size_t n;
};
/* arg: what follows "FROM:" or "TO:". -1 with err 501 5.5.4. */
int smtp_args_parse(struct span arg, struct smtp_args *out, struct err *err);

struct smtp_mail_params {
	uint64_t size;
	bool has_size, eightbit, binary, utf8, prdr, requiretls, has_priority;
	struct span ret, envid; /* "FULL" or "HDRS"; xtext as given */
	struct span auth;       /* xtext as given; "" for <> or none: that is the same (RFC 4954 5) */
	int priority;           /* -9 to 9 */
	struct smtp_by by;
	int64_t hold_for, hold_until; /* seconds; since 1970; 0: not asked for, and never both */
	struct span hold;             /* the value of that */
};
struct smtp_rcpt_params {
	struct span notify, orcpt;
};
/* -1 with err: 501 5.5.4 for a bad value or a repeated name, 555 5.5.4 for a name nobody knows. */
int smtp_mail_params(const struct smtp_args *a, struct smtp_mail_params *out, struct err *err);
/* utf8: raw UTF-8 is allowed in ORCPT (RFC 6533 3). */
int smtp_rcpt_params(const struct smtp_args *a, bool utf8, struct smtp_rcpt_params *out, struct err *err);

/* xtext (RFC 3461 4) decoded into out; false when malformed, or when it would give a control character, which
 * could break a line of an envelope, a header or a protocol. */
bool xtext_decode(struct span s, struct buf *out);
/* The text as xtext. */
void xtext_encode(struct span s, struct buf *out);

#endif
