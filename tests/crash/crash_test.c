/* SPDX-License-Identifier: ISC
 *
 * A power cut at every point of a run: from the recorded operations the states that it may leave are built, the commit
 * log is replayed in each, and what was promised must be there.
 *
 * Of each part of the run (parts.h) all subsets of its pending operations, a pending write also by half and as zeros,
 * are tried with all that may have become of the log. A torn record is none for a replay, whatever its length: it is
 * tried by half with all subsets, and at each byte with everything and with nothing of its part. What leaves the same
 * files is tried once, and a point at which nothing changed for a part, neither its operations nor its records nor what
 * was promised of it, is none for that part. Of some states (one in COMPANY) the whole disk is built, with the other
 * parts in random states, and everything is checked; in some (one in STOPPED) the replay is stopped before each of its
 * own changes, and begins again.
 *
 * WAYPOST_CRASH_SECONDS bounds the run (6) and thins it out, 0 for all states; WAYPOST_CRASH_JOBS processes (2). A
 * failure tells the crash point and the family of the state.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "io/durable/commitlog.h"
#include "tests/crash/disk.h"
#include "tests/crash/history.h"
#include "tests/crash/parts.h"
#include "tests/crash/recorder.h"
#include "tests/crash/world.h"

enum {
	DELIVERIES = 200,
	COMPANY = 64,
	STOPPED = 64,
	MOST = 1 << 20, /* subsets of one part's pending operations */
	THIN = 24,      /* states that are tried of one situation when the time is bounded */
	JOBS_MAX = 16,
};

static struct history history;
static char log_dir[256];
static uint32_t seed;
static bool bounded;
/* What a process did. */
static struct tally {
	unsigned long states, company, stopped, torn, situations, same;
} tally;
static struct list *things_of; /* for each part */

static unsigned next_random(void)
{
	seed = seed * 1664525u + 1013904223u;
	return seed >> 8;
}

/* ---- what was seen ---- */

struct seen {
	uint64_t *keys;
	size_t n, size;
};
static struct seen situations, choices;

static void seen_clear(struct seen *s)
{
	if (s->n)
		memset(s->keys, 0, s->size * sizeof *s->keys);
	s->n = 0;
}

static bool place_key(struct seen *s, uint64_t key)
{
	size_t i = key & (s->size - 1);
	while (s->keys[i] && s->keys[i] != key)
		i = (i + 1) & (s->size - 1);
	if (s->keys[i])
		return false;
	s->keys[i] = key;
	s->n++;
	return true;
}

/* Was it there before? */
static bool seen_before(struct seen *s, uint64_t key)
{
	if (s->n * 2 >= s->size) {
		struct seen grown = { .size = s->size ? s->size * 2 : 1024 };
		grown.keys = xcalloc(grown.size, sizeof *grown.keys);
		for (size_t i = 0; i < s->size; i++)
			if (s->keys[i])
				place_key(&grown, s->keys[i]);
		free(s->keys);
		*s = grown;
	}
	return !place_key(s, key ? key : 1);
}

/* ---- checking ---- */

static void complain(size_t point, const char *family, const char *what)
{
	print_error("crash at operation %zu (%s): %s\n", point, family, what);
	fflush(NULL);
	_exit(1);
}

/* How a thing may stand after a crash at this point. */
static size_t allowed(const struct thing *t, size_t point, const struct event *out[8], bool *nothing)
{
	size_t n = 0;
	*nothing = true;
	for (size_t i = 0; i < t->n && t->events[i].start < point; i++) {
		bool promised = t->events[i].end <= point && !t->events[i].weak;
		if (promised) {
			n = 0;
			*nothing = false;
		}
		out[n++] = &t->events[i];
	}
	return n;
}

static bool stands_so(const struct event *e, size_t point, const char *content, size_t n)
{
	bool under_way = e->grows && e->end > point;
	if (!under_way)
		return n == e->then.n && memcmp(content, e->then.content, n) == 0;
	/* What was there before is whole (the event before says how much that is); the rest is a beginning. */
	size_t before = e[-1].then.n;
	return n >= before && n <= e->then.n && memcmp(content, e->then.content, before) == 0;
}

