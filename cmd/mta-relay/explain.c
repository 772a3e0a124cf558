/* SPDX-License-Identifier: ISC
 *
 * `mta-relay explain`: what would become of an address, and why: by the same policy that `serve` and the same routes
 * that `run` go by.
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/log.h"
#include "dns/dns.h"
#include "mta-relay/policy.h"
#include "mta-relay/relay.h"
#include "mta-relay/route.h"

struct explain_options {
	const char *domains, *users, *aliases, *delimiter, *relay_to, *mda, *routes, *smarthost, *resolver;
};

#define AT(member) offsetof(struct explain_options, member)
const struct opt relay_explain_options[] = {
	{ "domains", 0, OPT_STR, AT(domains), "LIST|FILE", "domains whose mailboxes are here", NULL, 0 },
	{ "users", 0, OPT_STR, AT(users), "FILE", "who has a mailbox", NULL, 0 },
	{ "aliases", 0, OPT_STR, AT(aliases), "FILE", "aliases(5) of the local domains", NULL, 0 },
	{ "delimiter", 0, OPT_STR, AT(delimiter), "CHARS", "what sets off detail in user+detail", NULL, 0 },
	{ "relay-to", 0, OPT_STR, AT(relay_to), "LIST|FILE", "domains that we relay to for anybody", NULL, 0 },
	{ "mda", 0, OPT_STR, AT(mda), "SPEC", "lmtp:unix:PATH, lmtp:HOST:PORT or lmtp:|COMMAND", NULL, 0 },
	{ "routes", 0, OPT_STR, AT(routes), "FILE", "where mail for some domains goes", NULL, 0 },
	{ "smarthost", 0, OPT_STR, AT(smarthost), "URL", "smtp[s]://[USER@]HOST[:PORT] for all other mail", NULL, 0 },
	{ "resolver", 0, OPT_STR, AT(resolver), "HOST[:PORT]", "DNS server instead of the system's", NULL, 0 },
	{ NULL, 0, 0, 0, NULL, NULL, NULL, 0 },
};

static const struct opts program = {
	.prog = "mta-relay explain",
	.synopsis = "[OPTION]... ADDRESS...",
	.about = "Tells what would become of mail for an address, and why.",
	.table = relay_explain_options,
};

struct explain {
	struct explain_options o;
	struct relay_policy policy;
	struct domains *domains, *relay_to;
	struct users *users;
	struct aliases *aliases;
	struct routes *routes;
	struct arena *arena;
};

static int open_tables(struct explain *x, struct err *err)
{
	const struct explain_options *o = &x->o;
	if ((o->domains && !(x->domains = domains_open(o->domains, err))) ||
	    (o->relay_to && !(x->relay_to = domains_open(o->relay_to, err))) ||
	    (o->users && !(x->users = users_open(o->users, err))) ||
	    (o->aliases && !(x->aliases = aliases_open(o->aliases, err))))
		return -1;
	x->routes = routes_open(
	    &(struct route_config){
		.domains = o->domains, .mda = o->mda, .file = o->routes, .smarthost = o->smarthost },
	    err);
	x->policy = (struct relay_policy){ .domains = x->domains,
		.relay_to = x->relay_to,
		.users = x->users,
		.aliases = x->aliases,
		.delimiters = o->delimiter };
	return x->routes ? 0 : -1;
}

static void close_tables(struct explain *x)
{
	domains_free(x->domains);
	domains_free(x->relay_to);
	users_close(x->users);
	aliases_free(x->aliases);
	routes_close(x->routes);
	arena_free(x->arena);
}

static void tell_hosts(struct explain *x, const char *domain)
{
	struct err err = { 0 };
	struct mx_result mx;
	struct dns *d = dns_open(x->o.resolver, false, 0, &err);
	if (!d) {
		printf("    DNS: %s\n", err.text);
		return;
	}
	mx_lookup(d, x->arena, span_str(domain), MX_ANY, &mx);
	printf("    %s%s\n", mx.why,
	    mx.kind == MX_NULL       ? " (RFC 7505)"
	    : mx.kind == MX_IMPLICIT ? " (RFC 5321 5.1)"
				     : "");
	for (size_t i = 0; i < mx.n; i++) {
		printf("    %5u %.*s", mx.host[i].preference, SPAN_FMT(mx.host[i].name));
		for (size_t k = 0; k < mx.host[i].n_addr; k++) {
			char text[64];
			net_addr_text(&mx.host[i].addr[k], text, sizeof text);
			printf(" %s", text);
		}
		if (!mx.host[i].n_addr)
			printf(" (no address: %s)", dns_status_text(mx.host[i].status));
		putchar('\n');
	}
	dns_close(d);
}

/* "5321#5.1" as "RFC 5321 5.1" */
static void tell_rfc(const char *rfc)
{
	const char *hash = rfc ? strchr(rfc, '#') : NULL;
	if (hash)
		printf(" (RFC %.*s %s)", (int)(hash - rfc), rfc, hash + 1);
	putchar('\n');
}

