/* SPDX-License-Identifier: ISC */
#include "users/alias_set.h"

#include <stdlib.h>

#include "base/xalloc.h"

enum {
	PLACES = 2 * ALIASES_RESULT + 1
};

void alias_set_init(struct alias_set *s, struct arena *a)
{
	*s = (struct alias_set){ .arena = a, .place = xcalloc(PLACES, sizeof *s->place) };
}

void alias_set_free(struct alias_set *s)
{
	free(s->place);
	s->place = NULL;
}

bool alias_set_full(const struct alias_set *s)
{
	return s->n >= ALIASES_RESULT;
}

bool alias_set_add(struct alias_set *s, struct span key)
{
	uint64_t h = 14695981039346656037u;
	for (size_t i = 0; i < key.n; i++)
		h = (h ^ (unsigned char)key.p[i]) * 1099511628211u;
	size_t at = (size_t)(h % PLACES);
	while (s->place[at].n && !span_eq(s->place[at], key))
		at = (at + 1) % PLACES;
	if (s->place[at].n || alias_set_full(s))
		return false;
	s->place[at] = arena_span(s->arena, key);
	s->n++;
	return true;
}

void alias_list_add(struct alias_list *l, struct arena *a, const struct alias_dest *d)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 8;
		struct alias_dest *v = arena_alloc(a, cap * sizeof *v);
		if (l->n)
			memcpy(v, l->v, l->n * sizeof *v);
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = *d;
}
