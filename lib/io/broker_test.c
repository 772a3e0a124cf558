/* SPDX-License-Identifier: ISC
 *
 * A broker is driven as our programs drive it, and then as somebody would who has taken one of them over.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "io/broker_int.h"

enum {
	ECHO,
	CAT,
	SHOW,
	SLEEP,
	MISSING,
	SECRET,
	STUBBORN,
	COMMANDS
};

static const char *const may_set[] = { "MAIL_FROM", "RCPT", NULL };
static const struct broker_command commands[COMMANDS] = {
	[ECHO] = { .argv = (const char *const[]){ "echo", "hello", NULL } },
	[CAT] = { .command = "cat" },
	[SHOW] = { .command = "printf '%s|%s|%s' \"$MAIL_FROM\" \"$RCPT\" \"$PWD\"", .env = may_set, .dir = "/" },
	[SLEEP] = { .command = "echo $$; sleep 600" },
	[MISSING] = { .argv = (const char *const[]){ "/nonexistent/x", NULL } },
	[SECRET] = { .command = "echo s3cret; exit 0" },
	[STUBBORN] = { .command = "trap '' TERM; echo $$; while :; do sleep 600 & wait; done" },
};

static struct broker *launch(void)
{
	struct broker *b = broker_new();
	struct err err = { 0 };
	for (int i = 0; i < COMMANDS; i++)
		assert_int_equal(broker_add(b, &commands[i], &err), i);
	if (broker_launch(b, &err))
		fail_msg("%s", err.text);
	return b;
}

/* The broker's exit status: it must end once nobody needs it. */
static void finish(struct broker *b)
{
	int status = -1;
	broker_free(b);
	assert_true(wait(&status) > 0);
	assert_int_equal(status, 0);
}

static void test_register(void **state)
{
	(void)state;
	struct broker *b = broker_new();
	struct err err = { 0 };
	assert_int_equal(broker_launch(b, &err), 0); /* nothing to do: no process */
	assert_true(broker_alive(b));
	assert_int_equal(wait(NULL), -1);
	assert_int_equal(broker_add(b, &commands[CAT], &err), -1);
	assert_int_equal(err.class, ERR_BUG);
	broker_free(b);
	b = launch();
	assert_int_equal(broker_add(b, &commands[CAT], &err), CAT);
	assert_int_equal(broker_find(b, "cat"), CAT);
	assert_int_equal(broker_find(b, "ca"), -1);
	struct broker_command other = commands[CAT];
	other.env = may_set;
	assert_int_equal(broker_add(b, &other, &err), -1);
	finish(b);
}

static const struct {
	const char *name;
	int index;
	const char *input;
	const char *const *env;
	int status;
	const char *output;
} runs[] = {
	{ "argument vector", ECHO, "", NULL, 0, "hello\n" },
	{ "input", CAT, "shout", NULL, 0, "shout" },
	{ "variables", SHOW, "", (const char *const[]){ "MAIL_FROM=a@b", "RCPT=c d", NULL }, 0, "a@b|c d|/" },
	{ "no variables", SHOW, "", NULL, 0, "||/" },
	{ "no such program", MISSING, "", NULL, -1, "" },
	{ "one that was not registered", COMMANDS, "", NULL, -1, "" },
	{ "below the first", -1, "", NULL, -1, "" },
};

static void test_run(void **state)
{
	(void)state;
	struct broker *b = launch();
	for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
		struct spawn sp = { .broker = b, .index = runs[i].index, .env = runs[i].env, .errfd = SPAWN_NULL };
		struct err err = { 0 };
		struct buf out;
		buf_init(&out, 1000);
		int r = spawn_run(&sp, span_str(runs[i].input), &out, 120000, &err);
		if (r != runs[i].status || !span_eqs(buf_span(&out), runs[i].output))
			fail_msg("%s: %d '%s' %s", runs[i].name, r, out.p, err.text);
		if (runs[i].index == MISSING) {
			assert_int_equal(err.class, ERR_CONFIG);
			assert_int_equal(err.sys, ENOENT);
		}
		buf_free(&out);
	}
	struct buf out;
	struct err err = { 0 };
	buf_init(&out, 100);
	assert_int_equal(spawn_secret_by(b, SECRET, &out, &err), 0);
	assert_string_equal(out.p, "s3cret");
	buf_free(&out);
	finish(b);
}

