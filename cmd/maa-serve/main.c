/* SPDX-License-Identifier: ISC
 *
 * maa-serve: the wiring of the mail access agent. Options, TLS, users, and serve() with the protocol's engine.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/opts.h"
#include "checkpassword.h"
#include "imap.h"
#include "io/listen/listen.h"
#include "io/trace.h"
#include "maa.h"
#include "maa_confine.h"
#include "pop3.h"

struct options {
	bool imap, pop3;
	struct opt_list listen;
	const char *tls_cert, *tls_key, *hostname;
	const char *users, *checkpassword, *mail, *preauth;
	bool auth_without_tls, explain, verbose;
	unsigned workers, max_clients, max_per_client, login_attempts;
	int64_t login_delay, timeout;
	uint64_t max_size;
	const char *trace, *ready_file, *proxy;
	int durability;
	struct sasl_settings sasl;
	struct tls_server_settings tls;
	struct maa_confine_options confine;
};

enum {
	NO_SYNC = DURABILITY_AUTO + 1 /* after enum durability */
};

#define AT(member) offsetof(struct options, member)
static const struct opt table[] = {
	{ "imap", 0, OPT_FLAG, AT(imap), NULL, "serve IMAP4rev1", NULL, OPT_NO_CONFIG },
	{ "pop3", 0, OPT_FLAG, AT(pop3), NULL, "serve POP3", NULL, OPT_NO_CONFIG },
	{ "listen", 'l', OPT_LIST, AT(listen), "ADDR:PORT[,tls]", "listen here instead of serving stdin", NULL, 0 },
	{ "tls-cert", 0, OPT_STR, AT(tls_cert), "FILE", "certificate chain (PEM)", NULL, 0 },
	{ "tls-key", 0, OPT_STR, AT(tls_key), "FILE", "its key, when not in the same file", NULL, 0 },
	{ "auth-without-tls", 0, OPT_FLAG, AT(auth_without_tls), NULL, "let passwords be sent in the clear", NULL, 0 },
	{ "users", 'u', OPT_STR, AT(users), "FILE", "passwd-like file of users and secrets", NULL, 0 },
	{ "checkpassword", 0, OPT_STR, AT(checkpassword), "CMD", "program that checks passwords", NULL, 0 },
	{ "mail", 'm', OPT_STR, AT(mail), "LOCATION", "maildir:PATH with %u %n %d %h", NULL, 0 },
	{ "preauth", 0, OPT_STR, AT(preauth), "USER", "this user is logged in already", NULL, OPT_NO_CONFIG },
	{ "login-attempts", 0, OPT_UINT, AT(login_attempts), "N", "refused logins before the connection ends", NULL,
	    0 },
	{ "login-delay", 0, OPT_DURATION, AT(login_delay), "TIME", "after the first refused login; doubles", NULL, 0 },
	{ "timeout", 0, OPT_DURATION, AT(timeout), "TIME", "silence that ends a conversation", NULL, 0 },
	{ "max-size", 0, OPT_SIZE, AT(max_size), "SIZE", "largest message that APPEND takes", NULL, 0 },
	{ "hostname", 0, OPT_STR, AT(hostname), "NAME", "name in the greeting", NULL, 0 },
	{ "workers", 0, OPT_UINT, AT(workers), "N", "processes that wait for clients", NULL, 0 },
	{ "max-clients", 0, OPT_UINT, AT(max_clients), "N", "conversations at once", NULL, 0 },
	{ "max-per-client", 0, OPT_UINT, AT(max_per_client), "N", "of one address", NULL, 0 },
	{ "proxy", 0, OPT_STR, AT(proxy), "NETS", "proxies that say whose a connection is (PROXY protocol)", NULL, 0 },
	{ "durability", 0, OPT_CHOICE, AT(durability), NULL, "how a file becomes safe", DURABILITY_CHOICES "|none", 0 },
	{ "ready-file", 0, OPT_STR, AT(ready_file), "FILE", "written with the bound addresses", NULL, OPT_NO_CONFIG },
	{ "trace", 0, OPT_STR, AT(trace), "FILE", "append events as JSON lines", NULL, 0 },
	{ "explain", 0, OPT_FLAG, AT(explain), NULL, "say on stderr what happens and why", NULL, 0 },
	{ "verbose", 'v', OPT_FLAG, AT(verbose), NULL, "log more", NULL, 0 },
	{ NULL, 0, 0, 0, NULL, NULL, NULL, 0 },
};

static const struct opt_group groups[] = { { tls_server_options, AT(tls) }, { sasl_options, AT(sasl) },
	{ confine_options, AT(confine.confine) }, { place_options, AT(confine.places) }, { NULL, 0 } };

typedef int engine_fn(struct maa_session *x, struct err *err);

struct program {
	struct maa_config config;
	engine_fn *engine;
	const char *protocol;
	const struct options *o;
	struct net_list *proxies;
	struct maa_confine confine;
};

