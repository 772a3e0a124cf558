/* SPDX-License-Identifier: ISC
 *
 * A power cut at every point of a run: from the recorded operations the states that it may leave are built, the commit
 * log is replayed in each, and what was promised must be there. WAYPOST_CRASH_SECONDS bounds the run (30), 0 for all
 * states; a failure tells the crash point and the family of the state.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "io/commitlog.h"
#include "tests/crash/history.h"
#include "tests/crash/recorder.h"
#include "tests/crash/world.h"

enum {
	DELIVERIES = 200,
	EXHAUSTIVE = 5, /* so many pending operations: all subsets */
	RANDOM = 4,     /* states of random choices at each point */
};

static struct history history;
static char scratch[64], log_dir[256];
static unsigned long states, points;
static uint32_t seed;

static unsigned next_random(void)
{
	seed = seed * 1664525u + 1013904223u;
	return seed >> 8;
}

/* ---- checking ---- */

static char *read_file(const char *path, size_t *n)
{
	struct stat st;
	char *full = xasprintf("%s/%s", scratch, path), *content = NULL;
	int fd = open(full, O_RDONLY);
	if (fd >= 0 && fstat(fd, &st) == 0) {
		content = xmalloc((size_t)st.st_size + 1);
		*n = (size_t)read(fd, content, (size_t)st.st_size);
	}
	if (fd >= 0)
		close(fd);
	free(full);
	return content;
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
		char *content = again ? NULL : read_file(path, &n);
		if (!content)
			continue;
		here++;
		for (size_t k = 0; k < n_may; k++)
			ok = ok || (may[k]->then.path && strcmp(path, may[k]->then.path) == 0 &&
				       stands_so(may[k], point, content, n));
		free(content);
		if (!ok)
			return path;
	}
	*found += here;
	if (here > 1 || (here == 0 && !ok_absent))
		return t->n && t->events[0].then.path ? t->events[0].then.path : "?";
	return NULL;
}

/* All files below the root but those of tmp and of the log; each is removed when remove is given. */
static size_t walk(bool remove)
{
	size_t n = 0;
	for (size_t i = 0; history_dirs[i]; i++) {
		bool counted = !strstr(history_dirs[i], "tmp");
		char *path = xasprintf("%s/%s", scratch, history_dirs[i]);
		DIR *dir = opendir(path);
		for (struct dirent *e; dir && (e = readdir(dir));) {
			n += counted && e->d_type == DT_REG && !strstr(e->d_name, ".tmp.");
			if (remove && e->d_type == DT_REG)
				unlinkat(dirfd(dir), e->d_name, 0);
		}
		if (dir)
			closedir(dir);
		free(path);
	}
	return n;
}

static void clear_scratch(void)
{
	walk(true);
	DIR *dir = opendir(log_dir);
	for (struct dirent *e; dir && (e = readdir(dir));)
		if (e->d_type == DT_REG)
			unlinkat(dirfd(dir), e->d_name, 0);
	if (dir)
		closedir(dir);
}

static void check_all(size_t point, const char *family)
{
	size_t found = 0;
	for (size_t i = 0; i < history.n; i++) {
		const char *wrong = check_thing(&history.things[i], point, &found);
		if (wrong)
			fail_msg(
			    "crash at operation %zu (%s): %s is not as promised, in %s", point, family, wrong, scratch);
	}
	if (walk(false) != found)
		fail_msg("crash at operation %zu (%s): there is a file of no known name in %s", point, family, scratch);
}

static void try_state(const struct choice *c, const char *family)
{
	uint64_t records;
	struct err err;
	clear_scratch();
	world_build(c, scratch);
	for (int twice = 0; twice < 2; twice++) {
		if (commitlog_replay(scratch, log_dir, &records, &err) < 0)
			fail_msg("crash at operation %zu (%s): %s", c->upto, family, err.text);
		check_all(c->upto, family);
	}
	states++;
}

/* ---- families of states ---- */

static void set_all(struct choice *c, const size_t *pending, size_t n, enum keep keep)
{
	for (size_t i = 0; i < n; i++)
		c->keep[pending[i]] = (unsigned char)keep;
}

static void try_subsets(struct choice *c, const size_t *pending, size_t n)
{
	for (unsigned bits = 0; bits < 1u << n; bits++) {
		for (size_t i = 0; i < n; i++)
			c->keep[pending[i]] = bits >> i & 1 ? KEEP_ALL : KEEP_NONE;
		try_state(c, "subset");
	}
}

