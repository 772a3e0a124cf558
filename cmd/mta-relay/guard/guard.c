/* SPDX-License-Identifier: ISC */
#include "mta-relay/guard/guard.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "mta-relay/guard/guard_int.h"

#define AT(member) offsetof(struct guard_settings, member)

const struct opt guard_options[] = {
	{ "state", 0, OPT_STR, AT(state), "DIR", "what is remembered about clients and users", NULL, 0 },
	{ "shared-state", 0, OPT_STR, AT(shared_state), "URL",
	    "the same in a Redis server: redis://HOST/DB, rediss://...", NULL, 0 },
	{ "shared-state-password", 0, OPT_STR, AT(shared_state_password), "FILE", "its password", NULL, 0 },
	{ "shared-state-ca", 0, OPT_STR, AT(shared_state_ca), "FILE", "authorities for rediss://; else the system's",
	    NULL, 0 },
	{ "shared-state-cert", 0, OPT_STR, AT(shared_state_cert), "FILE", "our certificate and key for it", NULL, 0 },
	{ "exempt", 0, OPT_STR, AT(exempt), "LIST", "clients that nothing of this is for: loopback, trust, NETS", NULL,
	    0 },
	{ "prefix4", 0, OPT_UINT, AT(prefix4), "BITS", "IPv4 addresses that are one client's", NULL, 0 },
	{ "prefix6", 0, OPT_UINT, AT(prefix6), "BITS", "the same of IPv6", NULL, 0 },
	{ "max-per-network", 0, OPT_UINT, AT(max_per_network), "N", "conversations at once of one network", NULL, 0 },
	{ "connections", 0, OPT_STR, AT(connections), "N/TIME", "of one network", NULL, 0 },
	{ "messages", 0, OPT_STR, AT(messages), "N/TIME", "of one network", NULL, 0 },
	{ "recipients", 0, OPT_STR, AT(recipients), "N/TIME", "of one network", NULL, 0 },
	{ "errors", 0, OPT_STR, AT(errors), "N/TIME", "refused commands, before a network is locked out", NULL, 0 },
	{ "auth-failures", 0, OPT_STR, AT(auth_failures), "N/TIME", "before a network is locked out", NULL, 0 },
	{ "account-failures", 0, OPT_STR, AT(account_failures), "N/TIME",
	    "of one account, before it is closed to networks that its user did not come from", NULL, 0 },
	{ "account-known", 0, OPT_DURATION, AT(account_known), "TIME",
	    "how long such a network is remembered (default 30d)", NULL, 0 },
	{ "lockout", 0, OPT_DURATION, AT(lockout), "TIME", "for how long", NULL, 0 },
	{ "tarpit", 0, OPT_DURATION, AT(tarpit), "TIME", "one more before each reply that refuses", NULL, 0 },
	{ "user-messages", 0, OPT_LIST, AT(user_messages), "N/TIME", "of a user who has authenticated; repeatable",
	    NULL, 0 },
	{ "user-recipients", 0, OPT_LIST, AT(user_recipients), "N/TIME", "of such a user", NULL, 0 },
	{ "user-new-recipients", 0, OPT_LIST, AT(user_new_recipients), "N/TIME", "whom he never wrote to before", NULL,
	    0 },
	{ "user-refusals", 0, OPT_LIST, AT(user_refusals), "N/TIME", "recipients that were refused", NULL, 0 },
	{ "user-beyond", 0, OPT_CHOICE, AT(user_beyond), NULL, "what becomes of more", "refuse|hold", 0 },
	{ "user-brake", 0, OPT_DURATION, AT(user_brake), "TIME", "for how long; 0: until the time of the rate is over",
	    NULL, 0 },
	{ "user-exempt", 0, OPT_STR, AT(user_exempt), "USERS", "users without such limits", NULL, 0 },
	{ "greylist", 0, OPT_DURATION, AT(greylist), "TIME", "who was never seen comes again after this", NULL, 0 },
	{ "greylist-window", 0, OPT_DURATION, AT(greylist_window), "TIME", "and within this", NULL, 0 },
	{ "greylist-keep", 0, OPT_DURATION, AT(greylist_keep), "TIME", "how long who did is remembered", NULL, 0 },
	{ "greylist-auto", 0, OPT_UINT, AT(greylist_auto), "N", "a network passes that did so often; 0: never", NULL,
	    0 },
	{ "greylist-exempt", 0, OPT_STR, AT(greylist_exempt), "LIST|FILE", "networks, domains, addresses", NULL, 0 },
	{ "greet-delay", 0, OPT_DURATION, AT(greet_delay), "TIME", "before the greeting; who does not wait is refused",
	    NULL, 0 },
	{ "greet-keep", 0, OPT_DURATION, AT(greet_keep), "TIME", "how long who waited need not again", NULL, 0 },
	{ "dnsbl", 0, OPT_LIST, AT(dnsbl), "ZONE[=CODES][*WEIGHT]", "DNS list of clients; repeatable", NULL, 0 },
	{ "rhsbl", 0, OPT_LIST, AT(rhsbl), "ZONE[=CODES][*WEIGHT]", "DNS list of sender domains; repeatable", NULL, 0 },
	{ "dnsbl-threshold", 0, OPT_UINT, AT(dnsbl_threshold), "N", "the weight that refuses", NULL, 0 },
	{ "dnsbl-cache", 0, OPT_DURATION, AT(dnsbl_cache), "TIME", "how long answers are remembered", NULL, 0 },
	{ "dns-time", 0, OPT_DURATION, AT(dns_time), "TIME", "for all that is looked up for one command", NULL, 0 },
	{ "check", 0, OPT_STR, AT(check), "LIST", "of what clients say: helo-fqdn, client-ptr, sender-domain, ...",
	    NULL, 0 },
	{ 0 },
};