/* The child's first line: its pid. */
static pid_t first_line(const struct child *c)
{
	char text[32] = "";
	struct pollfd p = { .fd = c->out, .events = POLLIN };
	assert_int_equal(poll(&p, 1, 60000), 1);
	assert_true(read(c->out, text, sizeof text - 1) > 0);
	return (pid_t)strtol(text, NULL, 10);
}

static bool gone(pid_t pid)
{
	for (int i = 0; i < 12000; i++) {
		char path[40], text[256] = "";
		snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
		FILE *f = fopen(path, "r");
		const char *state = f && fgets(text, sizeof text, f) ? strrchr(text, ')') : NULL;
		if (f)
			fclose(f);
		/* Whoever inherits it may take his time to wait for it. */
		if (!state || state[2] == 'Z' || state[2] == 'X')
			return true;
		usleep(10000);
	}
	return false;
}

static struct child sleeper(const struct broker *b, int index)
{
	struct spawn sp = { .broker = b, .index = index, .in = SPAWN_NULL, .out = SPAWN_PIPE, .errfd = SPAWN_NULL };
	struct child c;
	struct err err = { 0 };
	if (spawn_start(&sp, &c, &err))
		fail_msg("%s", err.text);
	return c;
}

static void test_socketpair(void **state)
{
	(void)state;
	struct broker *b = launch();
	struct spawn sp = {
		.broker = b, .index = CAT, .in = SPAWN_SOCKETPAIR, .out = SPAWN_SOCKETPAIR, .errfd = SPAWN_NULL
	};
	struct child c;
	char got[20] = "";
	assert_int_equal(spawn_start(&sp, &c, NULL), 0);
	assert_int_equal(c.in, c.out);
	assert_int_equal(write(c.in, "line\n", 5), 5);
	assert_int_equal(read(c.out, got, sizeof got - 1), 5);
	assert_string_equal(got, "line\n");
	assert_false(spawn_ended(&c));
	shutdown(c.in, SHUT_WR);
	assert_int_equal(spawn_wait(&c, -1, NULL), 0);
	close(c.in);
	finish(b);
}

static void test_stop(void **state)
{
	(void)state;
	struct broker *b = launch();
	struct err err = { 0 };
	struct child c = sleeper(b, SLEEP);
	pid_t pid = first_line(&c);
	assert_int_equal(spawn_wait(&c, 50, &err), -1);
	assert_int_equal(err.sys, ETIMEDOUT);
	assert_true(gone(pid));
	close(c.out);
	c = sleeper(b, STUBBORN);
	pid = first_line(&c);
	spawn_kill(&c, SIGTERM);
	assert_false(spawn_ended(&c));
	spawn_kill(&c, SIGKILL);
	assert_int_equal(spawn_wait(&c, 120000, &err), 128 + SIGKILL);
	assert_true(gone(pid));
	close(c.out);
	/* No other signal can be sent: who tries ends it. */
	c = sleeper(b, SLEEP);
	pid = first_line(&c);
	broker_signal(c.told, SIGSTOP);
	assert_int_equal(spawn_wait(&c, 120000, &err), -1);
	assert_true(gone(pid));
	close(c.out);
	finish(b);
}

