/* SPDX-License-Identifier: ISC */
#include "tests/crash/history.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "io/durable/durable.h"
#include "io/durable/durable_log.h"
#include "tests/crash/recorder.h"

const char *const history_dirs[] = { "m0", "m0/tmp", "m0/new", "m0/cur", "m1", "m1/tmp", "m1/new", "m1/cur", "q",
	"q/tmp", "q/hold", "waypost-log", NULL };
char history_log[128];

enum {
	LIVE = 16, /* deliveries after which a message is removed */
	LATE = 12, /* after which a queue file gets its last line: a checkpoint may have come between */
};

static const char *root;
static struct durable_dir *d;

void history_make_dirs(const char *where)
{
	struct utsname node;
	uname(&node);
	snprintf(history_log, sizeof history_log, "waypost-log/%.80s-%ld", node.nodename, (long)geteuid());
	for (size_t i = 0; history_dirs[i]; i++) {
		char *path = xasprintf("%s/%s", where, history_dirs[i]);
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			abort();
		free(path);
	}
	char *path = xasprintf("%s/%s", where, history_log);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		abort();
	free(path);
}

static char *below(const char *path)
{
	return xasprintf("%s/%s", root, path);
}

static void must(int rc, const struct err *err)
{
	if (rc == 0)
		return;
	fprintf(stderr, "the run failed: %s\n", err->text);
	abort();
}

static struct event *begin(struct thing *t)
{
	struct event *e = &t->events[t->n++];
	*e = (struct event){ .start = rec.n };
	return e;
}

static void stands(struct event *e, const char *path, const char *content, size_t n)
{
	e->end = rec.n;
	e->then.path = path ? xstrdup(path) : NULL;
	e->then.content = xstrndup(content, n);
	e->then.n = n;
}

static const struct stand *now(const struct thing *t)
{
	return &t->events[t->n - 1].then;
}

/* Content that is no other's, and no run of equal bytes. */
static char *make_content(unsigned i, size_t n)
{
	char *content = xmalloc(n + 1);
	for (size_t k = 0; k < n; k++)
		content[k] = (char)('a' + (k * 7 + i * 13 + k / 26) % 26);
	content[n] = '\0';
	return content;
}

static void put(struct thing *t, unsigned i, const char *path, const char *tmp, size_t n, bool exclusive)
{
	struct err err;
	struct event *e = begin(t);
	char *content = make_content(i, n), *full = below(path), *full_tmp = below(tmp);
	struct durable *f = durable_begin(d, full_tmp, 0600, &err);
	must(f ? 0 : -1, &err);
	durable_write(f, span_of(content, n));
	must(durable_publish(f, full, exclusive, &err), &err);
	stands(e, path, content, n);
	free(content);
	free(full);
	free(full_tmp);
}

static void move(struct thing *t, const char *to, bool by_us)
{
	struct err err = { 0 };
	struct stand was = *now(t);
	struct event *e = begin(t);
	char *a = below(was.path), *b = below(to);
	must(by_us ? durable_rename(d, a, b, &err) : rename(a, b), &err);
	stands(e, to, was.content, was.n);
	e->weak = !by_us;
	free(a);
	free(b);
}

static void append(struct thing *t, const char *line)
{
	struct err err;
	struct stand was = *now(t);
	struct event *e = begin(t);
	char *path = below(was.path), *content = xasprintf("%s%s", was.content, line);
	must(durable_append(d, path, span_str(line), &err), &err);
	stands(e, was.path, content, strlen(content));
	e->grows = true;
	free(path);
	free(content);
}

static void vanish(struct thing *t)
{
	struct err err;
	char *path = below(now(t)->path);
	struct event *e = begin(t);
	must(durable_unlink(d, path, &err), &err);
	stands(e, NULL, "", 0);
	free(path);
}

static void replace(struct thing *t, unsigned i)
{
	struct err err;
	if (t->n == sizeof t->events / sizeof *t->events)
		return;
	struct event *e = begin(t);
	char *content = make_content(i, 40 + i), *path = below("m0/dovecot-uidlist");
	must(durable_replace(d, path, span_str(content), 0600, &err), &err);
	stands(e, "m0/dovecot-uidlist", content, 40 + i);
	free(content);
	free(path);
}

