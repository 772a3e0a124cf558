/* SPDX-License-Identifier: ISC
 *
 * Questions at once, to a server of this test's that answers by the name's first label.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/nameser.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "dns/dns.h"

static pid_t server;
static char place[40];
static struct arena *arena;

/* An A record 127.0.0.2 behind the question, whose end is the query's. */
static size_t add_record(unsigned char *p, size_t n)
{
	static const unsigned char rr[] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 0, 0, 4, 127, 0, 0, 2 };
	memcpy(p + n, rr, sizeof rr);
	p[7] = 1;
	return n + sizeof rr;
}

/* The reply in p's place; 0: none. */
static size_t reply(unsigned char *p, size_t n, unsigned times)
{
	p[2] |= 0x80;
	switch (p[13]) {
	case 'y':
		return add_record(p, n);
	case 'n':
		p[3] = 3;
		return n;
	case 's':
		p[3] = 2;
		return n;
	case 'r': /* the first time it is lost */
		return times > 1 ? add_record(p, n) : 0;
	case 'w':
		p[0] ^= 1;
		return add_record(p, n);
	case 'q': /* about something else */
		p[14] ^= 1;
		return add_record(p, n);
	case 'u': /* upper case comes back */
		p[13] = 'U';
		return add_record(p, n);
	default:
		return 0;
	}
}

static void serve(int fd)
{
	unsigned times = 0;
	for (;;) {
		unsigned char p[1024];
		struct sockaddr_storage from;
		socklen_t len = sizeof from;
		ssize_t n = recvfrom(fd, p, 500, 0, (struct sockaddr *)&from, &len);
		if (n < 17)
			continue;
		times += p[13] == 'r';
		size_t out = reply(p, (size_t)n, times);
		if (out && sendto(fd, p, out, 0, (struct sockaddr *)&from, len) < 0)
			_exit(1);
	}
}

static int set_up(void **state)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof sa;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	(void)state;
	if (bind(fd, (struct sockaddr *)&sa, sizeof sa) || getsockname(fd, (struct sockaddr *)&sa, &len))
		return -1;
	snprintf(place, sizeof place, "127.0.0.1:%u", ntohs(sa.sin_port));
	server = fork();
	if (server == 0)
		serve(fd);
	close(fd);
	arena = arena_new();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	arena_free(arena);
	return 0;
}

static void test_answers(void **state)
{
	static const struct {
		const char *name;
		enum dns_status want;
	} rows[] = { { "yes.example", DNS_OK }, { "no.example", DNS_NXDOMAIN }, { "servfail.example", DNS_SERVFAIL },
		{ "retry.example", DNS_OK }, { "drop.example", DNS_TIMEOUT }, { "wrong.example", DNS_TIMEOUT },
		{ "question.example", DNS_TIMEOUT }, { "upper.example", DNS_OK }, { "", DNS_BADNAME },
		{ "a..b", DNS_BADNAME } };
	enum {
		N = sizeof rows / sizeof *rows
	};
	struct dns_question q[N];
	struct err err = { 0 };
	(void)state;
	struct dns *d = dns_open(place, false, 0, &err);
	assert_non_null(d);
	for (size_t i = 0; i < N; i++)
		q[i] = (struct dns_question){ .name = span_str(rows[i].name), .type = ns_t_a };
	dns_query_many(d, arena, q, N, 8000);
	for (size_t i = 0; i < N; i++) {
		assert_int_equal(q[i].answer.status, rows[i].want);
		assert_int_equal(q[i].answer.n, rows[i].want == DNS_OK);
	}
	dns_close(d);
}

/* Forty lists that say nothing take the time of one. */
static void test_bounded(void **state)
{
	struct dns_question q[DNS_MANY + 1];
	struct err err = { 0 };
	(void)state;
	struct dns *d = dns_open(place, false, 0, &err);
	for (size_t i = 0; i < DNS_MANY + 1; i++)
		q[i] = (struct dns_question){ .name = i ? SPAN("drop.example") : SPAN("yes.example"), .type = ns_t_a };
	time_t begin = time(NULL);
	dns_query_many(d, arena, q, DNS_MANY + 1, 8000);
	assert_true(time(NULL) - begin < 100);
	assert_int_equal(q[0].answer.status, DNS_OK);
	assert_int_equal(q[1].answer.status, DNS_TIMEOUT);
	assert_int_equal(q[DNS_MANY].answer.status, DNS_BADNAME);
	dns_query_many(d, arena, q, 0, 900);
	dns_close(d);
}

static void test_nobody(void **state)
{
	struct dns_question q = { .name = SPAN("yes.example"), .type = ns_t_a };
	struct err err = { 0 };
	(void)state;
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	struct dns *d = dns_open(place, false, 0, &err);
	dns_query_many(d, arena, &q, 1, 60000); /* refused at once */
	assert_int_equal(q.answer.status, DNS_TIMEOUT);
	dns_close(d);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
	const struct CMUnitTest tests[] = { TEST(test_answers), TEST(test_bounded), TEST(test_nobody) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
