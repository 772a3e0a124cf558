/* SPDX-License-Identifier: ISC
 *
 * Times in parameters of MAIL: until when a message is held (RFC 4865), by when it is to be delivered (RFC 2852).
 */
#ifndef WP_SMTP_WHEN_H
#define WP_SMTP_WHEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

/* HOLDFOR: 1 to 999999999 seconds. */
bool when_hold_for(struct span value, int64_t *seconds);
/* HOLDUNTIL: RFC 3339 in UTC, "2026-11-30T08:00:00Z"; seconds since 1970. */
bool when_date(struct span value, int64_t *unix_time);
void when_date_format(int64_t unix_time, struct buf *out);

struct smtp_by {
	int64_t seconds; /* from now */
	char mode;       /* 'N' notify, 'R' return; 0: none was asked for */
	bool trace;
};
/* BY: "120;R", "-5;NT". */
bool when_by(struct span value, struct smtp_by *out);

#endif
