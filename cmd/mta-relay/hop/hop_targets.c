/* SPDX-License-Identifier: ISC
 *
 * Whom to call for a destination: the addresses of its MX hosts by preference, or of a URL's host, in the order in
 * which they are tried. What was found about a domain, and which addresses did not answer, is remembered for a while.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/limits.h"
#include "base/xalloc.h"
#include "io/net.h"
#include "io/trace.h"
#include "mta-relay/hop/hop_int.h"

enum {
	PORT_SMTP = 25,
	PORT_SUBMISSION = 587,
	PORT_SUBMISSIONS = 465,
};

/* ---- What is remembered ---- */

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void hop_note_dead(struct hop *h, const struct net_addr *addr)
{
	struct hop_dead *d = &h->dead[h->next_dead];
	net_addr_text(addr, d->ip, sizeof d->ip);
	d->until = now_ms() + HOP_DEAD_MS;
	h->next_dead = (h->next_dead + 1) % HOP_DEAD;
}

static bool is_dead(const struct hop *h, const struct net_addr *addr)
{
	char ip[64];
	net_addr_text(addr, ip, sizeof ip);
	for (size_t i = 0; i < HOP_DEAD; i++)
		if (h->dead[i].until > now_ms() && !strcmp(h->dead[i].ip, ip))
			return true;
	return false;
}

static bool same_ip(const struct net_addr *a, const struct net_addr *b)
{
	char one[64], other[64];
	net_addr_text(a, one, sizeof one);
	net_addr_text(b, other, sizeof other);
	return !strcmp(one, other);
}

static bool was_called(const struct hop *h, const struct net_addr *addr)
{
	for (size_t i = 0; i < h->n_called; i++)
		if (same_ip(&h->called[i], addr))
			return true;
	return false;
}

void hop_note_called(struct hop *h, const struct net_addr *addr)
{
	if (h->n_called < HOP_TRIES && !was_called(h, addr))
		h->called[h->n_called++] = *addr;
}

static void forget(struct hop_mx *m)
{
	free(m->domain);
	arena_free(m->arena);
	*m = (struct hop_mx){ 0 };
}

void hop_mx_free(struct hop *h)
{
	for (size_t i = 0; i < HOP_MX; i++)
		forget(&h->mx[i]);
}

static struct hop_mx *remembered(struct hop *h, const char *domain, enum mx_family family)
{
	for (size_t i = 0; i < HOP_MX; i++)
		if (h->mx[i].domain && h->mx[i].family == family && !strcmp(h->mx[i].domain, domain))
			return &h->mx[i];
	return NULL;
}

/* A failure only for the attempt in hand, which may ask twice: the next message may fare better. */
static int64_t lasts(const struct mx_result *mx)
{
	bool found = mx->kind == MX_RECORDS || mx->kind == MX_IMPLICIT || mx->kind == MX_LITERAL;
	for (size_t i = 0; i < mx->n; i++)
		found = found && mx->host[i].n_addr;
	return found ? (int64_t)1000 * (mx->ttl < HOP_MX_SECONDS ? mx->ttl : HOP_MX_SECONDS) : HOP_MX_FAILED_MS;
}

const struct mx_result *hop_mx_find(struct hop *h, const char *domain, enum mx_family family)
{
	struct hop_mx *m = remembered(h, domain, family);
	if (m && m->until > now_ms()) {
		trace_why("dns", "ok", "5321#5.1", "%s: its hosts are known from a moment ago", domain);
		return &m->mx;
	}
	if (!m) {
		m = &h->mx[h->next_mx];
		h->next_mx = (h->next_mx + 1) % HOP_MX;
	}
	forget(m);
	m->domain = xstrdup(domain);
	m->family = family;
	m->arena = arena_new();
	mx_lookup(h->dns, m->arena, span_str(m->domain), family, &m->mx);
	m->until = now_ms() + lasts(&m->mx);
	return &m->mx;
}

/* ---- The list ---- */

static bool wanted(const struct net_addr *addr, enum mx_family family)
{
	bool v4 = addr->sa.ss_family == AF_INET;
	return family == MX_V4_ONLY ? v4 : family == MX_V6_ONLY ? !v4 : true;
}

static void add_target(struct hop_targets *t, const char *host, const struct net_addr *addr, uint16_t port)
{
	char ip[64];
	if (t->n == HOP_TRIES)
		return;
	struct hop_target *x = &t->v[t->n++];
	net_addr_text(addr, ip, sizeof ip);
	x->addr = *addr;
	if (addr->sa.ss_family == AF_INET)
		((struct sockaddr_in *)(void *)&x->addr.sa)->sin_port = htons(port);
	else
		((struct sockaddr_in6 *)(void *)&x->addr.sa)->sin6_port = htons(port);
	snprintf(x->host, sizeof x->host, "%s", *host ? host : ip);
}

/* A host without an address is a try that failed. */
static void note_absent(struct hop_targets *t, const struct mx_host *host)
{
	bool pass = host->status == DNS_SERVFAIL || host->status == DNS_TIMEOUT;
	if (!t->absent.class || (t->absent.class == ERR_PERM && pass))
		err_reply(&t->absent, pass ? 451 : 550, pass ? "4.4.3" : "5.4.4", "no address of %.*s: %s",
		    SPAN_FMT(host->name), dns_status_text(host->status));
	if (pass)
		t->absent_may_pass = true;
}

