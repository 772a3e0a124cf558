/* SPDX-License-Identifier: ISC */
#include "mta-relay/run/run_status.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "io/listen/notify.h"
#include "mta-relay/events/events.h"
#include "mta-relay/run/run_int.h"

enum {
	TELL_MS = 1000,
	COUNT_MS = 5000,  /* between counts of the queue */
	COUNT_SHARE = 50, /* and this many times as long as one took */
};

static struct {
	bool ready, failing, stopping;
	int64_t told, counted, took; /* ms */
	size_t messages;
	char oldest[SPOOL_ID_SIZE]; /* ids sort by arrival */
} seen;

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The directory's names alone. */
static void count_queue(const struct run *r)
{
	char *path = xasprintf("%s/msg", spool_dir(r->spool));
	DIR *d = opendir(path);
	free(path);
	seen.messages = 0;
	seen.oldest[0] = '\0';
	for (const struct dirent *e; d && (e = readdir(d));) {
		if (!spool_id_ok(e->d_name))
			continue;
		seen.messages++;
		if (!*seen.oldest || strcmp(e->d_name, seen.oldest) < 0)
			memcpy(seen.oldest, e->d_name, sizeof seen.oldest); /* spool_id_ok: it has that size */
	}
	if (d)
		closedir(d);
}

/* A long queue is counted seldom. */
static void count_sometimes(const struct run *r, int64_t now)
{
	if (seen.counted && now - seen.counted < COUNT_MS + COUNT_SHARE * seen.took)
		return;
	count_queue(r);
	seen.counted = now_ms();
	seen.took = seen.counted - now;
}

int run_status_open(struct run *r, struct err *err)
{
	r->heart.fd = -1;
	notify_open();
	if (!events_count(r->o.metrics, "run", err))
		return -1;
	return r->o.ready_file ? heartbeat_start(&r->heart, r->o.ready_file, span_str(spool_dir(r->spool)), err) : 0;
}

static void write_metrics(int64_t now, bool last)
{
	struct err err = { 0 };
	int rc = last ? metrics_write(events_metrics(), &err) : metrics_tick(events_metrics(), now, &err);
	if (rc < 0 && !seen.failing)
		log_err("metrics error=%s", log_quote(span_str(err.text)));
	seen.failing = rc < 0;
}

/* Microseconds since 1970: spool_make_id. */
static int64_t came(const char *id)
{
	static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	int64_t us = 0;
	for (int i = 0; i < 11; i++) {
		const char *d = id[i] ? strchr(digits, id[i]) : NULL;
		us = us << 5 | (d ? d - digits : 0);
	}
	return us;
}

static void set_numbers(unsigned active, unsigned down)
{
	struct metrics *m = events_metrics();
	int64_t age = *seen.oldest ? (spool_now() - came(seen.oldest)) / 1000000 : 0;
	metrics_set(m, COUNT_QUEUE, (int64_t)seen.messages);
	metrics_set(m, COUNT_OLDEST, age > 0 ? age : 0);
	metrics_set(m, COUNT_ACTIVE, active);
	metrics_set(m, COUNT_DOWN, down);
}

bool run_status_turn(struct run *r, bool scanned)
{
	int64_t now = now_ms();
	notify_watchdog();
	if (!scanned)
		return false;
	if (!seen.ready)
		notify_ready();
	seen.ready = true;
	heartbeat_beat(&r->heart, now);
	return !seen.told || now - seen.told >= TELL_MS;
}

void run_status_numbers(struct run *r, unsigned active, unsigned down)
{
	int64_t now = now_ms();
	seen.told = now;
	count_sometimes(r, now);
	set_numbers(active, down);
	notify_status("%zu message%s queued, %u active, %u destination%s down", seen.messages,
	    seen.messages == 1 ? "" : "s", active, down, down == 1 ? "" : "s");
	write_metrics(now, false);
}

int run_status_wait(const struct run *r, int ms)
{
	int64_t dog = notify_watchdog_wait();
	int most = r->heart.fd >= 0 ? HEARTBEAT_EVERY_MS : r->o.metrics || notify_heard() ? COUNT_MS : ms;
	if (dog >= 0 && dog < most)
		most = (int)dog;
	return ms < most ? ms : most;
}

void run_status_reloading(void)
{
	notify_reloading();
	if (log_reopen() < 0)
		log_err("reload error=\"the log: %m\"");
	seen.ready = false; /* said again in the next turn */
}

void run_status_stopping(struct run *r)
{
	if (seen.stopping)
		return;
	seen.stopping = true;
	notify_stopping();
	heartbeat_stop(&r->heart);
}

void run_status_close(struct run *r)
{
	run_status_stopping(r);
	if (!r->spool || !events_metrics())
		return;
	count_queue(r);
	set_numbers(0, 0);
	write_metrics(now_ms(), true);
}