#define DAY (24 * 3600 * (int64_t)1000)
const struct guard_settings guard_defaults = {
	.state = GUARD_STATE_DIR,
	.exempt = "loopback, trust",
	.prefix4 = 24,
	.prefix6 = 64,
	.lockout = 10 * 60 * 1000,
	.account_known = 30 * DAY,
	.greylist_window = 2 * DAY,
	.greylist_keep = 36 * DAY,
	.greylist_auto = 5,
	.greet_keep = 7 * DAY,
	.dnsbl_threshold = 1,
	.dnsbl_cache = 10 * 60 * 1000,
	.dns_time = 5000,
};

/* ---- who ---- */

void guard_network(const struct net_addr *a, unsigned prefix4, unsigned prefix6, char out[GUARD_NET_TEXT])
{
	unsigned char bytes[16] = { 0 };
	char text[INET6_ADDRSTRLEN];
	const unsigned char *p = (const unsigned char *)&a->sa;
	bool v4 = a->len && a->sa.ss_family == AF_INET;
	out[0] = '\0';
	if (!a->len || (!v4 && a->sa.ss_family != AF_INET6))
		return;
	p += v4 ? offsetof(struct sockaddr_in, sin_addr) : offsetof(struct sockaddr_in6, sin6_addr);
	unsigned bits = v4 ? prefix4 : prefix6, size = v4 ? 32 : 128;
	if (bits > size)
		bits = size;
	/* UNSAFE: an address of that family has size / 8 octets. */
	memcpy(bytes, p, size / 8);
	for (unsigned i = bits; i < size; i++)
		bytes[i / 8] &= (unsigned char)~(0x80u >> (i % 8));
	inet_ntop(v4 ? AF_INET : AF_INET6, bytes, text, sizeof text);
	snprintf(out, GUARD_NET_TEXT, "%s/%u", text, bits);
}

static bool address_exempt(const struct relay_server *rs, const struct net_addr *a)
{
	const struct guard *g = rs->guard;
	return (g->exempt && net_list_match(g->exempt, a)) || (g->exempt_loopback && net_list_match(rs->loopback, a));
}

bool guard_exempts(void *relay_server, const struct net_addr *a)
{
	const struct relay_server *rs = relay_server;
	return rs->guard &&
	       (address_exempt(rs, a) || (rs->guard->exempt_trust && rs->trust && net_list_match(rs->trust, a)));
}

