/* SPDX-License-Identifier: ISC */
#include "io/listen/notify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/span.h"

static struct {
	bool opened;
	pid_t pid; /* who may speak */
	int fd;    /* -1: nobody listens */
	struct sockaddr_un to;
	socklen_t to_len;
	int64_t every, fed; /* the watchdog's half, 0: none; ms */
	int64_t told;       /* ms, the last status */
	char status[200];
} state = { .fd = -1 };

static int64_t now_usec(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t now_ms(void)
{
	return now_usec() / 1000;
}

static void find_manager(const char *path)
{
	size_t n = path ? strlen(path) : 0;
	if (n < 2 || n >= sizeof state.to.sun_path || (*path != '/' && *path != '@'))
		return;
	state.to.sun_family = AF_UNIX;
	memcpy(state.to.sun_path, path, n);
	state.to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	if (*path == '@')
		state.to.sun_path[0] = '\0';
	state.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

/* sd_watchdog_enabled(3): without WATCHDOG_PID the time is meant for whoever reads it. */
static void find_watchdog(const char *usec, const char *pid)
{
	uint64_t time, who;
	if (!usec || !span_u64(span_str(usec), INT64_MAX, &time) || time < 2000)
		return;
	if (pid && (!span_u64(span_str(pid), INT32_MAX, &who) || (pid_t)who != getpid()))
		return;
	state.every = (int64_t)(time / 2000);
}

void notify_open(void)
{
	if (state.opened)
		return;
	state.opened = true;
	state.pid = getpid();
	find_manager(getenv("NOTIFY_SOCKET"));
	find_watchdog(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"));
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

static void tell(const char *text)
{
	/* A manager that does not read must not stop us. */
	if (state.fd >= 0 && getpid() == state.pid)
		sendto(state.fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&state.to,
		    state.to_len);
}

bool notify_heard(void)
{
	return state.fd >= 0;
}

void notify_ready(void)
{
	tell("READY=1");
}

void notify_reloading(void)
{
	char text[64];
	snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, now_usec());
	tell(text);
}

void notify_stopping(void)
{
	tell("STOPPING=1");
}

void notify_status(const char *fmt, ...)
{
	char text[sizeof state.status] = "STATUS=";
	va_list ap;
	if (state.fd < 0)
		return;
	va_start(ap, fmt);
	vsnprintf(text + 7, sizeof text - 7, fmt, ap);
	va_end(ap);
	int64_t now = now_ms();
	if (!strcmp(text, state.status) || (*state.status && now - state.told < NOTIFY_STATUS_MS))
		return;
	memcpy(state.status, text, sizeof text);
	state.told = now;
	tell(text);
}

int64_t notify_watchdog_wait(void)
{
	if (!state.every || state.fd < 0)
		return -1;
	int64_t left = state.fed + state.every - now_ms();
	return left < 0 ? 0 : left;
}

void notify_watchdog(void)
{
	if (notify_watchdog_wait() != 0)
		return;
	state.fed = now_ms();
	tell("WATCHDOG=1");
}
