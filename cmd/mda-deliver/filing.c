/* SPDX-License-Identifier: ISC
 *
 * One letter into the stores of all its recipients.
 */
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "mda-deliver/mda.h"
#include "store/maildir.h"
#include "store/mbox.h"

enum {
	BATCH = 64, /* files open at once; fewer than the stores that are kept open */
	TOP_MAX = 16384,
	PLACE_MAX = 1024,
};

static void top_fields(struct filing *f, const struct target *t, struct buf *out)
{
	struct letter_trace top = f->top;
	top.rcpt = t->rcpt;
	letter_trace_fields(&top, f->when, out);
}

static bool pending(const struct target *t, uid_t uid)
{
	return t->err.class == ERR_NONE && !*t->place && t->uid == uid;
}

static void act(struct filing *f, struct target *t)
{
	struct buf top;
	if (t->discard) {
		t->place = t->path;
		return;
	}
	buf_init(&top, TOP_MAX);
	top_fields(f, t, &top);
	action_run(f, t, buf_span(&top));
	buf_free(&top);
}

static void file_mbox(struct filing *f, struct target *t)
{
	struct buf text;
	struct mbox_append how = { f->top.sender, f->when, f->m->o.sync ? DURABLE_FILE : DURABLE_NONE };
	buf_init(&text, SIZE_MAX / 4);
	top_fields(f, t, &text);
	for (size_t i = 0; i < f->letter->n; i++)
		buf_addspan(&text, f->letter->piece[i]);
	if (mbox_append(t->path, &how, buf_span(&text), &t->err) == 0)
		t->place = t->path;
	buf_free(&text);
}

/* The folder asked for; the INBOX when it is not there and may not be made. */
static struct maildir_writer *begin(struct filing *f, struct maildir *box, struct target *t)
{
	struct maildir_writer *w = maildir_begin(box, t->mailbox, &t->err);
	if (w || t->err.sys != ENOENT || span_ieqs(t->mailbox, "INBOX"))
		return w;
	err_clear(&t->err);
	if (!f->m->o.create)
		t->mailbox = SPAN("INBOX");
	else if (maildir_create(box, t->mailbox, &t->err) < 0 && t->err.sys != EEXIST)
		return NULL;
	err_clear(&t->err);
	return maildir_begin(box, t->mailbox, &t->err);
}

static struct maildir_writer *write_letter(struct filing *f, struct target *t)
{
	struct buf top;
	struct maildir *box = boxes_get(f->m->boxes, t->path, &t->err);
	if (!box)
		return NULL;
	maildir_limit(box, t->user.quota);
	struct maildir_writer *w = begin(f, box, t);
	if (!w)
		return NULL;
	buf_init(&top, TOP_MAX);
	top_fields(f, t, &top);
	/* A failed write is told by the commit. */
	int rc = maildir_write(w, buf_span(&top));
	for (size_t i = 0; i < f->letter->n && rc == 0; i++)
		rc = maildir_write(w, f->letter->piece[i]);
	buf_free(&top);
	return w;
}

static void set_place(struct filing *f, struct target *t, struct maildir_commit *c)
{
	const char *name = strrchr(c->name, '/') + 1;
	t->place = arena_printf(f->a, "%s/%s", c->flags || c->in_cur ? "cur" : "new", name);
	free(c->name);
}

/* Writes the letter for each of n targets and publishes all at once. -1: none is filed, the errs say why: of one target
 * its own; of several they are cleared again, except where writing did not begin. */
static int file_together(struct filing *f, struct target **t, size_t n)
{
	struct maildir_writer *w[BATCH];
	struct target *whose[BATCH];
	struct maildir_commit c[BATCH] = { 0 };
	struct err err = { 0 };
	size_t k = 0;
	for (size_t i = 0; i < n; i++) {
		w[k] = write_letter(f, t[i]);
		if (w[k])
			whose[k++] = t[i];
	}
	if (!k)
		return 0;
	int rc = maildir_commit_all(w, c, k, &err);
	for (size_t i = 0; i < k; i++) {
		if (rc == 0)
			set_place(f, whose[i], &c[i]);
		else if (k == 1)
			whose[i]->err = err;
	}
	return rc;
}

/* What did not work together is tried alone, so that one full mailbox does not keep the others' mail out; where a store
 * has vanished since it was opened, it is opened anew. */
static void file_alone(struct filing *f, struct target *t)
{
	if (*t->place)
		return;
	if (t->err.class != ERR_NONE) {
		if (t->err.sys != ENOENT)
			return;
		boxes_drop(f->m->boxes, t->path);
		err_clear(&t->err);
	}
	file_together(f, &t, 1);
}

