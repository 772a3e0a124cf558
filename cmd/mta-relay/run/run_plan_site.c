/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "mta-relay/run/run_plan_int.h"

/* Finishing a message and refusing by a route go to nobody: no limit for them. */
static bool goes_nowhere(const char *key)
{
	return !*key || !strncmp(key, "error:", 6);
}

static unsigned smaller(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

struct plan_site *plan_site(struct plan *p, const char *name)
{
	struct plan_site **link = &p->site[plan_hash(name) % PLAN_BUCKETS], *s;
	while ((s = *link) && strcmp(s->name, name) != 0)
		link = &s->chain;
	if (s)
		return s;
	s = *link = xcalloc(1, sizeof *s);
	s->name = xstrdup(name);
	s->unlimited = goes_nowhere(name);
	s->allowed = smaller(PLAN_FIRST_WORKERS, p->c.per_dest);
	return s;
}

static void leave_ring(struct plan *p, struct plan_site *s)
{
	if (!s->in_ring)
		return;
	s->in_ring = false;
	p->in_ring--;
	s->next->prev = s->prev;
	s->prev->next = s->next;
	if (p->ring == s)
		p->ring = s->next == s ? NULL : s->next;
}

/* Behind all that wait already. */
static void join_ring(struct plan *p, struct plan_site *s)
{
	if (s->in_ring)
		return;
	s->in_ring = true;
	p->in_ring++;
	if (!p->ring) {
		s->next = s->prev = p->ring = s;
		return;
	}
	s->next = p->ring;
	s->prev = p->ring->prev;
	s->prev->next = s;
	s->next->prev = s;
}

void plan_site_drop_if_unused(struct plan *p, struct plan_site *s)
{
	if (s->destinations)
		return;
	struct plan_site **link = &p->site[plan_hash(s->name) % PLAN_BUCKETS];
	while (*link != s)
		link = &(*link)->chain;
	*link = s->chain;
	leave_ring(p, s);
	p->down -= s->down_until != 0;
	free(s->name);
	free(s->why);
	free(s);
}

/* Jobs of one that is down are only deferred: no limit for that. */
void plan_update_site(struct plan *p, struct plan_site *s)
{
	if (s->ring && (s->unlimited || s->down_until || s->running < s->allowed))
		join_ring(p, s);
	else
		leave_ring(p, s);
}

void plan_leave_site_ring(struct plan_dest *d)
{
	if (!d->in_ring)
		return;
	d->in_ring = false;
	d->next->prev = d->prev;
	d->prev->next = d->next;
	if (d->site->ring == d)
		d->site->ring = d->next == d ? NULL : d->next;
	d->next = d->prev = NULL;
}

static void join_site_ring(struct plan_dest *d)
{
	struct plan_site *s = d->site;
	if (d->in_ring)
		return;
	d->in_ring = true;
	if (!s->ring) {
		d->next = d->prev = s->ring = d;
		return;
	}
	d->next = s->ring;
	d->prev = s->ring->prev;
	d->prev->next = d;
	d->next->prev = d;
}

void plan_update(struct plan *p, struct plan_dest *d)
{
	if (d->queued)
		join_site_ring(d);
	else
		plan_leave_site_ring(d);
	plan_update_site(p, d->site);
}

static void move(struct plan *p, struct plan_dest *d, const char *name)
{
	struct plan_site *old = d->site, *s = plan_site(p, name);
	if (s == old)
		return;
	plan_leave_site_ring(d);
	old->running -= d->running;
	old->destinations--;
	d->site = s;
	s->running += d->running;
	s->destinations++;
	plan_update(p, d);
	plan_update_site(p, old);
	plan_site_drop_if_unused(p, old);
}

static void set_down(struct plan *p, struct plan_site *s, int64_t until)
{
	p->down -= s->down_until != 0;
	p->down += until != 0;
	s->down_until = until;
	plan_update_site(p, s);
}

void plan_reached(struct plan *p, struct plan_dest *d, const char *site)
{
	if (*site)
		move(p, d, site);
	struct plan_site *s = d->site;
	s->failed = 0;
	s->backoff = 0;
	if (s->probing)
		s->allowed = smaller(PLAN_FIRST_WORKERS, p->c.per_dest);
	else if (s->allowed < p->c.per_dest && s->running >= s->allowed)
		s->allowed++;
	s->probing = false;
	set_down(p, s, 0);
}

/* One of several that try at once may fail without much meaning: as many as there are have to. */
void plan_unreached(struct plan *p, struct plan_dest *d, const char *site, const char *why, int64_t now)
{
	/* When not even the hosts are known that says nothing about the others who share them. */
	move(p, d, *site ? site : d->key);
	struct plan_site *s = d->site;
	if (s->down_until || s->unlimited)
		return;
	s->failed += 1.0 / (s->running ? s->running : 1);
	s->allowed -= s->allowed > 1;
	if (s->failed < 0.999 && !s->probing)
		return;
	s->backoff = !s->backoff ? p->c.backoff_min : s->backoff * 2;
	if (s->backoff > p->c.backoff_max)
		s->backoff = p->c.backoff_max;
	free(s->why);
	s->why = xstrdup(why);
	s->failed = 0;
	s->probing = true;
	s->allowed = 1;
	set_down(p, s, now + s->backoff);
}

int64_t plan_down_until(const struct plan *p, const char *key)
{
	const struct plan_dest *d = plan_find(p, key);
	return d ? d->site->down_until : 0;
}

unsigned plan_down(const struct plan *p)
{
	return (unsigned)p->down;
}

static void end_down(struct plan *p, int64_t now, bool forget)
{
	for (size_t i = 0; i < PLAN_BUCKETS && p->down; i++) {
		for (struct plan_site *s = p->site[i]; s; s = s->chain) {
			if (!s->down_until || s->down_until > now)
				continue;
			s->backoff = forget ? 0 : s->backoff;
			set_down(p, s, 0);
		}
	}
}

void plan_forget_down(struct plan *p)
{
	end_down(p, INT64_MAX, true);
}

void plan_expire(struct plan *p, int64_t now)
{
	end_down(p, now, false);
	while (p->oldest && (p->idle > PLAN_IDLE || p->oldest->used <= now - PLAN_KEEP)) {
		struct plan_dest *d = p->oldest, **link = &p->dest[d->hash % PLAN_BUCKETS];
		while (*link != d)
			link = &(*link)->chain;
		*link = d->chain;
		p->oldest = d->next;
		if (p->oldest)
			p->oldest->prev = NULL;
		else
			p->newest = NULL;
		p->idle--;
		d->site->destinations--;
		plan_site_drop_if_unused(p, d->site);
		free(d->key);
		free(d);
	}
}

void plan_each(const struct plan *p, void (*fn)(void *arg, const struct plan_site *s, size_t queued), void *arg)
{
	for (size_t i = 0; i < PLAN_BUCKETS; i++) {
		for (const struct plan_site *s = p->site[i]; s; s = s->chain) {
			size_t queued = 0;
			const struct plan_dest *d = s->ring;
			for (bool first = true; d && (first || d != s->ring); d = d->next, first = false)
				queued += d->queued;
			if (queued || s->running || s->down_until)
				fn(arg, s, queued);
		}
	}
}