static int fail(const struct err *err)
{
	log_err("%s", err->text);
	return err_exit_status(err);
}

/* Confined as late as can be, before a byte is read: the mail's directory may have been mounted, or a users file
 * replaced, since this process began to wait. */
static int serve_one(struct conn *c, void *arg)
{
	struct program *p = arg;
	struct maa_session x;
	struct err err = { 0 };
	char peer[96];
	if (!p->proxies && maa_confine_worker(&p->confine, &err) < 0)
		return fail(&err);
	snprintf(peer, sizeof peer, c->peer_port ? "%s:%u" : "%s", c->peer_ip, (unsigned)c->peer_port);
	trace_begin(peer);
	log_session(trace_conv());
	trace_why("conn.open", "ok", NULL, "%s conversation with %s", p->protocol, peer);
	maa_session_begin(&x, &p->config, c->s, c->peer_ip);
	int rc = c->implicit_tls ? maa_starttls(&x, &err) : 0;
	if (rc == 0)
		rc = p->engine(&x, &err);
	if (rc < 0)
		log_info("end peer=%s why=%s", c->peer_ip, log_quote(span_str(err.text)));
	maa_session_end(&x);
	trace_end();
	log_session(NULL);
	return rc == 0 ? EX_OK : err_exit_status(&err);
}

static int reload(void *arg)
{
	struct program *p = arg;
	struct err err;
	if (p->config.tls && tls_server_reload(p->config.tls, &err) < 0)
		log_err("tls-reload why=\"%s\"", err.text);
	if (sasl_proofs_reload(&p->config.proofs, &p->o->sasl, &err) < 0)
		log_err("reload error=%s why=\"the old certificates of users stay\"", log_quote(span_str(err.text)));
	maa_confine_prepare(&p->confine, &p->config);
	return 0;
}

static bool stale(void *arg, int64_t now)
{
	struct program *p = arg;
	bool files = maa_confine_stale(&p->confine, &p->config);
	return (p->config.tls && tls_server_tend(p->config.tls, now)) || files;
}

/* A PROXY header is read before the conversation is ours. */
static int worker_start(void *arg)
{
	struct program *p = arg;
	struct err err = { 0 };
	if (!p->proxies)
		return 0;
	return maa_confine_worker(&p->confine, &err) < 0 ? fail(&err) : 0;
}

static int check_options(const struct options *o, struct err *err)
{
	bool tls_listener = false;
	for (size_t i = 0; i < o->listen.n; i++)
		tls_listener |= span_ends(span_str(o->listen.v[i]), ",tls");
	if (o->imap == o->pop3)
		return err_set(err, ERR_USAGE, "say either --imap or --pop3");
	if (o->users && o->checkpassword)
		return err_set(err, ERR_USAGE, "--users and --checkpassword exclude each other");
	if (!o->users && !o->checkpassword && !o->preauth)
		return err_set(err, ERR_USAGE, "nobody could log in: say --users, --checkpassword or --preauth");
	if (!o->users && (o->sasl.oauth_command || o->sasl.client_ca || o->sasl.client_users))
		return err_set(err, ERR_USAGE, "tokens and certificates need --users");
	if ((o->tls_key || o->tls.sni.n) && !o->tls_cert)
		return err_set(err, ERR_USAGE, "--tls-key and --tls-sni need --tls-cert");
	if (tls_listener && !o->tls_cert)
		return err_set(err, ERR_USAGE, "a listener with ,tls needs --tls-cert");
	return 0;
}

static int set_up_commands(const struct options *o, struct program *p, struct err *err)
{
	struct maa_config *c = &p->config;
	if (maa_confine_set_up(&p->confine, &o->confine, o->users, err) < 0)
		return -1;
	c->broker = p->confine.broker;
	c->proofs.oauth.broker = c->broker;
	if (!c->broker)
		return 0;
	if (c->checkpassword && (c->check = checkpassword_add(c->broker, c->checkpassword, err)) < 0)
		return -1;
	if (c->proofs.oauth.command && (c->proofs.oauth.index = broker_add(c->broker,
					    &(struct broker_command){ .command = c->proofs.oauth.command }, err)) < 0)
		return -1;
	return broker_launch(c->broker, err) < 0 ? -1 : confine_parent(o->confine.confine.mode, err);
}