static void fill_client(const struct relay_session *s, const struct smtp_session *x, struct guard_client *c)
{
	const struct relay_server *rs = s->rs;
	*c = (struct guard_client){ .renamed = s->renamed };
	snprintf(c->ip, sizeof c->ip, "%s", x->peer_ip);
	if (!net_addr_parse(c->ip, 0, &c->addr))
		c->addr.len = 0;
	guard_network(&c->addr, rs->o.guard.prefix4, rs->o.guard.prefix6, c->net);
	/* A proxy that can't tell whose conversation it brings must not be a way around the limits: all such are one
	 * network. The proxy itself has none, as it may name anybody. */
	bool unknown = s->renamed && !c->addr.len;
	bool proxy = !s->renamed && rs->clients.xclient && net_list_match(rs->clients.xclient, &c->addr);
	if (unknown)
		memcpy(c->net, "unknown", 8);
	c->exempt = proxy || (!c->addr.len && !unknown) || address_exempt(rs, &c->addr) ||
		    (rs->guard->exempt_trust && s->trusted);
}

struct guard_session *guard_session(struct relay_session *s, const struct smtp_session *x)
{
	if (!s->rs->guard)
		return NULL;
	if (!s->guard)
		s->guard = arena_alloc(s->arena, sizeof *s->guard);
	if (strcmp(s->guard->client.ip, x->peer_ip) != 0 || s->guard->client.renamed != s->renamed)
		fill_client(s, x, &s->guard->client);
	return s->guard;
}

bool guard_watches(struct relay_session *s, const struct smtp_session *x)
{
	const struct guard_session *gs = guard_session(s, x);
	return gs && !gs->client.exempt;
}

bool guard_stranger(struct relay_session *s, const struct smtp_session *x)
{
	return !x->user.n && guard_watches(s, x);
}

/* ---- what is remembered ---- */

struct span guard_key(struct guard_key *k, const char *class, struct span a, struct span b)
{
	struct buf text;
	struct span parts[] = { a, b };
	buf_init(&text, STATE_KEY_MAX);
	state_key(&text, class, parts, b.n ? 2 : 1);
	size_t n = text.len;
	memcpy(k->text, text.p, n + 1);
	buf_free(&text);
	return span_of(k->text, n);
}

bool guard_beyond(struct guard *g, const struct rate *r, const char *class, struct span a, struct state_value *v)
{
	struct guard_key key;
	struct state_value own;
	if (!v)
		v = &own;
	*v = (struct state_value){ 0 };
	if (!r->n)
		return false;
	return state_add(g->state, guard_key(&key, class, a, SPAN("")), 1, r->life, v) == 0 && v->n > r->n;
}

static void told(const char *what, const char *why)
{
	log_warn("state kept-in=%s why=%s", what, log_quote(span_str(why)));
}

/* ---- set up ---- */

/* "loopback, trust, 192.0.2.0/24" */
static int read_exempt(const char *text, struct guard *g, struct err *err)
{
	struct span rest = span_str(text);
	struct buf nets;
	buf_init(&nets, 65536);
	while (rest.n) {
		struct span word = span_trim(span_cut(&rest, ','));
		if (span_eqs(word, "loopback"))
			g->exempt_loopback = true;
		else if (span_eqs(word, "trust"))
			g->exempt_trust = true;
		else if (word.n && !span_eqs(word, "none"))
			buf_addf(&nets, "%s%.*s", nets.len ? ", " : "", SPAN_FMT(word));
	}
	if (nets.len)
		g->exempt = net_list_parse(nets.p, err);
	int rc = nets.len && !g->exempt ? err_prefix(err, "--exempt") : 0;
	buf_free(&nets);
	return rc;
}

