/* SPDX-License-Identifier: ISC
 *
 * The scheduler: gives the jobs of the plan to workers, and hears from them what became of them.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "mta-relay/run/run_int.h"
#include "mta-relay/run/run_status.h"

enum {
	START_AGAIN = 1000, /* ms until workers are tried to be started again */
	STREAK = 50,        /* jobs in a row for one destination while others wait */
	DEATHS_APART = 60,  /* seconds after which a worker's death has nothing to do with the last one */
	STOP_GRACE = 60000, /* ms that deliveries in hand may take after SIGTERM */
	POLL_MAX = 60000,   /* ms */
	EVENTS = 64,
};

struct loop {
	struct run *r;
	struct run_queue q;
	int ep;
	int64_t expired_at, died_at, stopping_since;
	unsigned deaths; /* in a row */
};

static int64_t milliseconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- Workers ---- */

static void job_left(struct loop *l, struct plan_job *job, int64_t due)
{
	char id[SPOOL_ID_SIZE];
	uint32_t dest = job->dest->hash;
	memcpy(id, job->msg->id, sizeof id);
	if (plan_done(l->q.plan, job) && due)
		sched_put(l->q.due, id, due, dest);
}

static void ask(struct run_worker *w)
{
	static struct run_task t;
	struct err err = { 0 };
	const struct plan_dest *d = w->dest;
	const char *why = d->site->down_until && d->site->why ? d->site->why : "";
	t.kind = !*d->key ? RUN_FINISH : d->site->down_until ? RUN_DEFER : RUN_SEND;
	t.share = d->queued;
	t.n = w->n;
	for (unsigned i = 0; i < w->n; i++) {
		struct run_item *item = &t.item[i];
		*item = (struct run_item){ .finish = w->job[i]->finish, .from = w->job[i]->from };
		memcpy(item->id, w->job[i]->msg->id, sizeof item->id);
	}
	t.len = (size_t)snprintf(t.text, sizeof t.text, "%s", d->key) + 1;
	t.len += (size_t)snprintf(t.text + t.len, sizeof t.text - t.len, "%.399s", why) + 1;
	if (run_worker_ask(w, &t, &err) < 0)
		log_err("worker reason=%s", log_quote(span_str(err.text)));
}

/* To one of the destination `prefer`, if that has jobs, else to the next in turn. */
static void give(struct loop *l, struct run_worker *w, const char *prefer)
{
	w->n = (unsigned)plan_take(l->q.plan, prefer, w->job, RUN_BATCH);
	if (!w->n)
		return;
	w->dest = w->job[0]->dest;
	w->streak = w->hash == w->dest->hash ? w->streak + w->n : w->n;
	w->hash = w->dest->hash;
	snprintf(w->key, sizeof w->key, "%s", w->dest->key);
	ask(w);
}

/* May this one go on with the destination that it is connected to? */
static bool goes_on(const struct loop *l, const struct run_worker *w)
{
	return w->hash && plan_ready(l->q.plan, w->key) && (w->streak < STREAK || !plan_others_wait(l->q.plan, w->key));
}

static int start_worker(struct loop *l, struct run_worker *w)
{
	struct err err = { 0 };
	if (run_worker_start(l->r, w, &err) == 0) {
		struct epoll_event e = { .events = EPOLLIN, .data.ptr = w };
		if (epoll_ctl(l->ep, EPOLL_CTL_ADD, w->fd, &e) == 0)
			return 0;
		err_sys(&err, "epoll");
		run_worker_stop(w, true);
	}
	log_err("worker reason=%s", log_quote(span_str(err.text)));
	return -1;
}

/* For the destination whose turn it is: an idle worker, best the one that was there last; a new one while there may be
 * more. */
static struct run_worker *idle_worker(struct loop *l, const char *key)
{
	struct run_worker *none = NULL, *idle = NULL;
	uint32_t hash = plan_hash(key);
	for (unsigned i = 0; i < l->r->o.concurrency; i++) {
		struct run_worker *w = &l->r->worker[i];
		if (w->pid > 0 && !w->n && w->hash == hash)
			return w;
		if (w->pid > 0 && !w->n)
			idle = w;
		else if (!w->pid && !none)
			none = w;
	}
	if (idle || !none)
		return idle;
	return start_worker(l, none) == 0 ? none : NULL;
}

static void dispatch(struct loop *l)
{
	while (!l->stopping_since && plan_waiting(l->q.plan)) {
		const char *key = plan_next(l->q.plan);
		struct run_worker *w = idle_worker(l, key);
		if (!w)
			return;
		give(l, w, NULL);
	}
}

/* A message that kills whoever touches it must not keep everybody busy: the longer they die one after another, the
 * later it is tried again. */
