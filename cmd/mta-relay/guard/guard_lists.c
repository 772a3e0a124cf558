/* SPDX-License-Identifier: ISC
 *
 * DNS lists of addresses and of domains (RFC 5782), all asked at once. What they said is remembered for all processes
 * for as long as it is worth, unless one did not answer. A list that does not answer has nothing to say.
 */
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "mta-relay/guard/guard_look.h"

#include <arpa/nameser.h>

enum {
	SAY_AGAIN = 300, /* seconds until the log is told again that a list does not answer */
	CACHE_MIN = 60,
};

struct look look_begin(struct relay_session *s, const struct smtp_session *x)
{
	return (struct look){ s->rs->guard, &s->rs->o.guard, s->rs->dns, x->env.arena,
		clock_coarse_ms() + s->rs->o.guard.dns_time };
}

void look_up(struct look *k, struct dns_question *q, size_t n)
{
	int64_t left = k->until - clock_coarse_ms();
	dns_query_many(k->dns, k->arena, q, n, left > 0 ? left : 0);
}

static void complain(struct dnsbl *b, const struct dns_answer *a)
{
	int64_t now = time(NULL);
	if (now - b->said < SAY_AGAIN)
		return;
	b->said = now;
	log_warn("dns-list zone=%s error=%s", b->zone, log_quote(span_str(a->why)));
}

/* What came back; false when some list did not answer. *life: for how many seconds it may be remembered. */
static bool tally(struct dnsbl *v, size_t n, const struct dns_question *q, struct list_score *out, int64_t *life)
{
	bool all = true;
	for (size_t i = 0; i < n; i++) {
		const struct dns_answer *a = &q[i].answer;
		if (a->status == DNS_SERVFAIL || a->status == DNS_TIMEOUT) {
			complain(&v[i], a);
			all = false;
		}
		for (size_t k = 0; k < a->n; k++)
			if (a->rr[k].ttl < *life)
				*life = a->rr[k].ttl;
		if (dnsbl_listed(&v[i], a))
			out->by |= (uint32_t)1 << i;
	}
	return all;
}

static void sum(const struct dnsbl *v, size_t n, struct list_score *out)
{
	out->score = 0;
	for (size_t i = 0; i < n; i++)
		if (out->by >> i & 1)
			out->score += v[i].weight;
}

/* prefix: what stands before the zone in the question; what: what it is about. */
static struct list_score ask(struct look *k, const struct guard_lists *l, struct span what, struct span prefix)
{
	struct guard_key key;
	struct state_value cached;
	struct list_score out = { 0 };
	struct dns_question *q = arena_alloc(k->arena, l->n * sizeof *q);
	int64_t life = k->o->dnsbl_cache / 1000;
	struct span name = guard_key(&key, l->class, what, span_str(l->hash));
	if (life && state_get(k->g->state, name, &cached) == 0 && cached.there) {
		out.by = (uint32_t)cached.n;
		sum(l->v, l->n, &out);
		return out;
	}
	for (size_t i = 0; i < l->n; i++) {
		const char *text = arena_printf(k->arena, "%.*s.%s", SPAN_FMT(prefix), l->v[i].zone);
		q[i] = (struct dns_question){ .name = span_str(text), .type = ns_t_a };
	}
	look_up(k, q, l->n);
	if (tally(l->v, l->n, q, &out, &life) && k->o->dnsbl_cache)
		state_put(k->g->state, name, out.by, life > CACHE_MIN ? life : CACHE_MIN);
	sum(l->v, l->n, &out);
	return out;
}

struct list_score lists_of_client(struct look *k, const struct net_addr *a)
{
	struct buf name;
	char ip[64];
	struct list_score none = { 0 };
	if (!k->g->clients.n || !a->len)
		return none;
	buf_init(&name, LIMIT_DOMAIN);
	dns_reverse_name(a, &name);
	struct span prefix = buf_span(&name);
	ptrdiff_t tail = span_find(prefix, a->sa.ss_family == AF_INET ? SPAN(".in-addr.arpa") : SPAN(".ip6.arpa"));
	net_addr_text(a, ip, sizeof ip);
	if (tail > 0)
		none = ask(k, &k->g->clients, span_str(ip), span_slice(prefix, 0, (size_t)tail));
	buf_free(&name);
	return none;
}

struct list_score lists_of_domain(struct look *k, struct span domain)
{
	struct buf name;
	struct list_score out = { 0 };
	if (!k->g->domains.n || !domain.n || domain.p[0] == '[')
		return out;
	buf_init(&name, LIMIT_DOMAIN);
	if (dns_to_ascii(domain, &name))
		out = ask(k, &k->g->domains, buf_span(&name), buf_span(&name));
	buf_free(&name);
	return out;
}

void lists_names(const struct dnsbl *v, size_t n, const struct list_score *score, char *out, size_t size)
{
	size_t at = 0, said = 0;
	out[0] = '\0';
	for (size_t i = 0; i < n && said < 3; i++) {
		if (!(score->by >> i & 1) || v[i].weight < 0)
			continue;
		int put = snprintf(out + at, size - at, "%s%s", said++ ? ", " : "", v[i].zone);
		if (put < 0 || (size_t)put >= size - at)
			return;
		at += (size_t)put;
	}
}
