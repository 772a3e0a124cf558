/* SPDX-License-Identifier: ISC
 *
 * --direct: to the mail exchangers of each recipient's domain (RFC 5321 5.1), as a server would.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/xalloc.h"
#include "dns/dns.h"
#include "io/trace.h"
#include "mua-send/session.h"

static struct span domain_of(const struct smtp_rcpt *r)
{
	struct span s = span_str(r->address);
	ptrdiff_t at = span_rchr(s, '@');
	return at < 0 ? SPAN("") : span_from(s, (size_t)at + 1);
}

static int by_domain(const void *a, const void *b)
{
	const struct smtp_rcpt *const *x = a, *const *y = b;
	int order = span_icmp(domain_of(*x), domain_of(*y));
	return order ? order : *x < *y ? -1 : *x > *y;
}

/* Why no host can be asked: RFC 7505 4.2, RFC 3463. */
static void no_host(const struct mx_result *mx, struct err *err)
{
	bool pass = mx->status == DNS_SERVFAIL || mx->status == DNS_TIMEOUT;
	if (mx->kind == MX_NULL)
		err_reply(err, 556, "5.1.10", "%s", mx->why);
	else if (pass)
		err_reply(err, 451, "4.4.3", "%s", mx->why);
	else
		err_reply(err, 550, "5.1.2", "%s", mx->why);
}

/* One address of a host. 1: the recipients have their results; 0: another one may be tried; err says why. */
static int try_address(
    struct mail *m, const char *host, const struct net_addr *addr, struct smtp_rcpt *rcpt, size_t n, struct err *err)
{
	char ip[64];
	bool begun = false;
	struct net_addr to;
	struct session s = { .m = m, .host = host, .port = (uint16_t)m->o->port, .opportunistic = true, .addr = &to };
	net_addr_text(addr, ip, sizeof ip);
	net_addr_parse(ip, s.port, &to);
	if (!*host)
		s.host = ip;
	if (session_open(&s, err))
		return 0;
	int rc = mail_transact(m, s.client, rcpt, n, &begun, err);
	session_results(&s, rcpt, n);
	session_close(&s);
	/* Once the content was on its way it may have arrived: another host would deliver it twice. */
	return rc == 0 || begun;
}

static int try_hosts(struct mail *m, const struct mx_result *mx, struct smtp_rcpt *rcpt, size_t n, struct err *why)
{
	for (size_t i = 0; i < mx->n; i++) {
		const struct mx_host *h = &mx->host[i];
		if (!h->n_addr && why->class != ERR_TEMP)
			err_set(why, h->status == DNS_SERVFAIL || h->status == DNS_TIMEOUT ? ERR_TEMP : ERR_NOHOST,
			    "no address of %.*s: %s", SPAN_FMT(h->name), dns_status_text(h->status));
		for (size_t k = 0; k < h->n_addr; k++) {
			struct err err = { 0 };
			if (try_address(m, arena_str(m->arena, h->name), &h->addr[k], rcpt, n, &err))
				return 1;
			if (why->class != ERR_TEMP)
				*why = err;
		}
	}
	return 0;
}

/* All recipients of one domain; each has its result afterwards. */
static void send_domain(struct mail *m, struct dns *dns, struct smtp_rcpt *rcpt, size_t n)
{
	struct mx_result mx;
	struct err why = { 0 };
	mx_lookup(dns, m->arena, domain_of(rcpt), MX_ANY, &mx);
	trace_why("route", NULL, "5321#5.1", "%s", mx.why);
	if (mx.kind == MX_NULL || mx.kind == MX_NONE)
		no_host(&mx, &why);
	else if (try_hosts(m, &mx, rcpt, n, &why))
		return;
	if (why.class == ERR_PROTO || why.class == ERR_LIMIT)
		why.class = ERR_TEMP;
	for (size_t i = 0; i < n; i++)
		rcpt[i].result = why;
}

int mail_direct(struct mail *m, struct err *err)
{
	size_t n = m->rcpt.n, done = 0;
	struct dns *dns = m->o->port && m->o->port <= 65535 ? dns_open(m->o->resolver, false, 0, err) : NULL;
	if (!dns)
		return err->class != ERR_NONE ? -1 : err_set(err, ERR_USAGE, "--port is from 1 to 65535");
	struct smtp_rcpt **order = xcalloc(n, sizeof *order), *group = xcalloc(n, sizeof *group);
	for (size_t i = 0; i < n; i++)
		order[i] = &m->rcpt.v[i];
	qsort(order, n, sizeof *order, by_domain);
	while (done < n) {
		size_t end = done;
		while (end < n && span_ieq(domain_of(order[done]), domain_of(order[end])))
			end++;
		for (size_t i = done; i < end; i++)
			group[i - done] = *order[i];
		send_domain(m, dns, group, end - done);
		for (size_t i = done; i < end; i++)
			*order[i] = group[i - done];
		done = end;
	}
	free(order);
	free(group);
	dns_close(dns);
	return 0;
}