/* A Maildir message: new/, then what flags do to it, by us or by another program that asks nobody. */
static void deliver(struct thing *t, unsigned i)
{
	char path[64], tmp[64], cur[64];
	unsigned box = i & 1;
	snprintf(path, sizeof path, "m%u/new/%u.M%u.host", box, 1000 + i, i);
	snprintf(tmp, sizeof tmp, "m%u/tmp/%u.M%u.host", box, 1000 + i, i);
	snprintf(cur, sizeof cur, "m%u/cur/%u.M%u.host:2,", box, 1000 + i, i);
	put(t, i, path, tmp, i % 37 == 3 ? 200000 : 300 + i * 11 % 700, i % 11 == 0);
	if (i % 3 == 1)
		move(t, cur, i % 2);
	if (i % 6 == 1) {
		strncat(cur, "S", sizeof cur - strlen(cur) - 1);
		move(t, cur, true);
	}
}

static void enqueue(struct thing *t, unsigned i)
{
	char path[64], tmp[64], hold[64];
	snprintf(path, sizeof path, "q/%u", i);
	snprintf(tmp, sizeof tmp, "q/tmp/%u", i);
	snprintf(hold, sizeof hold, "q/hold/%u", i);
	put(t, i, path, tmp, 400 + i, i % 2);
	append(t, "done a@example.org\n");
	if (i % 8 == 2)
		move(t, hold, true);
	append(t, "done b@example.org\n");
	if (i % 3)
		vanish(t);
}

/* Copies by hard link: they count once their directory was synced. */
static void copy(struct thing *from, struct thing *to, unsigned i)
{
	char path[64];
	struct err err;
	if (!now(from)->path)
		return;
	snprintf(path, sizeof path, "m%u/cur/%u.copy:2,", i & 1, i);
	struct event *e = begin(to);
	char *a = below(now(from)->path), *b = below(path), *dir = below(i & 1 ? "m1/cur" : "m0/cur");
	must(durable_link(d, a, b, &err), &err);
	must(durable_sync_dir(d, dir, &err), &err);
	stands(e, path, now(from)->content, now(from)->n);
	free(a);
	free(b);
	free(dir);
}

/* One of which there is a copy is left alone: they are one file. */
static void append_late(struct thing *t)
{
	bool queued = t->n && now(t)->path && now(t)->path[0] == 'q',
	     copied = t[2].n && strstr(t[2].events[0].then.path, ".copy");
	if (queued && !copied)
		append(t, "done c@example.org\n");
}

static void one_step(struct history *h, unsigned i)
{
	struct thing *t = &h->things[h->n++];
	if (i % 4 == 2)
		enqueue(t, i);
	else
		deliver(t, i);
	if (i % 41 == 40)
		copy(t - 1, &h->things[h->n++], i);
	if (i % 9 == 0)
		replace(&h->things[0], i);
	if (h->n > LATE)
		append_late(&h->things[h->n - LATE]);
	for (size_t k = 1; k + LIVE < h->n; k++)
		if (h->things[k].n && now(&h->things[k])->path)
			vanish(&h->things[k]);
	if (i % 29 == 28)
		durable_log_checkpoint();
}

void history_run(struct history *h, const char *where, unsigned deliveries)
{
	struct err err;
	root = where;
	h->things = xcalloc(deliveries * 2 + 1, sizeof *h->things);
	h->n = 1;
	recorder_start(where);
	must(durable_log_open(where, DURABILITY_LOG, &err), &err);
	d = durable_open(where, DURABLE_FILE, &err);
	must(d ? 0 : -1, &err);
	for (unsigned i = 0; i < deliveries; i++)
		one_step(h, i);
	durable_close(d);
	durable_log_close();
	recorder_stop();
}

void history_free(struct history *h)
{
	for (size_t i = 0; i < h->n; i++)
		for (size_t k = 0; k < h->things[i].n; k++) {
			free(h->things[i].events[k].then.path);
			free(h->things[i].events[k].then.content);
		}
	free(h->things);
}