/* Each single one, and each single one missing or torn; every `step`th of them. */
static void try_singles(struct choice *c, const size_t *pending, size_t n, size_t step)
{
	static const enum keep fates[][2] = { { KEEP_NONE, KEEP_ALL }, { KEEP_ALL, KEEP_NONE }, { KEEP_ALL, KEEP_HALF },
		{ KEEP_ALL, KEEP_ZEROS } };
	for (size_t i = next_random() % step; i < n * 4; i += step) {
		const enum keep *f = fates[i % 4];
		bool write = rec.ops[pending[i / 4]].kind == OP_WRITE;
		if (!write && f[1] != KEEP_ALL && f[1] != KEEP_NONE)
			continue;
		set_all(c, pending, n, f[0]);
		c->keep[pending[i / 4]] = (unsigned char)f[1];
		try_state(c, "single");
	}
}

static void try_random(struct choice *c, const size_t *pending, size_t n)
{
	for (unsigned k = 0; k < RANDOM; k++) {
		unsigned bias = next_random() % 4;
		for (size_t i = 0; i < n; i++) {
			enum keep keep = next_random() % 4 < bias ? KEEP_NONE : (enum keep)(next_random() % 4);
			c->keep[pending[i]] = (unsigned char)keep;
		}
		try_state(c, "random");
	}
}

/* The last write torn at each byte, with all before it or nothing but it. */
static void try_torn(struct choice *c, const size_t *pending, size_t n, size_t step)
{
	size_t last = pending[n - 1];
	if (last + 1 != c->upto || rec.ops[last].kind != OP_WRITE)
		return;
	for (size_t b = next_random() % step; b < rec.ops[last].n && b < 2048; b += step) {
		set_all(c, pending, n, b / step % 2 ? KEEP_ALL : KEEP_NONE);
		c->keep[last] = KEEP_BYTES;
		c->bytes = b;
		try_state(c, "torn");
	}
}

/* step: one of so many states of the large families is tried. */
static void try_point(size_t point, size_t step)
{
	size_t *pending = xcalloc(point + 1, sizeof *pending), n = world_pending(point, pending);
	struct choice c = { point, xcalloc(point + 1, 1), 0 };
	points++;
	if (n <= EXHAUSTIVE) {
		try_subsets(&c, pending, n);
	} else {
		set_all(&c, pending, n, KEEP_NONE);
		try_state(&c, "none");
		set_all(&c, pending, n, KEEP_ALL);
		try_state(&c, "all");
		try_random(&c, pending, n);
	}
	if (n) {
		try_singles(&c, pending, n, step);
		try_torn(&c, pending, n, step == 1 ? 1 : 1 + 8 * step);
	}
	free(c.keep);
	free(pending);
}

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Points in an order that is spread over the run, so that a bounded test sees all of it. */
static void every_state_keeps_the_promises(void **state)
{
	(void)state;
	const char *bound = getenv("WAYPOST_CRASH_SECONDS");
	double limit = bound ? strtod(bound, NULL) : 30, until = seconds() + limit;
	size_t step = limit > 0 ? 23 : 1, stride = rec.n / 2 * 2 * 5 / 8 | 1;
	for (; rec.n % stride == 0 || stride % 3 == 0 || stride % 5 == 0 || stride % 7 == 0;)
		stride += 2;
	for (size_t i = 0, point = 0; i <= rec.n; i++) {
		seed = (uint32_t)point;
		try_point(point, step);
		if (limit > 0 && seconds() > until)
			break;
		point = (point + stride) % (rec.n + 1);
	}
	print_message("%lu crash states at %lu of %zu points: every promise kept\n", states, points, rec.n + 1);
}

static int setup(void **state)
{
	char run[64];
	(void)state;
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	snprintf(run, sizeof run, "%s/crash-run-XXXXXX", base);
	snprintf(scratch, sizeof scratch, "%s/crash-state-XXXXXX", base);
	if (!mkdtemp(run) || !mkdtemp(scratch))
		return -1;
	history_make_dirs(run);
	history_make_dirs(scratch);
	snprintf(log_dir, sizeof log_dir, "%s/%s", scratch, history_log);
	history_run(&history, run, DELIVERIES);
	char *command = xasprintf("rm -rf %s", run);
	int rc = system(command);
	free(command);
	return rc;
}

static int teardown(void **state)
{
	(void)state;
	char *command = xasprintf("rm -rf %s", scratch);
	int rc = system(command);
	free(command);
	history_free(&history);
	recorder_free();
	return rc;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(every_state_keeps_the_promises) };
	return cmocka_run_group_tests(tests, setup, teardown);
}
