/* SPDX-License-Identifier: ISC
 *
 * mta-relay serve: what the extensions of SMTP ask of a server, beyond the grammar that lib/smtp knows.
 */
#ifndef MTA_RELAY_SERVE_ESMTP_H
#define MTA_RELAY_SERVE_ESMTP_H

#include "base/opts.h"

/* Who is told which addresses exist, and what lists hold. */
enum esmtp_vrfy {
	VRFY_NO,
	VRFY_TRUSTED,
	VRFY_YES
};

struct esmtp_settings {
	int vrfy; /* enum esmtp_vrfy */
	bool etrn;
	uint64_t min_free;
	int64_t hold_max; /* ms */
};
extern const struct opt serve_esmtp_options[];
extern const struct esmtp_settings esmtp_defaults;

/* Has the file system of the queue room for `size` bytes more than min_free? One that can't be asked has. */
bool esmtp_has_room(const char *queue, uint64_t min_free, uint64_t size);

#endif