/* Under how many of the names that it ever had does it stand, and is each of them as it should be? */
static const char *check_thing(const struct thing *t, size_t point, size_t *found)
{
	const struct event *may[8];
	bool nothing, ok_absent;
	size_t n_may = allowed(t, point, may, &nothing), here = 0;
	ok_absent = nothing;
	for (size_t i = 0; i < n_may; i++)
		ok_absent = ok_absent || !may[i]->then.path;
	for (size_t i = 0; i < t->n; i++) {
		const char *path = t->events[i].then.path;
		bool again = !path, ok = false;
		for (size_t k = 0; path && !again && k < i; k++)
			again = t->events[k].then.path && strcmp(path, t->events[k].then.path) == 0;
		size_t n = 0;
		const char *content = again ? NULL : disk_content(path, &n);
		if (!content)
			continue;
		here++;
		for (size_t k = 0; k < n_may; k++)
			ok = ok || (may[k]->then.path && strcmp(path, may[k]->then.path) == 0 &&
				       stands_so(may[k], point, content, n));
		if (!ok)
			return path;
	}
	*found += here;
	if (here > 1 || (here == 0 && !ok_absent))
		return t->n && t->events[0].then.path ? t->events[0].then.path : "?";
	return NULL;
}

static void check_part(size_t point, size_t part, const char *family)
{
	size_t found = 0;
	for (size_t i = 0; i < things_of[part].n; i++) {
		const char *wrong = check_thing(&history.things[things_of[part].at[i]], point, &found);
		if (wrong)
			complain(point, family, wrong);
	}
}

static void check_all(size_t point, const char *family)
{
	size_t found = 0, there = 0;
	for (size_t i = 0; i < history.n; i++) {
		const char *wrong = check_thing(&history.things[i], point, &found);
		if (wrong)
			complain(point, family, wrong);
	}
	for (size_t i = 0; i < disk.n_names; i++) {
		const char *path = disk.names[i].path;
		there += !strstr(path, "/tmp/") && !strstr(path, ".tmp.") && strncmp(path, "waypost-log/", 12) != 0;
	}
	if (there != found)
		complain(point, family, "there is a file of no known name");
}

static void replay(size_t point, const char *family)
{
	uint64_t records;
	struct err err;
	if (commitlog_replay(DISK_ROOT, log_dir, &records, &err) < 0)
		complain(point, family, err.text);
}

/* Replayed, and once more. */
static void try_part_alone(const struct choice *c, size_t part, const char *family)
{
	world_build_part(c, part);
	for (int twice = 0; twice < 2; twice++) {
		replay(c->upto, family);
		check_part(c->upto, part, family);
	}
	tally.states++;
}

/* The replay dies before its first, second, ... change; another one follows. */
static void try_stopped(const struct choice *c, size_t part)
{
	uint64_t records;
	struct err err;
	for (long k = 0;; k++) {
		world_build_part(c, part);
		disk.fuse = k;
		if (commitlog_replay(DISK_ROOT, log_dir, &records, &err) == 0)
			break;
		disk.fuse = DISK_NO_FUSE;
		replay(c->upto, "replay stopped");
		check_part(c->upto, part, "replay stopped");
		tally.stopped++;
	}
}

/* The others' operations are kept, lost or torn as chance will have it. */
static void try_in_company(const struct choice *c, size_t part)
{
	static struct choice all;
	all.keep = xreallocarray(all.keep, c->upto + 1, 1);
	all.upto = c->upto;
	all.bytes = c->bytes;
	memcpy(all.keep, c->keep, c->upto);
	unsigned bias = next_random() % 4;
	for (size_t i = 1; i < parts.n; i++)
		for (size_t k = 0; i != part && k < parts.part[i].ops.n && parts.part[i].ops.at[k] < c->upto; k++) {
			size_t op = parts.part[i].ops.at[k];
			bool lost = next_random() % 4 < bias;
			all.keep[op] = (unsigned char)(lost ? KEEP_NONE : next_random() % world_fates(op));
		}
	world_build(&all);
	for (int twice = 0; twice < 2; twice++) {
		replay(c->upto, "all parts");
		check_all(c->upto, "all parts");
	}
	tally.company++;
}

