/* SPDX-License-Identifier: ISC
 *
 * Maildirs kept open: a server that delivers to the same people again and again does not look each time whether their
 * directories are there. At most BOXES_OPEN; the one not used for longest makes room.
 */
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "mda-deliver/mda.h"
#include "store/maildir.h"

enum {
	BOXES_OPEN = 256, /* no descriptor is held by one */
};

struct boxes {
	enum durable_mode mode;
	struct box {
		char *path;
		struct maildir *m;
		unsigned long used;
	} box[BOXES_OPEN];
	size_t n;
	unsigned long clock;
};

struct boxes *boxes_new(enum durable_mode mode)
{
	struct boxes *b = xcalloc(1, sizeof *b);
	b->mode = mode;
	return b;
}

static void remove_at(struct boxes *b, size_t i)
{
	maildir_close(b->box[i].m);
	free(b->box[i].path);
	b->box[i] = b->box[--b->n];
}

void boxes_free(struct boxes *b)
{
	while (b->n)
		remove_at(b, 0);
	free(b);
}

void boxes_drop(struct boxes *b, const char *path)
{
	for (size_t i = 0; i < b->n; i++) {
		if (strcmp(b->box[i].path, path) != 0)
			continue;
		remove_at(b, i);
		return;
	}
}

static size_t oldest(const struct boxes *b)
{
	size_t at = 0;
	for (size_t i = 1; i < b->n; i++)
		if (b->box[i].used < b->box[at].used)
			at = i;
	return at;
}

struct maildir *boxes_get(struct boxes *b, const char *path, struct err *err)
{
	for (size_t i = 0; i < b->n; i++) {
		if (strcmp(b->box[i].path, path) != 0)
			continue;
		b->box[i].used = ++b->clock;
		return b->box[i].m;
	}
	struct maildir *m = maildir_open(path, true, b->mode, err);
	if (!m)
		return NULL;
	if (b->n == BOXES_OPEN)
		remove_at(b, oldest(b));
	b->box[b->n++] = (struct box){ xstrdup(path), m, ++b->clock };
	return m;
}
