/* SPDX-License-Identifier: ISC
 *
 * Dates of RFC 5322 3.3 with obsolete years and zones (4.3), and the forms that real mail uses besides.
 */
#ifndef WP_MSG_DATE_H
#define WP_MSG_DATE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/buf.h"
#include "base/span.h"

/* False when no date can be made out. zone_min: minutes east of UTC. */
bool date_parse(struct span s, int64_t *unix_time, int *zone_min);
/* "Sun, 22 Nov 2026 03:10:00 +0100" */
void date_format(int64_t unix_time, int zone_min, struct buf *out);
/* The same in the local zone; kept for as long as the second lasts. */
const char *date_here(int64_t unix_time);
/* The local zone's offset at that time, in minutes. */
int date_local_zone(int64_t unix_time);
/* Days since 1970-01-01 of a proleptic Gregorian date, and back; month 1 to 12. For IMAP and Sieve dates too. */
int64_t date_days(int64_t year, int month, int day);
void date_civil(int64_t days, int64_t *year, int *month, int *day);

#endif
