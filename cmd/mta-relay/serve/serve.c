/* SPDX-License-Identifier: ISC
 *
 * mta-relay serve: options, tables, listening.
 */
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "io/listen/notify.h"
#include "io/trace.h"
#include "mta-relay/guard/guard_int.h"
#include "mta-relay/relay.h"
#include "mta-relay/serve/serve_check.h"
#include "mta-relay/serve/serve_confine.h"

#define AT(member) offsetof(struct serve_settings, member)

const struct opt relay_serve_options[] = {
	{ "role", 0, OPT_CHOICE, AT(role), NULL, "server for other servers, or for users", "mta|msa", 0 },
	{ "listen", 0, OPT_LIST, AT(listen), "ADDR:PORT[,tls]", "listen here; also unix:PATH; repeatable", NULL, 0 },
	{ "stdin", 0, OPT_FLAG, AT(caller), NULL, "serve who started it, on stdin and stdout, and trust him", NULL,
	    OPT_NO_CONFIG },
	{ "tls-cert", 0, OPT_STR, AT(tls_cert), "FILE", "certificate and chain, PEM", NULL, 0 },
	{ "tls-key", 0, OPT_STR, AT(tls_key), "FILE", "its key, when not in the same file", NULL, 0 },
	{ "require-tls", 0, OPT_FLAG, AT(require_tls), NULL, "no mail before STARTTLS", NULL, 0 },
	{ "auth-without-tls", 0, OPT_FLAG, AT(auth_without_tls), NULL, "passwords may travel in the clear", NULL, 0 },
	{ "own-sender", 0, OPT_FLAG, AT(own_sender), NULL, "users may send only as themselves", NULL, 0 },
	{ "hide-client", 0, OPT_FLAG, AT(hide_client), NULL, "Received does not tell where users are", NULL, 0 },
	{ "domains", 0, OPT_STR, AT(domains), "LIST|FILE", "domains whose mailboxes are here", NULL, 0 },
	{ "users", 0, OPT_STR, AT(users), "FILE", "who has a mailbox and may log in", NULL, 0 },
	{ "aliases", 0, OPT_STR, AT(aliases), "FILE", "aliases(5) of the local domains", NULL, 0 },
	{ "delimiter", 0, OPT_STR, AT(delimiter), "CHARS", "what sets off detail in user+detail", NULL, 0 },
	{ "trust", 0, OPT_STR, AT(trust), "NETS", "networks whose clients may relay anywhere", NULL, 0 },
	{ "relay-to", 0, OPT_STR, AT(relay_to), "LIST|FILE", "domains that we relay to for anybody", NULL, 0 },
	{ "mda", 0, OPT_STR, AT(mda), "lmtp:WHERE", "unix:PATH, HOST:PORT or |COMMAND", NULL, 0 },
	{ "mda-timeout", 0, OPT_DURATION, AT(mda_timeout), "TIME", "how long the MDA may take to answer", NULL, 0 },
	{ "mda-budget", 0, OPT_DURATION, AT(mda_budget), "TIME", "how long a client waits for the MDA", NULL, 0 },
	{ "mda-pause", 0, OPT_DURATION, AT(mda_pause), "TIME", "how long a failed MDA is not asked", NULL, 0 },
	{ "queue", 0, OPT_STR, AT(queue), "DIR", "the queue", NULL, 0 },
	{ "durability", 0, OPT_CHOICE, AT(durability), NULL, "of the queue: a file by itself, a shared log, or as fits",
	    DURABILITY_CHOICES, 0 },
	{ "hostname", 0, OPT_STR, AT(hostname), "NAME", "our name in greeting and Received", NULL, 0 },
	{ "max-size", 0, OPT_SIZE, AT(max_size), "SIZE", "largest message; 0: no limit", NULL, 0 },
	{ "max-recipients", 0, OPT_UINT, AT(max_recipients), "N", "recipients of one message", NULL, 0 },
	{ "workers", 0, OPT_UINT, AT(workers), "N", "processes that serve; 0: as load asks", NULL, 0 },
	{ "max-clients", 0, OPT_UINT, AT(max_clients), "N", "conversations at once", NULL, 0 },
	{ "max-per-client", 0, OPT_UINT, AT(max_per_client), "N", "of one address; 0: no limit", NULL, 0 },
	{ "early-input", 0, OPT_CHOICE, AT(early_input), NULL, "from who does not wait for our replies",
	    "refuse|local|accept", 0 },
	{ "timeout", 0, OPT_DURATION, AT(timeout), "TIME", "how long a client may take for a command", NULL, 0 },
	{ "rdns", 0, OPT_FLAG, AT(rdns), NULL, "look up clients' names for Received", NULL, 0 },
	{ "resolver", 0, OPT_STR, AT(resolver), "HOST[:PORT]", "DNS server, not resolv.conf's; implies --rdns", NULL,
	    0 },
	{ "ready-file", 0, OPT_STR, AT(ready_file), "FILE", "gets the addresses when all listen", NULL, 0 },
	{ "ready", 0, OPT_FLAG, AT(ready), NULL, "tell whether the server of --ready-file is up", NULL, OPT_NO_CONFIG },
	{ "log", 0, OPT_CHOICE, AT(log), NULL, "whose lines the log has", "native|postfix", 0 },
	{ "log-file", 0, OPT_STR, AT(log_file), "FILE", "append the log to FILE", NULL, 0 },
	{ "metrics", 0, OPT_STR, AT(metrics), "FILE", "keep Prometheus' text there", NULL, OPT_NO_CONFIG },
	{ "trace", 0, OPT_STR, AT(trace), "FILE", "append events, JSON lines", NULL, 0 },
	{ "explain", 0, OPT_FLAG, AT(explain), NULL, "say on stderr what is done and why", NULL, 0 },
	{ 0 },
};

