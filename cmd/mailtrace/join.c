/* SPDX-License-Identifier: ISC
 *
 * Which events belong to which message. A message is called by its Message-ID; by a queue id or an ENVID where those
 * are all that is known; an event without any of them belongs to the message that its conversation is about:
 * waypost-trace(5), JOINING.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "base/xalloc.h"
#include "mailtrace/model.h"

/* Sorting instead of hashing: n log n, whatever the ids are. */

enum {
	MAX_BETWEEN = 8 /* events between the line MAIL and its smtp.mail: look-ups, checks */
};

#define CONVERSATION "conversation"

/* qid or env to Message-ID. */
struct alias {
	struct span id, mid;
};
struct aliases {
	struct alias *v;
	size_t n, room;
};

/* An event's place in a story; the story is called by key. */
struct member {
	struct span key;
	struct event *e;
};
struct members {
	struct member *v;
	size_t n, room;
};

static int by_time(const void *a, const void *b)
{
	const struct event *x = a, *y = b;
	if (x->us != y->us)
		return x->us < y->us ? -1 : 1;
	return (x->seq > y->seq) - (x->seq < y->seq);
}

static int by_conversation(const void *a, const void *b)
{
	const struct event *x = *(struct event *const *)a, *y = *(struct event *const *)b;
	int order = span_cmp(x->group, y->group);
	return order ? order : by_time(x, y);
}

static int by_key(const void *a, const void *b)
{
	const struct member *x = a, *y = b;
	int order = span_cmp(x->key, y->key);
	return order ? order : by_time(x->e, y->e);
}

static int by_alias(const void *a, const void *b)
{
	const struct alias *x = a, *y = b;
	int order = span_cmp(x->id, y->id);
	return order ? order : span_cmp(x->mid, y->mid);
}

static void alias_add(struct aliases *l, struct span id, struct span mid)
{
	if (!id.n || !mid.n)
		return;
	if (l->n == l->room) {
		l->room += l->room / 2 + 64;
		l->v = xreallocarray(l->v, l->room, sizeof *l->v);
	}
	l->v[l->n++] = (struct alias){ id, mid };
}

static void member_add(struct members *l, struct span key, struct event *e)
{
	if (l->n == l->room) {
		l->room += l->room / 2 + 64;
		l->v = xreallocarray(l->v, l->room, sizeof *l->v);
	}
	l->v[l->n++] = (struct member){ key, e };
}

/* The Message-ID that an id stands for; "" when none or more than one does. */
static struct span alias_find(const struct aliases *l, struct span id)
{
	size_t low = 0, high = l->n;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (span_cmp(l->v[mid].id, id) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == l->n || !span_eq(l->v[low].id, id))
		return span_str("");
	for (size_t i = low; i < l->n && span_eq(l->v[i].id, id); i++)
		if (!span_eq(l->v[i].mid, l->v[low].mid))
			return span_str("");
	return l->v[low].mid;
}

struct joiner {
	struct input *in;
	struct aliases qids, envs;
	struct members members;
};

/* Keys: "m" and the Message-ID, "q" and the queue id, "e" and the ENVID, "c" and the conversation. */
static struct span make_key(struct joiner *j, char kind, struct span id)
{
	return span_str(arena_printf(j->in->a, "%c%.*s", kind, SPAN_FMT(id)));
}

/* What an event says about its message itself; "" when nothing. */
static struct span own_key(struct joiner *j, const struct event *e)
{
	struct span mid = e->mid;
	if (!mid.n && e->qid.n)
		mid = alias_find(&j->qids, e->qid);
	if (!mid.n && e->env.n)
		mid = alias_find(&j->envs, e->env);
	if (mid.n)
		return make_key(j, 'm', mid);
	if (e->qid.n)
		return make_key(j, 'q', e->qid);
	return e->env.n ? make_key(j, 'e', e->env) : span_str("");
}

static bool is_mail_line(const struct event *e)
{
	return span_eqs(e->ev, "line") && span_istarts(e->line, "MAIL FROM:");
}

/* A transaction begins with the client's line, or, where lines are not traced, with the event that follows it. dir: the
 * way of the conversation's first such line; what goes the other way is about handing the same message on. */
static bool begins_transaction(struct event **v, size_t i, char dir)
{
	if (is_mail_line(v[i]))
		return v[i]->dir == dir;
	if (!span_eqs(v[i]->ev, "smtp.mail"))
		return false;
	for (size_t back = 1; back <= MAX_BETWEEN && back <= i && !span_eqs(v[i - back]->ev, "smtp.mail"); back++)
		if (is_mail_line(v[i - back]))
			return false;
	return true;
}