/* What a requester started ends with it, also when it does not end by TERM. */
static void test_requester_dies(void **state)
{
	(void)state;
	struct broker *b = launch();
	int tell[2];
	pid_t pids[2];
	assert_int_equal(pipe(tell), 0);
	pid_t worker = fork();
	if (worker == 0) {
		struct child a, s;
		if (broker_attach(b, NULL, 0, NULL))
			_exit(1);
		a = sleeper(b, SLEEP);
		s = sleeper(b, STUBBORN);
		pids[0] = first_line(&a);
		pids[1] = first_line(&s);
		_exit(write(tell[1], pids, sizeof pids) == sizeof pids ? 0 : 1);
	}
	int status = -1;
	assert_int_equal(read(tell[0], pids, sizeof pids), sizeof pids);
	assert_int_equal(waitpid(worker, &status, 0), worker);
	assert_int_equal(status, 0);
	assert_true(gone(pids[0]));
	assert_true(gone(pids[1]));
	close(tell[0]);
	close(tell[1]);
	finish(b);
}

/* Everybody learns of the broker's death, nobody waits for ever, and nothing of its children stays. */
static void test_broker_dies(void **state)
{
	(void)state;
	struct broker *b = broker_new();
	struct err err = { 0 };
	assert_int_equal(broker_add(b, &(struct broker_command){ .command = "echo $PPID; sleep 600" }, &err), 0);
	assert_int_equal(broker_launch(b, &err), 0);
	struct child c = sleeper(b, 0);
	assert_true(broker_alive(b));
	pid_t broker = first_line(&c), child = c.pid;
	assert_int_equal(broker, b->pid);
	kill(broker, SIGTERM); /* is ignored: there may be messages in hand */
	struct child d = sleeper(b, 0);
	assert_int_equal(first_line(&d), broker);
	kill(broker, SIGKILL);
	assert_int_equal(spawn_wait(&c, -1, &err), -1);
	assert_int_equal(err.class, ERR_TEMP);
	assert_true(spawn_ended(&d) || spawn_wait(&d, -1, &err) == -1);
	assert_int_equal(waitpid(broker, NULL, 0), broker);
	assert_true(gone(child));
	assert_false(broker_alive(b));
	close(c.out);
	close(d.out);
	struct spawn sp = { .broker = b, .in = SPAWN_NULL, .out = SPAWN_PIPE, .errfd = SPAWN_NULL };
	err = (struct err){ 0 };
	assert_int_equal(spawn_start(&sp, &c, &err), -1);
	assert_int_equal(err.class, ERR_TEMP);
	assert_int_equal(broker_attach(b, NULL, 0, &err), -1);
	broker_free(b);
}

/* A worker's channel is for the commands that it was opened for. */
static void test_only(void **state)
{
	(void)state;
	struct broker *b = launch();
	pid_t worker = fork();
	if (worker == 0) {
		struct spawn sp = { .broker = b, .index = CAT, .errfd = SPAWN_NULL };
		struct err err = { 0 };
		int only[] = { CAT };
		if (broker_attach(b, only, 1, &err) || spawn_run(&sp, SPAN("x"), NULL, 120000, &err))
			_exit(1);
		sp.index = ECHO;
		if (spawn_run(&sp, SPAN(""), NULL, 120000, &err) != -1)
			_exit(2);
		/* And the channel is closed after that. */
		sp.index = CAT;
		_exit(spawn_run(&sp, SPAN("x"), NULL, 120000, &err) == -1 ? 0 : 3);
	}
	int status = -1;
	assert_int_equal(waitpid(worker, &status, 0), worker);
	assert_int_equal(status, 0);
	struct spawn sp = { .broker = b, .index = ECHO, .errfd = SPAWN_NULL };
	assert_int_equal(spawn_run(&sp, SPAN(""), NULL, 120000, NULL), 0); /* the others' is as it was */
	finish(b);
}

/* ---- what no program of ours would send ---- */

