/* SPDX-License-Identifier: ISC */
#include "mta-relay/run/run_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "mta-relay/run/run_plan_int.h"

struct plan *plan_new(const struct plan_config *c)
{
	struct plan *p = xcalloc(1, sizeof *p);
	p->c = *c;
	return p;
}

static void free_dest(struct plan_dest *d)
{
	for (int line = 0; line < PLAN_LINES; line++) {
		for (struct plan_job *job; (job = d->first[line]);) {
			d->first[line] = job->next;
			free(job);
		}
	}
	free(d->key);
	free(d);
}

void plan_free(struct plan *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < PLAN_BUCKETS; i++) {
		for (struct plan_dest *d; (d = p->dest[i]);) {
			p->dest[i] = d->chain;
			free_dest(d);
		}
		for (struct plan_msg *m; (m = p->msg[i]);) {
			p->msg[i] = m->chain;
			free(m);
		}
		for (struct plan_site *s; (s = p->site[i]);) {
			p->site[i] = s->chain;
			free(s->name);
			free(s->why);
			free(s);
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
	struct plan_msg **link = &p->msg[plan_hash(id) % PLAN_BUCKETS];
	while (*link && strcmp((*link)->id, id) != 0)
		link = &(*link)->chain;
	return link;
}

bool plan_has(const struct plan *p, const char *id)
{
	const struct plan_msg *m = p->msg[plan_hash(id) % PLAN_BUCKETS];
	while (m && strcmp(m->id, id) != 0)
		m = m->chain;
	return m;
}

static bool crowded(const struct plan *p, const struct plan_dest *d)
{
	size_t room = PLAN_MESSAGES > p->messages ? PLAN_MESSAGES - p->messages : 0;
	return d->queued >= PLAN_PER_DEST && d->queued >= room / 4;
}

int64_t plan_put_off(struct plan *p, uint32_t hash, int64_t now)
{
	struct plan_dest *d = p->dest[hash % PLAN_BUCKETS];
	while (d && d->hash != hash)
		d = d->chain;
	if (!d)
		return 0;
	if (!crowded(p, d)) {
		d->slot = 0;
		return 0;
	}
	if (now - d->crowded > 60) {
		d->crowded = now;
		d->served = 0;
	}
	/* Twice as quickly as it is served: it may become quicker. At first nothing is known. */
	int64_t rate = 2 * (1 + d->served / (now - d->crowded + 1));
	if (now - d->crowded < 5)
		rate = 1000;
	if (d->slot < (now + PLAN_LOOK_AGAIN) * 1000)
		d->slot = (now + PLAN_LOOK_AGAIN) * 1000;
	if (d->slot < (now + PLAN_PUT_OFF) * 1000)
		d->slot += rate > 1000 ? 1 : 1000 / rate;
	return d->slot / 1000;
}

struct plan_dest *plan_find(const struct plan *p, const char *key)
{
	struct plan_dest *d = p->dest[plan_hash(key) % PLAN_BUCKETS];
	while (d && strcmp(d->key, key) != 0)
		d = d->chain;
	return d;
}

static void leave_idle(struct plan *p, struct plan_dest *d)
{
	if (!d->idle)
		return;
	*(d->prev ? &d->prev->next : &p->oldest) = d->next;
	*(d->next ? &d->next->prev : &p->newest) = d->prev;
	d->next = d->prev = NULL;
	d->idle = false;
	p->idle--;
}

static void join_idle(struct plan *p, struct plan_dest *d, int64_t now)
{
	d->used = now;
	d->idle = true;
	d->next = NULL;
	d->prev = p->newest;
	*(p->newest ? &p->newest->next : &p->oldest) = d;
	p->newest = d;
	p->idle++;
}

static struct plan_dest *dest_of(struct plan *p, const char *key)
{
	struct plan_dest *d = plan_find(p, key);
	if (d) {
		leave_idle(p, d);
		return d;
	}
	d = xcalloc(1, sizeof *d);
	d->key = xstrdup(key);
	d->hash = plan_hash(key);
	d->site = plan_site(p, key);
	d->site->destinations++;
	struct plan_dest **bucket = &p->dest[d->hash % PLAN_BUCKETS];
	d->chain = *bucket;
	*bucket = d;
	return d;
}

static void append(struct plan *p, struct plan_job *job)
{
	struct plan_dest *d = job->dest;
	job->next = NULL;
	if (d->last[job->line])
		d->last[job->line]->next = job;
	else
		d->first[job->line] = job;
	d->last[job->line] = job;
	d->queued++;
	plan_update(p, d);
}

static void add_job(struct plan *p, struct plan_msg *m, const char *key, enum plan_line line)
{
	struct plan_job *job = xcalloc(1, sizeof *job);
	*job = (struct plan_job){ .msg = m, .dest = dest_of(p, key), .line = line };
	m->open++;
	p->jobs++;
	append(p, job);
}

void plan_add(struct plan *p, const char *id, const char *const *keys, size_t n, enum plan_line line)
{
	struct plan_msg *m = xcalloc(1, sizeof *m), **link = msg_link(p, id);
	snprintf(m->id, sizeof m->id, "%s", id);
	*link = m;
	p->messages++;
	for (size_t i = 0; i < n; i++)
		add_job(p, m, keys[i], line);
	if (!n)
		add_job(p, m, "", line);
}

static enum plan_line next_line(struct plan_dest *d)
{
	if (d->first[PLAN_URGENT])
		return PLAN_URGENT;
	bool bulk = d->first[PLAN_BULK] && (!d->first[PLAN_PROMPT] || d->prompt_turns >= PLAN_PROMPT_TURNS);
	d->prompt_turns = bulk ? 0 : d->prompt_turns + 1;
	return bulk ? PLAN_BULK : PLAN_PROMPT;
}

static struct plan_job *take_one(struct plan *p, struct plan_dest *d)
{
	enum plan_line line = next_line(d);
	struct plan_job *job = d->first[line];
	d->first[line] = job->next;
	if (!d->first[line])
		d->last[line] = NULL;
	d->queued--;
	job->next = NULL;
	job->finish = job->msg->open == 1;
	plan_update(p, d);
	return job;
}

/* So many that all who may work for it have some. */
static size_t share(const struct plan *p, const struct plan_dest *d, size_t max)
{
	size_t n = d->queued / (2 * (size_t)(d->site->unlimited ? p->c.per_dest : d->site->allowed) + 1) + 1;
	if (d->site->probing && !d->site->down_until)
		n = 1;
	return n < max ? n : max;
}

static size_t take_from(struct plan *p, struct plan_dest *d, struct plan_job **out, size_t max)
{
	size_t n = 0, wanted = share(p, d, max);
	d->site->ring = d->next;
	if (p->ring == d->site)
		p->ring = d->site->next;
	d->running++;
	d->site->running++;
	while (n < wanted && d->queued)
		out[n++] = take_one(p, d);
	plan_update(p, d);
	return n;
}

size_t plan_take(struct plan *p, const char *prefer, struct plan_job **out, size_t max)
{
	struct plan_dest *d = prefer ? plan_find(p, prefer) : NULL;
	if (d && d->site->in_ring)
		return take_from(p, d->in_ring ? d : d->site->ring, out, max);
	return p->ring ? take_from(p, p->ring->ring, out, max) : 0;
}

const char *plan_next(const struct plan *p)
{
	return p->ring ? p->ring->ring->key : NULL;
}

bool plan_ready(const struct plan *p, const char *key)
{
	const struct plan_dest *d = plan_find(p, key);
	return d && d->site->in_ring;
}

bool plan_others_wait(const struct plan *p, const char *key)
{
	const struct plan_dest *d = plan_find(p, key);
	return p->in_ring > (size_t)(d && d->site->in_ring ? 1 : 0);
}

void plan_leave(struct plan *p, struct plan_dest *d, int64_t now)
{
	d->running--;
	d->site->running--;
	plan_update(p, d);
	if (!d->queued && !d->running)
		join_idle(p, d, now);
}

static void drop_message(struct plan *p, struct plan_msg *m)
{
	struct plan_msg **link = msg_link(p, m->id);
	*link = m->chain;
	free(m);
	p->messages--;
}

bool plan_done(struct plan *p, struct plan_job *job)
{
	struct plan_msg *m = job->msg;
	bool finished = job->finish;
	enum plan_line line = job->line;
	job->dest->served++;
	m->open--;
	p->jobs--;
	free(job);
	if (m->open)
		return false;
	if (!finished) {
		add_job(p, m, "", line);
		return false;
	}
	drop_message(p, m);
	return true;
}

void plan_back(struct plan *p, struct plan_job *job)
{
	struct plan_dest *d = job->dest;
	job->next = d->first[job->line];
	d->first[job->line] = job;
	if (!d->last[job->line])
		d->last[job->line] = job;
	d->queued++;
	plan_update(p, d);
}

void plan_more(struct plan *p, struct plan_job *job, uint32_t from)
{
	job->from = from;
	job->line = PLAN_BULK;
	append(p, job);
}
