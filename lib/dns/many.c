/* SPDX-License-Identifier: ISC
 *
 * Several questions at once. libresolv asks one after the other, and a list of blocked addresses that does not answer
 * would cost its timeout each time. So these go out together over UDP, from a port that the kernel chooses, to one
 * server after the other; an answer counts when it comes from there, with the question's number and the question. One
 * that UDP cuts is asked again by dns_query. Questions beyond DNS_MANY are not asked.
 */
#include <arpa/nameser.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "dns/answer.h"
#include "dns/dns.h"
#include "dns/dns_int.h"

enum {
	TRIES = 3,
	PACKET = 512, /* RFC 1035 2.3.4: we say nothing of more */
};

struct asked {
	unsigned char packet[PACKET];
	int n;      /* bytes; 0: it can't be asked */
	bool final; /* answered */
};
struct many {
	struct dns *d;
	struct arena *arena;
	struct dns_question *q;
	struct asked *asked;
	size_t n, open; /* questions; those without a final answer */
};

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void give_up(struct dns_question *q, enum dns_status st, const char *why)
{
	q->answer = (struct dns_answer){ .status = st, .cname = SPAN("") };
	snprintf(q->answer.why, sizeof q->answer.why, "%s", why);
}

static bool encode(struct dns *d, const struct dns_question *q, struct asked *out)
{
	char name[256];
	if (!q->name.n || q->name.n >= sizeof name || memchr(q->name.p, '\0', q->name.n))
		return false;
	memcpy(name, q->name.p, q->name.n);
	name[q->name.n] = '\0';
	out->n = res_nmkquery(&d->res, ns_o_query, name, ns_c_in, q->type, NULL, 0, NULL, out->packet, PACKET);
	return out->n >= 12;
}

static int open_server(const struct dns *d, int i)
{
	const struct sockaddr *sa = (const struct sockaddr *)(const void *)&d->res.nsaddr_list[i];
	socklen_t len = sizeof d->res.nsaddr_list[i];
	if (d->res.nsaddr_list[i].sin_family != AF_INET) {
		sa = (const struct sockaddr *)(const void *)d->res._u._ext.nsaddrs[i];
		len = sizeof *d->res._u._ext.nsaddrs[i];
	}
	if (!sa)
		return -1;
	int fd = socket(sa->sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, sa, len) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Is it the answer to this question, as far as the header and the question's repetition tell? */
static bool answers(const struct asked *a, const unsigned char *p, size_t n)
{
	if (!a->n || n < (size_t)a->n || memcmp(p, a->packet, 2) != 0 || !(p[2] & 0x80) || p[4] != 0 || p[5] != 1)
		return false;
	/* Nobody we ask compresses a question's name; its case may have changed. */
	for (int i = 12; i < a->n; i++)
		if (ascii_lower((char)p[i]) != ascii_lower((char)a->packet[i]))
			return false;
	return true;
}

static void take(struct many *m, const unsigned char *p, size_t n)
{
	for (size_t i = 0; i < m->n; i++) {
		struct dns_question *q = &m->q[i];
		if (m->asked[i].final || !answers(&m->asked[i], p, n))
			continue;
		bool cut = p[2] & 0x02;
		if (cut)
			dns_query(m->d, m->arena, q->name, q->type, &q->answer);
		else
			answer_parse(m->arena, span_of((const char *)p, n), q->name, q->type, &q->answer);
		q->answer.ad = q->answer.ad && m->d->trusted;
		/* Another server may do better. */
		m->asked[i].final = cut || q->answer.status != DNS_SERVFAIL;
		m->open -= m->asked[i].final;
		return;
	}
}

/* Reads answers until all are there, the time is over, or nobody is there (-1). */
static int collect(struct many *m, int fd, int64_t until)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	while (m->open > 0) {
		int64_t left = until - now_ms();
		if (left <= 0 || (poll(&p, 1, (int)left) < 0 && errno != EINTR))
			return 0;
		ssize_t n = recv(fd, m->d->answer, sizeof m->d->answer, 0);
		if (n >= 0)
			take(m, m->d->answer, (size_t)n);
		else if (errno != EAGAIN && errno != EINTR)
			return -1;
	}
	return 0;
}

static void one_try(struct many *m, int server, int64_t until)
{
	int fd = open_server(m->d, server);
	if (fd < 0)
		return;
	bool sent = false;
	for (size_t i = 0; i < m->n; i++)
		if (!m->asked[i].final && send(fd, m->asked[i].packet, (size_t)m->asked[i].n, 0) > 0)
			sent = true;
	if (sent)
		collect(m, fd, until);
	close(fd);
}

void dns_query_many(struct dns *d, struct arena *a, struct dns_question *q, size_t n, int64_t ms)
{
	int64_t end = now_ms() + ms;
	struct many m = { d, a, q, arena_alloc(a, (n ? n : 1) * sizeof(struct asked)), n, 0 };
	for (size_t i = 0; i < n; i++) {
		give_up(&q[i], DNS_TIMEOUT, "no DNS server answered in time");
		bool fits = i < DNS_MANY && encode(d, &q[i], &m.asked[i]);
		if (!fits) {
			m.asked[i].n = 0;
			m.asked[i].final = true;
			give_up(&q[i], DNS_BADNAME, "not a domain name");
		}
		m.open += fits;
	}
	for (int i = 0; i < TRIES && m.open > 0 && d->res.nscount > 0; i++) {
		int64_t left = end - now_ms();
		if (left <= 0)
			break;
		one_try(&m, i % d->res.nscount, now_ms() + left / (TRIES - i));
	}
}
