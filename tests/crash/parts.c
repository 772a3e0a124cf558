/* SPDX-License-Identifier: ISC */
#include "tests/crash/parts.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "io/durable/commitlog_record.h"

struct parts parts;
static size_t *group, *number; /* of files, then of paths: who is one with it; the part */

void list_add(struct list *l, size_t value)
{
	if (!(l->n & (l->n - 1)))
		l->at = xreallocarray(l->at, l->n ? l->n * 2 : 1, sizeof *l->at);
	l->at[l->n++] = value;
}

static size_t group_of(size_t node)
{
	while (group[node] != node)
		node = group[node] = group[group[node]];
	return node;
}

static void join(size_t a, size_t b)
{
	group[group_of(a)] = group_of(b);
}

static size_t path_node(size_t path)
{
	return rec.n_files + path;
}

static bool of_log(size_t path)
{
	return strncmp(rec.paths[path], "waypost-log/", 12) == 0;
}

static void join_all(void)
{
	size_t log = SIZE_MAX;
	for (size_t i = 0; i < rec.n; i++) {
		const struct op *o = &rec.ops[i];
		if (o->kind <= OP_UNLINK)
			join(path_node(o->path), o->file);
		if (o->kind == OP_RENAME)
			join(path_node(o->from), o->file);
	}
	for (size_t p = 0; p < rec.n_paths; p++) {
		if (!of_log(p))
			continue;
		log = log == SIZE_MAX ? p : log;
		join(path_node(p), path_node(log));
	}
}

static size_t part_of(size_t node)
{
	size_t *n = &number[group_of(node)];
	if (*n == SIZE_MAX) {
		parts.part = xreallocarray(parts.part, parts.n + 1, sizeof *parts.part);
		parts.part[parts.n] = (struct part){ 0 };
		*n = parts.n++;
	}
	return *n;
}

size_t parts_of_path(const char *path)
{
	for (size_t p = 0; p < rec.n_paths; p++)
		if (strcmp(rec.paths[p], path) == 0)
			return part_of(path_node(p));
	return SIZE_MAX;
}

/* The history changes one thing at a time, so a write to the log is about one part. */
static void find_about(size_t op)
{
	const struct op *o = &rec.ops[op];
	struct commitlog_record r;
	uint64_t nonce;
	if (o->kind != OP_WRITE || !o->data || o->at < COMMITLOG_HEADER || o->n < COMMITLOG_RECORD_HEAD)
		return;
	char *segment = xcalloc(1, (size_t)o->at + o->n), path[256] = "";
	memcpy(segment + o->at, o->data, o->n);
	memcpy(&nonce, o->data + 8, sizeof nonce);
	struct span bytes = span_of(segment, (size_t)o->at + o->n);
	if (!commitlog_record_decode(bytes, nonce, (uint64_t)o->at, &r) || r.path.n >= sizeof path)
		abort();
	memcpy(path, r.path.p, r.path.n);
	parts.about[op] = parts_of_path(path);
	if (parts.about[op] == SIZE_MAX)
		abort();
	list_add(&parts.part[parts.about[op]].records, op);
	free(segment);
}

void parts_find(void)
{
	size_t nodes = rec.n_files + rec.n_paths;
	group = xcalloc(nodes, sizeof *group);
	number = xcalloc(nodes, sizeof *number);
	parts.about = xcalloc(rec.n, sizeof *parts.about);
	for (size_t i = 0; i < nodes; i++) {
		group[i] = i;
		number[i] = SIZE_MAX;
	}
	join_all();
	for (size_t p = 0; p < rec.n_paths; p++)
		if (of_log(p) && part_of(path_node(p)) != PART_LOG)
			abort();
	for (size_t p = 0; p < rec.n_paths; p++) {
		size_t part = part_of(path_node(p));
		list_add(&parts.part[part].paths, p);
	}
	for (size_t i = 0; i < rec.n; i++) {
		if (rec.ops[i].kind == OP_SYNC)
			continue;
		size_t part = part_of(rec.ops[i].file);
		list_add(&parts.part[part].ops, i);
		if (part == PART_LOG)
			find_about(i);
	}
}

void parts_free(void)
{
	for (size_t i = 0; i < parts.n; i++) {
		free(parts.part[i].ops.at);
		free(parts.part[i].paths.at);
		free(parts.part[i].records.at);
	}
	free(parts.part);
	free(parts.about);
	free(group);
	free(number);
	parts = (struct parts){ 0 };
}
