/* SPDX-License-Identifier: ISC
 *
 * The scheduler: learns of messages by the queue's directory, takes those that are due in hand, and gives their jobs to
 * workers.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "io/trace.h"
#include "mta-relay/run_int.h"
#include "mta-relay/run_status.h"

enum {
	STREAK = 50, /* jobs in a row for one destination while others wait */
	AGAIN = 10,  /* seconds until a job whose worker died is tried again */
	CROWDED = 2, /* seconds until a message for a crowded destination is looked at again */
	LOOK_PER_TURN = 200,
};

struct loop {
	struct run *r;
	struct sched *due;
	struct plan *plan;
	int watch; /* inotify */
	int64_t now, expired_at;
	bool forced; /* --now, while the first scan lasts */
};

static int64_t seconds(void)
{
	return spool_now() / 1000000;
}

/* ---- What is in the queue ---- */

static int found(void *arg, const struct spool_entry *e)
{
	struct loop *l = arg;
	if (!plan_has(l->plan, e->id))
		sched_put(l->due, e->id, l->forced ? 0 : e->due, 0);
	return 0;
}

static int scan(struct loop *l, struct err *err)
{
	return spool_scan(l->r->spool, "msg", found, l, err);
}

static int start_watch(struct loop *l, struct err *err)
{
	char *dir = xasprintf("%s/msg", spool_dir(l->r->spool));
	l->watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	int rc = l->watch < 0 || inotify_add_watch(l->watch, dir, IN_MOVED_TO | IN_ATTRIB | IN_ONLYDIR) < 0
		     ? err_sys(err, "watching %s", dir)
		     : 0;
	free(dir);
	return rc;
}

/* A message came in, was released, or somebody wants it tried now. */
static void noticed(struct loop *l, const struct inotify_event *e)
{
	struct stat st;
	if (!e->len || !spool_id_ok(e->name) || plan_has(l->plan, e->name))
		return;
	char *path = spool_path(l->r->spool, "msg", e->name);
	if (stat(path, &st) == 0) {
		sched_put(l->due, e->name, st.st_mtime, 0);
		if ((e->mask & IN_ATTRIB) && st.st_mtime <= l->now)
			plan_forget_down(l->plan);
	}
	free(path);
}

static void read_watch(struct loop *l)
{
	_Alignas(struct inotify_event) char events[16384];
	struct err err = { 0 };
	ssize_t n;
	while ((n = read(l->watch, events, sizeof events)) > 0) {
		for (char *p = events; p < events + n;) {
			/* UNSAFE: the kernel writes whole events, each aligned and followed by its len bytes of name */
			const struct inotify_event *e = (const void *)p;
			if ((e->mask & IN_Q_OVERFLOW) && scan(l, &err) < 0)
				log_err("scan reason=%s", log_quote(span_str(err.text)));
			noticed(l, e);
			p += sizeof *e + e->len;
		}
	}
}

/* ---- Taking messages in hand ---- */

static bool known(const char *const *keys, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(keys[i], key))
			return true;
	return false;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The distinct destinations of the unsettled recipients. */
static size_t destinations(const struct run *r, struct spool_msg *m, const char **keys)
{
	size_t n = 0, kept = 0;
	for (size_t i = 0; i < m->file.env.n_rcpt; i++) {
		struct route route;
		if (spool_state_final(m->file.state[i].last.state))
			continue;
		route_find(r->routes, m->arena, m->file.env.from, m->file.env.rcpt[i].addr, &route);
		keys[n++] = route.key;
		if (trace_on()) {
			trace_why("route", route.kind == ROUTE_ERROR ? "perm" : "ok", route.rfc, "<%.*s>: %s",
			    SPAN_FMT(m->file.env.rcpt[i].addr), route.why ? route.why : route.key);
		}
	}
	if (n > 1)
		qsort(keys, n, sizeof *keys, by_text);
	for (size_t i = 0; i < n; i++)
		if (!kept || !known(&keys[kept - 1], 1, keys[i]))
			keys[kept++] = keys[i];
	return kept;
}

static void unreadable(struct loop *l, const char *id, const struct err *why)
{
	struct err err = { 0 };
	if (why->sys == ENOENT)
		return;
	log_err("open qid=%s reason=%s", id, log_quote(span_str(why->text)));
	if (why->class == ERR_DATA && spool_set_aside(l->r->spool, id, &err) == 0)
		return;
	sched_put(l->due, id, l->now + l->r->deliver.retry_min, 0);
}

