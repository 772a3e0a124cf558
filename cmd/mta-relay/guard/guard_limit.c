/* SPDX-License-Identifier: ISC
 *
 * Limits of a client's network: how often it comes, how much it sends, how much of that is refused, how often it
 * guesses a password. Nothing here asks anybody but the state.
 */
#include <poll.h>

#include "mta-relay/events/events.h"
#include "mta-relay/guard/guard_int.h"

enum {
	TARPIT_MAX = 20 * 1000, /* before one reply: a client waits for minutes, but it keeps a worker */
};

static struct span net_of(const struct guard_session *gs)
{
	return span_str(gs->client.net);
}

static bool locked_out(struct relay_session *s, const struct smtp_session *x, struct state_value *v)
{
	const struct guard *g = s->rs->guard;
	struct guard_key key;
	if (!g || !(g->errors.n || g->auth_failures.n) || !guard_watches(s, x))
		return false;
	return state_get(g->state, guard_key(&key, "lock", net_of(s->guard), SPAN("")), v) == 0 && v->there;
}

bool guard_turns_away(struct relay_session *s, const struct smtp_session *x)
{
	struct state_value v;
	return locked_out(s, x, &v);
}

static void limit_connect(struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	struct guard *g = s->rs->guard;
	struct state_value v;
	if (locked_out(s, x, &v))
		smtp_answer(a, 421, "4.7.0", "Too many failures from %s: try again in %lld seconds",
		    s->guard->client.net, (long long)(v.left > 0 ? v.left : 1));
	else if (g && guard_watches(s, x) && guard_beyond(g, &g->connections, "connections", net_of(s->guard), NULL))
		smtp_answer(a, 421, "4.7.0", "Too many connections from %s", s->guard->client.net);
}

static void limit_mail(struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	struct guard *g = s->rs->guard;
	if (g && guard_watches(s, x) && guard_beyond(g, &g->messages, "messages", net_of(s->guard), NULL))
		smtp_answer(a, 450, "4.7.1", "Too many messages from %s", s->guard->client.net);
}

static void limit_rcpt(struct relay_session *s, struct smtp_session *x, struct smtp_env_rcpt *r, struct smtp_answer *a)
{
	struct guard *g = s->rs->guard;
	(void)r;
	if (g && guard_watches(s, x) && guard_beyond(g, &g->recipients, "recipients", net_of(s->guard), NULL))
		smtp_answer(a, 450, "4.7.1", "Too many recipients from %s", s->guard->client.net);
}

/* One more failure of its network; the last one that is borne locks it out. */
static void failure(struct relay_session *s, struct smtp_session *x, const struct rate *r, const char *class)
{
	struct guard *g = s->rs->guard;
	struct guard_key key;
	struct state_value v, was;
	int64_t seconds = s->rs->o.guard.lockout / 1000;
	guard_beyond(g, r, class, net_of(s->guard), &v);
	if (!r->n || v.n < r->n || !seconds)
		return;
	struct span lock = guard_key(&key, "lock", net_of(s->guard), SPAN(""));
	if (state_first(g->state, lock, (uint64_t)v.n, seconds, &was) < 0 || was.there)
		return;
	struct event e = {
		.kind = EVENT_LOCKOUT, .net = s->guard->client.net, .text = span_str(class), .seconds = seconds
	};
	talk_fill(x, &s->talk, &e);
	event(&e);
}

static void limit_authenticated(struct relay_session *s, struct smtp_session *x, const struct err *why)
{
	struct guard *g = s->rs->guard;
	bool ours = why && (why->class == ERR_TEMP || why->class == ERR_CONFIG);
	if (why && !ours && g && g->auth_failures.n && guard_watches(s, x))
		failure(s, x, &g->auth_failures, "auth-failures");
}

/* Called with the reply not yet sent, and ended by a request to stop. */
static void tarpit(const struct relay_session *s)
{
	int64_t ms = s->rs->o.guard.tarpit * s->guard->errors;
	struct pollfd stop = { .fd = stream_interrupt_fd, .events = POLLIN };
	if (ms > 0)
		poll(&stop, 1, (int)(ms > TARPIT_MAX ? TARPIT_MAX : ms));
}

/* A refusal for now is our wish, not the client's mistake; a failed log-in is counted as what it is. */
static void limit_command(struct relay_session *s, struct smtp_session *x, const struct smtp_command *c)
{
	struct guard *g = s->rs->guard;
	if (c->code < 500 || !g || !guard_watches(s, x))
		return;
	s->guard->errors++;
	if (g->errors.n && c->code != 535)
		failure(s, x, &g->errors, "errors");
	tarpit(s);
}

const struct serve_check limit_check = {
	.name = "limit",
	.connect = limit_connect,
	.mail = limit_mail,
	.rcpt = limit_rcpt,
	.authenticated = limit_authenticated,
	.command = limit_command,
};
