/* SPDX-License-Identifier: ISC */
#include "mta-relay/run/sched.h"

#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

enum {
	ID_BYTES = SPOOL_ID_SIZE - 1,
	FIRST_ROWS = 64,
	LOW = 4, /* a window filled to less than this part is low */
};
#define NONE UINT32_MAX

enum end {
	EARLIEST,
	LATEST
};
struct row {
	int64_t due;
	char id[ID_BYTES];
	uint32_t dest;
	uint32_t place[2]; /* in the heaps */
	uint32_t chain;    /* next row of the same bucket, or next free row */
};
struct window {
	struct row *row;
	uint32_t *heap[2]; /* of rows: the earliest first, the latest first */
	uint32_t *bucket;
	uint32_t n, cap; /* rows in the heaps; rows allocated, also the number of buckets: a power of two */
	uint32_t free, max;
	int64_t horizon;
};

enum kind {
	FRESH,
	RETRY
};
struct sched {
	struct window of[2];
	int64_t fresh_within;
	unsigned fresh_turns; /* taken since the last of the others */
};

static void window_init(struct window *w, size_t max)
{
	*w = (struct window){ .free = NONE, .max = (uint32_t)max, .horizon = INT64_MAX };
}

static void window_free(struct window *w)
{
	free(w->row);
	free(w->heap[EARLIEST]);
	free(w->heap[LATEST]);
	free(w->bucket);
}

/* FNV-1a */
static uint32_t hash(const char *id)
{
	uint32_t h = 2166136261u;
	for (size_t i = 0; i < ID_BYTES; i++)
		h = (h ^ (unsigned char)id[i]) * 16777619u;
	return h ^ h >> 15;
}

static uint32_t *bucket_of(const struct window *w, const char *id)
{
	return &w->bucket[hash(id) & (w->cap - 1)];
}

static void grow(struct window *w)
{
	uint32_t old = w->cap;
	w->cap = old ? old * 2 : FIRST_ROWS;
	w->row = xreallocarray(w->row, w->cap, sizeof *w->row);
	w->heap[EARLIEST] = xreallocarray(w->heap[EARLIEST], w->cap, sizeof(uint32_t));
	w->heap[LATEST] = xreallocarray(w->heap[LATEST], w->cap, sizeof(uint32_t));
	w->bucket = xreallocarray(w->bucket, w->cap, sizeof *w->bucket);
	for (uint32_t i = 0; i < w->cap; i++)
		w->bucket[i] = NONE;
	/* All rows are in use when this is called. */
	for (uint32_t i = 0; i < old; i++) {
		uint32_t *b = bucket_of(w, w->row[i].id);
		w->row[i].chain = *b;
		*b = i;
	}
	for (uint32_t i = w->cap; i-- > old;) {
		w->row[i].chain = w->free;
		w->free = i;
	}
}

static void place(struct window *w, enum end end, uint32_t at, uint32_t row)
{
	w->heap[end][at] = row;
	w->row[row].place[end] = at;
}

/* By id too, so that what came first goes first. */
static int compare(int64_t due, const char *id, const struct row *r)
{
	return due != r->due ? (due < r->due ? -1 : 1) : memcmp(id, r->id, ID_BYTES);
}

static bool before(const struct window *w, enum end end, uint32_t a, uint32_t b)
{
	int c = compare(w->row[a].due, w->row[a].id, &w->row[b]);
	return end == EARLIEST ? c < 0 : c > 0;
}

