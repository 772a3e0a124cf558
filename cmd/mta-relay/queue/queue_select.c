/* SPDX-License-Identifier: ISC */
#include "mta-relay/queue/queue_select.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "mta-relay/hop/route.h"
#include "mta-relay/spool/spool_walk.h"

bool queue_selects(const struct queue_select *s)
{
	return s->domain || s->sender || s->recipient || s->older || s->newer || s->held;
}

/* pattern: "example.org", or ".example.org" for all below it. */
static bool in_domain(struct span address, const char *pattern)
{
	struct span domain = route_domain(address), want = span_str(pattern);
	if (want.n && want.p[0] == '.')
		return domain.n > want.n && span_ieq(span_slice(domain, domain.n - want.n, domain.n), want);
	return span_ieq(domain, want);
}

/* Domains are the same in any case, local parts as well in practice. */
static bool is_sender(struct span from, const char *want)
{
	if (!*want || !strcmp(want, "<>"))
		return !from.n;
	return *want == '@' ? in_domain(from, want + 1) : span_ieqs(from, want);
}

static bool has_recipient(const struct spool_msg *m, const struct queue_select *s)
{
	for (size_t i = 0; i < m->file.env.n_rcpt; i++) {
		struct span addr = m->file.env.rcpt[i].addr;
		if (!spool_state_final(m->file.state[i].last.state) && (!s->domain || in_domain(addr, s->domain)) &&
		    (!s->recipient || span_ieqs(addr, s->recipient)))
			return true;
	}
	return false;
}

bool queue_matches(const struct queue_select *s, const struct spool_msg *m, int64_t now)
{
	int64_t age = (now - m->file.env.arrived / 1000000) * 1000;
	if ((s->held && !m->held) || (s->older && age < s->older) || (s->newer && age > s->newer))
		return false;
	if (s->sender && !is_sender(m->file.env.from, s->sender))
		return false;
	return (!s->domain && !s->recipient) || has_recipient(m, s);
}

/* ---- Going through all ---- */

struct ids {
	char (*id)[SPOOL_ID_SIZE];
	size_t n, cap;
};

static int by_id(const void *a, const void *b)
{
	return memcmp(a, b, SPOOL_ID_SIZE);
}

static void keep(struct ids *ids, const char *id)
{
	if (ids->n == ids->cap) {
		ids->cap = ids->cap ? ids->cap * 2 : 256;
		ids->id = xreallocarray(ids->id, ids->cap, sizeof *ids->id);
	}
	snprintf(ids->id[ids->n++], SPOOL_ID_SIZE, "%.16s", id);
}

static int give_kept(struct ids *ids, int (*fn)(void *arg, const char *id), void *arg)
{
	int rc = 0;
	for (size_t i = 0; i < ids->n && rc == 0; i++)
		rc = fn(arg, ids->id[i]);
	ids->n = 0;
	return rc;
}

/* Names only: each message is opened when its turn comes. */
static int walk(struct spool_walk *w, struct ids *ids, int (*fn)(void *arg, const char *id), void *arg)
{
	struct spool_entry e;
	int rc = 0;
	while (rc == 0 && spool_walk_name(w, &e)) {
		keep(ids, e.id);
		if (ids->n >= QUEUE_SORT_MAX)
			rc = give_kept(ids, fn, arg);
	}
	return rc;
}

int queue_each(struct spool *s, unsigned folders, int (*fn)(void *arg, const char *id), void *arg, struct err *err)
{
	static const char *const names[] = { "msg", "hold" };
	struct ids ids = { 0 };
	int rc = 0;
	for (unsigned i = 0; i < 2 && rc == 0; i++) {
		if (!(folders & 1u << i))
			continue;
		struct spool_walk *w = spool_walk_open(s, names[i], err);
		rc = w ? walk(w, &ids, fn, arg) : -1;
		spool_walk_close(w);
	}
	if (rc == 0) {
		if (ids.n)
			qsort(ids.id, ids.n, sizeof *ids.id, by_id);
		rc = give_kept(&ids, fn, arg);
	}
	free(ids.id);
	return rc;
}
