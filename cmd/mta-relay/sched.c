/* SPDX-License-Identifier: ISC */
#include "mta-relay/sched.h"

#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

enum {
	ID_BYTES = SPOOL_ID_SIZE - 1
};
#define NONE UINT32_MAX

struct row {
	int64_t due;
	char id[ID_BYTES];
	uint32_t dest;
	uint32_t place; /* in the heap */
	uint32_t chain; /* next row of the same bucket, or next free row */
};

struct sched {
	struct row *row;
	uint32_t *heap; /* of rows; the earliest first */
	uint32_t *bucket;
	uint32_t n, cap; /* rows in the heap; rows allocated, also the number of buckets: a power of two */
	uint32_t free;
};

struct sched *sched_new(void)
{
	struct sched *s = xcalloc(1, sizeof *s);
	s->free = NONE;
	return s;
}

void sched_free(struct sched *s)
{
	if (!s)
		return;
	free(s->row);
	free(s->heap);
	free(s->bucket);
	free(s);
}

/* FNV-1a */
static uint32_t hash(const char *id)
{
	uint32_t h = 2166136261u;
	for (size_t i = 0; i < ID_BYTES; i++)
		h = (h ^ (unsigned char)id[i]) * 16777619u;
	return h ^ h >> 15;
}

static uint32_t *bucket_of(const struct sched *s, const char *id)
{
	return &s->bucket[hash(id) & (s->cap - 1)];
}

static void grow(struct sched *s)
{
	uint32_t old = s->cap;
	s->cap = old ? old * 2 : 64;
	s->row = xreallocarray(s->row, s->cap, sizeof *s->row);
	s->heap = xreallocarray(s->heap, s->cap, sizeof *s->heap);
	s->bucket = xreallocarray(s->bucket, s->cap, sizeof *s->bucket);
	for (uint32_t i = 0; i < s->cap; i++)
		s->bucket[i] = NONE;
	/* All rows are in use when this is called. */
	for (uint32_t i = 0; i < old; i++) {
		uint32_t *b = bucket_of(s, s->row[i].id);
		s->row[i].chain = *b;
		*b = i;
	}
	for (uint32_t i = s->cap; i-- > old;) {
		s->row[i].chain = s->free;
		s->free = i;
	}
}

static void place(struct sched *s, uint32_t at, uint32_t row)
{
	s->heap[at] = row;
	s->row[row].place = at;
}

static bool before(const struct sched *s, uint32_t a, uint32_t b)
{
	const struct row *x = &s->row[a], *y = &s->row[b];
	return x->due != y->due ? x->due < y->due : memcmp(x->id, y->id, ID_BYTES) < 0;
}

static void sift(struct sched *s, uint32_t at)
{
	uint32_t row = s->heap[at];
	while (at && before(s, row, s->heap[(at - 1) / 2])) {
		place(s, at, s->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	for (;;) {
		uint32_t child = at * 2 + 1;
		if (child + 1 < s->n && before(s, s->heap[child + 1], s->heap[child]))
			child++;
		if (child >= s->n || !before(s, s->heap[child], row))
			break;
		place(s, at, s->heap[child]);
		at = child;
	}
	place(s, at, row);
}

static uint32_t find(const struct sched *s, const char *id)
{
	uint32_t at = s->cap ? *bucket_of(s, id) : NONE;
	while (at != NONE && memcmp(s->row[at].id, id, ID_BYTES) != 0)
		at = s->row[at].chain;
	return at;
}

void sched_put(struct sched *s, const char *id, int64_t due, uint32_t dest)
{
	uint32_t at = find(s, id);
	if (at == NONE) {
		if (s->free == NONE)
			grow(s);
		at = s->free;
		s->free = s->row[at].chain;
		uint32_t *b = bucket_of(s, id);
		s->row[at].chain = *b;
		*b = at;
		memcpy(s->row[at].id, id, ID_BYTES);
		place(s, s->n++, at);
	}
	s->row[at].due = due;
	s->row[at].dest = dest;
	sift(s, s->row[at].place);
}

static void unchain(struct sched *s, uint32_t row)
{
	uint32_t *link = bucket_of(s, s->row[row].id);
	while (*link != row)
		link = &s->row[*link].chain;
	*link = s->row[row].chain;
}

bool sched_take(struct sched *s, int64_t now, char id[SPOOL_ID_SIZE], uint32_t *dest)
{
	if (!s->n || sched_next(s) > now)
		return false;
	uint32_t row = s->heap[0];
	memcpy(id, s->row[row].id, ID_BYTES);
	id[ID_BYTES] = '\0';
	*dest = s->row[row].dest;
	unchain(s, row);
	s->row[row].chain = s->free;
	s->free = row;
	if (--s->n) {
		place(s, 0, s->heap[s->n]);
		sift(s, 0);
	}
	return true;
}

int64_t sched_next(const struct sched *s)
{
	return s->n ? s->row[s->heap[0]].due : INT64_MAX;
}

size_t sched_count(const struct sched *s)
{
	return s->n;
}
