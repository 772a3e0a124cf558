/* SPDX-License-Identifier: ISC
 *
 * A content filter before the queue: the whole transaction goes to it by SMTP or LMTP, and what it says of it is what
 * our client hears. It delivers what it takes itself, to another listener of ours as a rule. Nobody is served by
 * halves: when it refuses one recipient it does not get the content, and the client hears that refusal for the message.
 * Nothing is queued here, for what goes on from the queue would pass by the filter.
 */
#include <stdio.h>

#include "base/log.h"
#include "io/trace.h"
#include "mta-relay/serve/serve_check.h"
#include "mta-relay/serve/serve_load.h"
#include "smtp/reply.h"

static int proxy_set_up(struct relay_server *rs, struct err *err)
{
	const char *spec = rs->o.hooks.proxy;
	struct mda *probe = spec ? mda_new_filter(spec, rs->hostname, rs->o.hooks.proxy_timeout, err) : NULL;
	if (spec && !probe)
		return err_prefix(err, "proxy-filter");
	if (probe)
		mda_rules(probe, rs->rules);
	mda_free(probe);
	return 0;
}

static int proxy_worker_start(struct relay_server *rs, struct err *err)
{
	if (!rs->o.hooks.proxy)
		return 0;
	rs->hooks.proxy = mda_new_filter(rs->o.hooks.proxy, rs->hostname, rs->o.hooks.proxy_timeout, err);
	return rs->hooks.proxy ? 0 : -1;
}

static void proxy_worker_stop(struct relay_server *rs)
{
	mda_free(rs->hooks.proxy);
	rs->hooks.proxy = NULL;
}

const struct serve_check proxy_check = {
	.name = "proxy filter",
	.set_up = proxy_set_up,
	.worker_start = proxy_worker_start,
	.worker_stop = proxy_worker_stop,
};

/* One transaction with the filter. */
struct pass {
	struct load *l;
	struct smtp_rcpt *v;
	size_t n;
};

static int forward(void *arg, struct smtp_client *c, struct err *err)
{
	const struct pass *p = arg;
	const struct smtp_session *x = p->l->x;
	bool local = !p->l->s->client.len;
	const struct smtp_xforward f = { .name = span_str(x->peer_name),
		.addr = span_str(local ? "" : x->peer_ip),
		.port = net_addr_port(&p->l->s->client),
		.helo = x->helo,
		.proto = x->esmtp ? SPAN("ESMTP") : SPAN("SMTP"),
		.ident = span_str(p->l->s->id),
		.source = x->user.n || p->l->s->trusted || local ? SPAN("LOCAL") : SPAN("REMOTE") };
	return smtp_client_xforward(c, &f, err);
}

/* All recipients have their answer when the content is asked for. */
static int read_for_all(void *arg, struct span *out, struct err *err)
{
	struct pass *p = arg;
	for (size_t i = 0; i < p->n; i++)
		if (p->v[i].result.code)
			return err_set(err, ERR_TEMP, "a recipient was refused");
	return content_read(&p->l->s->rs->content, out, err);
}

static void rewind_content(void *arg)
{
	struct pass *p = arg;
	content_rewind(&p->l->s->rs->content);
}

static const char *text_or_null(struct arena *a, struct span s)
{
	return s.n ? arena_str(a, s) : NULL;
}

static void add(struct pass *p, struct span address, struct span notify, struct span orcpt)
{
	struct arena *a = p->l->x->env.arena;
	p->v[p->n++] = (struct smtp_rcpt){
		.address = arena_str(a, address), .notify = text_or_null(a, notify), .orcpt = text_or_null(a, orcpt)
	};
}

/* As RCPT said them, less those who were deleted, and those who were added. */
static void collect(struct pass *p)
{
	const struct smtp_env *env = &p->l->x->env;
	const struct serve_change *c = &p->l->s->change;
	p->v = arena_alloc(env->arena, (env->n_rcpt + c->n_extra) * sizeof *p->v);
	for (size_t i = 0; i < env->n_rcpt; i++)
		if (targets_of(&env->rcpt[i])->n)
			add(p, env->rcpt[i].text, env->rcpt[i].notify, env->rcpt[i].orcpt);
	for (size_t i = 0; i < c->n_extra; i++)
		add(p, span_str(c->extra[i].addr), c->extra[i].notify, c->extra[i].orcpt);
}

/* The first refusal, a temporary one where there is any; NULL: all are taken. */
static const struct smtp_rcpt *refused(const struct pass *p)
{
	const struct smtp_rcpt *worst = NULL;
	for (size_t i = 0; i < p->n; i++) {
		const struct err *r = &p->v[i].result;
		bool worse = !worst || (r->code / 100 == 4 && worst->result.code / 100 == 5);
		if (r->class != ERR_NONE && r->code && r->code != 421 && worse)
			worst = &p->v[i];
	}
	return worst;
}

static void pass_on(const struct pass *p, const struct smtp_rcpt *r, struct smtp_answer *a)
{
	const struct err *e = &r->result;
	struct span words = load_words(span_str(e->text), e->enh);
	char text[sizeof a->text];
	if (p->n > 1)
		smtp_about(span_str(r->address), words, text, sizeof text);
	else
		snprintf(text, sizeof text, "%.*s", SPAN_FMT(words));
	smtp_answer(a, e->code, e->enh[0] ? e->enh : e->code >= 500 ? "5.0.0" : "4.0.0", "%s", text);
}

static bool all_taken(const struct pass *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->v[i].result.class != ERR_NONE)
			return false;
	return true;
}

void proxy_deliver(struct load *l, struct smtp_answer *a)
{
	struct relay_server *rs = l->s->rs;
	const struct smtp_env *env = &l->x->env;
	struct pass p = { .l = l };
	struct err err = { 0 };
	collect(&p);
	load_prefix(l, l->s->id);
	struct smtp_message m = { .from = arena_str(env->arena, env->from),
		.ret = text_or_null(env->arena, env->ret),
		.envid = text_or_null(env->arena, env->envid),
		.rcpt = p.v,
		.n_rcpt = p.n,
		.utf8 = env->utf8,
		.eightbit = env->eightbit,
		.size = content_size(&rs->content),
		.read = read_for_all,
		.arg = &p };
	mda_before(rs->hooks.proxy, forward, &p);
	int rc = mda_send(rs->hooks.proxy, &m, rewind_content, &err);
	const struct smtp_rcpt *no = refused(&p);
	if (all_taken(&p)) {
		load_log_taken(l, l->s->id, env->from, p.n, "filtered");
		smtp_answer(a, 250, "2.0.0", "Ok: %.200s", p.v[0].reply[0] ? p.v[0].reply : l->s->id);
	} else if (no) {
		pass_on(&p, no, a);
	} else {
		log_warn("proxy filter=%s qid=%s error=%s", log_quote(span_str(rs->o.hooks.proxy)), l->s->id,
		    log_quote(span_str(rc < 0 ? err.text : "it gave no answer")));
		smtp_answer(a, 451, "4.3.0", "The content filter is not available now");
	}
}