static void take_in_hand(struct loop *l, const char *id)
{
	struct spool_msg *m;
	struct err err = { 0 };
	if (spool_get(l->r->spool, id, SPOOL_UNLOCKED, &m, &err) < 0) {
		unreadable(l, id, &err);
		return;
	}
	if (!m->held) {
		trace_qid(id);
		const char **keys = arena_alloc(m->arena, (m->file.env.n_rcpt + 1) * sizeof *keys);
		size_t n = destinations(l->r, m, keys);
		if (n == 1 && plan_crowded(l->plan, plan_hash(keys[0])))
			sched_put(l->due, id, l->now + CROWDED, plan_hash(keys[0]));
		else
			plan_add(l->plan, id, keys, n);
		trace_qid("");
	}
	spool_put(m);
}

/* At most LOOK_PER_TURN, so that workers that have finished do not wait for a long queue to be read. */
static bool take_due(struct loop *l)
{
	char id[SPOOL_ID_SIZE];
	uint32_t dest;
	for (unsigned i = 0; i < LOOK_PER_TURN; i++) {
		if (plan_full(l->plan) || !sched_take(l->due, l->now, id, &dest))
			return false;
		if (dest && plan_crowded(l->plan, dest))
			sched_put(l->due, id, l->now + CROWDED, dest);
		else if (!plan_has(l->plan, id))
			take_in_hand(l, id);
	}
	return true;
}

/* ---- Workers ---- */

static void job_left(struct loop *l, struct plan_job *job, int64_t due)
{
	char id[SPOOL_ID_SIZE];
	uint32_t dest = job->dest->hash;
	memcpy(id, job->msg->id, sizeof id);
	if (plan_done(l->plan, job) && due)
		sched_put(l->due, id, due, dest);
}

static void ask(struct run_worker *w, struct plan_job *job)
{
	static struct run_task t;
	struct err err = { 0 };
	const struct plan_dest *d = job->dest;
	t.kind = !*d->key ? RUN_FINISH : d->down_until ? RUN_DEFER : RUN_SEND;
	t.finish = job->finish;
	memcpy(t.id, job->msg->id, sizeof t.id);
	snprintf(t.key, sizeof t.key, "%s", d->key);
	snprintf(t.why, sizeof t.why, "%s", d->why ? d->why : "");
	w->streak = strcmp(w->key, d->key) ? 1 : w->streak + 1;
	memcpy(w->key, t.key, sizeof t.key);
	w->job = job;
	if (run_worker_ask(w, &t, &err) < 0)
		log_err("worker reason=%s", log_quote(span_str(err.text)));
}

/* May this one go on with the destination that it is connected to? */
static bool goes_on(const struct loop *l, const struct run_worker *w)
{
	return plan_ready(l->plan, w->key) && (w->streak < STREAK || !plan_others_wait(l->plan, w->key));
}

/* An idle worker, best one that is connected to a destination with more to do; a new one while there may be more. */
static struct run_worker *idle_worker(struct loop *l)
{
	struct run *r = l->r;
	struct run_worker *none = NULL, *idle = NULL;
	for (unsigned i = 0; i < r->o.concurrency; i++) {
		struct run_worker *w = &r->worker[i];
		if (w->pid > 0 && !w->job && goes_on(l, w))
			return w;
		if (w->pid > 0 && !w->job)
			idle = w;
		else if (!w->pid && !none)
			none = w;
	}
	struct err err = { 0 };
	if (idle || !none)
		return idle;
	if (run_worker_start(r, none, &err) == 0)
		return none;
	log_err("worker reason=%s", log_quote(span_str(err.text)));
	return NULL;
}

static void dispatch(struct loop *l)
{
	while (!*l->r->stop && plan_waiting(l->plan)) {
		struct run_worker *w = idle_worker(l);
		if (!w)
			return;
		ask(w, plan_take(l->plan, goes_on(l, w) ? w->key : NULL));
	}
}

static void answered(struct loop *l, struct run_worker *w)
{
	struct deliver_done done;
	struct plan_job *job = w->job;
	bool alive = run_worker_answer(w, &done);
	w->job = NULL;
	if (!alive) {
		log_err("worker pid=%ld died%s%s", (long)w->pid, job ? " qid=" : "", job ? job->msg->id : "");
		run_worker_stop(w, true);
		if (job) {
			/* What it did not record is done again, by whoever finishes the message. */
			job->finish = true;
			job_left(l, job, l->now + AGAIN);
		}
		return;
	}
	if (!job)
		return;
	if (done.unreachable && !job->dest->down_until)
		plan_set_down(l->plan, job->dest, l->now + l->r->deliver.retry_min, done.why);
	job_left(l, job, done.left ? done.due : 0);
	if (w->generation != l->r->generation)
		run_worker_stop(w, true);
}

/* ---- The loop ---- */