/* Topics with options of their own: { their table, AT(their member) }. Also in relay_tables. */
const struct opt_group relay_serve_groups[] = {
	{ serve_esmtp_options, AT(esmtp) },
	{ tls_server_options, AT(tls) },
	{ client_options, AT(client) },
	{ sasl_options, AT(sasl) },
	{ guard_options, AT(guard) },
	{ relay_address_options, AT(addresses) },
	{ relay_rewrite_options, AT(addresses) },
	{ confine_options, AT(confine) },
	{ confine_user_options, AT(confine) },
	{ relay_hook_options, AT(hooks) },
	{ serve_address_options, AT(address) },
	{ patience_options, AT(patience) },
	{ 0 },
};

/* Tables that may be read again while we run. */
struct tables {
	struct domains *domains, *relay_to;
	struct users *users;
	struct aliases *aliases;
	struct address_tables addresses;
};

static void free_tables(struct tables *t)
{
	domains_free(t->domains);
	domains_free(t->relay_to);
	users_close(t->users);
	aliases_free(t->aliases);
	address_tables_close(&t->addresses);
}

static int read_tables(const struct serve_settings *o, struct tables *t, struct err *err)
{
	*t = (struct tables){ 0 };
	if ((!o->domains || (t->domains = domains_open(o->domains, err))) &&
	    (!o->relay_to || (t->relay_to = domains_open(o->relay_to, err))) &&
	    (!o->users || (t->users = users_open(o->users, err))) &&
	    (!o->aliases ||
		(t->aliases = aliases_open_allowing(o->aliases, address_aliases_allow(&o->addresses), err))) &&
	    address_tables_open(&t->addresses, &o->addresses, o->delimiter, err) == 0)
		return 0;
	free_tables(t);
	return -1;
}