static int64_t after_death(struct loop *l)
{
	l->deaths = l->q.now - l->died_at > DEATHS_APART ? 0 : l->deaths + 1;
	l->died_at = l->q.now;
	int64_t wait = l->deaths < 10 ? 1 << l->deaths : l->r->deliver.retry_min;
	return l->q.now + (wait < l->r->deliver.retry_min ? wait : l->r->deliver.retry_min);
}

static void died(struct loop *l, struct run_worker *w)
{
	log_err("worker pid=%ld died%s%s", (long)w->pid, w->n ? " qid=" : "", w->n ? w->job[0]->msg->id : "");
	run_worker_stop(w, true);
	int64_t again = w->n ? after_death(l) : 0;
	for (unsigned i = 0; i < w->n; i++) {
		/* What it did not record is done again, by whoever finishes the message. */
		w->job[i]->finish = true;
		job_left(l, w->job[i], again);
	}
	if (w->n)
		plan_leave(l->q.plan, w->dest, l->q.now);
	w->n = 0;
}

static void done(struct loop *l, struct run_worker *w, const struct run_answer *a)
{
	struct plan *p = l->q.plan;
	/* Backwards, so that those that were not tried stand in their old order. */
	for (unsigned i = w->n; i-- > 0;) {
		const struct run_result *res = &a->result[i];
		if (res->what == RUN_NOT_TRIED)
			plan_back(p, w->job[i]);
		else if (res->what == RUN_MORE)
			plan_more(p, w->job[i], res->from);
		else
			job_left(l, w->job[i], res->left ? res->due : 0);
	}
	if (a->unreachable)
		plan_unreached(p, w->dest, a->site, a->why, l->q.now);
	else if (a->reached)
		plan_reached(p, w->dest, a->site);
	plan_leave(p, w->dest, l->q.now);
	w->n = 0;
}

static void answered(struct loop *l, struct run_worker *w)
{
	static struct run_answer a;
	if (!run_worker_answer(w, &a)) {
		died(l, w);
		return;
	}
	done(l, w, &a);
	if (w->generation != l->r->generation)
		run_worker_stop(w, true);
	else if (!l->stopping_since && goes_on(l, w))
		give(l, w, w->key);
}

/* ---- The loop ---- */

static void reload(struct loop *l)
{
	struct err err = { 0 };
	run_status_reloading();
	struct routes *fresh = routes_open(&l->r->route_config, &err);
	*l->r->reload = 0;
	if (!fresh || run_confine_set_up(l->r, fresh, &err) < 0) {
		routes_close(fresh);
		log_err("reload reason=%s", log_quote(span_str(err.text)));
		return;
	}
	routes_close(l->r->routes);
	l->r->routes = fresh;
	l->r->generation++;
	for (unsigned i = 0; i < l->r->o.concurrency; i++)
		if (l->r->worker[i].pid > 0 && !l->r->worker[i].n)
			run_worker_stop(&l->r->worker[i], true);
	plan_forget_down(l->q.plan);
	log_info("reload");
}

static void tell_site(void *arg, const struct plan_site *s, size_t queued)
{
	const struct loop *l = arg;
	log_info("site name=%s destinations=%u queued=%zu running=%u allowed=%u down=%lld%s%s",
	    log_quote(span_str(s->name)), s->destinations, queued, s->running, s->allowed,
	    (long long)(s->down_until > l->q.now ? s->down_until - l->q.now : 0), s->down_until ? " reason=" : "",
	    s->down_until ? log_quote(span_str(s->why)) : "");
}

static unsigned busy(const struct loop *l)
{
	unsigned n = 0;
	for (unsigned i = 0; i < l->r->o.concurrency; i++)
		n += l->r->worker[i].n > 0;
	return n;
}

/* On SIGUSR1: what the scheduler knows. */
static void dump(struct loop *l)
{
	int64_t next = sched_next(l->q.due), horizon = sched_horizon(l->q.due);
	*l->r->dump = 0;
	log_info("state hand=%zu window=%zu next=%lld horizon=%lld scanning=%d workers=%u", plan_count(l->q.plan),
	    sched_count(l->q.due), (long long)(next == INT64_MAX ? -1 : next - l->q.now),
	    (long long)(horizon == INT64_MAX ? -1 : horizon - l->q.now), l->q.scan != NULL, busy(l));
	plan_each(l->q.plan, tell_site, l);
}

/* Milliseconds until something is to be done without being told. */
static int patience(const struct loop *l, bool more)
{
	if (l->stopping_since) {
		int64_t left = l->stopping_since + STOP_GRACE - milliseconds();
		return left > 0 ? (int)left : 0;
	}
	/* No worker could be started, and none will answer. */
	if (!busy(l) && plan_waiting(l->q.plan))
		return START_AGAIN;
	int64_t next = plan_full(l->q.plan) ? INT64_MAX : sched_next(l->q.due), blind = run_queue_look(&l->q);
	next = blind < next ? blind : next;
	if (more || next <= l->q.now)
		return 0;
	return next - l->q.now > POLL_MAX / 1000 ? POLL_MAX : (int)(next - l->q.now) * 1000;
}

