/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <string.h>

#include "io/net.h"
#include "mta-relay/explain/explain_int.h"
#include "mta-relay/hop/route.h"
#include "mta-relay/policy/generic.h"

/* "5321#5.1" as "RFC 5321 5.1" */
static void tell_rfc(const char *rfc)
{
	const char *hash = rfc ? strchr(rfc, '#') : NULL;
	if (hash)
		printf(" (RFC %.*s %s)", (int)(hash - rfc), rfc, hash + 1);
	putchar('\n');
}

static void tell_mx(const struct mx_result *mx)
{
	printf("    %s%s\n", mx->why,
	    mx->kind == MX_NULL       ? " (RFC 7505)"
	    : mx->kind == MX_IMPLICIT ? " (RFC 5321 5.1)"
				      : "");
	for (size_t i = 0; i < mx->n; i++) {
		printf("    %5u %.*s", mx->host[i].preference, SPAN_FMT(mx->host[i].name));
		for (size_t k = 0; k < mx->host[i].n_addr; k++) {
			char text[64];
			net_addr_text(&mx->host[i].addr[k], text, sizeof text);
			printf(" %s", text);
		}
		if (!mx->host[i].n_addr)
			printf(" (no address: %s)", dns_status_text(mx->host[i].status));
		putchar('\n');
	}
}

static void tell_targets(const struct route *r, const struct hop_targets *t)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct net_addr *to = &t->v[i].addr;
		const struct net_addr *source = to->sa.ss_family == AF_INET ? &r->s.source4 : &r->s.source6;
		char ip[64], from[64];
		net_addr_text(to, ip, sizeof ip);
		printf("    %s %s[%s]:%u", i ? "then" : "calls", t->v[i].host, ip, net_addr_port(to));
		if (source->len) {
			net_addr_text(source, from, sizeof from);
			printf(" from %s", from);
		}
		putchar('\n');
	}
	if (t->absent.class)
		printf("    %s\n", t->absent.text);
}

static void tell_tls(const struct route *r, bool implicit)
{
	static const char *const text[] = {
		[ROUTE_TLS_UNSET] = "",
		[ROUTE_TLS_NONE] = "never",
		[ROUTE_TLS_MAY] = "where it is offered; in the clear otherwise, and when a handshake fails",
		[ROUTE_TLS_ENCRYPT] = "always, with any certificate",
		[ROUTE_TLS_VERIFY] = "always, with a certificate",
		[ROUTE_TLS_FINGERPRINT] = "always, with the certificate or public key that is named",
	};
	const struct route_settings *s = &r->s;
	printf("    TLS (%s%s): %s", implicit ? "from the start, " : "", route_tls_names[s->tls], text[s->tls]);
	if (s->tls == ROUTE_TLS_VERIFY)
		printf(" for %s by %s", s->tls_name ? s->tls_name : "the host's name",
		    s->tls_ca ? s->tls_ca : "an authority that the system knows");
	putchar('\n');
}

static void tell_user(const struct route *r)
{
	struct url u;
	if (r->kind != ROUTE_SMTP || url_parse(r->target, &u, NULL) < 0)
		return;
	bool by_cert = r->s.auth && span_ieqs(span_str(r->s.auth), "EXTERNAL");
	if (by_cert)
		printf("    logs in%s%s by EXTERNAL, with the certificate of %s\n", *u.user ? " as " : "", u.user,
		    r->s.tls_cert ? r->s.tls_cert : "nobody: tls-cert= is missing");
	else if (*u.user)
		printf("    logs in as %s%s%s, with the password of %s\n", u.user, r->s.auth ? " by " : "",
		    r->s.auth ? r->s.auth : "",
		    r->s.password_file ? r->s.password_file : "--password-file or --password-command");
	url_free(&u);
}

/* False when it is returned at once. */
static bool tell_link(struct explain *x, const struct route *r)
{
	struct hop_targets t;
	struct err err = { 0 };
	int rc = hop_targets(x->hop, r, &t, &err);
	if (t.mx)
		tell_mx(t.mx);
	if (rc < 0) {
		/* The DNS's reason is told above. */
		if (!t.mx || strcmp(err.text, t.mx->why) != 0)
			printf("    %s\n", err.text);
		if (r->kind == ROUTE_MX)
			printf("    so it %s: %d %s\n", err.class == ERR_PERM ? "is returned" : "waits", err.code,
			    err.enh);
		return r->kind != ROUTE_MX || err.class != ERR_PERM;
	}
	tell_targets(r, &t);
	tell_tls(r, t.implicit_tls);
	tell_user(r);
	if (r->s.helo)
		printf("    says EHLO %s\n", r->s.helo);
	return true;
}

static void tell_time(int64_t ms)
{
	int64_t s = ms / 1000;
	const char *unit = s % 86400 == 0 ? "d" : s % 3600 == 0 ? "h" : s % 60 == 0 ? "m" : "s";
	int64_t by = *unit == 'd' ? 86400 : *unit == 'h' ? 3600 : *unit == 'm' ? 60 : 1;
	printf("%lld%s", (long long)(s / by), unit);
}

static void tell_retries(const struct way_options *o)
{
	printf("    while it can't be delivered: again after ");
	tell_time(o->retry_min);
	printf(", then each time when it is twice as old, after ");
	tell_time(o->retry_max);
	printf(" at most; returned after ");
	tell_time(o->expire);
	printf(" (RFC 5321 4.5.4.1)\n");
}

int explain_generic(
    struct explain *x, const struct route *r, const char *address, const char **from, const char **to, struct err *err)
{
	const struct rewrite_rules *rules = routes_generic(x->routes);
	if (!rules || r->kind == ROUTE_LMTP || r->kind == ROUTE_ERROR)
		return 0;
	*from = generic_address(rules, x->arena, REWRITE_SENDER, x->from, err);
	*to = *from ? generic_address(rules, x->arena, REWRITE_RECIPIENT, span_str(address), err) : NULL;
	return *to ? 1 : -1;
}

static void tell_generic(struct explain *x, const struct route *r, const char *address)
{
	const char *from, *to;
	struct err err = { 0 };
	int rc = explain_generic(x, r, address, &from, &to, &err);
	if (rc < 0)
		printf("    --generic: %d %s %s\n", err.code, err.enh, err.text);
	else if (rc && (!span_eqs(x->from, from) || strcmp(to, address) != 0))
		printf("    there it is from %s to %s (--generic)\n", *from ? from : "<>", to);
}

void explain_route(struct explain *x, const char *address)
{
	struct route r;
	route_find(x->routes, x->arena, x->from, span_str(address), &r);
	if (r.kind == ROUTE_ERROR)
		printf("  %s goes not at all: %d %s %s", address, r.error.code, r.error.enh, r.error.text);
	else if (r.kind == ROUTE_MX)
		printf("  %s goes to the MX hosts of %s", address, r.target);
	else
		printf("  %s goes to %s", address, r.target);
	printf("\n    because %s", r.why);
	tell_rfc(r.rfc);
	if (r.kind == ROUTE_ERROR)
		return;
	tell_generic(x, &r, address);
	bool waits = true;
	for (const struct route *at = &r; at && waits && r.kind != ROUTE_LMTP; at = at->next) {
		if (at != &r)
			printf("    and when nobody there can be reached to %s%s\n",
			    at->kind == ROUTE_MX ? "the MX hosts of " : "", at->target);
		waits = tell_link(x, at);
	}
	if (waits)
		tell_retries(&x->o.way);
}