static void use_tables(struct relay_server *rs, const struct tables *t)
{
	rs->domains = t->domains;
	rs->relay_to = t->relay_to;
	rs->users = t->users;
	rs->aliases = t->aliases;
	rs->tables = t->addresses;
	if (t->users)
		sasl_server_offer_scram(users_scram_ready(t->users));
	/* Before the workers are forked: they must all make up the same salts for users that don't exist. */
	sasl_server_secret_file("/etc/machine-id");
	rs->policy = (struct relay_policy){ .domains = t->domains,
		.relay_to = t->relay_to,
		.users = t->users,
		.aliases = t->aliases,
		.tables = &rs->tables,
		.delimiters = rs->o.delimiter };
}

/* SIGHUP: new tables and certificates for the workers to come; bad ones change nothing. */
static int reload(void *arg)
{
	struct relay_server *rs = arg;
	struct tables now, old = { rs->domains, rs->relay_to, rs->users, rs->aliases, rs->tables };
	struct err err = { 0 };
	if (rs->tls && tls_server_reload(rs->tls, &err) < 0)
		log_err("reload error=%s why=\"the old certificate stays\"", log_quote(span_str(err.text)));
	if (read_tables(&rs->o, &now, &err) < 0) {
		log_err("reload error=%s why=\"the old tables stay\"", log_quote(span_str(err.text)));
		return 0;
	}
	use_tables(rs, &now);
	free_tables(&old);
	checks_reload(rs);
	serve_confine_paths(rs);
	return 0;
}

static bool certificate_stale(void *arg, int64_t now)
{
	const struct relay_server *rs = arg;
	return tls_server_tend(rs->tls, now);
}

bool serve_asks_dns(const struct relay_server *rs)
{
	return rs->o.rdns || rs->o.resolver || rs->o.address.refuse_null_mx ||
	       (rs->guard && guard_dns_wanted(rs->guard));
}

static int open_for_worker(struct relay_server *rs, struct err *err)
{
	if (rs->o.mda && !(rs->mda = mda_new(rs->o.mda, rs->hostname, rs->o.mda_timeout, err)))
		return -1;
	if (rs->mda) {
		mda_limit(rs->mda, &rs->mda_limits);
		mda_start_by(rs->mda, rs->broker, rs->mda_index);
	}
	if (serve_asks_dns(rs) && !(rs->dns = dns_open(rs->o.resolver, false, 0, err)))
		return -1;
	return checks_worker_start(rs, err) < 0 ? -1 : serve_confine_worker(rs, err);
}

static int worker_start(void *arg)
{
	struct relay_server *rs = arg;
	struct err err = { 0 };
	content_init(&rs->content);
	content_prepare();
	if (open_for_worker(rs, &err) == 0)
		return 0;
	log_err("%s", err.text);
	return err_exit_status(&err);
}

static void worker_stop(void *arg)
{
	struct relay_server *rs = arg;
	checks_worker_stop(rs);
	mda_free(rs->mda);
	dns_close(rs->dns);
	if (rs->spool)
		spool_close(rs->spool);
	rs->spool = NULL;
	content_free(&rs->content);
}

static bool any_tls_listener(const struct opt_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (span_ends(span_str(l->v[i]), ",tls"))
			return true;
	return false;
}

/* The parent's. */
static void tick(void *arg, const struct serve_state *s)
{
	static bool failing;
	struct relay_server *rs = arg;
	struct err err = { 0 };
	struct metrics *m = events_metrics();
	metrics_set(m, COUNT_SESSIONS, s->conversations);
	notify_status("%u conversation%s, %lld messages accepted", s->conversations, s->conversations == 1 ? "" : "s",
	    (long long)metrics_get(m, COUNT_ACCEPTED));
	int rc = s->last ? metrics_write(m, &err) : metrics_tick(m, s->now, &err);
	if (rc < 0 && !failing)
		log_err("metrics error=%s", log_quote(span_str(err.text)));
	failing = rc < 0;
	serve_confine_tick(rs);
}

