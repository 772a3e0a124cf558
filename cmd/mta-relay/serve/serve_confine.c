/* SPDX-License-Identifier: ISC
 *
 * What a worker of serve may do once it reads from the network. The parent reads nothing but files, and goes on as it
 * was.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "mta-relay/relay.h"
#include "mta-relay/serve/serve_check.h"
#include "mta-relay/serve/serve_confine.h"

/* Each option that names something outside: a path with its rights, or why a worker has none. */
const struct serve_named serve_named[] = {
	{ "users", CONFINE_READ | CONFINE_REPLACED }, /* read again when it has changed */
	{ "aliases", CONFINE_READ | CONFINE_REPLACED },
	{ "queue", CONFINE_ALL },
	{ "listen", 0 }, /* open already */
	{ "log-file", 0 },
	{ "trace", 0 },
	{ "tls-cert", 0 }, /* read by the parent, at SIGHUP again */
	{ "tls-key", 0 },
	{ "tls-sni", 0 },
	{ "tls-client-ca", 0 },
	{ "tls-client-users", 0 },
	{ "domains", NAMED_TABLE }, /* read again when it has changed */
	{ "relay-to", NAMED_TABLE },
	{ "virtual", NAMED_TABLE },
	{ "relay-recipients", NAMED_TABLE },
	{ "sender-owners", NAMED_TABLE },
	{ "canonical", NAMED_TABLE },
	{ "sender-canonical", NAMED_TABLE },
	{ "recipient-canonical", NAMED_TABLE },
	{ "masquerade", NAMED_TABLE },
	{ "masquerade-except", NAMED_TABLE },
	{ "srs-secret", 0 },
	{ "state", 0 }, /* state_rules, when anything is remembered */
	{ "shared-state", 0 },
	{ "shared-state-ca", 0 },
	{ "shared-state-cert", 0 },
	{ "shared-state-password", 0 },
	{ "greylist-exempt", 0 },
	{ "ready-file", 0 }, /* written by the parent */
	{ "metrics", 0 },
	{ "mda", 0 },           /* mda_rules */
	{ "resolver", 0 },      /* allow_resolver */
	{ "oauth-command", 0 }, /* the broker's */
	{ "filter", 0 },
	{ "milter", 0 }, /* hook_place_rules */
	{ "policy", 0 },
	{ "proxy-filter", 0 }, /* mda_rules */
	{ NULL, 0 },
};

int serve_command(struct relay_server *rs, const char *command, const char *const *env, struct err *err)
{
	struct broker_command c = { .command = command,
		.env = env,
		.set_ids = rs->confine.user,
		.uid = rs->confine.uid,
		.gid = rs->confine.gid };
	return rs->broker ? broker_add(rs->broker, &c, err) : 0;
}

/* The queue of another user: he may not be able to make it where it lies. */
static int make_queue(const struct relay_server *rs, struct err *err)
{
	const char *q = rs->o.queue;
	if (!rs->confine.user || mkdir(q, 0700) < 0)
		return !rs->confine.user || errno == EEXIST || errno == ENOENT ? 0 : err_sys(err, "%s", q);
	return chown(q, rs->confine.uid, rs->confine.gid) < 0 ? err_sys(err, "%s", q) : 0;
}

int serve_confine_set_up(struct relay_server *rs, struct err *err)
{
	const struct confine_settings *o = &rs->o.confine;
	rs->rules = confine_rules_new();
	rs->confine = (struct confine){ .mode = o->mode, .rules = rs->rules, .memory = o->memory };
	if (confine_user(&rs->confine, o->user, err) < 0 || make_queue(rs, err) < 0)
		return -1;
	if (o->mode != CONFINE_OFF)
		rs->broker = broker_new();
	return confine_check(o->mode, err);
}

int serve_confine_launch(struct relay_server *rs, struct err *err)
{
	if (rs->broker && broker_launch(rs->broker, err) < 0)
		return -1;
	return confine_parent(rs->o.confine.mode, err);
}

static unsigned rights_of(const char *option)
{
	for (const struct serve_named *n = serve_named; n->option; n++)
		if (!strcmp(n->option, option))
			return n->rights;
	return 0;
}

static void allow_table(struct relay_server *rs, const struct opt *table, size_t offset)
{
	for (const struct opt *o = table; o->name; o++) {
		unsigned rights = rights_of(o->name);
		/* UNSAFE: the tables' offsets are of members of these structs. */
		const char *at = (const char *)&rs->o + offset + o->offset;
		const char *value = rights && o->type == OPT_STR ? *(const char *const *)(const void *)at : NULL;
		if (value && rights == NAMED_TABLE)
			table_rules(value, rs->rules);
		else if (value)
			confine_allow_path(rs->rules, value, rights);
	}
}

static void allow_resolver(struct relay_server *rs)
{
	char host[256];
	uint16_t port;
	if (!serve_asks_dns(rs))
		return;
	confine_allow_names(rs->rules);
	if (rs->o.resolver && net_split_port(rs->o.resolver, 53, host, &port, NULL) == 0)
		confine_allow_connect(rs->rules, port);
}

void serve_confine_paths(struct relay_server *rs)
{
	const char *file;
	allow_table(rs, relay_serve_options, 0);
	for (const struct opt_group *g = relay_serve_groups; g->table; g++)
		allow_table(rs, g->table, g->offset);
	for (size_t i = 0; rs->aliases && (file = aliases_file(rs->aliases, i)); i++)
		confine_allow_path(rs->rules, file, CONFINE_READ | CONFINE_REPLACED);
	allow_resolver(rs);
	if (rs->o.confine.mode != CONFINE_OFF)
		confine_prepare(rs->rules);
}

int serve_confine_worker(struct relay_server *rs, struct err *err)
{
	if (confine_become(&rs->confine, err) < 0)
		return -1;
	if (rs->confine.user)
		serve_open_queue(rs);
	/* The state of a commit log that is still to be opened (io/durable/durable_log.h). */
	if (!rs->spool)
		confine_allow_path(rs->rules, "/dev/shm", CONFINE_ALL);
	if (rs->broker && broker_attach(rs->broker, NULL, 0, err) < 0)
		return -1;
	return confine(&rs->confine, err);
}

void serve_confine_tick(struct relay_server *rs)
{
	static bool told;
	/* Workers can't read the new file: the next ones can. */
	if (rs->o.confine.mode != CONFINE_OFF && confine_replaced(rs->rules))
		kill(getpid(), SIGHUP);
	if (told || !rs->broker || broker_alive(rs->broker))
		return;
	told = true;
	log_err("broker error=\"has ended\" why=\"no command can be started: stopping\"");
	kill(getpid(), SIGTERM);
}

void serve_confine_clean_up(struct relay_server *rs)
{
	broker_free(rs->broker);
	rs->broker = NULL;
	confine_rules_free(rs->rules);
	rs->rules = NULL;
}