static void try_state(const struct choice *c, size_t part, const char *family)
{
	if (seen_before(&choices, world_signature(c, part))) {
		tally.same++;
		return;
	}
	try_part_alone(c, part, family);
	if (tally.states % COMPANY == 0)
		try_in_company(c, part);
	if (tally.states % STOPPED == STOPPED / 2)
		try_stopped(c, part);
}

/* ---- families of states ---- */

static void try_subsets(struct choice *c, size_t part, const struct list *pending)
{
	size_t total = 1, step = 1;
	for (size_t i = 0; i < pending->n; i++)
		total *= world_fates(pending->at[i]);
	if (total > MOST)
		complain(c->upto, "subset", "too many operations are pending at once");
	if (bounded && total > THIN)
		step = total / THIN | 1;
	for (size_t k = bounded ? next_random() % step : 0; k < total; k += step) {
		size_t rest = k;
		for (size_t i = 0; i < pending->n; i++) {
			unsigned fates = world_fates(pending->at[i]);
			c->keep[pending->at[i]] = (unsigned char)(rest % fates);
			rest /= fates;
		}
		try_state(c, part, "subset");
	}
}

/* The last write to the log, when it is about that part. */
static void try_torn(struct choice *c, size_t part, const struct list *pending)
{
	size_t last = c->upto - 1, step = 1;
	if (parts.about[last] != part)
		return;
	if (bounded)
		step = rec.ops[last].n / 3 + 1;
	for (size_t b = bounded ? next_random() % step : 0; b < rec.ops[last].n; b += step)
		for (int kept = 0; kept < 2; kept++) {
			for (size_t i = 0; i < pending->n; i++)
				c->keep[pending->at[i]] = kept ? KEEP_ALL : KEEP_NONE;
			c->keep[last] = KEEP_BYTES;
			c->bytes = b;
			tally.torn++;
			try_state(c, part, "torn");
		}
	c->bytes = 0;
}

/* All that the part's states and promises at this point depend on. */
static uint64_t situation(size_t point, size_t part)
{
	const struct part *p = &parts.part[part];
	const struct list *lists[] = { &p->ops, &p->records, &parts.part[PART_LOG].ops };
	uint64_t h = world_hash(2, part);
	for (size_t k = 0; k < 3; k++)
		for (size_t i = 0; i < lists[k]->n && lists[k]->at[i] < point; i++) {
			size_t op = lists[k]->at[i];
			if (k == 2 && rec.ops[op].kind > OP_UNLINK)
				continue;
			h = world_hash(h, op << 1 | (rec.ops[op].durable >= point));
		}
	for (size_t i = 0; i < things_of[part].n; i++) {
		const struct thing *t = &history.things[things_of[part].at[i]];
		for (size_t k = 0; k < t->n; k++)
			h = world_hash(h, (size_t)(t->events[k].start < point) << 1 | (t->events[k].end <= point));
	}
	return h;
}

static void try_point(size_t point, size_t part, struct choice *c)
{
	static struct list pending;
	if (seen_before(&situations, situation(point, part)))
		return;
	tally.situations++;
	pending.n = 0;
	memset(c->keep, KEEP_ALL, point);
	c->upto = point;
	c->bytes = 0;
	world_pending(point, part, &pending);
	world_pending_log(point, part, &pending);
	seen_clear(&choices);
	seed = (uint32_t)(point * 2654435761u + part);
	try_subsets(c, part, &pending);
	if (point)
		try_torn(c, part, &pending);
}

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Points in an order that is spread over the run, so that a bounded test sees all of it. */
static void try_share(unsigned job, unsigned jobs, double until)
{
	struct choice c = { .keep = xcalloc(rec.n + 1, 1) };
	size_t stride = rec.n / 2 * 2 * 5 / 8 | 1, point = 0;
	for (; (rec.n + 1) % stride == 0 || stride % 3 == 0 || stride % 5 == 0 || stride % 7 == 0;)
		stride += 2;
	for (size_t i = 0; i <= rec.n; i++, point = (point + stride) % (rec.n + 1))
		for (size_t part = PART_LOG + 1; part < parts.n; part++) {
			if (part % jobs != job)
				continue;
			try_point(point, part, &c);
			/* On a slow machine some of each are worth the time. */
			if (bounded && seconds() > until && tally.states && tally.company && tally.stopped &&
			    tally.torn)
				return;
		}
}