static int set_up_mda(struct relay_server *rs, struct err *err)
{
	const struct serve_settings *o = &rs->o;
	struct mda *probe = mda_new(o->mda, rs->hostname, o->mda_timeout, err);
	if (!probe)
		return -1;
	if (mda_command(probe))
		rs->mda_index = serve_command(rs, mda_command(probe), NULL, err);
	mda_rules(probe, rs->rules);
	mda_free(probe);
	rs->mda_limits = (struct mda_limits){ .budget = o->mda_budget, .pause = o->mda_pause };
	return rs->mda_index < 0 || !(rs->mda_limits.down = mda_shared(err)) ? -1 : 0;
}

static int check_resolver(const struct relay_server *rs, struct err *err)
{
	struct dns *d = rs->o.resolver ? dns_open(rs->o.resolver, false, 0, err) : NULL;
	if (rs->o.resolver && !d)
		return -1;
	dns_close(d);
	return 0;
}

/* Everything that can be wrong with the configuration is found before the first client. */
static int set_up(struct relay_server *rs, struct err *err)
{
	const struct serve_settings *o = &rs->o;
	struct tables t;
	/* As Exim has it. */
	static const char *const alpn[] = { "smtp", "esmtp", NULL };
	struct tls_server_config tls = { .cert_file = o->tls_cert,
		.key_file = o->tls_key,
		.client_ca_file = o->sasl.client_ca,
		.ask_client = o->sasl.client_users,
		.alpn = alpn,
		.more = &o->tls };
	rs->hostname = relay_hostname(o->hostname);
	rs->loopback = net_list_parse("127.0.0.0/8, ::1", err);
	if (!o->tls_cert && (o->tls_key || o->tls.sni.n || any_tls_listener(&o->listen)))
		return err_set(err, ERR_USAGE, "TLS needs --tls-cert");
	if (patience_check(&o->patience, err) < 0 || client_lists_read(&rs->clients, &o->client, err) < 0)
		return -1;
	if (o->trust && !(rs->trust = net_list_parse(o->trust, err)))
		return -1;
	if (serve_confine_set_up(rs, err) < 0 || (o->mda && set_up_mda(rs, err) < 0))
		return -1;
	if (o->tls_cert && !(rs->tls = tls_server_new(&tls, err)))
		return -1;
	if (read_tables(o, &t, err) < 0)
		return -1;
	use_tables(rs, &t);
	if (checks_set_up(rs, err) < 0 || check_resolver(rs, err) < 0)
		return -1;
	if (events_open(
		(enum event_format)o->log, o->role == ROLE_MSA ? "submission/smtpd" : "smtpd", o->log_file, err) < 0 ||
	    !events_count(o->metrics, o->role == ROLE_MSA ? "msa" : "mta", err))
		return -1;
	if (trace_open("mta-relay", o->role == ROLE_MSA ? "msa" : "mta", o->trace, o->explain, err) < 0)
		return -1;
	serve_confine_paths(rs);
	return serve_confine_launch(rs, err);
}

/* A server that stays mends what a crash left before it takes anything. A queue that can't be opened now is tried again
 * with each message, which is put off until then. */
void serve_open_queue(struct relay_server *rs)
{
	struct err err = { 0 };
	bool stays = rs->o.listen.n || getenv("LISTEN_FDS");
	if (!stays || (rs->o.mda && access(rs->o.queue, F_OK) < 0))
		return;
	rs->spool = spool_open(rs->o.queue, &err);
	if (!rs->spool)
		log_warn("queue unusable: %s", err.text);
}

/* RFC 5321 4.5.1 asks for one. */
static void look_for_postmaster(struct relay_server *rs)
{
	struct relay_client stranger = { 0 };
	struct smtp_env_rcpt rcpt = { .text = SPAN("postmaster"), .addr = { .local = SPAN("postmaster") } };
	struct relay_targets to;
	struct smtp_answer a = { 0 };
	struct arena *arena = arena_new();
	if (rs->domains && rs->users)
		policy_rcpt(&rs->policy, arena, &stranger, &rcpt, &to, &a);
	if (a.code == 550)
		log_warn("postmaster rcpt=postmaster@%.*s why=\"nobody has this mail, and it is refused\"",
		    SPAN_FMT(domains_first(rs->domains)));
	arena_free(arena);
}

