/* SPDX-License-Identifier: ISC */
#include "tests/crash/world.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/xalloc.h"

size_t world_pending(size_t upto, size_t *pending)
{
	size_t n = 0;
	for (size_t i = 0; i < upto; i++)
		if (rec.ops[i].kind != OP_SYNC && rec.ops[i].durable >= upto)
			pending[n++] = i;
	return n;
}

static enum keep fate(const struct choice *c, size_t i)
{
	return rec.ops[i].durable < c->upto ? KEEP_ALL : (enum keep)c->keep[i];
}

/* names[path] = file + 1 */
static void apply_name(size_t *names, const struct op *o)
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

static void apply_write(int fd, const struct op *o, enum keep keep, size_t bytes)
{
	struct stat st;
	size_t n = keep == KEEP_HALF ? o->n / 2 : keep == KEEP_BYTES && bytes < o->n ? bytes : o->n;
	if (keep == KEEP_NONE)
		return;
	if (keep != KEEP_ZEROS && o->data && pwrite(fd, o->data, n, o->at) != (ssize_t)n)
		abort();
	if (fstat(fd, &st) < 0 || (st.st_size < o->at + (off_t)n && ftruncate(fd, o->at + (off_t)n) < 0))
		abort();
}

static int make_file(const char *path, size_t file)
{
	struct stat st;
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0 || fstat(fd, &st) < 0)
		abort();
	recorder_identify(st.st_ino, file);
	return fd;
}

/* One pass over the operations for the contents of all files that have a name. */
static void fill(const struct choice *c, const int *fds)
{
	for (size_t i = 0; i < c->upto; i++) {
		const struct op *o = &rec.ops[i];
		if (o->kind < OP_WRITE || o->kind == OP_SYNC || fds[o->file] < 0)
			continue;
		enum keep keep = fate(c, i);
		if (o->kind == OP_WRITE)
			apply_write(fds[o->file], o, keep, c->bytes);
		else if (keep != KEEP_NONE && ftruncate(fds[o->file], o->at) < 0)
			abort();
	}
}

void world_build(const struct choice *c, const char *root)
{
	size_t *names = xcalloc(rec.n_paths, sizeof *names);
	int *fds = xcalloc(rec.n_files, sizeof *fds);
	char **first = xcalloc(rec.n_files, sizeof *first);
	for (size_t f = 0; f < rec.n_files; f++)
		fds[f] = -1;
	recorder_identify(0, 0);
	for (size_t i = 0; i < c->upto; i++)
		if (rec.ops[i].kind <= OP_UNLINK && fate(c, i) != KEEP_NONE)
			apply_name(names, &rec.ops[i]);
	for (size_t p = 0; p < rec.n_paths; p++) {
		if (!names[p])
			continue;
		size_t file = names[p] - 1;
		char *path = xasprintf("%s/%s", root, rec.paths[p]);
		if (!first[file]) {
			fds[file] = make_file(path, file);
			first[file] = path;
			continue;
		}
		if (link(first[file], path) < 0)
			abort();
		free(path);
	}
	fill(c, fds);
	for (size_t f = 0; f < rec.n_files; f++) {
		if (fds[f] >= 0)
			close(fds[f]);
		free(first[f]);
	}
	free(first);
	free(fds);
	free(names);
}
