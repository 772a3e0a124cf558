/* SPDX-License-Identifier: ISC
 *
 * mta-relay serve: what its files share. serve.c has options and start, serve_session.c one conversation, serve_check.h
 * who decides about it, serve_deliver.c what happens at the end of a message.
 */
#ifndef MTA_RELAY_SERVE_H
#define MTA_RELAY_SERVE_H

#include "dns/dns.h"
#include "io/listen/listen.h"
#include "mta-relay/content/content.h"
#include "mta-relay/guard/guard.h"
#include "mta-relay/hooks/serve_hooks.h"
#include "mta-relay/hop/handoff.h"
#include "mta-relay/policy/policy.h"
#include "mta-relay/serve/serve_address.h"
#include "mta-relay/serve/serve_change.h"
#include "mta-relay/serve/serve_client.h"
#include "mta-relay/serve/serve_esmtp.h"
#include "mta-relay/serve/serve_patience.h"
#include "mta-relay/serve/serve_talk.h"
#include "mta-relay/spool/spool.h"
#include "sasl/settings.h"

enum serve_role {
	ROLE_MTA,
	ROLE_MSA
};
enum serve_early {
	EARLY_REFUSE,
	EARLY_LOCAL,
	EARLY_ACCEPT
};

/* RFC 5321 4.5.3.2.6: a client waits for ten minutes, and few do so long. */
enum {
	SERVE_MAX_CLIENTS = 1000, /* a process that waits for its client has a fifth of a megabyte */
	SERVE_MDA_BUDGET = 60 * 1000,
	SERVE_MDA_PAUSE = 10 * 1000
};

struct serve_settings {
	struct address_options addresses;
	struct serve_address_options address;
	int role, early_input, log, durability; /* enum durability */
	struct opt_list listen;
	const char *tls_cert, *tls_key, *hostname, *domains, *relay_to, *users, *aliases, *trust, *delimiter;
	const char *mda, *queue, *resolver, *trace, *ready_file, *log_file, *metrics;
	uint64_t max_size;
	unsigned max_recipients, workers, max_clients, max_per_client;
	bool require_tls, auth_without_tls, rdns, explain, own_sender, hide_client, ready, caller;
	int64_t timeout, mda_timeout, mda_budget, mda_pause;
	struct esmtp_settings esmtp;
	struct sasl_settings sasl;
	struct guard_settings guard;
	struct confine_settings confine;
	struct tls_server_settings tls;
	struct client_settings client;
	struct hook_settings hooks;
	struct patience_settings patience;
};

/* The process. */
struct relay_server {
	struct serve_settings o;
	const char *hostname;
	struct relay_policy policy;
	struct domains *domains, *relay_to;
	struct users *users;
	struct aliases *aliases;
	struct address_tables tables;
	struct serve_verify *verify; /* of this worker; NULL: nobody asks */
	struct net_list *trust, *loopback;
	struct tls_ctx *tls;
	struct mda *mda; /* of this worker; NULL: local mail is queued */
	struct mda_limits mda_limits;
	int mda_index;       /* of its command, at the broker */
	struct spool *spool; /* opened when the first message needs it */
	struct dns *dns;     /* of this worker; NULL: nothing is looked up */
	struct client_lists clients;
	struct sasl_proofs proofs;
	struct sasl_server_ops sasl; /* what there is of it */
	struct guard *guard;         /* NULL: off */
	struct hooks hooks;
	/* What a worker may do, to be added to in set_up and reload (confine_allow_path, ...), and who starts commands
	 * for it: serve_command registers them in set_up. */
	struct confine_rules *rules;
	struct broker *broker; /* NULL: each starts its own */
	struct confine confine;
	struct content content; /* one conversation at a time, one message at a time */
};

/* One conversation. */
struct relay_session {
	struct relay_server *rs;
	struct arena *arena; /* for log-ins */
	struct stream *stream;
	struct smtp_server_config *config;
	const struct conn *conn;
	struct net_addr client; /* the conn's peer, or whom XCLIENT named; len 0: unknown, or no address */
	const char *peer_ip;
	bool trusted; /* its address is in --trust, or it is who started us (--stdin) */
	bool renamed; /* XCLIENT has named it */
	struct serve_talk talk;
	struct guard_session *guard;
	struct content_facts facts; /* of the message whose end was reached */
	char id[SPOOL_ID_SIZE];     /* of the transaction, and of the message that it becomes */
	struct serve_change change; /* what checks made of it */
	size_t targets;             /* that the transaction's recipients lead to so far */
};

/* serve_session.c: conn_fn's work; the exit status. */
int serve_conversation(struct conn *c, void *relay_server);

/* serve_confine.c: rights, and the commands that are started without having the right to. */
/* First of set_up; last of set_up, when all commands are registered; last before a worker reads from the network. */
int serve_confine_set_up(struct relay_server *rs, struct err *err);
int serve_confine_launch(struct relay_server *rs, struct err *err);
int serve_confine_worker(struct relay_server *rs, struct err *err);
/* What the options and the tables name, once they are read. */
void serve_confine_paths(struct relay_server *rs);
/* In the parent, now and then: reloads when a table was replaced, and stops when there is no broker: none is got by
 * waiting. */
void serve_confine_tick(struct relay_server *rs);
void serve_confine_clean_up(struct relay_server *rs);
/* For struct spawn: .broker = rs->broker, .index = what it gives (any where there is no broker), .command too. env:
 * names of variables that will be set, NULL-terminated, NULL for none. -1 with err. */
int serve_command(struct relay_server *rs, const char *command, const char *const *env, struct err *err);
/* serve.c */
void serve_open_queue(struct relay_server *rs);
/* Is anything looked up in the DNS? */
bool serve_asks_dns(const struct relay_server *rs);
/* The client is another one now: what is asked of it, and its name as the DNS has it both ways ("" for none). */
void serve_reconfigure(struct relay_session *s);
const char *serve_reverse_name(const struct relay_session *s);

/* serve_auth.c: NULL when nobody can log in. */
const struct sasl_server_ops *serve_sasl(const struct relay_server *rs);

/* serve_deliver.c */
/* Can the message be taken now? Before its content is read. */
void deliver_prepare(struct relay_session *s, struct smtp_session *x, struct smtp_answer *a);
/* The content is complete: to the MDA, or into the queue, and only then the answer. */
void deliver_message(struct relay_session *s, struct smtp_session *x, struct smtp_answer *answers, size_t n);

#endif