/* No host's address; connect takes 0.0.0.0 for ourselves. */
static void note_nowhere(struct hop_targets *t, const char *domain, const struct net_addr *addr)
{
	char ip[64];
	net_addr_text(addr, ip, sizeof ip);
	trace_why("dns", "perm", "5321#5.1", "%s is passed over: it is no host's", ip);
	if (!t->absent.class)
		err_reply(&t->absent, 554, "5.4.6", "mail for %s is to go to %s, which is no host's", domain, ip);
}

static int no_host(const struct mx_result *mx, struct err *err)
{
	if (mx->kind == MX_NULL) /* RFC 7505 4.2 */
		return err_reply(err, 556, "5.1.10", "%s", mx->why);
	if (mx->status == DNS_SERVFAIL || mx->status == DNS_TIMEOUT)
		return err_reply(err, 451, "4.4.3", "%s", mx->why);
	if (mx->status == DNS_NODATA)
		return err_reply(err, 550, "5.4.4", "%s", mx->why);
	return err_reply(err, 550, "5.1.2", "%s", mx->why);
}

/* RFC 5321 5.1: ourselves among the hosts, and those that are no nearer to the destination than we are, are passed
 * over. */
size_t hop_before_ourselves(const struct hop *h, const struct mx_result *mx)
{
	size_t n = mx->n;
	for (size_t i = 0; i < mx->n && n == mx->n; i++)
		if (span_ieqs(mx->host[i].name, h->c->hostname))
			n = i;
	while (n < mx->n && n > 0 && mx->host[n - 1].preference == mx->host[n].preference)
		n--;
	return n;
}

static int mx_targets(struct hop *h, const struct route *r, struct hop_targets *out, struct err *err)
{
	const struct mx_result *mx = out->mx = hop_mx_find(h, r->target, r->s.family);
	size_t n = hop_before_ourselves(h, mx);
	if (mx->kind == MX_NULL || mx->kind == MX_NONE)
		return no_host(mx, err);
	if (mx->n && !n)
		return err_reply(
		    err, 554, "5.4.6", "mail for %s loops back to us: its best MX is %s", r->target, h->c->hostname);
	for (size_t i = 0; i < n; i++) {
		const struct mx_host *host = &mx->host[i];
		char name[LIMIT_DOMAIN + 1];
		snprintf(name, sizeof name, "%.*s", SPAN_FMT(host->name));
		for (size_t k = 0; k < host->n_addr; k++)
			if (!net_addr_is_unicast(&host->addr[k]))
				note_nowhere(out, r->target, &host->addr[k]);
			else if (wanted(&host->addr[k], r->s.family))
				add_target(out, name, &host->addr[k], h->c->port);
		if (host->status != DNS_OK)
			note_absent(out, host);
	}
	if (!out->n && !out->absent.class)
		return err_reply(err, 451, "4.4.4", "%s has no address of the IP version that we may use", r->target);
	return 0;
}

static int url_targets(struct hop *h, const struct route *r, struct hop_targets *out, struct err *err)
{
	struct net_addr addr[HOP_TRIES];
	struct url u;
	(void)h;
	if (url_parse(r->target, &u, err) < 0)
		return -1;
	out->implicit_tls = !strcmp(u.scheme, "smtps");
	uint16_t port = u.port ? u.port : out->implicit_tls ? PORT_SUBMISSIONS : *u.user ? PORT_SUBMISSION : PORT_SMTP;
	int n = net_resolve(u.host, port, addr, HOP_TRIES, err);
	bool second = r->s.family == MX_V4_FIRST || r->s.family == MX_V6_FIRST;
	enum mx_family first = r->s.family == MX_V4_FIRST   ? MX_V4_ONLY
			       : r->s.family == MX_V6_FIRST ? MX_V6_ONLY
							    : r->s.family;
	for (int i = 0; i < n; i++)
		if (wanted(&addr[i], first))
			add_target(out, u.host, &addr[i], port);
	for (int i = 0; i < n && second; i++)
		if (!wanted(&addr[i], first))
			add_target(out, u.host, &addr[i], port);
	if (n >= 0 && !out->n)
		n = err_reply(err, 451, "4.4.4", "%s has no address of the IP version that we may use", u.host);
	url_free(&u);
	return n < 0 ? -1 : 0;
}

static void not_again(const struct hop *h, struct hop_targets *t)
{
	size_t kept = 0;
	for (size_t i = 0; i < t->n; i++)
		if (!was_called(h, &t->v[i].addr))
			t->v[kept++] = t->v[i];
	t->n = kept;
}

/* Those that did not answer a moment ago come last, in their order. */
static void dead_last(const struct hop *h, struct hop_targets *t)
{
	struct hop_target dead[HOP_TRIES];
	size_t n = 0, kept = 0;
	for (size_t i = 0; i < t->n; i++) {
		if (is_dead(h, &t->v[i].addr))
			dead[n++] = t->v[i];
		else
			t->v[kept++] = t->v[i];
	}
	for (size_t i = 0; i < n; i++)
		t->v[kept + i] = dead[i];
}

int hop_targets(struct hop *h, const struct route *r, struct hop_targets *out, struct err *err)
{
	*out = (struct hop_targets){ 0 };
	int rc = r->kind == ROUTE_MX ? mx_targets(h, r, out, err) : url_targets(h, r, out, err);
	if (rc == 0 && h->elsewhere)
		not_again(h, out);
	if (rc == 0)
		dead_last(h, out);
	return rc;
}
