/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "io/listen/notify.h"

static int manager = -1;

/* A manager's socket with this name; the variables are set. */
static void listen_at(const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	size_t n = strlen(name);
	memcpy(a.sun_path, name, n);
	if (*name == '@')
		a.sun_path[0] = '\0';
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	assert_int_equal(
	    bind(manager, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)), 0);
	setenv("NOTIFY_SOCKET", name, 1);
}

/* All that came, each followed by '|'. */
static const char *heard(void)
{
	static char all[4000];
	size_t at = 0;
	for (ssize_t n; (n = recv(manager, all + at, sizeof all - at - 2, 0)) >= 0;) {
		at += (size_t)n;
		all[at++] = '|';
	}
	all[at] = '\0';
	return all;
}

/* The module is a singleton that reads the environment once: each case is a process. */
static void in_child(void (*fn)(void))
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* In the child a cmocka assertion would go on with the parent's tests. */
static void must(int ok, int line)
{
	if (ok)
		return;
	fprintf(stderr, "%s:%d failed\n", __FILE__, line);
	_exit(1);
}
#define MUST(x) must(x, __LINE__)

static void talk(void)
{
	notify_open();
	MUST(!getenv("NOTIFY_SOCKET"));
	MUST(notify_heard());
	notify_ready();
	int64_t began = now_ms();
	notify_status("%d messages", 3);
	notify_status("%d messages", 3);
	notify_status("%d messages", 4); /* too soon */
	bool late = now_ms() - began >= NOTIFY_STATUS_MS;
	notify_watchdog();
	MUST(notify_watchdog_wait() == -1);
	notify_stopping();
	const char *all = heard();
	MUST(!strcmp(all, "READY=1|STATUS=3 messages|STOPPING=1|") ||
	     (late && !strcmp(all, "READY=1|STATUS=3 messages|STATUS=4 messages|STOPPING=1|")));
	notify_reloading();
	notify_ready();
	MUST(!strncmp(heard(), "RELOADING=1\nMONOTONIC_USEC=", 27));
	pid_t pid = fork();
	if (pid == 0) {
		notify_ready(); /* not the service */
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	MUST(!*heard());
}

static void abstract_name(void)
{
	char name[64];
	snprintf(name, sizeof name, "@waypost-notify-test-%ld", (long)getpid());
	listen_at(name);
	talk();
}

static void path_name(void)
{
	char dir[] = "/tmp/notify_test.XXXXXX", name[64];
	MUST(mkdtemp(dir) != NULL);
	snprintf(name, sizeof name, "%s/sock", dir);
	listen_at(name);
	talk();
	unlink(name);
	rmdir(dir);
}

static void watchdog(void)
{
	char name[64], pid[32];
	snprintf(name, sizeof name, "@waypost-notify-test-%ld", (long)getpid());
	snprintf(pid, sizeof pid, "%ld", (long)getpid());
	listen_at(name);
	setenv("WATCHDOG_USEC", "2000000", 1);
	setenv("WATCHDOG_PID", pid, 1);
	notify_open();
	MUST(notify_watchdog_wait() == 0);
	int64_t began = now_ms();
	notify_watchdog();
	notify_watchdog();
	bool late = now_ms() - began >= 1000;
	const char *all = heard();
	MUST(!strcmp(all, "WATCHDOG=1|") || (late && !strcmp(all, "WATCHDOG=1|WATCHDOG=1|")));
	int64_t wait = notify_watchdog_wait();
	MUST(wait >= 0 && wait <= 1000);
	usleep(1010000);
	notify_watchdog();
	MUST(!strcmp(heard(), "WATCHDOG=1|"));
}

static void anothers_watchdog(void)
{
	char name[64];
	snprintf(name, sizeof name, "@waypost-notify-test-%ld", (long)getpid());
	listen_at(name);
	setenv("WATCHDOG_USEC", "400000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	notify_open();
	notify_watchdog();
	MUST(!*heard() && notify_watchdog_wait() == -1);
}

static void nobody(void)
{
	setenv("NOTIFY_SOCKET", "relative", 1);
	notify_open();
	MUST(!notify_heard());
	notify_ready();
	notify_status("x");
	notify_watchdog();
	MUST(notify_watchdog_wait() == -1);
}

static void cases(void **state)
{
	static void (*const all[])(void) = { abstract_name, path_name, watchdog, anothers_watchdog, nobody };
	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		in_child(all[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(cases) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
