/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/config.h"
#include "base/log.h"
#include "io/listen/listen.h"

enum {
	WAIT_MS = 60 * 1000 /* for what must come */
};

static char dir[] = "/tmp/listen_test.XXXXXX";
static char ready[64], sock[64], spec[80];

/* ---- a small protocol: greets with what it knows, echoes, and does as it is told ---- */

static int reloads;

static int chat(struct conn *c, void *arg)
{
	struct line l;
	(void)arg;
	stream_set_timeout(c->s, WAIT_MS);
	stream_printf(c->s, "220 %s tls=%d name=%s reloads=%d\r\n", c->peer_ip, c->implicit_tls, c->name, reloads);
	for (;;) {
		enum line_end end = stream_line(c->s, 100, &l);
		if (end == LINE_TIMEOUT && serve_stopping)
			stream_puts(c->s, "421 stopping\r\n");
		if (end != LINE_CRLF && !(end == LINE_LF && stream_is_local(c->s)))
			return end == LINE_EOF ? 0 : 1;
		if (span_eqs(l.text, "CRASH"))
			kill(getpid(), SIGKILL);
		if (span_starts(l.text, "XCLIENT ")) {
			struct net_addr a = { 0 };
			char text[64];
			snprintf(text, sizeof text, "%.*s", SPAN_FMT(span_from(l.text, 8)));
			net_addr_parse(text, 0, &a);
			stream_printf(c->s, "over %u\r\n", serve_renamed(&a));
			continue;
		}
		if (span_eqs(l.text, "QUIT"))
			return 0;
		stream_printf(c->s, "%.*s %d\r\n", SPAN_FMT(l.text), (int)getpid());
	}
}

static int count_reload(void *arg)
{
	(void)arg;
	reloads++;
	return 0;
}

static int never_start(void *arg)
{
	(void)arg;
	return 78;
}

static pid_t start(struct serve_options o)
{
	unlink(ready);
	o.ready_file = ready;
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		_exit(serve(&o, chat, NULL, NULL));
	}
	return pid;
}

/* The n-th address (from 0) of the ready file, once it is there. */
static void address(unsigned n, char *out, size_t size)
{
	char text[1024] = "";
	int fd = -1;
	for (int i = 0; i < 6000 && (fd = open(ready, O_RDONLY)) < 0; i++)
		usleep(10000);
	assert_true(fd >= 0);
	assert_true(read(fd, text, sizeof text - 1) > 0);
	close(fd);
	struct span rest = span_str(text), line = { "", 0 };
	for (unsigned i = 0; i <= n; i++)
		line = span_cut(&rest, '\n');
	snprintf(out, size, "%.*s", SPAN_FMT(line));
}

static struct stream *dial(unsigned n)
{
	char where[200];
	struct net_addr to;
	struct err err = { 0 };
	int fd;
	address(n, where, sizeof where);
	if (!strncmp(where, "unix:", 5)) {
		fd = net_connect_unix(where + 5, WAIT_MS, &err);
	} else {
		char *colon = strrchr(where, ':');
		*colon = '\0';
		assert_true(net_addr_parse(where, (uint16_t)strtol(colon + 1, NULL, 10), &to));
		fd = net_connect(&to, NULL, WAIT_MS, &err);
	}
	if (fd < 0)
		fail_msg("%s", err.text);
	struct stream *s = stream_from_fds(fd, fd);
	stream_set_timeout(s, WAIT_MS);
	return s;
}

static void expect(struct stream *s, const char *want)
{
	struct line l;
	if (stream_line(s, 200, &l) != LINE_CRLF || !span_starts(l.text, want))
		fail_msg("'%.*s' instead of '%s'", SPAN_FMT(l.text), want);
}