static int configure(const struct options *o, struct program *p, struct err *err)
{
	static const char *const alpn_imap[] = { "imap", NULL }, *const alpn_pop3[] = { "pop3", NULL };
	static char host[256];
	gethostname(host, sizeof host - 1);
	p->engine = o->imap ? imap_run : pop3_run;
	p->protocol = o->imap ? "IMAP" : "POP3";
	p->config = (struct maa_config){
		.hostname = o->hostname ? o->hostname : host,
		.allow_plaintext = o->auth_without_tls,
		.checkpassword = o->checkpassword,
		.mail = span_str(o->mail),
		.preauth = o->preauth,
		.home = getenv("HOME"),
		.login_attempts = o->login_attempts,
		.login_delay_ms = o->login_delay,
		.idle_ms = o->timeout,
		.max_size = o->max_size,
		.durable = o->durability == NO_SYNC ? DURABLE_NONE : DURABLE_FILE,
		/* Of many users as root: they would not share a log. */
		.durability = o->durability == DURABILITY_AUTO && geteuid() == 0 ? DURABILITY_FILE
										 : (enum durability)o->durability,
		.stopping = &serve_stopping,
		.confined = o->confine.confine.mode != CONFINE_OFF,
	};
	if (o->users && !(p->config.users = users_open(o->users, err)))
		return -1;
	if (p->config.users)
		sasl_server_offer_scram(users_scram_ready(p->config.users));
	/* Before the workers are forked: they must all make up the same salts for users that don't exist. */
	sasl_server_secret_file("/etc/machine-id");
	p->o = o;
	if (o->proxy && !(p->proxies = net_list_parse(o->proxy, err)))
		return err_prefix(err, "--proxy");
	if (sasl_proofs_set_up(&p->config.proofs, &o->sasl, o->tls_cert, err) < 0 || set_up_commands(o, p, err) < 0)
		return -1;
	if (!o->tls_cert)
		return 0;
	struct tls_server_config tls = { .cert_file = o->tls_cert,
		.key_file = o->tls_key,
		.client_ca_file = o->sasl.client_ca,
		.ask_client = o->sasl.client_users,
		.more = &o->tls };
	tls.alpn = o->imap ? alpn_imap : alpn_pop3;
	p->config.tls = tls_server_new(&tls, err);
	return p->config.tls ? 0 : -1;
}

static int run(const struct options *o, struct err *err)
{
	static struct program p;
	if (check_options(o, err) < 0 || configure(o, &p, err) < 0)
		return fail(err);
	/* LOGIN leaves root, and the mail of others, for good: such a process serves one conversation only. */
	bool once = geteuid() == 0 || p.config.confined;
	struct serve_options so = {
		.listen = o->listen,
		.workers = o->workers,
		.max_clients = o->max_clients,
		.max_per_client = o->max_per_client,
		.recycle = once ? 1 : 0,
		.too_many = o->imap ? "* BYE [LIMIT] too many connections from your address\r\n"
				    : "-ERR [IN-USE] too many connections from your address\r\n",
		.ready_file = o->ready_file,
		.reload = reload,
		.proxies = p.proxies,
		.stale = stale,
		.worker_start = worker_start,
	};
	err_clear(err);
	/* What a crash left is mended before anything is shown. */
	if (p.config.durable == DURABLE_FILE && location_log(p.config.mail, p.config.durability, err) < 0)
		return fail(err);
	maa_confine_prepare(&p.confine, &p.config);
	int status = serve(&so, serve_one, &p, err);
	if (err->class != ERR_NONE)
		log_err("%s", err->text);
	durable_log_close();
	sasl_proofs_clean_up(&p.config.proofs);
	tls_ctx_free(p.config.tls);
	maa_confine_clean_up(&p.confine);
	net_list_free(p.proxies);
	if (p.config.users)
		users_close(p.config.users);
	return status;
}

int main(int argc, char **argv)
{
	/* Static, since their strings live as long as the process. */
	static struct options o = {
		.mail = "maildir:%h/Maildir",
		.durability = DURABILITY_AUTO,
		.login_attempts = 5,
		.login_delay = 2000,
		.max_size = LIMIT_MESSAGE_DEFAULT,
	};
	struct opts opts = {
		.prog = "maa-serve",
		.synopsis = "--imap|--pop3 [OPTION]...",
		.about = "Serves a Maildir by IMAP4rev1 or POP3: on stdin and stdout, to systemd's or its own sockets.",
		.table = table,
		.groups = groups,
		.values = &o,
	};
	struct err err;
	int first;
	o.sasl = sasl_defaults;
	signal(SIGPIPE, SIG_IGN);
	log_open("maa-serve", LOG_TO_AUTO, LOG_LVL_INFO);
	enum opts_result r = opts_parse(&opts, argc, argv, &first, &err);
	if (r == OPTS_DONE)
		return EX_OK;
	if (r == OPTS_ERROR)
		return fail(&err);
	if (o.verbose)
		log_open("maa-serve", LOG_TO_AUTO, LOG_LVL_DEBUG);
	if (first < argc) {
		err_set(&err, ERR_USAGE, "unexpected argument '%s'", argv[first]);
		return fail(&err);
	}
	if (trace_open("maa-serve", "maa", o.trace, o.explain, &err) < 0)
		return fail(&err);
	return run(&o, &err);
}
