/* SPDX-License-Identifier: ISC
 *
 * What a server looks at before it takes a message, one struct of functions for each topic (who may relay, limits,
 * filters, ...), each in a file of its own. serve_checks is all of them in order: what is cheap and sure comes before
 * what asks others. At each stage they are asked in turn until one refuses; NULL functions have nothing to say.
 *
 * What a check keeps: for the process a member of struct relay_server, for a conversation one of struct relay_session,
 * which live in the topic's own types behind pointers, or memory from s->arena (the conversation's) or x->env.arena
 * (the transaction's).
 */
#ifndef MTA_RELAY_SERVE_CHECK_H
#define MTA_RELAY_SERVE_CHECK_H

#include "mta-relay/serve/serve.h"

/* Leaves a->code 0 to let it pass. */
typedef void check_fn(struct relay_session *s, struct smtp_session *x, struct smtp_answer *a);

struct serve_check {
	const char *name;
	/* In the parent, once, with the options read: everything that can be wrong with the configuration is found
	 * here. 0, or -1 with err. */
	int (*set_up)(struct relay_server *rs, struct err *err);
	/* In the parent, at SIGHUP, for the workers to come. On -1 with err all stays as it was. */
	int (*reload)(struct relay_server *rs, struct err *err);
	void (*clean_up)(struct relay_server *rs);
	/* In each worker, before it reads from the network. */
	int (*worker_start)(struct relay_server *rs, struct err *err);
	void (*worker_stop)(struct relay_server *rs);

	check_fn *connect; /* before the greeting */
	check_fn *helo;
	check_fn *mail;
	/* r is the row being added; the check that finds where it goes (policy) sets r->op. */
	void (*rcpt)(struct relay_session *s, struct smtp_session *x, struct smtp_env_rcpt *r, struct smtp_answer *a);
	check_fn *data; /* before 354, or the first BDAT */
	/* The content is complete in s->rs->content, s->facts tells what is in it; whoever changes it calls
	 * content_look for s->facts again. */
	check_fn *message;
	/* The message has its answer; taken: at least for one recipient the answer was yes. */
	void (*done)(struct relay_session *s, struct smtp_session *x, bool taken);
	void (*reset)(struct relay_session *s, struct smtp_session *x); /* every end of a transaction */
	void (*authenticated)(struct relay_session *s, struct smtp_session *x, const struct err *why);
	void (*command)(struct relay_session *s, struct smtp_session *x, const struct smtp_command *c);
	void (*close)(struct relay_session *s, struct smtp_session *x);
};

extern const struct serve_check *const serve_checks[]; /* NULL-terminated */
extern const struct serve_check policy_check;          /* serve_policy.c */
extern const struct serve_check esmtp_check;           /* serve_esmtp.c */
extern const struct serve_check submit_check;          /* serve_submit.c */
extern const struct serve_check auth_check;            /* serve_auth.c */
extern const struct serve_check policyd_check;         /* serve_policyd.c */
extern const struct serve_check filter_check;          /* serve_filter.c */
extern const struct serve_check proxy_check;           /* serve_proxy.c */
extern const struct serve_check milter_check;          /* serve_milter.c; they see what the others made of it */

/* Over all of them; those that can fail stop at the first that does. */
int checks_set_up(struct relay_server *rs, struct err *err);
void checks_reload(struct relay_server *rs);
void checks_clean_up(struct relay_server *rs);
int checks_worker_start(struct relay_server *rs, struct err *err);
void checks_worker_stop(struct relay_server *rs);
/* At one of the stages of type check_fn, offsetof(struct serve_check, mail). */
void checks_ask(struct relay_session *s, struct smtp_session *x, size_t stage, struct smtp_answer *a);
void checks_rcpt(struct relay_session *s, struct smtp_session *x, struct smtp_env_rcpt *r, struct smtp_answer *a);
void checks_done(struct relay_session *s, struct smtp_session *x, bool taken);
void checks_reset(struct relay_session *s, struct smtp_session *x);
void checks_authenticated(struct relay_session *s, struct smtp_session *x, const struct err *why);
void checks_command(struct relay_session *s, struct smtp_session *x, const struct smtp_command *c);
void checks_close(struct relay_session *s, struct smtp_session *x);

#endif