static void reload(struct loop *l)
{
	struct err err = { 0 };
	run_status_reloading();
	struct routes *fresh = routes_open(&l->r->route_config, &err);
	*l->r->reload = 0;
	if (!fresh) {
		log_err("reload reason=%s", log_quote(span_str(err.text)));
		return;
	}
	routes_close(l->r->routes);
	l->r->routes = fresh;
	l->r->generation++;
	for (unsigned i = 0; i < l->r->o.concurrency; i++)
		if (l->r->worker[i].pid > 0 && !l->r->worker[i].job)
			run_worker_stop(&l->r->worker[i], true);
	plan_forget_down(l->plan);
	log_info("reload");
}

static unsigned busy(const struct loop *l)
{
	unsigned n = 0;
	for (unsigned i = 0; i < l->r->o.concurrency; i++)
		n += l->r->worker[i].job != NULL;
	return n;
}

/* Milliseconds until something is to be done without being told. */
static int patience(const struct loop *l, bool more)
{
	if (more)
		return 0;
	int64_t next = plan_full(l->plan) ? INT64_MAX : sched_next(l->due);
	int64_t wait = next == INT64_MAX ? 60 : next - l->now;
	return wait <= 0 ? 0 : wait > 60 ? 60000 : (int)(wait * 1000);
}

static void wait_for_news(struct loop *l, bool more, const sigset_t *unblocked)
{
	unsigned n = 1, c = l->r->o.concurrency;
	struct pollfd *p = xcalloc(c + 1, sizeof *p);
	struct run_worker **who = xcalloc(c + 1, sizeof(struct run_worker *));
	int ms = run_status_wait(l->r, patience(l, more));
	p[0] = (struct pollfd){ .fd = l->watch, .events = POLLIN };
	for (unsigned i = 0; i < c; i++) {
		if (l->r->worker[i].pid <= 0)
			continue;
		who[n] = &l->r->worker[i];
		p[n++] = (struct pollfd){ .fd = l->r->worker[i].fd, .events = POLLIN };
	}
	struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };
	int ready = ppoll(p, n, &t, unblocked);
	l->now = seconds();
	if (ready > 0 && p[0].revents)
		read_watch(l);
	for (unsigned i = 1; ready > 0 && i < n; i++)
		if (p[i].revents)
			answered(l, who[i]);
	free(p);
	free(who);
}

/* Under --once nothing is left to do when no message is in hand and none is due; what came in meanwhile (a bounce) was
 * noticed before. */
static bool all_done(struct loop *l)
{
	if (*l->r->stop)
		return !busy(l);
	if (!l->r->o.once || plan_count(l->plan))
		return false;
	read_watch(l);
	return !sched_count(l->due) || sched_next(l->due) > l->now;
}

static void turn(struct loop *l, const sigset_t *unblocked)
{
	bool more = false;
	if (*l->r->reload)
		reload(l);
	if (*l->r->stop)
		run_status_stopping(l->r);
	if (run_status_turn(l->r, true))
		run_status_numbers(l->r, busy(l), plan_down(l->plan));
	if (l->expired_at != l->now) {
		plan_expire(l->plan, l->now);
		l->expired_at = l->now;
	}
	if (!*l->r->stop)
		more = take_due(l);
	dispatch(l);
	if (!all_done(l))
		wait_for_news(l, more, unblocked);
}

int run_loop(struct run *r)
{
	struct loop l = { .r = r,
		.due = sched_new(),
		.plan = plan_new(r->o.per_destination),
		.now = seconds(),
		.forced = r->o.now,
		.watch = -1 };
	struct err err = { 0 };
	sigset_t ours, before;
	int status = EX_OK;
	sigemptyset(&ours);
	sigaddset(&ours, SIGTERM);
	sigaddset(&ours, SIGINT);
	sigaddset(&ours, SIGHUP);
	/* Heard only while waiting. */
	sigprocmask(SIG_BLOCK, &ours, &before);
	if (start_watch(&l, &err) < 0 || scan(&l, &err) < 0) {
		log_err("start reason=%s", log_quote(span_str(err.text)));
		status = err_exit_status(&err);
	} else {
		l.forced = false;
		log_info("start queue=%s messages=%zu", spool_dir(r->spool), sched_count(l.due));
		do
			turn(&l, &before);
		while (!all_done(&l));
	}
	for (unsigned i = 0; i < r->o.concurrency; i++)
		run_worker_stop(&r->worker[i], false);
	for (unsigned i = 0; i < r->o.concurrency; i++)
		run_worker_stop(&r->worker[i], true);
	if (l.watch >= 0)
		close(l.watch);
	sched_free(l.due);
	plan_free(l.plan);
	return status;
}
