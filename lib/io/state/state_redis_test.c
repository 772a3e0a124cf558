/* SPDX-License-Identifier: ISC
 *
 * State in a real redis-server (or valkey-server), which dies in the middle; skipped where there is none.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/state/state_int.h"

static char dir[64], sock[100], url[128], password_file[100];
static pid_t server;
static unsigned told;
static int64_t wait_ms;
static char last_told[600];

static void note(const char *what, const char *why)
{
	told++;
	snprintf(last_told, sizeof last_told, "%s: %s", what, why);
}

static bool answers(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	snprintf(sa.sun_path, sizeof sa.sun_path, "%s", sock);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), rc = connect(fd, (struct sockaddr *)&sa, sizeof sa);
	close(fd);
	return rc == 0;
}

/* False when there is no server to be had. */
static bool start_server(void)
{
	server = fork();
	if (server == 0) {
		char *args[] = { "redis-server", "--port", "0", "--unixsocket", sock, "--save", "", "--appendonly",
			"no", "--requirepass", "s3cret word", "--dir", dir, "--logfile", "/dev/null", NULL };
		execvp("redis-server", args);
		args[0] = "valkey-server";
		execvp("valkey-server", args);
		_exit(127);
	}
	for (int i = 0; i < 2400; i++) {
		if (answers())
			return true;
		if (waitpid(server, NULL, WNOHANG) == server)
			break;
		usleep(50000);
	}
	server = 0;
	return false;
}

static void stop_server(int sig)
{
	if (server <= 0)
		return;
	kill(server, sig);
	kill(server, SIGCONT);
	waitpid(server, NULL, 0);
	unlink(sock);
	server = 0;
}