static void add_tally(int fd)
{
	struct tally one;
	assert_int_equal(read(fd, &one, sizeof one), sizeof one);
	tally.states += one.states;
	tally.company += one.company;
	tally.stopped += one.stopped;
	tally.torn += one.torn;
	tally.situations += one.situations;
	tally.same += one.same;
}

static void every_state_keeps_the_promises(void **state)
{
	(void)state;
	const char *bound = getenv("WAYPOST_CRASH_SECONDS"), *processes = getenv("WAYPOST_CRASH_JOBS");
	double limit = bound ? strtod(bound, NULL) : 6, began = seconds();
	unsigned jobs = processes ? (unsigned)strtoul(processes, NULL, 10) : 2;
	int fds[2], status, failed = 0;
	bounded = limit > 0;
	assert_in_range(jobs, 1, JOBS_MAX);
	assert_int_equal(pipe(fds), 0);
	fflush(NULL);
	for (unsigned i = 0; i < jobs; i++) {
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid)
			continue;
		try_share(i, jobs, began + limit);
		_exit(write(fds[1], &tally, sizeof tally) == sizeof tally ? 0 : 1);
	}
	for (unsigned i = 0; i < jobs; i++)
		failed |= wait(&status) < 0 || status != 0;
	assert_int_equal(failed, 0);
	for (unsigned i = 0; i < jobs; i++)
		add_tally(fds[0]);
	close(fds[0]);
	close(fds[1]);
	print_message(
	    "%lu crash states (%lu of them torn records; %lu more were equal to one of these) in %lu situations of "
	    "%zu parts at %zu points, %lu with the whole disk, %lu stopped replays: every promise kept (%s, %.0f s)\n",
	    tally.states, tally.torn, tally.same, tally.situations, parts.n - 1, rec.n + 1, tally.company,
	    tally.stopped, bounded ? "bounded" : "all", seconds() - began);
	assert_true(tally.states && tally.company && tally.stopped && tally.torn);
}

static void find_things(void)
{
	things_of = xcalloc(parts.n, sizeof *things_of);
	for (size_t i = 0; i < history.n; i++) {
		const struct thing *t = &history.things[i];
		size_t part = SIZE_MAX;
		for (size_t k = 0; k < t->n && part == SIZE_MAX; k++)
			part = t->events[k].then.path ? parts_of_path(t->events[k].then.path) : SIZE_MAX;
		if (part != SIZE_MAX)
			list_add(&things_of[part], i);
	}
}

static int setup(void **state)
{
	char run[64];
	(void)state;
	snprintf(run, sizeof run, "%s/crash-run-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (!mkdtemp(run))
		return -1;
	history_make_dirs(run);
	snprintf(log_dir, sizeof log_dir, "%s/%s", DISK_ROOT, history_log);
	history_run(&history, run, DELIVERIES);
	char *command = xasprintf("rm -rf %s", run);
	int rc = system(command);
	free(command);
	parts_find();
	find_things();
	return rc;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < parts.n; i++)
		free(things_of[i].at);
	free(things_of);
	free(situations.keys);
	free(choices.keys);
	history_free(&history);
	parts_free();
	world_free();
	recorder_free();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(every_state_keeps_the_promises) };
	return cmocka_run_group_tests(tests, setup, teardown);
}
