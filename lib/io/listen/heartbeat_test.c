/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "io/listen/heartbeat.h"

static char dir[] = "/tmp/heartbeat_test.XXXXXX", path[64];

static void age(int seconds)
{
	struct timespec t[2] = { { .tv_sec = time(NULL) - seconds }, { .tv_sec = time(NULL) - seconds } };
	assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
}

/* A server in a child of its own: a process does not see its own lock. It beats once when told. */
struct child {
	pid_t pid;
	int tell, ready;
};

static void serve(int told, int ready)
{
	struct heartbeat h;
	char c;
	if (heartbeat_start(&h, path, SPAN("127.0.0.1:25\n"), NULL) || write(ready, "r", 1) != 1)
		_exit(1);
	for (int64_t now = HEARTBEAT_EVERY_MS; read(told, &c, 1) == 1 && c == 'b'; now += HEARTBEAT_EVERY_MS) {
		heartbeat_beat(&h, now);
		if (write(ready, "r", 1) != 1)
			_exit(1);
	}
	heartbeat_stop(&h);
	_exit(0);
}

static struct child start(void)
{
	int in[2], out[2];
	char c;
	assert_int_equal(pipe(in) + pipe(out), 0);
	struct child k = { .pid = fork(), .tell = in[1], .ready = out[0] };
	if (k.pid == 0)
		serve(in[0], out[1]);
	close(in[0]);
	close(out[1]);
	assert_int_equal(read(k.ready, &c, 1), 1);
	return k;
}

static void order(const struct child *k, char what)
{
	char c;
	assert_int_equal(write(k->tell, &what, 1), 1);
	assert_int_equal(read(k->ready, &c, 1), what == 'b');
}

static void end(struct child *k)
{
	int status;
	close(k->tell);
	close(k->ready);
	assert_int_equal(waitpid(k->pid, &status, 0), k->pid);
}

static void life(void **state)
{
	struct err err = { 0 };
	(void)state;
	assert_int_equal(heartbeat_check(path, &err), -1);
	assert_int_equal(err.class, ERR_TEMP);
	struct child k = start();
	assert_int_equal(heartbeat_check(path, &err), 0);
	age(HEARTBEAT_STALE_S + 2);
	assert_int_equal(heartbeat_check(path, &err), -1);
	assert_non_null(strstr(err.text, "has not moved"));
	order(&k, 'b');
	assert_int_equal(heartbeat_check(path, &err), 0);
	order(&k, 'e');
	assert_int_equal(access(path, F_OK), -1);
	end(&k);
}

static void killed(void **state)
{
	struct err err = { 0 };
	(void)state;
	struct child k = start();
	kill(k.pid, SIGKILL);
	end(&k);
	assert_int_equal(heartbeat_check(path, &err), -1);
	assert_non_null(strstr(err.text, "gone"));
	unlink(path);
}

static void replaced(void **state)
{
	struct err err = { 0 };
	(void)state;
	struct child old = start(), fresh = start();
	order(&old, 'e');
	end(&old);
	assert_int_equal(heartbeat_check(path, &err), 0);
	order(&fresh, 'e');
	end(&fresh);
	assert_int_equal(access(path, F_OK), -1);
}

static void bad_place(void **state)
{
	struct heartbeat h;
	struct err err = { 0 };
	(void)state;
	assert_int_equal(heartbeat_start(&h, "/nonexistent/x", SPAN(""), &err), -1);
	heartbeat_beat(&h, 100000);
	heartbeat_stop(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(life), cmocka_unit_test(killed),
		cmocka_unit_test(replaced), cmocka_unit_test(bad_place) };
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/ready", dir);
	int rc = cmocka_run_group_tests(tests, NULL, NULL);
	return rmdir(dir) == 0 ? rc : 1;
}
