/* SPDX-License-Identifier: ISC */
#include "mta-relay/run/run_wishes.h"

#include "base/limits.h"
#include "msg/addr.h"
#include "mta-relay/spool/spool_format.h"
#include "smtp/orcpt.h"

const char *wishes_address(struct arena *a, struct span address)
{
	struct span domain = route_domain(address), local = span_slice(address, 0, address.n - domain.n);
	struct buf b;
	const char *text = NULL;
	if (!addr_needs_utf8(domain) || addr_needs_utf8(local))
		return arena_str(a, address);
	buf_init(&b, 2 * LIMIT_SMTP_PATH);
	buf_addspan(&b, local);
	if (domain_normalise(domain, &b) && !b.bad)
		text = arena_str(a, buf_span(&b));
	buf_free(&b);
	return text ? text : arena_str(a, address);
}

/* RFC 3461 5.2.1 d: as it came; where an alias led here, the address that was written to. RFC 6533 3: in ASCII for who
 * has no SMTPUTF8. NULL: none. */
const char *wishes_orcpt(struct arena *a, const struct spool_rcpt *r, bool utf8)
{
	struct buf b;
	const char *text = NULL;
	buf_init(&b, 8 * LIMIT_SMTP_PATH);
	if (!r->orcpt.n && !r->original.n)
		return NULL;
	bool good = true;
	if (!r->orcpt.n)
		good = orcpt_from_address(r->original, &b);
	else if (utf8)
		buf_addspan(&b, r->orcpt);
	else
		good = orcpt_to_ascii(r->orcpt, &b);
	if (good && !b.bad)
		text = arena_str(a, buf_span(&b));
	buf_free(&b);
	return text;
}

/* RFC 8689 4.2.2: as if nobody had asked for TLS. What carries a password stays as it is. */
static void relax_tls(struct route *r)
{
	bool user = r->kind == ROUTE_SMTP && strchr(r->target, '@');
	if (r->s.tls > ROUTE_TLS_MAY && !user)
		r->s.tls = ROUTE_TLS_MAY;
}

/* RFC 8689 4.2.1; a pinned certificate is verified in its own way. */
static void require_tls(struct route *r)
{
	if (r->s.tls != ROUTE_TLS_FINGERPRINT)
		r->s.tls = ROUTE_TLS_VERIFY;
	r->s.requiretls = true;
}

void wishes_find(
    const struct routes *r, struct arena *a, const struct spool_envelope *env, size_t rcpt, struct route *out)
{
	if (env->next_hop.n)
		route_named(r, a, env->next_hop, out);
	else
		route_find(r, a, env->from, env->rcpt[rcpt].addr, out);
}

/* The route as this message needs it; conversations of the two kinds are not shared. */
const struct route *wishes_route(struct arena *a, const struct spool_envelope *env, const struct route *r)
{
	/* A report is sent as it can be: it shows nothing of the content. */
	bool require = env->requiretls && env->from.n;
	struct route *copy = NULL, **link = &copy;
	if (!require && !env->tls_optional)
		return r;
	for (; r && (r->kind == ROUTE_MX || r->kind == ROUTE_SMTP); r = r->next) {
		struct route *one = arena_alloc(a, sizeof *one);
		*one = *r;
		one->next = NULL;
		one->key = arena_printf(a, "%s %s", r->key, require ? "requiretls" : "tls-optional");
		one->own = arena_printf(a, "%s %s", r->own, require ? "requiretls" : "tls-optional");
		if (require)
			require_tls(one);
		else
			relax_tls(one);
		*link = one;
		link = &one->next;
	}
	return copy ? copy : r;
}

/* RFC 2852 4.1.3: what was to be returned by now. */
bool wishes_by_over(const struct spool_envelope *env, int64_t now)
{
	return env->by_mode == 'R' && now >= env->by_time;
}

/* RFC 5321 4.5.4.1: a message older than the limit is given up. */
bool deliver_expired(const struct deliver *d, const struct spool_envelope *env, int64_t now)
{
	return now - spool_began(env) >= d->bounce.expire || wishes_by_over(env, now);
}

/* As long again as it has waited already: the first attempts follow quickly, the later ones seldom. It is looked at
 * when its time is over, or the sender is to be told. */
int64_t deliver_next_due(const struct deliver *d, const struct spool_envelope *env, int64_t now)
{
	int64_t began = spool_began(env), age = now - began, end = began + d->bounce.expire;
	int64_t due = now + (age < d->retry_min ? d->retry_min : age < d->retry_max ? age : d->retry_max);
	if (env->hold_until > now)
		return env->hold_until;
	if (env->by_mode && env->by_time > now && env->by_time < due)
		due = env->by_time;
	return due > end && end > now ? end : due;
}
