/* SPDX-License-Identifier: ISC
 *
 * Maildirs kept open: a server that delivers to the same people again and again does not look each time whether their
 * directories are there. At most BOXES_OPEN; the one not used for longest makes room.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "mda-deliver/mda.h"
#include "store/maildir.h"

enum {
	BOXES_OPEN = 256, /* no descriptor is held by one */
};

struct boxes {
	const struct mda_options *o;
	bool logged; /* boxes_log has been called since the first store was made */
	struct box {
		char *path;
		struct maildir *m;
		unsigned long used;
	} box[BOXES_OPEN];
	size_t n;
	unsigned long clock;
};

/* One letter is not worth a log of its own; nor are stores of many users, who would not share it. */
int boxes_log(const struct mda_options *o, struct err *err)
{
	enum durability how = (enum durability)o->durability;
	if (how == DURABILITY_AUTO && (!o->lmtp || geteuid() == 0))
		how = DURABILITY_FILE;
	return location_log(span_str(o->mail ? o->mail : "~"), how, err);
}

struct boxes *boxes_new(const struct mda_options *o)
{
	struct boxes *b = xcalloc(1, sizeof *b);
	b->o = o;
	b->logged = !o->sync || durable_log_is_open();
	return b;
}

void boxes_elsewhere(struct boxes *b)
{
	b->logged = true;
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

/* The first store that is made may be what the log stands in. */
static struct maildir *open_box(struct boxes *b, const char *path, struct err *err)
{
	enum durable_mode mode = b->o->sync ? DURABLE_FILE : DURABLE_NONE;
	struct maildir *m = maildir_open(path, true, mode, err);
	if (!m || b->logged)
		return m;
	maildir_close(m);
	b->logged = true;
	return boxes_log(b->o, err) < 0 ? NULL : maildir_open(path, true, mode, err);
}

struct maildir *boxes_get(struct boxes *b, const char *path, struct err *err)
{
	for (size_t i = 0; i < b->n; i++) {
		if (strcmp(b->box[i].path, path) != 0)
			continue;
		b->box[i].used = ++b->clock;
		return b->box[i].m;
	}
	struct maildir *m = open_box(b, path, err);
	if (!m)
		return NULL;
	if (b->n == BOXES_OPEN)
		remove_at(b, oldest(b));
	b->box[b->n++] = (struct box){ xstrdup(path), m, ++b->clock };
	return m;
}
