/* SPDX-License-Identifier: ISC
 *
 * What a client may ask: VRFY and EXPN (RFC 5321 3.5) as --vrfy allows, ETRN (RFC 1985) for the domains of --relay-to.
 */
#include <stdio.h>
#include <time.h>

#include "base/limits.h"
#include "base/log.h"
#include "io/trace.h"
#include "mta-relay/queue/queue_select.h"
#include "mta-relay/serve/serve_ask.h"
#include "mta-relay/serve/serve_load.h"

static bool allowed(const struct smtp_session *x)
{
	const struct relay_session *s = x->arg;
	int policy = s->rs->o.esmtp.vrfy;
	return policy == VRFY_YES || (policy == VRFY_TRUSTED && (s->trusted || x->user.n));
}

/* "user", "user@domain" or either in brackets: RFC 5321 3.5.1. */
static bool find(
    struct relay_session *s, struct arena *arena, struct span what, struct relay_targets *t, struct smtp_answer *a)
{
	struct smtp_env_rcpt r = { .notify = SPAN(""), .orcpt = SPAN("") };
	what = span_trim(what);
	if (span_starts(what, "<") && span_ends(what, ">"))
		what = span_slice(what, 1, what.n - 1);
	struct span here = domains_first(s->rs->domains);
	bool bare = span_chr(what, '@') < 0 && here.n;
	r.text =
	    bare ? span_str(arena_printf(arena, "%.*s@%.*s", SPAN_FMT(what), SPAN_FMT(here))) : arena_span(arena, what);
	if (what.n > LIMIT_SMTP_PATH || !addr_parse_mailbox(r.text, true, false, &r.addr, arena))
		smtp_answer(a, 501, "5.1.3", "That is no mail address");
	else
		policy_rcpt(&s->rs->policy, arena, &(struct relay_client){ 0 }, &r, t, a);
	return !a->code;
}

static bool is_alias(const struct relay_targets *t)
{
	return t->v[0].original.n;
}

/* 252 where only the MDA, or another host, knows. */
static void answer_vrfy(const struct relay_session *s, const struct relay_targets *t, struct smtp_answer *a)
{
	const struct relay_target *to = &t->v[0];
	struct span name = span_slice(is_alias(t) ? to->original : span_str(to->addr), 0, 300);
	bool known = is_alias(t) || (to->local && s->rs->users);
	if (known)
		smtp_answer(a, 250, "2.1.5", "<%.*s>", SPAN_FMT(name));
	else
		smtp_answer(
		    a, 252, "2.1.5", "<%.*s> is taken, and whether it exists is known elsewhere", SPAN_FMT(name));
}

/* What a list leads to is kept for the answer only: it may be asked for again and again. */
void ask_vrfy(struct smtp_session *x, struct span what, struct smtp_answer *a)
{
	struct relay_session *s = x->arg;
	struct relay_targets t = { 0 };
	if (!allowed(x))
		return;
	struct arena *arena = arena_new();
	if (find(s, arena, what, &t, a))
		answer_vrfy(s, &t, a);
	arena_free(arena);
}

void ask_expn(struct smtp_session *x, struct span what, struct buf *lines, struct smtp_answer *a)
{
	struct relay_targets t = { 0 };
	if (!allowed(x)) {
		smtp_answer(a, 502, "5.7.0", "Lists are not expanded");
		return;
	}
	struct arena *arena = arena_new();
	if (find(x->arg, arena, what, &t, a) && !is_alias(&t))
		smtp_answer(a, 550, "5.1.1", "That is no list");
	for (size_t i = 0; i < t.n && !a->code; i++)
		buf_addf(lines, "<%s>\n", t.v[i].addr);
	arena_free(arena);
}

struct wake {
	struct spool *s;
	struct queue_select which[2];
	size_t n_which;
	int64_t now;
	unsigned woken;
};

/* A message that is just being delivered, or gone, needs no waking. */
static int wake(void *arg, const char *id)
{
	struct wake *w = arg;
	struct spool_msg *m;
	struct err err = { 0 };
	bool meant = false;
	if (spool_get(w->s, id, SPOOL_UNLOCKED, &m, &err) < 0)
		return 0;
	for (size_t i = 0; i < w->n_which; i++)
		meant |= queue_matches(&w->which[i], m, w->now);
	if (meant && !m->held && m->file.env.hold_until <= w->now && spool_set_due(m, w->now, &err) == 0)
		w->woken++;
	spool_put(m);
	return 0;
}

/* "@example.org": and all below it (RFC 1985 5.3). */
static int wake_domain(struct relay_session *s, struct span domain, bool below, struct wake *w, struct err *err)
{
	if (!load_open_queue(s->rs, err))
		return -1;
	w->s = s->rs->spool;
	w->now = time(NULL);
	w->which[w->n_which++].domain = arena_str(s->arena, domain);
	if (below)
		w->which[w->n_which++].domain = arena_printf(s->arena, ".%.*s", SPAN_FMT(domain));
	return queue_each(w->s, QUEUE_WAITING, wake, w, err);
}

void ask_etrn(struct smtp_session *x, struct span node, struct smtp_answer *a)
{
	struct relay_session *s = x->arg;
	bool below = span_starts(node, "@");
	struct span domain = below ? span_from(node, 1) : node;
	struct wake w = { 0 };
	struct err err = { 0 };
	char name[200];
	snprintf(name, sizeof name, "%.*s", (int)(node.n > 190 ? 190 : node.n), node.p);
	if (!addr_domain_ok(domain, false))
		smtp_answer(a, 501, "5.5.4", "That is no domain");
	else if (!domains_match(s->rs->relay_to, domain))
		smtp_answer(a, 459, "4.7.1", "Node %s not allowed: we keep no mail for it", name);
	else if (wake_domain(s, domain, below, &w, &err) < 0)
		smtp_answer(a, 458, "4.3.0", "Unable to queue messages for node %s", name);
	else if (!w.woken)
		smtp_answer(a, 251, "2.0.0", "OK, no messages waiting for node %s", name);
	else
		smtp_answer(a, 253, "2.0.0", "OK, %u pending messages for node %s started", w.woken, name);
	if (err.class != ERR_NONE)
		log_err("etrn node=%s error=%s", log_quote(node), log_quote(span_str(err.text)));
	trace_why("etrn", a->code < 300 ? "ok" : "temp", "1985", "%s: %s", name, a->text);
}