static char first_direction(struct event **v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (is_mail_line(v[i]))
			return v[i]->dir;
	return 0;
}

/* Keys of the events i to n-1 of one transaction: an event without a message of its own belongs to the next that is
 * named, or else to the last. */
static void spread_keys(struct joiner *j, struct event **v, struct span *key, size_t n)
{
	struct span next = span_str("");
	for (size_t i = n; i-- > 0;) {
		if (key[i].n)
			next = key[i];
		key[i] = next;
	}
	struct span last = span_str("");
	for (size_t i = 0; i < n; i++) {
		if (!key[i].n)
			key[i] = last;
		last = key[i];
	}
	/* A transaction that never came to a message has a story of its own. */
	if (n && !key[0].n) {
		struct span own = span_str(arena_printf(j->in->a, "c%.*s", SPAN_FMT(v[0]->group)));
		for (size_t i = 0; i < n; i++)
			key[i] = own;
	}
}

/* Events before the first that names a message, or before the first transaction: connection, TLS, login. */
static size_t preamble_length(struct event **v, const struct span *key, size_t n, char dir)
{
	size_t i = 0;
	while (i < n && i < MAX_SHARED && !key[i].n && !begins_transaction(v, i, dir))
		i++;
	return i;
}

static void share_preamble(struct joiner *j, struct event **v, const struct span *key, size_t shared, size_t n)
{
	struct span *mine = xreallocarray(NULL, n + 1, sizeof *mine);
	size_t count = 0;
	/* Keys come in runs; a key that comes again only makes duplicates, which drop_duplicates takes out. */
	for (size_t i = shared; i < n; i++)
		if (!count || !span_eq(mine[count - 1], key[i]))
			mine[count++] = key[i];
	for (size_t k = 0; k < count; k++)
		for (size_t i = 0; i < shared; i++)
			member_add(&j->members, mine[k], v[i]);
	for (size_t i = 0; i < shared && !count; i++)
		member_add(&j->members, make_key(j, 'c', v[i]->group), v[i]);
	free(mine);
}

static void join_conversation(struct joiner *j, struct event **v, size_t n)
{
	struct span *key = xreallocarray(NULL, n + 1, sizeof *key);
	for (size_t i = 0; i < n; i++)
		key[i] = own_key(j, v[i]);
	char dir = first_direction(v, n);
	size_t shared = preamble_length(v, key, n, dir);
	for (size_t from = shared, to; from < n; from = to) {
		for (to = from + 1; to < n && !begins_transaction(v, to, dir);)
			to++;
		spread_keys(j, v + from, key + from, to - from);
	}
	for (size_t i = shared; i < n; i++)
		member_add(&j->members, key[i], v[i]);
	share_preamble(j, v, key, shared, n);
	free(key);
}

static void collect_aliases(struct joiner *j)
{
	const struct input *in = j->in;
	for (size_t i = 0; i < in->n_events; i++) {
		alias_add(&j->qids, in->event[i].qid, in->event[i].mid);
		alias_add(&j->envs, in->event[i].env, in->event[i].mid);
	}
	for (size_t i = 0; i < in->n_mails; i++)
		for (size_t k = 0; k < in->mail[i].n; k++)
			alias_add(&j->qids, in->mail[i].hop[k].id, in->mail[i].mid);
	if (j->qids.n)
		qsort(j->qids.v, j->qids.n, sizeof *j->qids.v, by_alias);
	if (j->envs.n)
		qsort(j->envs.v, j->envs.n, sizeof *j->envs.v, by_alias);
}

/* An event outside of any conversation makes one with the others of its process. */
static void name_conversations(struct input *in)
{
	for (size_t i = 0; i < in->n_events; i++) {
		struct event *e = &in->event[i];
		e->group = e->conv;
		if (!e->group.n)
			e->group = span_str(arena_printf(in->a, "%.*s[%lld]", SPAN_FMT(e->prog), (long long)e->pid));
	}
}

static void join_events(struct joiner *j)
{
	struct input *in = j->in;
	struct event **v = xreallocarray(NULL, in->n_events + 1, sizeof *v);
	for (size_t i = 0; i < in->n_events; i++)
		v[i] = &in->event[i];
	qsort(v, in->n_events, sizeof *v, by_conversation);
	for (size_t from = 0, to; from < in->n_events; from = to) {
		for (to = from + 1; to < in->n_events && span_eq(v[to]->group, v[from]->group);)
			to++;
		join_conversation(j, v + from, to - from);
	}
	free(v);
	if (j->members.n)
		qsort(j->members.v, j->members.n, sizeof *j->members.v, by_key);
}