static void wait_for_news(struct loop *l, bool more, const sigset_t *unblocked)
{
	struct epoll_event e[EVENTS];
	int n = epoll_pwait(l->ep, e, EVENTS, run_status_wait(l->r, patience(l, more)), unblocked);
	run_queue_time(&l->q);
	for (int i = 0; i < n; i++) {
		struct run_worker *w = e[i].data.ptr;
		if (!w)
			run_queue_changes(&l->q);
		else if (w->pid > 0 && w->fd >= 0)
			answered(l, w);
	}
}

/* Told to stop: workers end after the message in hand, and are not waited for without end. */
static void stopping(struct loop *l)
{
	if (!*l->r->stop || l->stopping_since)
		return;
	l->stopping_since = milliseconds();
	*l->r->enough = true;
	run_status_stopping(l->r);
}

static bool time_is_over(struct loop *l)
{
	if (milliseconds() < l->stopping_since + STOP_GRACE)
		return false;
	for (unsigned i = 0; i < l->r->o.concurrency; i++) {
		if (l->r->worker[i].pid > 0 && l->r->worker[i].n) {
			log_warn("kill pid=%ld qid=%s", (long)l->r->worker[i].pid, l->r->worker[i].job[0]->msg->id);
			kill(l->r->worker[i].pid, SIGKILL);
		}
	}
	return true;
}

/* Under --once nothing is left to do when no message is in hand and none is due; what came in meanwhile (a bounce) was
 * noticed before. */
static bool all_done(struct loop *l)
{
	if (l->stopping_since)
		return !busy(l) || time_is_over(l);
	if (!l->r->o.once || plan_count(l->q.plan) || l->q.scan || l->q.put_off_until > l->q.now)
		return false;
	run_queue_changes(&l->q);
	return sched_next(l->q.due) > l->q.now;
}

static void turn(struct loop *l, const sigset_t *unblocked)
{
	bool more = false;
	stopping(l);
	if (*l->r->reload || run_confine_stale(l->r))
		reload(l);
	if (*l->r->dump)
		dump(l);
	if (run_status_turn(l->r, true))
		run_status_numbers(l->r, busy(l), plan_down(l->q.plan));
	if (l->expired_at != l->q.now) {
		plan_expire(l->q.plan, l->q.now);
		l->expired_at = l->q.now;
	}
	if (!l->stopping_since) {
		more = run_queue_scan(&l->q);
		more |= run_queue_take(&l->q);
	}
	dispatch(l);
	if (!all_done(l))
		wait_for_news(l, more, unblocked);
}

static int open_loop(struct loop *l, struct err *err)
{
	struct epoll_event e = { .events = EPOLLIN };
	l->ep = epoll_create1(EPOLL_CLOEXEC);
	if (l->ep < 0)
		return err_sys(err, "epoll");
	if (run_queue_open(&l->q, l->r, err) < 0)
		return -1;
	if (l->q.watch < 0)
		return 0;
	return epoll_ctl(l->ep, EPOLL_CTL_ADD, l->q.watch, &e) < 0 ? err_sys(err, "epoll") : 0;
}

int run_loop(struct run *r)
{
	struct loop l = { .r = r, .q = { .watch = -1, .dir = -1 } };
	struct err err = { 0 };
	sigset_t ours, before;
	int status = EX_OK;
	sigemptyset(&ours);
	sigaddset(&ours, SIGTERM);
	sigaddset(&ours, SIGINT);
	sigaddset(&ours, SIGHUP);
	sigaddset(&ours, SIGUSR1);
	/* Heard only while waiting. */
	sigprocmask(SIG_BLOCK, &ours, &before);
	if (open_loop(&l, &err) < 0) {
		log_err("start reason=%s", log_quote(span_str(err.text)));
		status = err_exit_status(&err);
	} else {
		log_info("start queue=%s", spool_dir(r->spool));
		do
			turn(&l, &before);
		while (!all_done(&l));
	}
	for (unsigned i = 0; i < r->o.concurrency; i++) {
		run_worker_stop(&r->worker[i], false);
		while (r->worker[i].n)
			plan_back(l.q.plan, r->worker[i].job[--r->worker[i].n]);
	}
	for (unsigned i = 0; i < r->o.concurrency; i++)
		run_worker_stop(&r->worker[i], true);
	if (l.ep >= 0)
		close(l.ep);
	run_queue_close(&l.q);
	return status;
}
