/* SPDX-License-Identifier: ISC
 *
 * What is in the queue and due: read from the directory piece by piece, told by inotify, and taken in hand as jobs of
 * the plan.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "io/trace.h"
#include "mta-relay/run/run_int.h"
#include "mta-relay/run/run_wishes.h"

enum {
	SCAN_PER_TURN = 500, /* entries of the directory: some millisecond */
	LOOK_PER_TURN = 200,
	IN_MEMORY = 5, /* seconds that a message is put off without its file being touched */
	MASS = 50,     /* recipients at a destination that make mass mail */
	BLIND = 10,    /* seconds between two looks at a directory that cannot be watched */
	SKEW = 60,     /* seconds that the clock may go back without notice */
};

/* ---- The directory ---- */

static bool earlier(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

static int begin_scan(struct run_queue *q, struct err *err)
{
	spool_walk_close(q->scan);
	q->scan = spool_walk_open(q->r->spool, "msg", err);
	q->found = 0;
	sched_rescan(q->due);
	return q->scan ? 0 : -1;
}

static void end_scan(struct run_queue *q)
{
	spool_walk_close(q->scan);
	q->scan = NULL;
	if (q->watch >= 0 || q->first_scan)
		log_info("scan messages=%zu known=%zu", q->found, sched_count(q->due) + plan_count(q->plan));
	q->first_scan = false;
	q->scanned = q->now;
}

int64_t run_queue_look(const struct run_queue *q)
{
	return q->watch < 0 ? q->scanned + BLIND : INT64_MAX;
}

/* Nothing waits longer than --retry-max, but what is kept for its sender (keep_until): a later time is one by a clock
 * that was wrong. */
static int64_t at_most(const struct run_queue *q, int64_t due)
{
	int64_t latest = q->now + q->r->deliver.retry_max;
	return due < latest ? due : latest;
}

bool run_queue_scan(struct run_queue *q)
{
	struct spool_entry e;
	struct err err = { 0 };
	if (!q->scan && q->now < run_queue_look(q) && !sched_runs_low(q->due, q->now))
		return false;
	if (!q->scan && begin_scan(q, &err) < 0) {
		log_err("scan reason=%s", log_quote(span_str(err.text)));
		return false;
	}
	for (unsigned i = 0; i < SCAN_PER_TURN; i++) {
		if (!spool_walk_next(q->scan, &e)) {
			end_scan(q);
			return false;
		}
		q->found++;
		if (plan_has(q->plan, e.id))
			continue;
		bool now = q->forced && (q->first_scan || earlier(&e.changed, &q->started));
		sched_put(q->due, e.id, now ? 0 : at_most(q, e.due), 0);
	}
	return true;
}

/* Watches of the user, or of the system, may be used up: mail goes out all the same, somewhat later. */
static void watch(struct run_queue *q, const char *dir)
{
	struct err err = { 0 };
	if (q->watch >= 0 && inotify_add_watch(q->watch, dir, IN_MOVED_TO | IN_ATTRIB | IN_ONLYDIR) >= 0)
		return;
	err_sys(&err, "watching %s", dir);
	log_warn("watch reason=%s looks=\"every %d seconds\"", log_quote(span_str(err.text)), BLIND);
	if (q->watch >= 0)
		close(q->watch);
	q->watch = -1;
}

int run_queue_open(struct run_queue *q, struct run *r, struct err *err)
{
	char *dir = xasprintf("%s/msg", spool_dir(r->spool));
	*q = (struct run_queue){ .r = r,
		.due = sched_new(r->o.window / 2, r->deliver.retry_min),
		.plan = plan_new(&(struct plan_config){ .per_dest = r->o.per_destination,
		    .backoff_min = r->deliver.retry_min,
		    .backoff_max = r->deliver.retry_max }),
		.now = spool_now() / 1000000,
		.forced = r->o.now,
		.first_scan = true,
		.watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC),
		.dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
	clock_gettime(CLOCK_REALTIME_COARSE, &q->started);
	/* Watched before it is read: what comes meanwhile is not missed. */
	watch(q, dir);
	int rc = q->dir < 0 ? err_sys(err, "%s", dir) : begin_scan(q, err);
	free(dir);
	return rc;
}

void run_queue_close(struct run_queue *q)
{
	spool_walk_close(q->scan);
	if (q->watch >= 0)
		close(q->watch);
	if (q->dir >= 0)
		close(q->dir);
	sched_free(q->due);
	plan_free(q->plan);
}

/* A message came in, was released, or somebody wants it tried now. */
static void noticed(struct run_queue *q, const struct inotify_event *e)
{
	struct stat st;
	if (!e->len || !spool_id_ok(e->name) || plan_has(q->plan, e->name) ||
	    fstatat(q->dir, e->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	sched_put(q->due, e->name, at_most(q, st.st_mtime), 0);
	if ((e->mask & IN_ATTRIB) && st.st_mtime <= q->now)
		plan_forget_down(q->plan);
}

/* Perhaps a retry of many was among them. */
static void missed_some(struct run_queue *q)
{
	struct err err = { 0 };
	plan_forget_down(q->plan);
	if (begin_scan(q, &err) < 0)
		log_err("scan reason=%s", log_quote(span_str(err.text)));
}

void run_queue_time(struct run_queue *q)
{
	int64_t now = spool_now() / 1000000;
	bool back = now < q->now - SKEW;
	q->now = now;
	if (!back)
		return;
	log_warn("clock reason=\"it was set back\"");
	q->scanned = now;
	missed_some(q);
}

void run_queue_changes(struct run_queue *q)
{
	if (q->watch < 0)
		return;
	_Alignas(struct inotify_event) char events[16384];
	ssize_t n;
	do {
		n = read(q->watch, events, sizeof events);
		for (char *p = events; n > 0 && p < events + n;) {
			/* UNSAFE: the kernel writes whole events, each aligned and followed by its len bytes of name */
			const struct inotify_event *e = (const void *)p;
			if (e->mask & IN_Q_OVERFLOW)
				missed_some(q);
			noticed(q, e);
			p += sizeof *e + e->len;
		}
		/* With room left in the buffer there is no more. */
	} while (n > (ssize_t)sizeof events / 2);
}

/* ---- Taking messages in hand ---- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static size_t distinct(const char **keys, size_t n)
{
	size_t kept = 0;
	if (n > 1)
		qsort(keys, n, sizeof *keys, by_text);
	for (size_t i = 0; i < n; i++)
		if (!kept || strcmp(keys[kept - 1], keys[i]) != 0)
			keys[kept++] = keys[i];
	return kept;
}

/* The distinct destinations of the unsettled recipients. */
static size_t destinations(const struct run *r, struct spool_msg *m, const char **keys)
{
	size_t n = 0;
	for (size_t i = 0; i < m->file.env.n_rcpt; i++) {
		struct route route;
		if (spool_state_final(m->file.state[i].last.state))
			continue;
		wishes_find(r->routes, m->arena, &m->file.env, i, &route);
		keys[n++] = route.key;
		if (trace_on()) {
			trace_why("route", route.kind == ROUTE_ERROR ? "perm" : "ok", route.rfc, "<%.*s>: %s",
			    SPAN_FMT(m->file.env.rcpt[i].addr), route.why ? route.why : route.key);
		}
	}
	return distinct(keys, n);
}

/* What somebody waits for goes before what was tried already, what goes to many, and notifications. */
static enum plan_line line_of(const struct spool_msg *m)
{
	bool tried = false;
	if (m->file.env.priority)
		return m->file.env.priority > 0 ? PLAN_URGENT : PLAN_BULK;
	for (size_t i = 0; i < m->file.env.n_rcpt && !tried; i++)
		tried = m->file.state[i].attempts;
	return tried || m->file.env.n_rcpt > MASS || !m->file.env.from.n ? PLAN_BULK : PLAN_PROMPT;
}

static void unreadable(struct run_queue *q, const char *id, const struct err *why)
{
	struct err err = { 0 };
	if (why->sys == ENOENT)
		return;
	log_err("open qid=%s reason=%s", id, log_quote(span_str(why->text)));
	if (why->class == ERR_DATA && spool_set_aside(q->r->spool, id, &err) == 0)
		return;
	sched_put(q->due, id, q->now + q->r->deliver.retry_min, 0);
}

/* RFC 4865 4.2: whatever the time of its file says, which a copy loses and a wish to retry changes. Nobody waits for
 * it. */
static void keep_until(struct run_queue *q, const char *id, int64_t until)
{
	struct err err = { 0 };
	if (spool_postpone_id(q->r->spool, id, until, &err) < 0)
		log_err("due qid=%s reason=%s", id, log_quote(span_str(err.text)));
	sched_put(q->due, id, until, 0);
}

static void put_off(struct run_queue *q, const char *id, int64_t until, uint32_t dest)
{
	struct err err = { 0 };
	/* Long enough that the window may forget it meanwhile: its file tells. */
	if (until > q->now + IN_MEMORY && spool_postpone_id(q->r->spool, id, until, &err) < 0)
		log_err("due qid=%s reason=%s", id, log_quote(span_str(err.text)));
	sched_put(q->due, id, until, dest);
	if (until > q->put_off_until)
		q->put_off_until = until;
}

/* Its only destination is known to be down, which was recorded when it was first found so: the next attempt is put off,
 * and no worker troubled. True when that was done. */
static bool waits_longer(struct run_queue *q, struct spool_msg *m, const char *key)
{
	const struct deliver *d = &q->r->deliver;
	struct err err = { 0 };
	if (!plan_down_until(q->plan, key) || deliver_expired(d, &m->file.env, q->now))
		return false;
	for (size_t i = 0; i < m->file.env.n_rcpt; i++)
		if (m->file.state[i].last.state == SPOOL_PENDING || bounce_due(m, i, &d->bounce, q->now))
			return false;
	int64_t due = deliver_next_due(d, &m->file.env, q->now);
	if (spool_postpone(m, due, &err) < 0)
		return false;
	sched_put(q->due, m->id, due, plan_hash(key));
	return true;
}

static void take_in_hand(struct run_queue *q, const char *id)
{
	struct spool_msg *m;
	struct err err = { 0 };
	if (spool_get(q->r->spool, id, SPOOL_UNLOCKED, &m, &err) < 0) {
		unreadable(q, id, &err);
		return;
	}
	if (!m->held && m->file.env.hold_until > q->now) {
		keep_until(q, id, m->file.env.hold_until);
	} else if (!m->held) {
		trace_qid(id);
		const char **keys = arena_alloc(m->arena, (m->file.env.n_rcpt + 1) * sizeof *keys);
		size_t n = destinations(q->r, m, keys);
		int64_t later = n == 1 ? plan_put_off(q->plan, plan_hash(keys[0]), q->now) : 0;
		if (later)
			put_off(q, id, later, plan_hash(keys[0]));
		else if (n != 1 || !waits_longer(q, m, keys[0]))
			plan_add(q->plan, id, keys, n, line_of(m));
		trace_qid("");
	}
	spool_put(m);
}

/* At most LOOK_PER_TURN, so that workers that have finished do not wait for a long queue to be read. */
bool run_queue_take(struct run_queue *q)
{
	char id[SPOOL_ID_SIZE];
	uint32_t dest;
	for (unsigned i = 0; i < LOOK_PER_TURN; i++) {
		if (plan_full(q->plan) || !sched_take(q->due, q->now, id, &dest))
			return false;
		int64_t later = dest ? plan_put_off(q->plan, dest, q->now) : 0;
		if (later)
			put_off(q, id, later, dest);
		else if (!plan_has(q->plan, id))
			take_in_hand(q, id);
	}
	return true;
}
