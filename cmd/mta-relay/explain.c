/* SPDX-License-Identifier: ISC
 *
 * `mta-relay explain`: what would become of an address or a message, and why: by the same policy that `serve` and the
 * same routes that `run` go by. The DNS is asked, nobody is called.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "mta-relay/explain_int.h"
#include "mta-relay/relay.h"

#define AT(member) offsetof(struct explain_options, member)
const struct opt relay_explain_options[] = {
	{ "message", 0, OPT_STR, AT(message), "FILE", "a message; - for stdin", NULL, OPT_NO_CONFIG },
	{ "from", 'f', OPT_STR, AT(from), "ADDRESS", "the envelope sender (of a message: default its author)", NULL,
	    OPT_NO_CONFIG },
	{ "users", 0, OPT_STR, AT(users), "FILE", "who has a mailbox", NULL, 0 },
	{ "aliases", 0, OPT_STR, AT(aliases), "FILE", "aliases(5) of the local domains", NULL, 0 },
	{ "delimiter", 0, OPT_STR, AT(delimiter), "CHARS", "what sets off detail in user+detail", NULL, 0 },
	{ "relay-to", 0, OPT_STR, AT(relay_to), "LIST|FILE", "domains that we relay to for anybody", NULL, 0 },
	{ "max-size", 0, OPT_SIZE, AT(max_size), "SIZE", "largest message; 0: no limit", NULL, 0 },
	{ NULL, 0, 0, 0, NULL, NULL, NULL, 0 },
};

static const struct opt_group groups[] = {
	{ relay_way_options, AT(way) },
	{ relay_address_options, AT(addresses) },
	{ relay_rewrite_options, AT(addresses) },
	{ 0 },
};

static const struct opts program = {
	.prog = "mta-relay explain",
	.synopsis = "[OPTION]... ADDRESS...\n--message=FILE [OPTION]... [ADDRESS]...",
	.about = "Tells what would become of mail for an address, or of a message, and why.",
	.table = relay_explain_options,
	.groups = groups,
};

static int open_tables(struct explain *x, struct err *err)
{
	const struct explain_options *o = &x->o;
	if ((o->way.domains && !(x->domains = domains_open(o->way.domains, err))) ||
	    (o->relay_to && !(x->relay_to = domains_open(o->relay_to, err))) ||
	    (o->users && !(x->users = users_open(o->users, err))) ||
	    (o->aliases &&
		!(x->aliases = aliases_open_allowing(o->aliases, address_aliases_allow(&o->addresses), err))) ||
	    address_tables_open(&x->tables, &o->addresses, o->delimiter, err) < 0)
		return -1;
	x->policy = (struct relay_policy){ .domains = x->domains,
		.relay_to = x->relay_to,
		.users = x->users,
		.aliases = x->aliases,
		.tables = &x->tables,
		.delimiters = o->delimiter };
	return 0;
}

static int open_routes(struct explain *x, struct err *err)
{
	const struct explain_options *o = &x->o;
	const struct route_config config = way_route_config(&o->way);
	if (way_check(&o->way, err) < 0)
		return -1;
	x->routes = routes_open(&config, err);
	x->hop_config = (struct hop_config){
		.hostname = relay_hostname(o->way.hostname), .resolver = o->way.resolver, .port = (uint16_t)o->way.port
	};
	return x->routes && (x->hop = hop_new(&x->hop_config, err)) ? 0 : -1;
}

static void close_tables(struct explain *x)
{
	hop_free(x->hop);
	domains_free(x->domains);
	domains_free(x->relay_to);
	users_close(x->users);
	aliases_free(x->aliases);
	address_tables_close(&x->tables);
	routes_close(x->routes);
	buf_free(&x->message.head);
	arena_free(x->arena);
}

/* The sender that routes are found by; a text without '@' is nobody's. */
static void find_from(struct explain *x)
{
	if (x->o.from)
		x->from = span_str(x->o.from);
	else if (x->o.message)
		x->from = explain_message_from(&x->message, x->arena);
	if (!x->from.n && !x->o.from)
		x->from = SPAN("unknown");
}

static void tell_local(const struct explain *x, const struct relay_target *t)
{
	if (!t->local)
		return;
	if (aliases_is_action(span_str(t->addr))) {
		printf("  %s stands for a command or a file of %s: the MDA does it\n", t->addr, x->o.aliases);
		return;
	}
	if (x->users)
		printf("  %s is in %s\n", t->addr, x->o.users);
	else
		printf("  there is no --users: the MDA decides whether %s exists\n", t->addr);
}

static const char *lead_of(const struct explain *x, const struct smtp_env_rcpt *r)
{
	const struct srs *srs = x->tables.srs;
	if (srs && srs_is(r->addr.local) && span_ieq(r->addr.domain, srs_domain(srs)))
		return "the rewritten sender";
	return x->tables.virtual ? "--virtual or an alias" : "an alias";
}