static struct {
	const char *name;
	struct broker_request q;
	const char *env;
	size_t env_len;
	int fds;
	size_t cut;
} bad[] = {
	{ "no magic", { .magic = 1, .type = BROKER_START }, "", 0, 1, 0 },
	{ "no such type", { .magic = BROKER_MAGIC, .type = 9 }, "", 0, 1, 0 },
	{ "index", { .magic = BROKER_MAGIC, .type = BROKER_START, .index = COMMANDS }, "", 0, 1, 0 },
	{ "huge index", { .magic = BROKER_MAGIC, .type = BROKER_START, .index = UINT32_MAX }, "", 0, 1, 0 },
	{ "no socket", { .magic = BROKER_MAGIC, .type = BROKER_START }, "", 0, 0, 0 },
	{ "too few descriptors", { .magic = BROKER_MAGIC, .type = BROKER_START, .given = 7 }, "", 0, 3, 0 },
	{ "too many descriptors", { .magic = BROKER_MAGIC, .type = BROKER_START, .given = 1 }, "", 0, 3, 0 },
	{ "far too many descriptors", { .magic = BROKER_MAGIC, .type = BROKER_START, .given = 7 }, "", 0, 9, 0 },
	{ "a fourth", { .magic = BROKER_MAGIC, .type = BROKER_START, .given = 15 }, "", 0, 5, 0 },
	{ "a variable of the loader's", { .magic = BROKER_MAGIC, .type = BROKER_START, .index = SHOW, .env = 15 },
	    "LD_PRELOAD=/x1", 15, 1, 0 },
	{ "a variable where none may be", { .magic = BROKER_MAGIC, .type = BROKER_START, .index = ECHO, .env = 7 },
	    "RCPT=a", 7, 1, 0 },
	{ "the beginning of a name", { .magic = BROKER_MAGIC, .type = BROKER_START, .index = SHOW, .env = 6 }, "RCP=a",
	    6, 1, 0 },
	{ "no value", { .magic = BROKER_MAGIC, .type = BROKER_START, .index = SHOW, .env = 5 }, "RCPT", 5, 1, 0 },
	{ "a variable without an end", { .magic = BROKER_MAGIC, .type = BROKER_START, .index = SHOW, .env = 6 },
	    "RCPT=aaa", 6, 1, 0 },
	{ "longer than it is", { .magic = BROKER_MAGIC, .type = BROKER_START, .index = SHOW, .env = 70 }, "RCPT=a", 7,
	    1, 0 },
	{ "less than a request", { .magic = BROKER_MAGIC, .type = BROKER_START }, "", 0, 1, 20 },
	{ "a channel from a worker", { .magic = BROKER_MAGIC, .type = BROKER_ATTACH }, "", 0, 1, 0 },
};

