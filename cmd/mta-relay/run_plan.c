/* SPDX-License-Identifier: ISC */
#include "mta-relay/run_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

enum {
	BUCKETS = 2048
};

struct plan {
	unsigned per_dest;
	size_t messages, jobs;
	struct plan_msg *msg[BUCKETS];
	struct plan_dest *dest[BUCKETS];
	struct plan_dest *ring; /* the next in turn; circular */
	size_t in_ring;
};

struct plan *plan_new(unsigned per_dest)
{
	struct plan *p = xcalloc(1, sizeof *p);
	p->per_dest = per_dest;
	return p;
}

static void free_dest(struct plan_dest *d)
{
	while (d->first) {
		struct plan_job *job = d->first;
		d->first = job->next;
		free(job);
	}
	free(d->key);
	free(d->why);
	free(d);
}

void plan_free(struct plan *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct plan_dest *d; (d = p->dest[i]);) {
			p->dest[i] = d->chain;
			free_dest(d);
		}
		for (struct plan_msg *m; (m = p->msg[i]);) {
			p->msg[i] = m->chain;
			free(m);
		}
	}
	free(p);
}

/* FNV-1a; never 0, which means "not known". */
uint32_t plan_hash(const char *key)
{
	uint32_t h = 2166136261u;
	for (; *key; key++)
		h = (h ^ (unsigned char)*key) * 16777619u;
	h ^= h >> 15;
	return h ? h : 1;
}

size_t plan_count(const struct plan *p)
{
	return p->messages;
}

bool plan_full(const struct plan *p)
{
	return p->messages >= PLAN_MESSAGES || p->jobs >= PLAN_JOBS;
}

bool plan_waiting(const struct plan *p)
{
	return p->ring;
}

static struct plan_msg **msg_link(struct plan *p, const char *id)
{
	struct plan_msg **link = &p->msg[plan_hash(id) % BUCKETS];
	while (*link && strcmp((*link)->id, id) != 0)
		link = &(*link)->chain;
	return link;
}

bool plan_has(const struct plan *p, const char *id)
{
	const struct plan_msg *m = p->msg[plan_hash(id) % BUCKETS];
	while (m && strcmp(m->id, id) != 0)
		m = m->chain;
	return m;
}

bool plan_crowded(const struct plan *p, uint32_t hash)
{
	for (const struct plan_dest *d = p->dest[hash % BUCKETS]; d; d = d->chain)
		if (d->hash == hash)
			return d->queued >= PLAN_PER_DEST;
	return false;
}

static struct plan_dest *find_dest(const struct plan *p, const char *key)
{
	struct plan_dest *d = p->dest[plan_hash(key) % BUCKETS];
	while (d && strcmp(d->key, key) != 0)
		d = d->chain;
	return d;
}

static struct plan_dest *dest_of(struct plan *p, const char *key)
{
	struct plan_dest *d = find_dest(p, key);
	if (d)
		return d;
	d = xcalloc(1, sizeof *d);
	d->key = xstrdup(key);
	d->hash = plan_hash(key);
	struct plan_dest **bucket = &p->dest[d->hash % BUCKETS];
	d->chain = *bucket;
	*bucket = d;
	return d;
}

static void leave_ring(struct plan *p, struct plan_dest *d)
{
	if (!d->in_ring)
		return;
	d->in_ring = false;
	p->in_ring--;
	d->next->prev = d->prev;
	d->prev->next = d->next;
	if (p->ring == d)
		p->ring = d->next == d ? NULL : d->next;
}

/* Behind all that wait already. */
static void join_ring(struct plan *p, struct plan_dest *d)
{
	if (d->in_ring)
		return;
	d->in_ring = true;
	p->in_ring++;
	if (!p->ring) {
		d->next = d->prev = p->ring = d;
		return;
	}
	d->next = p->ring;
	d->prev = p->ring->prev;
	d->prev->next = d;
	d->next->prev = d;
}

