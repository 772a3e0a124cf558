/* SPDX-License-Identifier: ISC */
#include "io/durable/commitlog_plan.h"

#include <stdlib.h>

#include "base/xalloc.h"

struct plan_slot {
	struct plan_key key;
	size_t file; /* index + 1; 0: nothing has this name any more */
};

void commitlog_plan_init(struct commitlog_plan *p)
{
	*p = (struct commitlog_plan){ 0 };
}

void commitlog_plan_free(struct commitlog_plan *p)
{
	for (size_t i = 0; i < p->n_files; i++) {
		free(p->files[i].names);
		free(p->files[i].patches);
	}
	free(p->files);
	free(p->by_id);
	free(p->slots);
}

struct span commitlog_plan_name(const struct plan_file *f)
{
	return f->names[f->n_names - 1];
}

/* Room for one more element behind n: capacities are the powers of two. */
static void *room_for_one(void *array, size_t n, size_t size)
{
	return n & (n - 1) ? array : xreallocarray(array, n ? n * 2 : 1, size);
}

struct plan_key commitlog_plan_key(struct span path)
{
	ptrdiff_t slash = span_rchr(path, '/');
	struct span dir = span_slice(path, 0, slash < 0 ? 0 : (size_t)slash);
	struct span above = span_slice(dir, 0, dir.n - (dir.n < 3 ? dir.n : 3));
	if ((!span_ends(dir, "new") && !span_ends(dir, "cur")) || (above.n && !span_ends(above, "/")))
		return (struct plan_key){ path, SPAN("") };
	struct span name = span_from(path, (size_t)slash + 1);
	return (struct plan_key){ above, span_cut(&name, ':') };
}

static bool same_key(struct plan_key a, struct plan_key b)
{
	return span_eq(a.dir, b.dir) && span_eq(a.unique, b.unique);
}

static struct plan_slot *probe(struct plan_slot *slots, size_t n, struct plan_key key)
{
	size_t i = span_hash(span_hash(SPAN_HASH, key.dir), key.unique) & (n - 1);
	while (slots[i].key.dir.p && !same_key(slots[i].key, key))
		i = (i + 1) & (n - 1);
	return &slots[i];
}

static struct plan_slot *slot_of(struct commitlog_plan *p, struct span name)
{
	if (p->used * 2 >= p->n_slots) {
		size_t n = p->n_slots ? p->n_slots * 2 : 256;
		struct plan_slot *grown = xcalloc(n, sizeof *grown);
		for (size_t i = 0; i < p->n_slots; i++)
			if (p->slots[i].key.dir.p)
				*probe(grown, n, p->slots[i].key) = p->slots[i];
		free(p->slots);
		p->slots = grown;
		p->n_slots = n;
	}
	struct plan_key key = commitlog_plan_key(name);
	struct plan_slot *s = probe(p->slots, p->n_slots, key);
	if (!s->key.dir.p) {
		s->key = key;
		p->used++;
	}
	return s;
}

static void add_name(struct plan_file *f, struct span name)
{
	f->names = room_for_one(f->names, f->n_names, sizeof *f->names);
	f->names[f->n_names++] = name;
}

static size_t *probe_id(struct commitlog_plan *p, uint64_t id)
{
	size_t i = id & (p->n_by_id - 1);
	while (p->by_id[i] && p->files[p->by_id[i] - 1].id != id)
		i = (i + 1) & (p->n_by_id - 1);
	return &p->by_id[i];
}

static void index_id(struct commitlog_plan *p, size_t file)
{
	if (p->n_files * 2 > p->n_by_id) {
		free(p->by_id);
		p->n_by_id = p->n_by_id ? p->n_by_id * 2 : 256;
		p->by_id = xcalloc(p->n_by_id, sizeof *p->by_id);
		for (size_t i = 0; i + 1 < p->n_files; i++)
			*probe_id(p, p->files[i].id) = i + 1;
	}
	*probe_id(p, p->files[file].id) = file + 1;
}

static size_t new_file(struct commitlog_plan *p, struct span name, uint64_t id)
{
	p->files = room_for_one(p->files, p->n_files, sizeof *p->files);
	p->files[p->n_files] = (struct plan_file){ .id = id };
	add_name(&p->files[p->n_files], name);
	index_id(p, p->n_files++);
	return p->n_files - 1;
}

/* The file of this identity stands here although its record says elsewhere: a process was killed between its record and
 * the rename. */
static bool stands_here(struct commitlog_plan *p, const struct commitlog_record *r, size_t *file)
{
	size_t found = r->file && p->n_by_id ? *probe_id(p, r->file) : 0;
	if (!found || p->files[found - 1].gone)
		return false;
	*file = found - 1;
	struct plan_slot *other = slot_of(p, commitlog_plan_name(&p->files[*file]));
	if (other->file == found)
		other->file = 0;
	add_name(&p->files[*file], r->path);
	slot_of(p, r->path)->file = found;
	return true;
}

/* The file that the records before gave this name, or a new one of which they said nothing. A record about another file
 * than theirs tells that somebody replaced it without the log. */
static size_t file_named(struct commitlog_plan *p, const struct commitlog_record *r)
{
	struct plan_slot *s = slot_of(p, r->path);
	if (s->file) {
		struct plan_file *f = &p->files[s->file - 1];
		if (!r->file || f->id == r->file)
			return s->file - 1;
		f->gone = true;
	}
	size_t i;
	if (stands_here(p, r, &i))
		return i;
	i = new_file(p, r->path, r->file);
	slot_of(p, r->path)->file = i + 1;
	return i;
}

static void put(struct commitlog_plan *p, const struct commitlog_record *r)
{
	struct plan_slot *s = slot_of(p, r->path);
	if (s->file)
		p->files[s->file - 1].gone = true;
	s->file = new_file(p, r->path, r->file) + 1;
	struct plan_file *f = &p->files[s->file - 1];
	f->has_content = true;
	f->content = r->data;
	f->mode = r->mode & 07777;
}

static void patch(struct commitlog_plan *p, const struct commitlog_record *r)
{
	size_t i = file_named(p, r);
	struct plan_file *f = &p->files[i];
	f->patches = room_for_one(f->patches, f->n_patches, sizeof *f->patches);
	f->patches[f->n_patches++] = (struct plan_patch){ r->at, r->data };
}

static void vanish(struct commitlog_plan *p, const struct commitlog_record *r)
{
	size_t i = file_named(p, r);
	struct plan_file *f = &p->files[i];
	f->gone = true;
	/* Another program may have given it this name. */
	add_name(f, r->path);
	slot_of(p, r->path)->file = 0;
}

static void move(struct commitlog_plan *p, const struct commitlog_record *r)
{
	if (span_eq(r->path, r->data))
		return;
	size_t i = file_named(p, r);
	slot_of(p, r->path)->file = 0;
	struct plan_slot *to = slot_of(p, r->data);
	if (to->file)
		p->files[to->file - 1].gone = true;
	to->file = i + 1;
	add_name(&p->files[i], r->path);
	add_name(&p->files[i], r->data);
}

void commitlog_plan_add(struct commitlog_plan *p, const struct commitlog_record *r)
{
	switch (r->kind) {
	case COMMITLOG_PUT:
		put(p, r);
		break;
	case COMMITLOG_APPEND:
		patch(p, r);
		break;
	case COMMITLOG_REMOVE:
		vanish(p, r);
		break;
	case COMMITLOG_RENAME:
		move(p, r);
		break;
	}
}