static int send_raw(int fd, size_t i, int told)
{
	char ctl[CMSG_SPACE(9 * sizeof(int))] __attribute__((aligned(sizeof(size_t)))) = { 0 };
	char text[sizeof bad[i].q + 100];
	memcpy(text, &bad[i].q, sizeof bad[i].q);
	memcpy(text + sizeof bad[i].q, bad[i].env, bad[i].env_len);
	struct iovec v = { text, (bad[i].cut ? bad[i].cut : sizeof bad[i].q) + bad[i].env_len };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	if (bad[i].fds) {
		m.msg_control = ctl;
		m.msg_controllen = CMSG_SPACE((size_t)bad[i].fds * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN((size_t)bad[i].fds * sizeof(int));
		for (int k = 0; k < bad[i].fds; k++)
			memcpy(CMSG_DATA(c) + (size_t)k * sizeof told, &told, sizeof told);
	}
	return (int)sendmsg(fd, &m, MSG_NOSIGNAL);
}

static int fds_of(pid_t pid)
{
	char path[80];
	int n = 0;
	snprintf(path, sizeof path, "/proc/%ld/fd", (long)pid);
	DIR *d = opendir(path);
	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* 0 to 3 and the signals': it may need a moment to close what was there before. */
static bool nothing_left(const struct broker *b)
{
	for (int i = 0; i < 12000; i++) {
		if (fds_of(b->pid) == 5 + 2)
			return true;
		usleep(10000);
	}
	return false;
}

/* Each is refused, ends the channel it came over, starts nothing, and leaves nothing open. */
static void test_bad_requests(void **state)
{
	(void)state;
	int quiet = open("/dev/null", O_WRONLY), err = dup(2);
	dup2(quiet, 2);
	struct broker *b = launch();
	dup2(err, 2);
	close(quiet);
	close(err);
	assert_true(nothing_left(b));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct broker_request q = { .magic = BROKER_MAGIC, .type = BROKER_ATTACH };
		int channel[2], told[2];
		char byte;
		memset(&q.only, 0xff, sizeof q.only);
		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, channel), 0);
		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, told), 0);
		struct msghdr m;
		char ctl[CMSG_SPACE(sizeof(int))] __attribute__((aligned(sizeof(size_t)))) = { 0 };
		struct iovec v = { &q, sizeof q };
		m = (struct msghdr){ .msg_iov = &v, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof ctl };
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		*c = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
		memcpy(CMSG_DATA(c), &channel[1], sizeof(int));
		assert_true(sendmsg(b->fd, &m, 0) > 0);
		close(channel[1]);
		assert_true(send_raw(channel[0], i, told[1]) > 0);
		close(told[1]);
		/* Both ends are closed, and no word is said before. */
		if (recv(channel[0], &byte, 1, 0) > 0 || recv(told[0], &byte, 1, 0) > 0)
			fail_msg("%s: was answered", bad[i].name);
		close(channel[0]);
		close(told[0]);
	}
	assert_true(nothing_left(b));
	struct spawn sp = { .broker = b, .index = ECHO, .errfd = SPAWN_NULL };
	assert_int_equal(spawn_run(&sp, SPAN(""), NULL, 120000, NULL), 0);
	finish(b);
}

/* One worker can't have all the children that there may be. */
static void test_share(void **state)
{
	(void)state;
	struct broker *b = launch();
	struct child c[BROKER_PER_CHANNEL], more;
	struct spawn sp = { .broker = b, .index = CAT, .in = SPAWN_PIPE, .out = SPAWN_NULL, .errfd = SPAWN_NULL };
	struct err err = { 0 };
	for (size_t i = 0; i < BROKER_PER_CHANNEL; i++)
		assert_int_equal(spawn_start(&sp, &c[i], &err), 0);
	assert_int_equal(spawn_start(&sp, &more, &err), -1);
	assert_int_equal(err.class, ERR_TEMP);
	pid_t worker = fork();
	if (worker == 0) {
		sp.index = ECHO;
		_exit(broker_attach(b, NULL, 0, &err) || spawn_run(&sp, SPAN(""), NULL, 120000, &err) ? 1 : 0);
	}
	int status = -1;
	assert_int_equal(waitpid(worker, &status, 0), worker);
	assert_int_equal(status, 0);
	for (size_t i = 0; i < BROKER_PER_CHANNEL; i++) {
		close(c[i].in);
		assert_int_equal(spawn_wait(&c[i], 120000, &err), 0);
	}
	assert_int_equal(spawn_start(&sp, &more, &err), 0);
	close(more.in);
	assert_int_equal(spawn_wait(&more, 120000, &err), 0);
	char *large = malloc(BROKER_MESSAGE + 10);
	memset(large, 'x', BROKER_MESSAGE + 9);
	memcpy(large, "RCPT=", 5);
	large[BROKER_MESSAGE + 9] = '\0';
	sp.env = (const char *const[]){ large, NULL };
	assert_int_equal(spawn_start(&sp, &more, &err), -1);
	assert_int_equal(err.class, ERR_LIMIT);
	free(large);
	finish(b);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_register),
		cmocka_unit_test(test_run),
		cmocka_unit_test(test_socketpair),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_requester_dies),
		cmocka_unit_test(test_broker_dies),
		cmocka_unit_test(test_only),
		cmocka_unit_test(test_bad_requests),
		cmocka_unit_test(test_share),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
