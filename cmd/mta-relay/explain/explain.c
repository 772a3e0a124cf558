/* SPDX-License-Identifier: ISC
 *
 * `mta-relay explain`: what would become of an address or a message, and why: by the same policy that `serve` and the
 * same routes that `run` go by. The DNS is asked, nobody is called.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "mta-relay/explain/explain_int.h"
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
	{ "json", 0, OPT_FLAG, AT(json), NULL, "the same as JSON", NULL, OPT_NO_CONFIG },
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

/* The address as --canonical and the like have it, *a too; NULL where it stays, or a table can't be asked. */
static const char *rewritten(struct explain *x, enum rewrite_role role, struct addr *a, struct err *err)
{
	struct buf text;
	if (!x->tables.rewrites || rewrite_address(&x->tables.rewrite, x->arena, role, a, err) <= 0)
		return NULL;
	buf_init(&text, LIMIT_SMTP_PATH);
	addr_format(a, &text);
	const char *out = arena_str(x->arena, buf_span(&text));
	buf_free(&text);
	return out;
}

/* A stranger's view first: would `serve` take it at all? */
static int find(struct explain *x, const char *address, struct explained *e, struct err *err)
{
	struct addr sender;
	struct relay_client who = { 0 };
	*e = (struct explained){ .address = address,
		.rcpt = { .text = span_str(address), .notify = SPAN(""), .orcpt = SPAN("") } };
	if (addr_parse_mailbox(x->from, true, false, &sender, x->arena))
		who.sender = &sender;
	if (!addr_parse_mailbox(e->rcpt.text, true, true, &e->rcpt.addr, x->arena))
		return err_set(err, ERR_USAGE, "%s is not an address", log_quote(e->rcpt.text));
	if (who.sender)
		e->sender_written = rewritten(x, REWRITE_SENDER, &sender, &e->table);
	if (e->rcpt.addr.domain.n && !e->table.class)
		e->written = rewritten(x, REWRITE_RECIPIENT, &e->rcpt.addr, &e->table);
	if (e->table.class)
		return 0;
	policy_rcpt(&x->policy, x->arena, &who, &e->rcpt, &e->to, &e->stranger);
	if (!e->stranger.code)
		e->standing = policy_standing(&x->policy, x->arena, &e->rcpt);
	who.may_relay = true;
	if (e->stranger.code)
		policy_rcpt(&x->policy, x->arena, &who, &e->rcpt, &e->to, &e->trusted);
	if (e->trusted.code)
		e->to.n = 0;
	return 0;
}

static void tell_targets(struct explain *x, const struct explained *e)
{
	for (size_t i = 0; i < e->to.n; i++) {
		const struct relay_target *t = &e->to.v[i];
		if (t->original.n)
			printf("  %s leads to %s\n", lead_of(x, &e->rcpt), t->addr);
		if (t->owner.n)
			printf("    its sender becomes %.*s\n", SPAN_FMT(t->owner));
		tell_local(x, t);
		explain_route(x, t->addr);
	}
}

static void tell(struct explain *x, const struct explained *e)
{
	const struct smtp_answer *no = &e->stranger;
	printf("%s\n", e->address);
	if (e->sender_written)
		printf("  its sender is written %s\n", e->sender_written);
	if (e->written)
		printf("  it is written %s\n", e->written);
	if (e->table.class) {
		printf("  %s: 451 4.3.0 %s\n", e->sender_written ? "it" : "it, or its sender", e->table.text);
		return;
	}
	if (!no->code)
		printf("  is taken from anybody: %s\n", e->standing);
	else
		printf("  from a stranger it is refused: %d %s %s\n", no->code, no->enh, no->text);
	if (no->code)
		printf(e->trusted.code ? "  from a trusted client as well\n"
				       : "  from a trusted or authenticated client it is taken\n");
	tell_targets(x, e);
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
	json_t *all = x->o.json ? json_array() : NULL;
	if (rc == 0 && x->o.message && !all)
		explain_message_tell(&x->message, x);
	for (size_t i = 0; i < rcpts.n && rc == 0; i++) {
		struct explained e;
		rc = find(x, rcpts.v[i], &e, err);
		if (rc == 0 && all)
			explain_json_address(x, &e, all);
		else if (rc == 0)
			tell(x, &e);
	}
	free(rcpts.v);
	if (rc == 0 && all)
		rc = explain_json_print(x, all) < 0 ? err_set(err, ERR_TEMP, "no memory for the output") : 0;
	else
		json_decref(all);
	return rc;
}

int relay_explain(int argc, char **argv)
{
	static struct explain x = { .o = { .delimiter = "+", .max_size = LIMIT_MESSAGE_DEFAULT } };
	struct opts own = program;
	struct err err = { 0 };
	int first, status;
	own.values = &x.o;
	x.o.way = way_defaults;
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
