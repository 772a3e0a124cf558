/* SPDX-License-Identifier: ISC */
#include "tests/crash/world.h"

#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "tests/crash/disk.h"

static size_t *names; /* for each path: file + 1 */
static size_t *slots; /* for each file: its place on the disk + 1; in signatures: it has a name */

uint64_t world_hash(uint64_t h, uint64_t value)
{
	h = (h ^ value) * 0x9e3779b97f4a7c15ULL;
	return h ^ h >> 32;
}

unsigned world_fates(size_t op)
{
	const struct op *o = &rec.ops[op];
	return o->kind != OP_WRITE ? KEEP_NONE + 1 : o->data ? KEEP_ZEROS + 1 : KEEP_HALF + 1;
}

static bool is_pending(size_t op, size_t upto)
{
	return rec.ops[op].durable >= upto;
}

void world_pending(size_t upto, size_t part, struct list *pending)
{
	const struct list *ops = &parts.part[part].ops;
	for (size_t i = 0; i < ops->n && ops->at[i] < upto; i++)
		if (is_pending(ops->at[i], upto))
			list_add(pending, ops->at[i]);
}

/* May the file have a segment's name at that point? Under any other name nobody looks at it. */
static bool may_be_segment(size_t file, size_t upto)
{
	const struct list *ops = &parts.part[PART_LOG].ops;
	bool may = false;
	for (size_t i = 0; i < ops->n && ops->at[i] < upto; i++) {
		const struct op *o = &rec.ops[ops->at[i]];
		if (o->kind > OP_UNLINK || o->file != file)
			continue;
		bool gives = o->kind != OP_UNLINK && strstr(rec.paths[o->path], ".log");
		may = gives || (may && is_pending(ops->at[i], upto));
	}
	return may;
}

void world_pending_log(size_t upto, size_t part, struct list *pending)
{
	const struct list *ops = &parts.part[PART_LOG].ops;
	for (size_t i = 0; i < ops->n && ops->at[i] < upto; i++) {
		size_t op = ops->at[i], about = parts.about[op];
		if (!is_pending(op, upto) || (about != PART_LOG && about != part))
			continue;
		if (rec.ops[op].kind <= OP_UNLINK || may_be_segment(rec.ops[op].file, upto))
			list_add(pending, op);
	}
}

static enum keep fate(const struct choice *c, size_t i)
{
	return is_pending(i, c->upto) ? (enum keep)c->keep[i] : KEEP_ALL;
}

static void apply_name(const struct op *o)
{
	switch (o->kind) {
	case OP_CREATE:
	case OP_LINK:
		names[o->path] = o->file + 1;
		break;
	case OP_RENAME:
		names[o->path] = o->file + 1;
		if (names[o->from] == o->file + 1)
			names[o->from] = 0;
		break;
	case OP_UNLINK:
		if (names[o->path] == o->file + 1)
			names[o->path] = 0;
		break;
	default:
		break;
	}
}

static void name_files(const struct choice *c, const struct part *p)
{
	if (!names) {
		names = xcalloc(rec.n_paths, sizeof *names);
		slots = xcalloc(rec.n_files, sizeof *slots);
	}
	for (size_t i = 0; i < p->paths.n; i++)
		names[p->paths.at[i]] = 0;
	for (size_t i = 0; i < p->ops.n && p->ops.at[i] < c->upto; i++) {
		const struct op *o = &rec.ops[p->ops.at[i]];
		slots[o->file] = 0;
		if (o->kind <= OP_UNLINK && fate(c, p->ops.at[i]) != KEEP_NONE)
			apply_name(o);
	}
}

static uint64_t sign(uint64_t h, const struct choice *c, const struct part *p)
{
	name_files(c, p);
	for (size_t i = 0; i < p->paths.n; i++) {
		size_t file = names[p->paths.at[i]];
		h = world_hash(h, file);
		if (file)
			slots[file - 1] = 1;
	}
	for (size_t i = 0; i < p->ops.n && p->ops.at[i] < c->upto; i++) {
		size_t op = p->ops.at[i];
		if (rec.ops[op].kind >= OP_WRITE && slots[rec.ops[op].file] && is_pending(op, c->upto))
			h = world_hash(h, op << 3 | fate(c, op));
	}
	return h;
}

uint64_t world_signature(const struct choice *c, size_t part)
{
	uint64_t h = world_hash(1, c->bytes);
	return sign(sign(h, c, &parts.part[part]), c, &parts.part[PART_LOG]);
}

static void apply_write(size_t slot, const struct op *o, enum keep keep, size_t bytes)
{
	size_t n = keep == KEEP_HALF ? o->n / 2 : keep == KEEP_BYTES && bytes < o->n ? bytes : o->n;
	if (keep != KEEP_NONE)
		disk_store(slot, keep == KEEP_ZEROS ? NULL : o->data, n, o->at);
}

static void build(const struct choice *c, const struct part *p)
{
	name_files(c, p);
	for (size_t i = 0; i < p->paths.n; i++) {
		size_t file = names[p->paths.at[i]];
		if (!file)
			continue;
		size_t *slot = &slots[file - 1];
		*slot = *slot ? *slot : disk_add(file - 1) + 1;
		disk_link(rec.paths[p->paths.at[i]], *slot - 1);
	}
	for (size_t i = 0; i < p->ops.n && p->ops.at[i] < c->upto; i++) {
		const struct op *o = &rec.ops[p->ops.at[i]];
		size_t slot = slots[o->file];
		if (!slot || o->kind < OP_WRITE)
			continue;
		enum keep keep = fate(c, p->ops.at[i]);
		if (o->kind == OP_WRITE)
			apply_write(slot - 1, o, keep, c->bytes);
		else if (keep != KEEP_NONE)
			disk_resize(slot - 1, o->at);
	}
}

void world_build_part(const struct choice *c, size_t part)
{
	disk_clear();
	build(c, &parts.part[PART_LOG]);
	build(c, &parts.part[part]);
}

void world_build(const struct choice *c)
{
	disk_clear();
	for (size_t i = 0; i < parts.n; i++)
		build(c, &parts.part[i]);
}

void world_free(void)
{
	free(names);
	free(slots);
	names = slots = NULL;
}
