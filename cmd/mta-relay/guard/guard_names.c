/* SPDX-License-Identifier: ISC
 *
 * What the DNS says about names: of a mail domain, of a host, of a client's address.
 */
#include <arpa/nameser.h>

#include "base/limits.h"
#include "msg/addr.h"
#include "mta-relay/guard/guard_look.h"

static bool failed(const struct dns_answer *a)
{
	return a->status == DNS_SERVFAIL || a->status == DNS_TIMEOUT;
}

/* RFC 7505 3: one MX, preference 0, and the root as its name. */
static bool null_mx(const struct dns_answer *a)
{
	return a->status == DNS_OK && a->n == 1 && !a->rr[0].name.n;
}

static enum name_verdict ask(struct look *k, struct span name, bool of_mail)
{
	struct dns_question q[] = { { .name = name, .type = ns_t_mx }, { .name = name, .type = ns_t_a },
		{ .name = name, .type = ns_t_aaaa } };
	look_up(k, q, 3);
	if (of_mail && null_mx(&q[0].answer))
		return NAME_NULL_MX;
	for (size_t i = 0; i < 3; i++)
		if (q[i].answer.status == DNS_OK && q[i].answer.n)
			return NAME_GOOD;
	return failed(&q[0].answer) || failed(&q[1].answer) || failed(&q[2].answer) ? NAME_UNKNOWN : NAME_NONE;
}

static enum name_verdict verdict(struct look *k, struct span name, bool of_mail)
{
	struct buf ascii;
	enum name_verdict v = NAME_NONE;
	/* A literal needs no DNS; that it is one was looked at when the command was parsed. */
	if (name.n && name.p[0] == '[')
		return NAME_GOOD;
	buf_init(&ascii, LIMIT_DOMAIN);
	if (dns_to_ascii(name, &ascii))
		v = ask(k, buf_span(&ascii), of_mail);
	else if (addr_domain_ok(name, false))
		v = ask(k, name, of_mail); /* with an underscore */
	buf_free(&ascii);
	return v;
}

enum name_verdict name_of_mail(struct look *k, struct span domain)
{
	return verdict(k, domain, true);
}

enum name_verdict name_of_host(struct look *k, struct span name)
{
	return verdict(k, name, false);
}

static bool same_address(const struct net_addr *a, const struct net_addr *b)
{
	char x[64], y[64];
	net_addr_text(a, x, sizeof x);
	net_addr_text(b, y, sizeof y);
	return !strcmp(x, y);
}

/* Has one of the names this address? */
static enum name_verdict confirmed(struct look *k, const struct dns_answer *ptr, const struct net_addr *a)
{
	struct dns_question q[LIMIT_PTR_NAMES];
	size_t n = ptr->n < LIMIT_PTR_NAMES ? ptr->n : LIMIT_PTR_NAMES;
	bool unknown = false;
	for (size_t i = 0; i < n; i++)
		q[i] = (struct dns_question){ .name = ptr->rr[i].name,
			.type = a->sa.ss_family == AF_INET ? ns_t_a : ns_t_aaaa };
	look_up(k, q, n);
	for (size_t i = 0; i < n; i++) {
		unknown |= failed(&q[i].answer);
		for (size_t j = 0; j < q[i].answer.n; j++)
			if (same_address(&q[i].answer.rr[j].addr, a))
				return NAME_GOOD;
	}
	return unknown ? NAME_UNKNOWN : NAME_NONE;
}

enum name_verdict name_of_client(struct look *k, const struct net_addr *a, bool confirm)
{
	struct buf reverse;
	buf_init(&reverse, LIMIT_DOMAIN);
	dns_reverse_name(a, &reverse);
	struct dns_question q = { .name = arena_span(k->arena, buf_span(&reverse)), .type = ns_t_ptr };
	buf_free(&reverse);
	look_up(k, &q, 1);
	if (failed(&q.answer))
		return NAME_UNKNOWN;
	if (q.answer.status != DNS_OK || !q.answer.n)
		return NAME_NONE;
	return confirm ? confirmed(k, &q.answer, a) : NAME_GOOD;
}