static void tell_route(struct explain *x, const char *address)
{
	static const char *const kinds[] = {
		[ROUTE_MX] = "to its MX hosts", [ROUTE_SMTP] = "to", [ROUTE_LMTP] = "to", [ROUTE_ERROR] = "not at all:"
	};
	struct route r;
	route_find(x->routes, x->arena, span_str(""), span_str(address), &r);
	printf("  %s goes %s %s\n    because %s", address, kinds[r.kind],
	    r.kind == ROUTE_ERROR ? r.error.text
	    : r.kind == ROUTE_MX  ? ""
				  : r.target,
	    r.why);
	tell_rfc(r.rfc);
	if (r.kind == ROUTE_MX)
		tell_hosts(x, r.target);
}

/* A stranger's view first: would `serve` take it at all? */
static int explain(struct explain *x, const char *address, struct err *err)
{
	struct smtp_env_rcpt r = { .text = span_str(address), .notify = SPAN(""), .orcpt = SPAN("") };
	struct relay_targets t = { 0 };
	struct smtp_answer answer = { 0 };
	if (!addr_parse_mailbox(r.text, true, true, &r.addr, x->arena))
		return err_set(err, ERR_USAGE, "%s is not an address", log_quote(r.text));
	printf("%s\n", address);
	policy_rcpt(&x->policy, x->arena, false, &r, &t, &answer);
	if (answer.code) {
		printf("  from a stranger it is refused: %d %s %s\n", answer.code, answer.enh, answer.text);
		answer = (struct smtp_answer){ 0 };
		policy_rcpt(&x->policy, x->arena, true, &r, &t, &answer);
		if (answer.code) {
			printf("  from a trusted client as well\n");
			return 0;
		}
		printf("  from a trusted or authenticated client it is taken\n");
	} else {
		printf("  is taken from anybody: %s\n",
		    t.n && t.v[0].local ? "its domain is ours" : "we relay to its domain");
	}
	for (size_t i = 0; i < t.n; i++) {
		if (t.v[i].original.n)
			printf("  an alias leads to %s\n", t.v[i].addr);
		tell_route(x, t.v[i].addr);
	}
	return 0;
}

int relay_explain(int argc, char **argv)
{
	static struct explain x = { .o = { .delimiter = "+" } };
	struct opts own = program;
	struct err err = { 0 };
	int first, status;
	own.values = &x.o;
	x.arena = arena_new();
	if (relay_options(argc, argv, &own, &first, &status) == OPTS_OK) {
		int rc = first < argc ? open_tables(&x, &err) : err_set(&err, ERR_USAGE, "no address given");
		for (; rc == 0 && first < argc; first++)
			rc = explain(&x, argv[first], &err);
		if (rc < 0) {
			relay_complain(own.prog, &err);
			status = err_exit_status(&err);
		}
	}
	close_tables(&x);
	return status;
}