static int set_up(void **state)
{
	(void)state;
	told = 0;
	wait_ms = 120000;
	snprintf(dir, sizeof dir, "/tmp/state_redis.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(sock, sizeof sock, "%s/r", dir);
	snprintf(url, sizeof url, "redis+unix:%s", sock);
	snprintf(password_file, sizeof password_file, "%s/password", dir);
	FILE *f = fopen(password_file, "w");
	fputs("s3cret word\n", f);
	fclose(f);
	start_server();
	return 0;
}

static int tear_down(void **state)
{
	char cmd[100];
	(void)state;
	stop_server(SIGKILL);
	snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
	return system(cmd);
}

static struct state *open_state(const char *with)
{
	struct err err = { 0 };
	struct state_config c = {
		.dir = dir, .url = url, .password_file = with, .told = note, .retry_ms = 100, .wait_ms = wait_ms
	};
	struct state *s = state_open(&c, &err);
	assert_non_null(s);
	return s;
}

static int count_keys(void *arg, struct span key, const struct state_value *v)
{
	unsigned *n = arg;
	assert_true(v->there && span_starts(key, "l "));
	*n += (unsigned)v->n;
	return 0;
}

static void test_operations(void **state)
{
	struct state_value v;
	struct err err = { 0 };
	unsigned n = 0;
	(void)state;
	if (!server)
		skip();
	struct state *s = open_state(password_file);
	assert_int_equal(state_get(s, SPAN("a"), &v), 0);
	assert_false(v.there);
	assert_int_equal(state_add(s, SPAN("a"), 2, 100, &v), 0);
	assert_int_equal(v.n, 2);
	assert_int_equal(state_add(s, SPAN("a"), 3, 5000, &v), 0);
	assert_true(v.n == 5 && v.left > 90 && v.left <= 100);
	assert_int_equal(state_get(s, SPAN("a"), &v), 0);
	assert_true(v.there && v.n == 5 && v.left > 90);
	assert_int_equal(state_first(s, SPAN("m x"), 7, 100, &v), 0);
	assert_false(v.there);
	assert_int_equal(state_first(s, SPAN("m x"), 8, 100, &v), 0);
	assert_true(v.there && v.n == 7);
	assert_int_equal(state_put(s, SPAN("m x"), 9, 100), 0);
	assert_int_equal(state_get(s, SPAN("m x"), &v), 0);
	assert_int_equal(v.n, 9);
	assert_int_equal(state_drop(s, SPAN("m x")), 0);
	assert_int_equal(state_get(s, SPAN("m x"), &v), 0);
	assert_false(v.there);
	for (int i = 0; i < 300; i++) {
		char key[20];
		assert_int_equal(state_put(s, span_of(key, (size_t)snprintf(key, sizeof key, "l %d", i)), 1, 100), 0);
	}
	assert_int_equal(state_list(s, "l ", count_keys, &n, &err), 0);
	assert_int_equal(n, 300);
	assert_int_equal(told, 0);
	state_close(s);
}

static void test_processes(void **state)
{
	struct state_value v;
	(void)state;
	if (!server)
		skip();
	struct state *s = open_state(password_file);
	assert_int_equal(state_add(s, SPAN("shared"), 1, 1000, &v), 0); /* connected before the fork */
	for (int i = 0; i < 3; i++)
		if (fork() == 0) {
			int rc = 0;
			for (int k = 0; k < 200; k++)
				rc |= state_add(s, SPAN("shared"), 1, 1000, &v);
			_exit(rc ? 1 : 0);
		}
	for (int i = 0, status; i < 3; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	assert_int_equal(state_get(s, SPAN("shared"), &v), 0);
	assert_int_equal(v.n, 601);
	assert_int_equal(told, 0);
	state_close(s);
}

/* It is killed: files are used at once, and it is used again some time after it is back. One word about each. */
static void test_death(void **state)
{
	struct state_value v;
	(void)state;
	if (!server)
		skip();
	struct state *s = open_state(password_file);
	assert_int_equal(state_add(s, SPAN("a"), 5, 100, &v), 0);
	stop_server(SIGKILL);
	for (uint64_t i = 1; i <= 3; i++) {
		assert_int_equal(state_add(s, SPAN("a"), 1, 100, &v), 0);
		assert_int_equal(v.n, i);
	}
	assert_int_equal(told, 1);
	assert_int_equal(strncmp(last_told, "files: the state server", 23), 0);
	assert_true(start_server());
	for (int i = 0; i < 2400 && told < 2; i++) {
		usleep(50000);
		assert_int_equal(state_put(s, SPAN("b"), 1, 100), 0);
	}
	assert_int_equal(told, 2);
	assert_int_equal(strncmp(last_told, "server: ", 8), 0);
	assert_int_equal(state_add(s, SPAN("a"), 1, 100, &v), 0);
	assert_int_equal(v.n, 1); /* the new server's */
	state_close(s);
}

/* It hangs: a bounded wait, then the files. */
static void test_hang(void **state)
{
	struct state_value v;
	(void)state;
	if (!server)
		skip();
	wait_ms = 1000;
	struct state *s = open_state(password_file);
	char key[20] = "0";
	/* Where it is too slow for that already, once more. */
	for (int i = 1; i < 60; i++) {
		assert_int_equal(state_add(s, span_str(key), 5, 100, &v), 0);
		if (!told)
			break;
		state_close(s);
		told = 0;
		s = open_state(password_file);
		snprintf(key, sizeof key, "%d", i);
	}
	kill(server, SIGSTOP);
	assert_int_equal(state_add(s, span_str(key), 1, 100, &v), 0);
	assert_int_equal(v.n, 1);
	assert_int_equal(told, 1);
	state_close(s);
}

/* A restart closes the connection in hand, which is no failure. */
static void test_restart(void **state)
{
	struct state_value v;
	(void)state;
	if (!server)
		skip();
	struct state *s = open_state(password_file);
	assert_int_equal(state_add(s, SPAN("a"), 5, 100, &v), 0);
	stop_server(SIGTERM);
	assert_true(start_server());
	assert_int_equal(state_add(s, SPAN("a"), 2, 100, &v), 0);
	assert_int_equal(v.n, 2);
	assert_int_equal(told, 0);
	state_close(s);
}

static void test_wrong_password(void **state)
{
	struct state_value v;
	(void)state;
	if (!server)
		skip();
	FILE *f = fopen(password_file, "w");
	fputs("WRONGONE\n", f);
	fclose(f);
	struct state *s = open_state(password_file);
	assert_int_equal(state_add(s, SPAN("a"), 5, 100, &v), 0);
	assert_int_equal(v.n, 5);
	assert_int_equal(told, 1);
	assert_null(strstr(last_told, "WRONGONE"));
	state_close(s);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
	const struct CMUnitTest tests[] = { TEST(test_operations), TEST(test_processes), TEST(test_death),
		TEST(test_hang), TEST(test_restart), TEST(test_wrong_password) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