static void sift(struct window *w, enum end end, uint32_t at)
{
	const uint32_t *heap = w->heap[end];
	uint32_t row = heap[at];
	while (at && before(w, end, row, heap[(at - 1) / 2])) {
		place(w, end, at, heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	for (;;) {
		uint32_t child = at * 2 + 1;
		if (child + 1 < w->n && before(w, end, heap[child + 1], heap[child]))
			child++;
		if (child >= w->n || !before(w, end, heap[child], row))
			break;
		place(w, end, at, heap[child]);
		at = child;
	}
	place(w, end, at, row);
}

static uint32_t find(const struct window *w, const char *id)
{
	uint32_t at = w->cap ? *bucket_of(w, id) : NONE;
	while (at != NONE && memcmp(w->row[at].id, id, ID_BYTES) != 0)
		at = w->row[at].chain;
	return at;
}

static void unchain(struct window *w, uint32_t row)
{
	uint32_t *link = bucket_of(w, w->row[row].id);
	while (*link != row)
		link = &w->row[*link].chain;
	*link = w->row[row].chain;
}

static void drop(struct window *w, uint32_t row)
{
	unchain(w, row);
	w->row[row].chain = w->free;
	w->free = row;
	w->n--;
	for (int end = EARLIEST; end <= LATEST; end++) {
		uint32_t at = w->row[row].place[end];
		if (at == w->n)
			continue;
		place(w, (enum end)end, at, w->heap[end][w->n]);
		sift(w, (enum end)end, at);
	}
}

static uint32_t add(struct window *w, const char *id)
{
	if (w->free == NONE)
		grow(w);
	uint32_t row = w->free, *b = bucket_of(w, id);
	w->free = w->row[row].chain;
	w->row[row].chain = *b;
	*b = row;
	memcpy(w->row[row].id, id, ID_BYTES);
	w->row[row].dest = 0;
	place(w, EARLIEST, w->n, row);
	place(w, LATEST, w->n, row);
	w->n++;
	return row;
}

static void forget(struct window *w, int64_t due)
{
	if (due < w->horizon)
		w->horizon = due;
}

/* True when there is a row to be had for it: what lies beyond the horizon has others before it that were forgotten. */
static bool has_room(struct window *w, const char *id, int64_t due)
{
	if (due > w->horizon)
		return false;
	if (w->n < w->max)
		return true;
	uint32_t last = w->heap[LATEST][0];
	if (compare(due, id, &w->row[last]) >= 0) {
		forget(w, due);
		return false;
	}
	forget(w, w->row[last].due);
	drop(w, last);
	return true;
}

static void window_put(struct window *w, const char *id, int64_t due, uint32_t dest)
{
	uint32_t row = find(w, id);
	if (row != NONE && due > w->horizon) {
		drop(w, row);
		return;
	}
	if (row == NONE) {
		if (!has_room(w, id, due))
			return;
		row = add(w, id);
	}
	w->row[row].due = due;
	if (dest)
		w->row[row].dest = dest;
	sift(w, EARLIEST, w->row[row].place[EARLIEST]);
	sift(w, LATEST, w->row[row].place[LATEST]);
}

static int64_t earliest(const struct window *w)
{
	return w->n ? w->row[w->heap[EARLIEST][0]].due : INT64_MAX;
}

static int64_t min(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

struct sched *sched_new(size_t window, int64_t fresh_within)
{
	struct sched *s = xcalloc(1, sizeof *s);
	window_init(&s->of[FRESH], window);
	window_init(&s->of[RETRY], window);
	s->fresh_within = fresh_within;
	return s;
}

void sched_free(struct sched *s)
{
	if (!s)
		return;
	window_free(&s->of[FRESH]);
	window_free(&s->of[RETRY]);
	free(s);
}

static uint64_t digit(char c)
{
	static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	const char *p = c ? strchr(digits, c) : NULL;
	return p ? (uint64_t)(p - digits) : 0;
}

int64_t sched_arrival(const char *id)
{
	uint64_t us = 0;
	for (int i = 0; i < 11 && id[i]; i++)
		us = us << 5 | digit(id[i]);
	return (int64_t)(us / 1000000);
}

void sched_put(struct sched *s, const char *id, int64_t due, uint32_t dest)
{
	enum kind kind = due < sched_arrival(id) + s->fresh_within ? FRESH : RETRY;
	struct window *other = &s->of[kind == FRESH ? RETRY : FRESH];
	uint32_t row = find(other, id);
	if (row != NONE)
		drop(other, row);
	window_put(&s->of[kind], id, due, dest);
}

bool sched_take(struct sched *s, int64_t now, char id[SPOOL_ID_SIZE], uint32_t *dest)
{
	bool fresh = s->of[FRESH].n && earliest(&s->of[FRESH]) <= now;
	bool retry = s->of[RETRY].n && earliest(&s->of[RETRY]) <= now;
	if (!fresh && !retry)
		return false;
	if (fresh && retry && s->fresh_turns >= SCHED_FRESH_TURNS)
		fresh = false;
	s->fresh_turns = fresh ? s->fresh_turns + 1 : 0;
	struct window *w = &s->of[fresh ? FRESH : RETRY];
	uint32_t row = w->heap[EARLIEST][0];
	memcpy(id, w->row[row].id, ID_BYTES);
	id[ID_BYTES] = '\0';
	*dest = w->row[row].dest;
	drop(w, row);
	return true;
}

int64_t sched_horizon(const struct sched *s)
{
	return min(s->of[FRESH].horizon, s->of[RETRY].horizon);
}

int64_t sched_next(const struct sched *s)
{
	return min(sched_horizon(s), min(earliest(&s->of[FRESH]), earliest(&s->of[RETRY])));
}

size_t sched_count(const struct sched *s)
{
	return s->of[FRESH].n + s->of[RETRY].n;
}

static bool runs_low(const struct window *w, int64_t now)
{
	return w->horizon <= now && w->n <= w->max / LOW;
}

bool sched_runs_low(const struct sched *s, int64_t now)
{
	return runs_low(&s->of[FRESH], now) || runs_low(&s->of[RETRY], now);
}

void sched_rescan(struct sched *s)
{
	s->of[FRESH].horizon = INT64_MAX;
	s->of[RETRY].horizon = INT64_MAX;
}
