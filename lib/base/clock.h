/* SPDX-License-Identifier: ISC
 *
 * The monotonic clock to some milliseconds, which costs next to nothing: for what may be looked at again after a while.
 */
#ifndef WP_BASE_CLOCK_H
#define WP_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t clock_coarse_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

#endif
