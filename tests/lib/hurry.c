/* SPDX-License-Identifier: ISC
 *
 * Preloaded into a program under test, lets its monotonic clock run WAYPOST_HURRY times as fast and poll(2) wait that
 * much shorter, so that a test sees the timeouts of RFC 5321 4.5.3.2 end, which are minutes. The clock of the day
 * stays.
 */
#include <dlfcn.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

int __poll_chk(struct pollfd *fds, nfds_t n, int ms, size_t room);

static int64_t factor(void)
{
	static int64_t known;
	if (!known) {
		const char *text = getenv("WAYPOST_HURRY");
		long value = text ? strtol(text, NULL, 10) : 1;
		known = value > 0 ? value : 1;
	}
	return known;
}

int clock_gettime(clockid_t clock, struct timespec *ts)
{
	static int (*real)(clockid_t, struct timespec *);
	if (!real)
		real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	int rc = real(clock, ts);
	if (rc == 0 && clock == CLOCK_MONOTONIC) {
		int64_t ns = ((int64_t)ts->tv_sec * 1000000000 + ts->tv_nsec) * factor();
		ts->tv_sec = ns / 1000000000;
		ts->tv_nsec = ns % 1000000000;
	}
	return rc;
}

static int shorter(struct pollfd *fds, nfds_t n, int ms)
{
	static int (*real)(struct pollfd *, nfds_t, int);
	if (!real)
		real = (int (*)(struct pollfd *, nfds_t, int))dlsym(RTLD_NEXT, "poll");
	return real(fds, n, ms > 0 ? (int)((ms + factor() - 1) / factor()) : ms);
}

int poll(struct pollfd *fds, nfds_t n, int ms)
{
	return shorter(fds, n, ms);
}

int __poll_chk(struct pollfd *fds, nfds_t n, int ms, size_t room)
{
	(void)room;
	return shorter(fds, n, ms);
}
