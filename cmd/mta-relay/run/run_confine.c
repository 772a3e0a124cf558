/* SPDX-License-Identifier: ISC
 *
 * What a worker of run may do: the queue, next hops, and the files that routes name.
 */
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "mta-relay/hop/handoff.h"
#include "mta-relay/run/run_int.h"
#include "users/table.h"

enum {
	LOOK_S = 2
};

struct collect {
	struct run *r;
	struct confine_rules *rules;
	struct broker *broker;
	struct err *err;
	int rc;
};

static void add_command(struct collect *c, const char *command)
{
	struct broker_command b = { .command = command };
	if (command && c->broker && broker_add(c->broker, &b, c->err) < 0)
		c->rc = -1;
}

static void add_mda(struct collect *c, const char *spec)
{
	struct err ignored;
	/* What is no MDA is told when it is used. */
	struct mda *m = spec ? mda_new(spec, c->r->hostname, 0, &ignored) : NULL;
	if (m)
		add_command(c, mda_command(m));
	mda_free(m);
}

static void add_route(void *arg, const struct route *route)
{
	struct collect *c = arg;
	const struct route_settings *s = &route->s;
	const char *const files[] = { s->tls_ca, s->tls_cert, s->tls_key, s->password_file };
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		confine_allow_path(c->rules, files[i], CONFINE_READ | CONFINE_REPLACED);
	if (route->kind == ROUTE_LMTP)
		add_mda(c, route->target);
}

/* Next hops may have any port: routes name them, and so does whoever answers for a domain. */
static struct confine_rules *make_rules(struct run *r)
{
	struct confine_rules *rules = confine_rules_new();
	confine_allow_path(rules, r->o.queue, CONFINE_ALL);
	confine_allow_path(rules, r->o.password_file, CONFINE_READ | CONFINE_REPLACED);
	confine_allow_path(rules, r->route_config.tls_ca, CONFINE_READ | CONFINE_REPLACED);
	if (r->route_config.generic)
		table_rules(r->route_config.generic, rules);
	if (r->route_config.domains)
		table_rules(r->route_config.domains, rules);
	confine_allow_authorities(rules);
	confine_allow_names(rules);
	confine_allow_connect(rules, 0);
	return rules;
}

int run_confine_set_up(struct run *r, const struct routes *routes, struct err *err)
{
	struct collect c = { .r = r, .rules = make_rules(r), .err = err };
	bool on = r->o.confine.mode != CONFINE_OFF;
	if (!r->rules)
		c.rc = confine_check(r->o.confine.mode, err);
	if (on)
		c.broker = broker_new();
	add_command(&c, r->o.password_command);
	add_mda(&c, r->route_config.mda);
	routes_each(routes, add_route, &c);
	if (c.rc == 0 && on)
		c.rc = broker_launch(c.broker, err);
	if (c.rc < 0) {
		broker_free(c.broker);
		confine_rules_free(c.rules);
		return -1;
	}
	run_confine_clean_up(r);
	r->rules = c.rules;
	if (on)
		confine_prepare(r->rules);
	r->hop.broker = c.broker;
	return 0;
}

int run_confine_worker(struct run *r, struct err *err)
{
	struct confine c = { .mode = r->o.confine.mode, .rules = r->rules, .memory = r->o.confine.memory };
	if (r->hop.broker && broker_attach(r->hop.broker, NULL, 0, err) < 0)
		return -1;
	return confine(&c, err);
}

bool run_confine_stale(struct run *r)
{
	static time_t looked;
	time_t now = time(NULL);
	if (now - looked < LOOK_S || r->o.confine.mode == CONFINE_OFF)
		return false;
	looked = now;
	return confine_replaced(r->rules);
}

void run_confine_clean_up(struct run *r)
{
	broker_free(r->hop.broker);
	confine_rules_free(r->rules);
	r->hop.broker = NULL;
	r->rules = NULL;
}