/* members from i on with the same key, each event once; *next is behind them. */
static void make_story(struct joiner *j, size_t i, size_t *next, struct story *s)
{
	const struct member *m = j->members.v;
	struct span key = m[i].key, id = span_from(key, 1);
	size_t to = i;
	while (to < j->members.n && span_eq(m[to].key, key))
		to++;
	*s = (struct story){ .mid = key.p[0] == 'm' ? id : span_str(""), .name = span_str("") };
	if (key.p[0] != 'm')
		s->name = span_str(arena_printf(j->in->a, "%s %.*s",
		    key.p[0] == 'q'   ? "queue id"
		    : key.p[0] == 'e' ? "ENVID"
				      : CONVERSATION,
		    SPAN_FMT(id)));
	s->step = arena_alloc(j->in->a, (to - i) * sizeof *s->step);
	for (; i < to; i++)
		if (!s->n || s->step[s->n - 1].e != m[i].e)
			s->step[s->n++].e = m[i].e;
	*next = to;
}

static void append(struct stories *out, size_t *room, struct story s)
{
	if (out->n == *room) {
		*room += *room / 2 + 8;
		out->v = xreallocarray(out->v, *room, sizeof *out->v);
	}
	out->v[out->n++] = s;
}

static struct story *find_story(struct stories *out, size_t sorted, struct span mid)
{
	size_t low = 0, high = sorted;
	while (low < high) {
		size_t at = low + (high - low) / 2;
		if (span_cmp(out->v[at].mid, mid) < 0)
			low = at + 1;
		else
			high = at;
	}
	return mid.n && low < sorted && span_eq(out->v[low].mid, mid) ? &out->v[low] : NULL;
}

static int mail_order(const void *a, const void *b)
{
	return span_cmp((*(const struct mail *const *)a)->mid, (*(const struct mail *const *)b)->mid);
}

static int story_by_mid(const void *a, const void *b)
{
	return span_cmp(((const struct story *)a)->mid, ((const struct story *)b)->mid);
}

/* Messages of files join the story of their Message-ID, or begin one; those without one stand alone. */
static void add_mails(struct joiner *j, struct stories *out, size_t *room)
{
	struct input *in = j->in;
	const struct mail **v = arena_alloc(in->a, (in->n_mails + 1) * sizeof *v);
	for (size_t i = 0; i < in->n_mails; i++)
		v[i] = &in->mail[i];
	qsort(v, in->n_mails, sizeof *v, mail_order);
	if (out->n)
		qsort(out->v, out->n, sizeof *out->v, story_by_mid);
	size_t sorted = out->n;
	for (size_t i = 0, to; i < in->n_mails; i = to) {
		for (to = i + 1; v[i]->mid.n && to < in->n_mails && span_eq(v[to]->mid, v[i]->mid);)
			to++;
		struct story *s = find_story(out, sorted, v[i]->mid);
		if (!s) {
			append(out, room, (struct story){ .mid = v[i]->mid, .name = span_str(v[i]->file) });
			s = &out->v[out->n - 1];
		}
		s->mail = v + i;
		s->n_mails = to - i;
	}
}

static int64_t story_time(const struct story *s)
{
	if (s->n)
		return s->step[0].e->us;
	const struct mail *m = s->mail[0];
	if (m->n && m->hop[0].has_time)
		return m->hop[0].time * 1000000;
	return m->has_date ? m->date * 1000000 : 0;
}

/* Messages, then what knows a queue id or an ENVID, then mere conversations. */
static int rank(const struct story *s)
{
	if (s->mid.n || s->n_mails)
		return 0;
	return span_starts(s->name, CONVERSATION) ? 2 : 1;
}

static int by_begin(const void *a, const void *b)
{
	const struct story *s = a, *t = b;
	int64_t x = story_time(s), y = story_time(t);
	if (rank(s) != rank(t))
		return rank(s) - rank(t);
	if (x != y)
		return x < y ? -1 : 1;
	return span_cmp(s->mid, t->mid);
}

void join_stories(struct input *in, struct stories *out)
{
	struct joiner j = { .in = in };
	size_t room = 0;
	*out = (struct stories){ 0 };
	name_conversations(in);
	if (in->n_events)
		qsort(in->event, in->n_events, sizeof *in->event, by_time);
	collect_aliases(&j);
	join_events(&j);
	for (size_t i = 0; i < j.members.n;) {
		struct story s;
		make_story(&j, i, &i, &s);
		append(out, &room, s);
	}
	add_mails(&j, out, &room);
	if (out->n)
		qsort(out->v, out->n, sizeof *out->v, by_begin);
	for (size_t i = 0; i < out->n; i++)
		find_hops(in->a, &out->v[i]);
	free(j.qids.v);
	free(j.envs.v);
	free(j.members.v);
}