static int stop(pid_t pid)
{
	int status;
	kill(pid, SIGTERM);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static const char *const v4[] = { "127.0.0.1:0" };
static const struct opt_list on_v4 = { (const char **)(uintptr_t)v4, 1 };

static void test_addresses(void **state)
{
	(void)state;
	const char *specs[] = { "127.0.0.1:0,tls", spec };
	char text[100];
	struct stat st;
	pid_t pid = start((struct serve_options){ .listen = { specs, 2 } });
	address(1, text, sizeof text);
	assert_string_equal(text + 5, sock);
	assert_int_equal(stat(sock, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	struct stream *a = dial(0), *b = dial(1);
	expect(a, "220 127.0.0.1 tls=1 name=127.0.0.1:0,tls ");
	expect(b, "220 unix tls=0 ");
	stream_close(a);
	stream_close(b);
	assert_int_equal(stop(pid), 0);
	assert_int_not_equal(stat(sock, &st), 0);
	assert_int_not_equal(stat(ready, &st), 0);
}

/* Many at once, each served at the same time: the workers grow with the load. */
static void test_growth(void **state)
{
	(void)state;
	struct stream *s[20];
	pid_t pid = start((struct serve_options){ .listen = on_v4, .max_clients = 20 });
	for (int i = 0; i < 20; i++)
		s[i] = dial(0);
	for (int i = 0; i < 20; i++)
		expect(s[i], "220 ");
	struct stream *waits = dial(0);
	assert_int_equal(stream_wait(waits, -1, 50), 0);
	stream_puts(s[3], "QUIT\r\n");
	stream_flush(s[3]);
	expect(waits, "220 ");
	stream_close(waits);
	for (int i = 0; i < 20; i++)
		stream_close(s[i]);
	assert_int_equal(stop(pid), 0);
}

static void test_per_client(void **state)
{
	(void)state;
	struct serve_options o = { .listen = on_v4, .max_per_client = 2, .too_many = "421 too many\r\n" };
	pid_t pid = start(o);
	struct stream *a = dial(0), *b, *c;
	expect(a, "220 ");
	b = dial(0);
	expect(b, "220 ");
	c = dial(0);
	expect(c, "421 too many");
	stream_close(c);
	stream_close(a);
	/* a's worker may need a moment to see that it went. */
	struct line l;
	for (int i = 0; i < 6000; i++) {
		c = dial(0);
		stream_line(c, 200, &l);
		bool served = span_starts(l.text, "220 ");
		stream_close(c);
		if (served)
			break;
		assert_true(i < 5999);
		usleep(10000);
	}
	stream_close(b);
	assert_int_equal(stop(pid), 0);
}

/* Behind a proxy the client's address counts, for the limit too; nobody gets in without a header. */
static void test_proxy(void **state)
{
	(void)state;
	struct net_list *from = net_list_parse("127.0.0.1", NULL);
	pid_t pid = start((struct serve_options){ .listen = on_v4, .proxies = from, .max_per_client = 1 });
	struct line l;
	/* Who connects first counts for nothing before it has said who it is. */
	struct stream *same = dial(0), *s = dial(0), *other, *own, *bad;
	stream_puts(s, "PROXY TCP4 192.0.2.7 192.0.2.25 40000 25\r\nhello\r\n");
	expect(s, "220 192.0.2.7 tls=0");
	expect(s, "hello ");
	stream_puts(same, "PROXY TCP4 192.0.2.7 192.0.2.25 40001 25\r\n");
	stream_flush(same);
	assert_int_equal(stream_line(same, 100, &l), LINE_EOF);
	other = dial(0);
	stream_puts(other, "PROXY TCP6 2001:db8::7 2001:db8::25 40001 25\r\n");
	expect(other, "220 2001:db8::7 tls=0");
	own = dial(0);
	stream_puts(own, "PROXY UNKNOWN\r\n");
	expect(own, "220 127.0.0.1 tls=0");
	bad = dial(0);
	stream_puts(bad, "hello\r\n");
	stream_flush(bad);
	assert_int_not_equal(stream_line(bad, 100, &l), LINE_CRLF);
	stream_close(s);
	stream_close(same);
	stream_close(other);
	stream_close(own);
	stream_close(bad);
	assert_int_equal(stop(pid), 0);
	net_list_free(from);
	from = net_list_parse("192.0.2.0/24", NULL);
	pid = start((struct serve_options){ .listen = on_v4, .proxies = from });
	s = dial(0);
	expect(s, "220 127.0.0.1 tls=0");
	stream_puts(s, "PROXY TCP4 192.0.2.7 192.0.2.25 40000 25\r\n");
	expect(s, "PROXY TCP4 "); /* a line as any other */
	stream_close(s);
	assert_int_equal(stop(pid), 0);
	net_list_free(from);
}

/* Who says later whose the conversation is: limits are then those of whom he names, and never his own. */
static void test_renamed(void **state)
{
	(void)state;
	struct net_list *from = net_list_parse("127.0.0.1", NULL);
	pid_t pid = start((struct serve_options){ .listen = on_v4, .renamers = from, .max_per_client = 1 });
	struct stream *s[5];
	for (int i = 0; i < 5; i++) {
		s[i] = dial(0);
		expect(s[i], "220 127.0.0.1 ");
	}
	/* In another order than they came. */
	stream_puts(s[3], "XCLIENT 192.0.2.7\r\n");
	expect(s[3], "over 0");
	stream_puts(s[1], "XCLIENT 192.0.2.7\r\n");
	expect(s[1], "over 1");
	stream_puts(s[2], "XCLIENT 192.0.2.8\r\n");
	expect(s[2], "over 0");
	stream_puts(s[0], "XCLIENT nobody\r\n");
	expect(s[0], "over 0");
	stream_puts(s[4], "XCLIENT nobody\r\n");
	expect(s[4], "over 1");
	for (int i = 0; i < 5; i++)
		stream_close(s[i]);
	assert_int_equal(stop(pid), 0);
	net_list_free(from);
}

static void test_stop_finishes_the_command(void **state)
{
	(void)state;
	pid_t pid = start((struct serve_options){ .listen = on_v4 });
	struct stream *s = dial(0);
	expect(s, "220 ");
	stream_puts(s, "half a");
	stream_flush(s);
	usleep(50000);
	kill(pid, SIGTERM);
	usleep(50000);
	stream_puts(s, " command\r\n");
	expect(s, "half a command ");
	expect(s, "421 stopping");
	struct line l;
	assert_int_equal(stream_line(s, 100, &l), LINE_EOF);
	stream_close(s);
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_crash_and_recycle(void **state)
{
	(void)state;
	pid_t pid = start((struct serve_options){ .listen = on_v4, .recycle = 1, .workers = 1 });
	struct line l;
	for (int i = 0; i < 4; i++) {
		struct stream *s = dial(0);
		expect(s, "220 ");
		if (i % 2)
			stream_puts(s, "CRASH\r\n");
		else
			stream_puts(s, "QUIT\r\n");
		assert_int_not_equal(stream_line(s, 100, &l), LINE_CRLF);
		stream_close(s);
	}
	assert_int_equal(stop(pid), 0);
}

static void test_reload(void **state)
{
	(void)state;
	pid_t pid = start((struct serve_options){ .listen = on_v4, .reload = count_reload });
	struct stream *old = dial(0);
	expect(old, "220 127.0.0.1 tls=0 name=127.0.0.1:0 reloads=0");
	kill(pid, SIGHUP);
	bool fresh = false;
	for (int i = 0; i < 6000 && !fresh; i++) {
		struct line l;
		struct stream *s = dial(0);
		stream_line(s, 200, &l);
		fresh = span_ends(l.text, "reloads=1");
		stream_close(s);
		usleep(fresh ? 0 : 10000);
	}
	assert_true(fresh);
	stream_puts(old, "still here\r\n");
	expect(old, "still here");
	stream_close(old);
	assert_int_equal(stop(pid), 0);
}

static void test_failed_start(void **state)
{
	(void)state;
	int status;
	pid_t pid = start((struct serve_options){ .listen = on_v4, .worker_start = never_start });
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 78);
}

static void test_bad_specs(void **state)
{
	(void)state;
	static const char *const bad[] = { "", "127.0.0.1", "127.0.0.1:", "127.0.0.1:99999", "::1:25",
		"127.0.0.1:0,ssl", "unix:", "unix:/tmp/x,mode=9", "unix:/nonexistent/dir/x", "unix:/etc/passwd",
		"no.such.host.invalid:25" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		const char *one[] = { bad[i] };
		struct err err = { 0 };
		struct serve_options o = { .listen = { one, 1 } };
		if (serve(&o, chat, NULL, &err) == 0 || err.class == ERR_NONE)
			fail_msg("'%s' accepted", bad[i]);
	}
}

/* A socket file left by a crash is replaced, one in use is not. */
static void test_stale_socket(void **state)
{
	(void)state;
	const char *specs[] = { spec };
	struct serve_options o = { .listen = { specs, 1 } };
	struct err err = { 0 };
	pid_t pid = start(o);
	stream_close(dial(0));
	assert_int_equal(serve(&o, chat, NULL, &err), 64);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	for (int fd; (fd = net_connect_unix(sock, 1000, NULL)) >= 0; usleep(10000))
		close(fd); /* until the orphaned workers have seen it */
	pid = start(o);
	struct stream *s = dial(0);
	expect(s, "220 unix");
	stream_close(s);
	assert_int_equal(stop(pid), 0);
}

/* ---- one conversation, as inetd and systemd give it ---- */

struct single {
	int in, out; /* become the child's 0 and 1 */
	int three;   /* becomes 3, for LISTEN_FDS; -1: none */
	const char *name;
	const char *ucspi;
};

static pid_t run_single(struct single x)
{
	pid_t pid = fork();
	if (pid)
		return pid;
	char number[20];
	dup2(x.in, 0);
	dup2(x.out, 1);
	if (x.three >= 0) {
		dup2(x.three, 3);
		snprintf(number, sizeof number, "%d", (int)getpid());
		setenv("LISTEN_PID", number, 1);
		setenv("LISTEN_FDS", "1", 1);
		setenv("LISTEN_FDNAMES", x.name, 1);
	}
	for (int fd = x.three >= 0 ? 4 : 3; fd < 64; fd++)
		close(fd);
	if (x.ucspi)
		setenv("TCPREMOTEIP", x.ucspi, 1);
	_exit(serve(&(struct serve_options){ 0 }, chat, NULL, NULL));
}

static void test_single(void **state)
{
	(void)state;
	int fd[2], in[2], out[2], status, null = open("/dev/null", O_RDWR);
	static const struct {
		const char *ucspi, *greeting, *reply;
	} pipes[] = { { NULL, "220 local tls=0 name= ", "hello " }, { "192.0.2.9", "220 192.0.2.9 tls=0 ", NULL } };
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
		pid_t pid = run_single((struct single){ in[0], out[1], -1, NULL, pipes[i].ucspi });
		close(in[0]);
		close(out[1]);
		struct stream *s = stream_from_fds(out[0], in[1]);
		struct line l;
		expect(s, pipes[i].greeting);
		stream_puts(s, "hello\n");
		if (pipes[i].reply)
			expect(s, pipes[i].reply);
		else
			assert_int_equal(stream_line(s, 100, &l), LINE_EOF); /* LF alone is no line end from TCP */
		stream_close(s);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(WEXITSTATUS(status), pipes[i].reply ? 0 : 1);
	}
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	pid_t pid = run_single((struct single){ null, null, fd[1], "submissions", NULL });
	close(fd[1]);
	struct stream *s = stream_from_fds(fd[0], fd[0]);
	expect(s, "220 unix tls=1 name=submissions");
	stream_puts(s, "QUIT\r\n");
	stream_close(s);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(null);
}

static void test_systemd_listening(void **state)
{
	(void)state;
	int null = open("/dev/null", O_RDWR), fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct net_addr a;
	net_addr_parse("127.0.0.1", 0, &a);
	assert_int_equal(bind(fd, (struct sockaddr *)&a.sa, a.len), 0);
	assert_int_equal(listen(fd, 10), 0);
	getsockname(fd, (struct sockaddr *)&a.sa, &a.len);
	pid_t pid = run_single((struct single){ null, null, fd, "imap", NULL });
	for (int i = 0; i < 3; i++) {
		int c = net_connect(&a, NULL, WAIT_MS, NULL);
		struct stream *s = stream_from_fds(c, c);
		expect(s, "220 127.0.0.1 tls=0 name=imap");
		stream_close(s);
	}
	assert_int_equal(stop(pid), 0);
	close(fd);
	close(null);
}

static void test_parent_death(void **state)
{
	(void)state;
	pid_t pid = start((struct serve_options){ .listen = on_v4 });
	struct stream *s = dial(0);
	expect(s, "220 ");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	expect(s, "421 stopping");
	stream_close(s);
	unlink(ready);
}

static int setup(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	log_open("listen_test", LOG_TO_NONE, LOG_LVL_ERR);
	if (!mkdtemp(dir))
		return -1;
	snprintf(ready, sizeof ready, "%s/ready", dir);
	snprintf(sock, sizeof sock, "%s/sock", dir);
	snprintf(spec, sizeof spec, "unix:%s,mode=0600", sock);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(ready);
	unlink(sock);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_per_client),
		cmocka_unit_test(test_proxy),
		cmocka_unit_test(test_renamed),
		cmocka_unit_test(test_stop_finishes_the_command),
		cmocka_unit_test(test_crash_and_recycle),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_failed_start),
		cmocka_unit_test(test_bad_specs),
		cmocka_unit_test(test_stale_socket),
		cmocka_unit_test(test_single),
		cmocka_unit_test(test_systemd_listening),
		cmocka_unit_test(test_parent_death),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
