/* SPDX-License-Identifier: ISC */
#include "base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/xalloc.h"

enum {
	ARENA_BLOCK = 4096
};

struct block {
	struct block *next;
	size_t used, cap;
	alignas(max_align_t) char data[];
};

struct arena {
	struct block *head;
	size_t used;
};

static struct block *block_new(struct block *next, size_t cap)
{
	struct block *b = xmalloc(sizeof *b + cap);
	b->next = next;
	b->used = 0;
	b->cap = cap;
	return b;
}

struct arena *arena_new(void)
{
	struct arena *a = xcalloc(1, sizeof *a);
	a->head = block_new(NULL, ARENA_BLOCK);
	return a;
}

void arena_reset(struct arena *a)
{
	while (a->head->next) {
		struct block *next = a->head->next;
		free(a->head);
		a->head = next;
	}
	a->head->used = 0;
	a->used = 0;
}

void arena_free(struct arena *a)
{
	if (!a)
		return;
	arena_reset(a);
	free(a->head);
	free(a);
}

void *arena_alloc(struct arena *a, size_t n)
{
	size_t align = alignof(max_align_t);
	size_t want = (n + align - 1) / align * align;
	if (want > a->head->cap - a->head->used)
		a->head = block_new(a->head, want > ARENA_BLOCK ? want : ARENA_BLOCK);
	/* UNSAFE: used + want <= cap holds by the line above, and both are multiples of align. */
	void *p = a->head->data + a->head->used;
	a->head->used += want;
	a->used += want;
	return memset(p, 0, want);
}

char *arena_str(struct arena *a, struct span s)
{
	char *p = arena_alloc(a, s.n + 1);
	memcpy(p, s.p, s.n);
	return p;
}

struct span arena_span(struct arena *a, struct span s)
{
	return span_of(arena_str(a, s), s.n);
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	char *p = arena_alloc(a, (size_t)(n < 0 ? 0 : n) + 1);
	if (n >= 0)
		vsnprintf(p, (size_t)n + 1, fmt, again);
	va_end(again);
	va_end(ap);
	return p;
}

size_t arena_used(const struct arena *a)
{
	return a->used;
}