static void file_batch(struct filing *f, struct target **t, size_t n)
{
	int rc = file_together(f, t, n);
	for (size_t i = 0; i < n; i++)
		if (n > 1 || rc == 0)
			file_alone(f, t[i]);
}

/* All targets of one uid, by this process. */
static void file_for(struct filing *f, uid_t uid)
{
	struct target *batch[BATCH];
	size_t n = 0;
	for (size_t i = 0; i < f->n; i++) {
		struct target *t = &f->target[i];
		if (!pending(t, uid))
			continue;
		if (t->command || t->discard) {
			act(f, t);
			continue;
		}
		if (t->kind == LOCATION_MBOX) {
			file_mbox(f, t);
			continue;
		}
		batch[n++] = t;
		if (n == BATCH) {
			file_batch(f, batch, n);
			n = 0;
		}
	}
	if (n)
		file_batch(f, batch, n);
}

int become_user(const struct target *t, struct err *err)
{
	if (t->uid == (uid_t)-1)
		return 0;
	durable_log_close();
	if (setgroups(1, &t->gid) < 0 || setgid(t->gid) < 0 || setuid(t->uid) < 0)
		return err_sys(err, "becoming uid %u", t->uid);
	if (setuid(0) == 0 || getuid() != t->uid || geteuid() != t->uid)
		return err_set(err, ERR_BUG, "still not uid %u", t->uid);
	return 0;
}

/* What a child tells of one target. */
struct outcome {
	struct err err;
	char place[PLACE_MAX];
	char mailbox[PLACE_MAX];
};

static void child_main(struct filing *f, const struct target *first, int fd)
{
	struct err err = { 0 };
	int rc = become_user(first, &err);
	uid_t uid = first->uid;
	/* Stores that root has opened are not this user's to use. */
	f->m->o.durability = DURABILITY_FILE;
	f->m->boxes = boxes_new(&f->m->o);
	if (first->action)
		boxes_elsewhere(f->m->boxes);
	for (size_t i = 0; i < f->n && rc < 0; i++)
		if (pending(&f->target[i], uid))
			f->target[i].err = err;
	bool *mine = xcalloc(f->n, sizeof *mine);
	for (size_t i = 0; i < f->n; i++)
		mine[i] = f->target[i].uid == uid;
	file_for(f, uid);
	for (size_t i = 0; i < f->n; i++) {
		struct target *t = &f->target[i];
		struct outcome o = { .err = t->err };
		snprintf(o.place, sizeof o.place, "%s", t->place);
		snprintf(o.mailbox, sizeof o.mailbox, "%.*s", SPAN_FMT(t->mailbox));
		if (mine[i] && write(fd, &o, sizeof o) != (ssize_t)sizeof o)
			_exit(75);
	}
	_exit(0);
}

static bool read_outcome(int fd, struct outcome *o)
{
	char *at = (char *)o;
	for (size_t have = 0; have < sizeof *o;) {
		ssize_t n = read(fd, at + have, sizeof *o - have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		have += (size_t)n;
	}
	o->place[PLACE_MAX - 1] = o->mailbox[PLACE_MAX - 1] = '\0';
	return true;
}

static void take_outcomes(struct filing *f, uid_t uid, int fd)
{
	for (size_t i = 0; i < f->n; i++) {
		struct target *t = &f->target[i];
		struct outcome o;
		if (t->uid != uid)
			continue;
		if (!read_outcome(fd, &o)) {
			err_set(&t->err, ERR_TEMP, "the delivery as uid %u ended early", uid);
			continue;
		}
		t->err = o.err;
		t->place = arena_str(f->a, span_str(o.place));
		t->mailbox = arena_span(f->a, span_str(o.mailbox));
	}
}

static void file_by_child(struct filing *f, struct target *first)
{
	int fds[2] = { -1, -1 };
	uid_t uid = first->uid;
	pid_t pid = pipe(fds) < 0 ? -1 : fork();
	if (pid < 0) {
		err_sys(&first->err, "starting a delivery");
	} else if (pid == 0) {
		close(fds[0]);
		child_main(f, first, fds[1]);
	} else {
		close(fds[1]);
		fds[1] = -1;
		take_outcomes(f, uid, fds[0]);
		waitpid(pid, NULL, 0);
	}
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

void filing_run(struct filing *f)
{
	file_for(f, (uid_t)-1);
	for (size_t i = 0; i < f->n; i++) {
		struct target *t = &f->target[i];
		if (!pending(t, t->uid))
			continue;
		if (t->uid == geteuid())
			file_for(f, t->uid);
		else
			file_by_child(f, t);
	}
}