static int run(struct relay_server *rs, struct err *err)
{
	const struct serve_settings *o = &rs->o;
	spool_durability((enum durability)o->durability);
	if (o->listen.n)
		look_for_postmaster(rs);
	/* Another user's queue is opened by that user. */
	if (!rs->confine.user)
		serve_open_queue(rs);
	struct serve_options so = { .listen = o->listen,
		.workers = o->workers,
		.max_clients = o->max_clients,
		.max_per_client = o->max_per_client,
		.max_per_network = o->guard.max_per_network,
		.prefix4 = o->guard.prefix4,
		.prefix6 = o->guard.prefix6,
		.exempt = guard_exempts,
		.too_many = "421 4.7.0 Too many connections from your address\r\n",
		.ready_file = o->ready_file,
		.proxies = rs->clients.proxy,
		.renamers = rs->clients.xclient,
		.reload = reload,
		.stale = rs->tls ? certificate_stale : NULL,
		.tick = tick,
		.worker_start = worker_start,
		.worker_stop = worker_stop };
	return serve(&so, serve_conversation, rs, err);
}

static void clean_up(struct relay_server *rs)
{
	struct tables t = { rs->domains, rs->relay_to, rs->users, rs->aliases, rs->tables };
	checks_clean_up(rs);
	serve_confine_clean_up(rs);
	free_tables(&t);
	spool_close(rs->spool);
	net_list_free(rs->trust);
	client_lists_free(&rs->clients);
	net_list_free(rs->loopback);
	tls_ctx_free(rs->tls);
}

/* For as long as the process lives: so do the strings of options. */
static struct relay_server server = { .o = { .early_input = EARLY_LOCAL,
					  .durability = DURABILITY_AUTO,
					  .queue = RELAY_DEFAULT_QUEUE,
					  .delimiter = "+",
					  .max_size = LIMIT_MESSAGE_DEFAULT,
					  .max_recipients = LIMIT_SMTP_RCPT,
					  .max_clients = SERVE_MAX_CLIENTS,
					  .timeout = TIME_SMTP_COMMAND,
					  .mda_timeout = TIME_SMTP_COMMAND,
					  .mda_budget = SERVE_MDA_BUDGET,
					  .mda_pause = SERVE_MDA_PAUSE } };

/* He speaks for himself and with his own rights: whatever the configuration says, nobody is listened for, there is
 * nothing to encrypt and nobody to log in, whose files he may not read anyway. */
static void for_caller(struct serve_settings *o)
{
	o->listen.n = 0;
	o->tls_cert = o->tls_key = o->users = NULL;
	o->tls.sni.n = 0;
	o->require_tls = false;
}

int relay_serve(int argc, char **argv)
{
	const struct opts opts = { .prog = argv[0],
		.synopsis = "[OPTION]...",
		.about = "Takes mail over SMTP, on stdin and stdout or on sockets.",
		.table = relay_serve_options,
		.groups = relay_serve_groups,
		.values = &server.o };
	struct err err = { 0 };
	int first, status;
	server.o.esmtp = esmtp_defaults;
	server.o.guard = guard_defaults;
	server.o.hooks = hook_defaults;
	server.o.sasl = sasl_defaults;
	server.o.patience = patience_defaults;
	if (relay_options(argc, argv, &opts, &first, &status) != OPTS_OK)
		return status;
	if (server.o.caller)
		for_caller(&server.o);
	if (first < argc)
		err_set(&err, ERR_USAGE, "unexpected argument '%s'", argv[first]);
	else if (server.o.ready)
		return relay_ready(argv[0], server.o.ready_file, server.o.queue);
	if (err.class != ERR_NONE || set_up(&server, &err) < 0) {
		relay_complain(argv[0], &err);
		clean_up(&server);
		return err_exit_status(&err);
	}
	status = run(&server, &err);
	if (err.class != ERR_NONE)
		log_err("%s", err.text);
	clean_up(&server);
	return status;
}