/* The address as --canonical and the like have it. -1: a table can't be asked, which was told. */
static int tell_rewritten(struct explain *x, enum rewrite_role role, const char *who, struct addr *a)
{
	struct err err = { 0 };
	struct buf text;
	int rc = x->tables.rewrites ? rewrite_address(&x->tables.rewrite, x->arena, role, a, &err) : 0;
	if (rc < 0)
		printf("  %s: 451 4.3.0 %s\n", who, err.text);
	if (rc <= 0)
		return rc;
	buf_init(&text, LIMIT_SMTP_PATH);
	addr_format(a, &text);
	printf("  %s is written %s\n", who, text.p);
	buf_free(&text);
	return 0;
}

/* A stranger's view first: would `serve` take it at all? */
static int explain(struct explain *x, const char *address, struct err *err)
{
	struct smtp_env_rcpt r = { .text = span_str(address), .notify = SPAN(""), .orcpt = SPAN("") };
	struct relay_targets t = { 0 };
	struct smtp_answer answer = { 0 };
	struct addr sender;
	struct relay_client who = { 0 };
	if (addr_parse_mailbox(x->from, true, false, &sender, x->arena))
		who.sender = &sender;
	if (!addr_parse_mailbox(r.text, true, true, &r.addr, x->arena))
		return err_set(err, ERR_USAGE, "%s is not an address", log_quote(r.text));
	printf("%s\n", address);
	if ((who.sender && tell_rewritten(x, REWRITE_SENDER, "its sender", &sender) < 0) ||
	    (r.addr.domain.n && tell_rewritten(x, REWRITE_RECIPIENT, "it", &r.addr) < 0))
		return 0;
	policy_rcpt(&x->policy, x->arena, &who, &r, &t, &answer);
	if (answer.code) {
		printf("  from a stranger it is refused: %d %s %s\n", answer.code, answer.enh, answer.text);
		answer = (struct smtp_answer){ 0 };
		who.may_relay = true;
		policy_rcpt(&x->policy, x->arena, &who, &r, &t, &answer);
		if (answer.code) {
			printf("  from a trusted client as well\n");
			return 0;
		}
		printf("  from a trusted or authenticated client it is taken\n");
	} else {
		printf("  is taken from anybody: %s\n", policy_standing(&x->policy, x->arena, &r));
	}
	for (size_t i = 0; i < t.n; i++) {
		if (t.v[i].original.n)
			printf("  %s leads to %s\n", lead_of(x, &r), t.v[i].addr);
		if (t.v[i].owner.n)
			printf("    its sender becomes %.*s\n", SPAN_FMT(t.v[i].owner));
		tell_local(x, &t.v[i]);
		explain_route(x, t.v[i].addr);
	}
	return 0;
}

/* The addresses of the command line, or else those of the message. */
struct rcpts {
	const char **v;
	size_t n;
};

static void add_rcpt(void *arg, const char *address)
{
	struct rcpts *r = arg;
	for (size_t i = 0; i < r->n; i++)
		if (!strcmp(r->v[i], address))
			return;
	r->v = xreallocarray(r->v, r->n + 1, sizeof *r->v);
	r->v[r->n++] = address;
}

static int explain_all(struct explain *x, char **address, struct err *err)
{
	struct rcpts rcpts = { 0 };
	for (; *address; address++)
		add_rcpt(&rcpts, *address);
	if (x->o.message && !rcpts.n)
		explain_message_rcpts(&x->message, x->arena, add_rcpt, &rcpts);
	int rc = rcpts.n ? 0 : err_set(err, ERR_USAGE, "no address given");
	if (rc == 0 && x->o.message)
		explain_message_tell(&x->message, x);
	for (size_t i = 0; i < rcpts.n && rc == 0; i++)
		rc = explain(x, rcpts.v[i], err);
	free(rcpts.v);
	return rc;
}

int relay_explain(int argc, char **argv)
{
	static struct explain x = { .o = { .delimiter = "+", .max_size = LIMIT_MESSAGE_DEFAULT } };
	struct opts own = program;
	struct err err = { 0 };
	int first, status;
	own.values = &x.o;
	x.o.way = way_defaults();
	x.arena = arena_new();
	buf_init(&x.message.head, 0);
	if (relay_options(argc, argv, &own, &first, &status) == OPTS_OK) {
		int rc = open_tables(&x, &err) < 0 || open_routes(&x, &err) < 0 ? -1 : 0;
		if (rc == 0 && x.o.message)
			rc = explain_message_read(&x.message, x.o.message, &err);
		if (rc == 0) {
			find_from(&x);
			rc = explain_all(&x, argv + first, &err);
		}
		if (rc < 0) {
			relay_complain(own.prog, &err);
			status = err_exit_status(&err);
		}
	}
	close_tables(&x);
	return status;
}
