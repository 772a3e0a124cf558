/* SPDX-License-Identifier: ISC
 *
 * Greylisting (RFC 6647): the first message from a network for a sender and a recipient is refused for now, which a
 * mail server takes for a reason to come again, and most programs that send spam do not. Last of what is asked about a
 * recipient: nobody is told to come again who would be refused then.
 */
#include <time.h>

#include "mta-relay/guard/guard_int.h"

/* A client whose mail came again so often needs not do it any more. */
static bool known_good(struct guard *g, const struct guard_settings *o, struct span net)
{
	struct guard_key key;
	struct state_value v;
	int64_t keep = o->greylist_keep / 1000;
	struct span name = guard_key(&key, "grey-passed", net, SPAN(""));
	if (!o->greylist_auto || state_get(g->state, name, &v) < 0 || v.n < o->greylist_auto)
		return false;
	if (v.left < keep / 2)
		state_put(g->state, name, v.n, keep);
	return true;
}

/* Seconds that are left to wait; 0: it may pass. The mark's number is when it was seen first, and 0 once it passed. */
static int64_t wait_for(struct guard *g, const struct guard_settings *o, struct span net, struct span mark)
{
	struct guard_key key;
	struct state_value was;
	int64_t now = time(NULL), delay = (o->greylist + 999) / 1000, keep = o->greylist_keep / 1000;
	if (state_first(g->state, mark, (uint64_t)now, o->greylist_window / 1000, &was) < 0)
		return 0;
	if (!was.there)
		return delay;
	int64_t seen = (int64_t)was.n;
	/* A clock that was set back must not make anybody wait for longer. */
	if (was.n && now < seen + delay)
		return seen > now ? delay : seen + delay - now;
	if (was.n || was.left < keep / 2)
		state_put(g->state, mark, 0, keep);
	if (was.n && o->greylist_auto)
		state_add(g->state, guard_key(&key, "grey-passed", net, SPAN("")), 1, keep, &was);
	return 0;
}

static bool spared(const struct guard *g, const struct guard_client *c, struct span from, struct span to)
{
	return guard_list_network(g->grey_exempt, &c->addr) || guard_list_address(g->grey_exempt, from) ||
	       guard_list_address(g->grey_exempt, to);
}

static void grey_rcpt(struct relay_session *s, struct smtp_session *x, struct smtp_env_rcpt *r, struct smtp_answer *a)
{
	struct guard *g = s->rs->guard;
	const struct guard_settings *o = &s->rs->o.guard;
	struct buf text;
	if (!g || !o->greylist || !guard_stranger(s, x))
		return;
	struct span net = span_str(s->guard->client.net), from = x->env.from;
	if (spared(g, &s->guard->client, from, r->text) || known_good(g, o, net))
		return;
	struct span parts[] = { net, from.n ? from : SPAN("<>"), r->text };
	buf_init(&text, STATE_KEY_MAX);
	state_key(&text, "grey", parts, 3);
	int64_t left = wait_for(g, o, net, buf_span(&text));
	buf_free(&text);
	if (left > 0)
		smtp_answer(a, 450, "4.7.1", "<%.*s>: greylisted, come again in %lld seconds",
		    SPAN_FMT(span_slice(r->text, 0, 200)), (long long)left);
}

static int grey_set_up(struct relay_server *rs, struct err *err)
{
	const struct guard_settings *o = &rs->o.guard;
	if (!o->greylist || !rs->guard)
		return 0;
	if (o->greylist_window < o->greylist || o->greylist_keep < o->greylist_window)
		return err_set(
		    err, ERR_USAGE, "--greylist-keep is not below --greylist-window, and that not below --greylist");
	if (o->greylist_exempt && !(rs->guard->grey_exempt = guard_list_open(o->greylist_exempt, err)))
		return err_prefix(err, "--greylist-exempt");
	return 0;
}

static int grey_reload(struct relay_server *rs, struct err *err)
{
	struct guard_list *now;
	if (!rs->guard || !rs->guard->grey_exempt)
		return 0;
	if (!(now = guard_list_open(rs->o.guard.greylist_exempt, err)))
		return -1;
	guard_list_free(rs->guard->grey_exempt);
	rs->guard->grey_exempt = now;
	return 0;
}

const struct serve_check grey_check = {
	.name = "greylist",
	.set_up = grey_set_up,
	.reload = grey_reload,
	.rcpt = grey_rcpt,
};