static int read_rates(const struct guard_settings *o, struct guard *g, struct err *err)
{
	const struct {
		const char *name, *text;
		struct rate *out;
	} rates[] = {
		{ "--connections", o->connections, &g->connections },
		{ "--messages", o->messages, &g->messages },
		{ "--recipients", o->recipients, &g->recipients },
		{ "--errors", o->errors, &g->errors },
		{ "--auth-failures", o->auth_failures, &g->auth_failures },
		{ "--account-failures", o->account_failures, &g->account_failures },
	};
	for (size_t i = 0; i < sizeof rates / sizeof *rates; i++)
		if (rate_parse(rates[i].text, rates[i].out, err) < 0)
			return err_prefix(err, "%s", rates[i].name);
	if (o->prefix4 > 32 || o->prefix6 > 128)
		return err_set(err, ERR_USAGE, "a prefix has 32 bits at most, or 128");
	return 0;
}

static int read_user_rates(const struct guard_settings *o, struct guard *g, struct err *err)
{
	const struct {
		const char *name;
		const struct opt_list *list;
	} lists[USER_COUNTS] = {
		[USER_MESSAGES] = { "--user-messages", &o->user_messages },
		[USER_RECIPIENTS] = { "--user-recipients", &o->user_recipients },
		[USER_NEW_RECIPIENTS] = { "--user-new-recipients", &o->user_new_recipients },
		[USER_REFUSALS] = { "--user-refusals", &o->user_refusals },
	};
	for (size_t i = 0; i < USER_COUNTS; i++) {
		if (lists[i].list->n > USER_RATES)
			return err_set(err, ERR_USAGE, "%s: %d rates at most", lists[i].name, USER_RATES);
		for (size_t k = 0; k < lists[i].list->n; k++) {
			struct rate r;
			if (rate_parse(lists[i].list->v[k], &r, err) < 0)
				return err_prefix(err, "%s", lists[i].name);
			if (r.n)
				g->user[i].v[g->user[i].n++] = r;
		}
		g->users |= g->user[i].n > 0;
	}
	return 0;
}

static bool needs_state(const struct guard_settings *o, const struct guard *g)
{
	return o->greylist || o->greet_delay || (o->dnsbl_cache && (g->clients.n || g->domains.n)) ||
	       g->connections.n || g->messages.n || g->recipients.n || g->errors.n || g->auth_failures.n ||
	       g->account_failures.n || g->users;
}

static void guard_clean_up(struct relay_server *rs)
{
	if (!rs->guard)
		return;
	state_close(rs->guard->state);
	net_list_free(rs->guard->exempt);
	guard_list_free(rs->guard->grey_exempt);
	free(rs->guard->clients.v);
	free(rs->guard->domains.v);
	free(rs->guard);
	rs->guard = NULL;
}

/* The workers may be another user, who makes the files. */
static int make_state_dir(const struct relay_server *rs, struct err *err)
{
	const char *dir = rs->o.guard.state;
	if (!rs->confine.user || mkdir(dir, 0750) < 0)
		return 0; /* state_open tells what is wrong */
	return chown(dir, rs->confine.uid, rs->confine.gid) < 0 ? err_sys(err, "%s", dir) : 0;
}

static int open_state(struct relay_server *rs, const struct state_config *c, struct err *err)
{
	if (make_state_dir(rs, err) < 0 || !(rs->guard->state = state_open(c, err)))
		return err_prefix(err, "--state");
	state_rules(c, rs->rules);
	return 0;
}

static int guard_set_up(struct relay_server *rs, struct err *err)
{
	const struct guard_settings *o = &rs->o.guard;
	struct guard *g = xcalloc(1, sizeof *g);
	struct state_config c = { .dir = o->state,
		.url = o->shared_state,
		.password_file = o->shared_state_password,
		.ca_file = o->shared_state_ca,
		.cert_file = o->shared_state_cert,
		.told = told };
	rs->guard = g;
	if (read_exempt(o->exempt, g, err) < 0 || read_rates(o, g, err) < 0 || read_user_rates(o, g, err) < 0 ||
	    guard_dns_read(o, g, err) < 0)
		return -1;
	if (needs_state(o, g))
		return open_state(rs, &c, err);
	if (o->tarpit || o->max_per_network || guard_dns_wanted(g))
		return 0;
	guard_clean_up(rs);
	return 0;
}

const struct serve_check guard_check = {
	.name = "guard",
	.set_up = guard_set_up,
	.clean_up = guard_clean_up,
};