/* A job that only finishes or defers does not go to the destination: no limit for it. */
static void update_ring(struct plan *p, struct plan_dest *d)
{
	bool limited = *d->key && !d->down_until;
	if (d->queued && (!limited || d->running < p->per_dest))
		join_ring(p, d);
	else
		leave_ring(p, d);
}

static void add_job(struct plan *p, struct plan_msg *m, const char *key)
{
	struct plan_dest *d = dest_of(p, key);
	struct plan_job *job = xcalloc(1, sizeof *job);
	*job = (struct plan_job){ .msg = m, .dest = d };
	if (d->last)
		d->last->next = job;
	else
		d->first = job;
	d->last = job;
	d->queued++;
	m->open++;
	p->jobs++;
	update_ring(p, d);
}

void plan_add(struct plan *p, const char *id, const char *const *keys, size_t n)
{
	struct plan_msg *m = xcalloc(1, sizeof *m), **link = msg_link(p, id);
	snprintf(m->id, sizeof m->id, "%s", id);
	*link = m;
	p->messages++;
	for (size_t i = 0; i < n; i++)
		add_job(p, m, keys[i]);
	if (!n)
		add_job(p, m, "");
}

static struct plan_job *take_from(struct plan *p, struct plan_dest *d)
{
	struct plan_job *job = d->first;
	d->first = job->next;
	if (!d->first)
		d->last = NULL;
	d->queued--;
	d->running++;
	job->next = NULL;
	job->finish = job->msg->open == 1;
	update_ring(p, d);
	return job;
}

struct plan_job *plan_take(struct plan *p, const char *prefer)
{
	struct plan_dest *d = prefer ? find_dest(p, prefer) : NULL;
	if (d && d->in_ring)
		return take_from(p, d);
	if (!(d = p->ring))
		return NULL;
	p->ring = d->next;
	return take_from(p, d);
}

bool plan_ready(const struct plan *p, const char *key)
{
	const struct plan_dest *d = find_dest(p, key);
	return d && d->in_ring;
}

bool plan_others_wait(const struct plan *p, const char *key)
{
	const struct plan_dest *d = find_dest(p, key);
	return p->in_ring > (size_t)(d && d->in_ring ? 1 : 0);
}

static void drop_message(struct plan *p, struct plan_msg *m)
{
	struct plan_msg **link = msg_link(p, m->id);
	*link = m->chain;
	free(m);
	p->messages--;
}

static void drop_dest_if_unused(struct plan *p, struct plan_dest *d)
{
	if (d->queued || d->running || d->down_until)
		return;
	struct plan_dest **link = &p->dest[d->hash % BUCKETS];
	while (*link != d)
		link = &(*link)->chain;
	*link = d->chain;
	free_dest(d);
}

bool plan_done(struct plan *p, struct plan_job *job)
{
	struct plan_msg *m = job->msg;
	struct plan_dest *d = job->dest;
	bool finished = job->finish;
	d->running--;
	m->open--;
	p->jobs--;
	free(job);
	update_ring(p, d);
	drop_dest_if_unused(p, d);
	if (m->open)
		return false;
	if (!finished) {
		add_job(p, m, "");
		return false;
	}
	drop_message(p, m);
	return true;
}

void plan_set_down(struct plan *p, struct plan_dest *d, int64_t until, const char *why)
{
	free(d->why);
	d->why = xstrdup(why);
	d->down_until = until;
	update_ring(p, d);
}

static void all_dests(struct plan *p, int64_t down_before)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct plan_dest *d = p->dest[i], *next; d; d = next) {
			next = d->chain;
			if (!d->down_until || d->down_until > down_before)
				continue;
			d->down_until = 0;
			update_ring(p, d);
			drop_dest_if_unused(p, d);
		}
	}
}

void plan_forget_down(struct plan *p)
{
	all_dests(p, INT64_MAX);
}

unsigned plan_down(const struct plan *p)
{
	unsigned n = 0;
	for (size_t i = 0; i < BUCKETS; i++)
		for (const struct plan_dest *d = p->dest[i]; d; d = d->chain)
			n += d->down_until > 0;
	return n;
}

void plan_expire(struct plan *p, int64_t now)
{
	all_dests(p, now);
}
