/* SPDX-License-Identifier: ISC
 *
 * What mxlookup found out about one name, and its two ways of showing it. Everything lives in the arena that the
 * look-ups used.
 */
#ifndef WP_MXLOOKUP_REPORT_H
#define WP_MXLOOKUP_REPORT_H

#include "dns/dns.h"
#include "dns/sts.h"
#include "dns/tlsa.h"

struct host_report {
	struct tlsa_result tlsa;
	struct ptr_result *ptr; /* one for each address of the host */
};
struct report {
	struct span query; /* as given */
	struct mx_result mx;
	int status; /* exit status for this name */
	bool with_tlsa, with_sts, with_ptr;
	struct host_report *host; /* one for each of mx.host */
	struct sts_record sts;
};

/* The exit status that an outcome maps to: docs/decisions/0002-mxlookup-exit-statuses.md. */
int report_status(const struct mx_result *mx);
/* "mx", "implicit", "literal", "null", "none" */
const char *report_kind(enum mx_kind kind);

void report_text(const struct report *r, struct buf *out);
/* One line. */
void report_json(const struct report *r, struct buf *out);

#endif
