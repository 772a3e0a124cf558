/* SPDX-License-Identifier: ISC
 *
 * How much of something in how much time: "100/1h".
 */
#ifndef MTA_RELAY_GUARD_RATE_H
#define MTA_RELAY_GUARD_RATE_H

#include <stdint.h>

#include "base/err.h"

struct rate {
	uint64_t n;   /* 0: no limit */
	int64_t life; /* seconds */
};
/* NULL, "" and "0" are no limit. -1 with ERR_USAGE. */
int rate_parse(const char *text, struct rate *out, struct err *err);

#endif
