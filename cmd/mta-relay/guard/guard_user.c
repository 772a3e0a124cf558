/* SPDX-License-Identifier: ISC
 *
 * Limits of a user who has authenticated, and the brake that they pull: a password that was stolen is noticed by how
 * much is sent with it, to whom it was never sent before, and how much of that is refused. Until the brake's time is
 * over the user's mail is refused for now, or taken and put on hold. It stands after the policy: only recipients that
 * it would take are counted as such.
 */
#include <stdio.h>

#include "mta-relay/events/events.h"
#include "mta-relay/guard/guard_int.h"

enum {
	KNOWN_LIFE = 90 * 24 * 3600, /* a recipient is remembered for so long after he was written to */
};

static const char *const names[USER_COUNTS] = {
	[USER_MESSAGES] = "user-messages",
	[USER_RECIPIENTS] = "user-recipients",
	[USER_NEW_RECIPIENTS] = "user-new-recipients",
	[USER_REFUSALS] = "user-refusals",
};
/* As the user reads it. */
static const char *const words[USER_COUNTS] = {
	[USER_MESSAGES] = "messages",
	[USER_RECIPIENTS] = "recipients",
	[USER_NEW_RECIPIENTS] = "recipients whom you never wrote to before",
	[USER_REFUSALS] = "recipients that do not exist",
};

static bool listed(const char *list, struct span user)
{
	struct span rest = span_str(list);
	while (rest.n) {
		struct span name = span_trim(span_cut(&rest, ','));
		if (name.n && span_ieq(name, user))
			return true;
	}
	return false;
}

static bool limited(const struct relay_session *s, const struct smtp_session *x)
{
	const struct guard *g = s->rs->guard;
	return g && g->users && x->user.n && !listed(s->rs->o.guard.user_exempt, x->user);
}

static struct span brake_key(struct guard_key *key, const struct smtp_session *x)
{
	return guard_key(key, "brake", x->user, SPAN(""));
}

/* What a braked user is told, or what becomes of his message. */
static void act(struct relay_session *s, struct smtp_session *x, const char *why, struct smtp_answer *a)
{
	if (!a)
		return;
	if (s->rs->o.guard.user_beyond == BEYOND_HOLD)
		change_hold(s, x, "user", span_str(why));
	else
		smtp_answer(a, 450, "4.7.1", "Your account may not send now: %s", why);
}

/* The rate is passed: the brake is pulled, if it was not before. */
static void pull(
    struct relay_session *s, struct smtp_session *x, enum user_count what, const struct rate *r, int64_t left)
{
	struct guard_key key;
	struct state_value was;
	int64_t life = s->rs->o.guard.user_brake / 1000;
	char why[100];
	if (!life)
		life = left > 0 ? left : 1;
	if (state_first(s->rs->guard->state, brake_key(&key, x), (uint64_t)what, life, &was) < 0 || was.there)
		return;
	snprintf(why, sizeof why, "more than %llu %s in %lld seconds", (unsigned long long)r->n, names[what] + 5,
	    (long long)r->life);
	struct event e = { .kind = EVENT_BRAKE, .seconds = life, .text = span_str(why) };
	talk_fill(x, &s->talk, &e);
	event(&e);
}

/* One more of something; a: NULL where nothing can be answered. */
static void count(struct relay_session *s, struct smtp_session *x, enum user_count what, struct smtp_answer *a)
{
	const struct user_rates *rates = &s->rs->guard->user[what];
	for (size_t i = 0; i < rates->n; i++) {
		struct guard_key key;
		struct state_value v;
		char life[24], why[100];
		const struct rate *r = &rates->v[i];
		snprintf(life, sizeof life, "%lld", (long long)r->life);
		struct span name = guard_key(&key, names[what], x->user, span_str(life));
		if (state_add(s->rs->guard->state, name, 1, r->life, &v) < 0 || v.n <= r->n)
			continue;
		pull(s, x, what, r, v.left);
		snprintf(why, sizeof why, "too many %s", words[what]);
		if (!a || !a->code)
			act(s, x, why, a);
	}
}

static void user_mail(struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	struct guard_key key;
	struct state_value v;
	char why[100];
	if (!limited(s, x))
		return;
	if (state_get(s->rs->guard->state, brake_key(&key, x), &v) == 0 && v.there) {
		snprintf(why, sizeof why, "too many %s", v.n < USER_COUNTS ? words[v.n] : "messages");
		act(s, x, why, a);
	}
	if (!a->code)
		count(s, x, USER_MESSAGES, a);
}

/* The mark is renewed by each message, and is there before he is written to again. */
static bool is_new(struct relay_session *s, const struct smtp_session *x, const struct smtp_env_rcpt *r)
{
	struct guard_key key;
	struct state_value was;
	struct span known = guard_key(&key, "known", x->user, r->text);
	struct state *st = s->rs->guard->state;
	if (state_first(st, known, 1, KNOWN_LIFE, &was) < 0)
		return false;
	if (was.there && was.left < KNOWN_LIFE / 2)
		state_put(st, known, 1, KNOWN_LIFE);
	return !was.there;
}

static void user_rcpt(struct relay_session *s, struct smtp_session *x, struct smtp_env_rcpt *r, struct smtp_answer *a)
{
	if (!limited(s, x))
		return;
	count(s, x, USER_RECIPIENTS, a);
	if (!a->code && s->rs->guard->user[USER_NEW_RECIPIENTS].n && is_new(s, x, r))
		count(s, x, USER_NEW_RECIPIENTS, a);
}

static void user_command(struct relay_session *s, struct smtp_session *x, const struct smtp_command *c)
{
	if (c->code >= 500 && !strcmp(c->verb, "RCPT") && limited(s, x))
		count(s, x, USER_REFUSALS, NULL);
}

const struct serve_check user_check = {
	.name = "user",
	.mail = user_mail,
	.rcpt = user_rcpt,
	.command = user_command,
};
