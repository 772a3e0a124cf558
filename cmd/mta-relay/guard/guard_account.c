/* SPDX-License-Identifier: ISC
 *
 * Guesses at one account's password, from wherever they come: after so many it is closed for a while to networks that
 * its user did not log in from before. So whoever guesses from a thousand addresses gets no more tries than from one,
 * and the user is not kept out of where he usually is. Names that do not exist are counted like others: nothing tells
 * them apart.
 */
#include "mta-relay/events/events.h"
#include "mta-relay/guard/guard_int.h"

/* Is the client one whose log-ins are looked at? */
static bool watched(const struct relay_session *s)
{
	const struct guard *g = s->rs->guard;
	return g && g->account_failures.n && s->guard && !s->guard->client.exempt;
}

static bool familiar(const struct relay_session *s, struct span user)
{
	struct guard_key key;
	struct state_value v;
	struct span net = span_str(s->guard->client.net);
	return state_get(s->rs->guard->state, guard_key(&key, "seen", user, net), &v) == 0 && v.there;
}

int guard_account_look(struct relay_session *s, struct span user, struct err *err)
{
	struct guard_key key;
	struct state_value v;
	if (!watched(s))
		return 0;
	s->guard->account = arena_span(s->arena, user);
	struct span lock = guard_key(&key, "account-lock", user, SPAN(""));
	if (state_get(s->rs->guard->state, lock, &v) < 0 || !v.there || familiar(s, user))
		return 0;
	return err_set(err, ERR_TEMP,
	    "too many wrong passwords for this account: closed to new networks for %lld seconds",
	    (long long)(v.left > 0 ? v.left : 1));
}

/* Renewed when half of its time is over, so that most log-ins write nothing. */
static void note_familiar(const struct relay_session *s, struct span user)
{
	struct guard_key key;
	struct state_value was;
	struct state *st = s->rs->guard->state;
	int64_t life = s->rs->o.guard.account_known / 1000;
	struct span seen = guard_key(&key, "seen", user, span_str(s->guard->client.net));
	if (life && state_first(st, seen, 1, life, &was) == 0 && was.there && was.left < life / 2)
		state_put(st, seen, 1, life);
}

static void guessed(struct relay_session *s, struct smtp_session *x, struct span user)
{
	struct guard *g = s->rs->guard;
	const struct rate *r = &g->account_failures;
	struct guard_key key;
	struct state_value v, was;
	int64_t seconds = s->rs->o.guard.lockout / 1000;
	guard_beyond(g, r, "account", user, &v);
	if (v.n < r->n || !seconds)
		return;
	struct span lock = guard_key(&key, "account-lock", user, SPAN(""));
	if (state_first(g->state, lock, (uint64_t)v.n, seconds, &was) < 0 || was.there)
		return;
	struct event e = {
		.kind = EVENT_LOCKOUT, .net = "unfamiliar", .text = SPAN("account-failures"), .seconds = seconds
	};
	talk_fill(x, &s->talk, &e);
	e.user = user;
	event(&e);
}

static void account_connect(struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	(void)a;
	/* Who the client is, for log-ins: they are looked up without the conversation at hand. */
	guard_session(s, x);
}

static void account_authenticated(struct relay_session *s, struct smtp_session *x, const struct err *why)
{
	if (!watched(s))
		return;
	struct span user = s->guard->account;
	s->guard->account = SPAN("");
	if (!why)
		note_familiar(s, x->user);
	else if (why->class == ERR_ACCESS && user.n && !familiar(s, user))
		guessed(s, x, user);
}

const struct serve_check account_check = {
	.name = "account",
	.connect = account_connect,
	.authenticated = account_authenticated,
};
