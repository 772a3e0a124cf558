/* SPDX-License-Identifier: ISC
 *
 * What serve alone does about addresses, besides address_options.h: asking the delivery agent at RCPT, and answering
 * that no mail is taken here at all.
 */
#ifndef MTA_RELAY_SERVE_ADDRESS_H
#define MTA_RELAY_SERVE_ADDRESS_H

#include "base/opts.h"

struct serve_address_options {
	int verify; /* enum address_verify */
	bool no_mail, rewrite_sender, refuse_null_mx;
};
enum address_verify {
	VERIFY_NO,
	VERIFY_LMTP
};
extern const struct opt serve_address_options[];

struct serve_check;
extern const struct serve_check no_mail_check; /* before all others */
extern const struct serve_check owner_check;   /* before rewrite_check: what the client said counts */
extern const struct serve_check rewrite_check; /* before policy_check */
extern const struct serve_check null_mx_check; /* serve_null_mx.c, behind policy_check */
extern const struct serve_check verify_check;  /* behind policy_check */

#endif
