/* SPDX-License-Identifier: ISC
 *
 * Folders of a Maildir++: listing, making, removing, renaming.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "store/maildir_int.h"

struct listing {
	const char *root;
	struct arena *a;
	struct span *v;
	size_t n, cap;
};

static void add_name(struct listing *l, struct span name)
{
	if (l->n == l->cap) {
		struct span *old = l->v;
		l->cap = l->cap ? 2 * l->cap : 32;
		l->v = arena_alloc(l->a, l->cap * sizeof *l->v);
		if (old)
			memcpy(l->v, old, l->n * sizeof *old);
	}
	l->v[l->n++] = arena_span(l->a, name);
}

static bool has_cur(const char *root, struct span entry)
{
	char *path = xasprintf("%s/%.*s/cur", root, SPAN_FMT(entry));
	bool there = access(path, F_OK) == 0;
	free(path);
	return there;
}

static int list_entry(void *arg, struct span entry, unsigned char type)
{
	struct listing *l = arg;
	struct buf name;
	if (entry.p[0] != '.' || (type != DT_DIR && type != DT_LNK && type != DT_UNKNOWN))
		return 0;
	buf_init(&name, MAILDIR_PATH_MAX);
	if (maildir_folder_from_disk(entry, &name) && has_cur(l->root, entry))
		add_name(l, buf_span(&name));
	buf_free(&name);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct span *x = a, *y = b;
	return span_cmp(*x, *y);
}

int maildir_list(struct maildir *m, struct arena *a, struct span **names, size_t *n, struct err *err)
{
	struct listing l = { .root = m->path, .a = a };
	add_name(&l, SPAN("INBOX"));
	if (maildir_each(m->path, true, list_entry, &l, err) < 0)
		return -1;
	qsort(l.v + 1, l.n - 1, sizeof *l.v, by_name);
	*names = l.v;
	*n = l.n;
	return 0;
}

static bool folder_exists(const char *dir)
{
	struct stat st;
	char *cur = xasprintf("%s/cur", dir);
	bool there = stat(cur, &st) == 0;
	free(cur);
	return there;
}

static int no_mailbox(struct err *err)
{
	err_set(err, ERR_PERM, "no such mailbox");
	if (err)
		err->sys = ENOENT;
	return -1;
}

static int is_there_already(struct err *err)
{
	err_set(err, ERR_PERM, "the mailbox exists already");
	if (err)
		err->sys = EEXIST;
	return -1;
}

/* The directory of a folder that is (or is not) there; NULL with err otherwise. */
static char *dir_if(const struct maildir *m, struct span folder, bool there, struct err *err)
{
	char *dir = maildir_dir(m, folder, err);
	if (!dir || folder_exists(dir) == there)
		return dir;
	free(dir);
	if (there)
		no_mailbox(err);
	else
		is_there_already(err);
	return NULL;
}

/* A new folder has its UIDVALIDITY from the start: what APPENDUID or STATUS say before the first SELECT then stays
 * true. */
static int start_uids(struct maildir *m, const char *dir, struct err *err)
{
	struct dotlock lock;
	struct uidlist u;
	if (maildir_uids_lock(dir, &lock, err) < 0)
		return -1;
	uidlist_init(&u);
	int rc = maildir_uids_load(dir, &u, err);
	if (rc == 0 && !u.uidvalidity) {
		rc = maildir_uids_start(m, &u, err);
		if (rc == 0)
			rc = maildir_uids_store(m, dir, &u, err);
	}
	uidlist_free(&u);
	dotlock_release(&lock);
	return rc;
}

int maildir_create(struct maildir *m, struct span folder, struct err *err)
{
	char *dir = dir_if(m, folder, false, err);
	if (!dir)
		return -1;
	int rc = maildir_make(m, dir, err);
	if (rc == 0)
		rc = start_uids(m, dir, err);
	free(dir);
	return rc;
}

static int remove_tree(const char *dir, struct err *err);

static int remove_entry(void *arg, struct span name, unsigned char type)
{
	char *path = xasprintf("%s/%.*s", (const char *)arg, SPAN_FMT(name));
	struct stat st;
	(void)type;
	int rc = lstat(path, &st) == 0 && S_ISDIR(st.st_mode) ? remove_tree(path, NULL) : unlink(path);
	free(path);
	return rc < 0 && errno != ENOENT ? -1 : 0;
}

static int remove_tree(const char *dir, struct err *err)
{
	char copy[MAILDIR_PATH_MAX];
	if (snprintf(copy, sizeof copy, "%s", dir) >= (int)sizeof copy)
		return err_set(err, ERR_PERM, "%s: the path is too long", dir);
	if (maildir_each(dir, true, remove_entry, copy, err) < 0 || rmdir(dir) < 0)
		return errno == ENOENT ? 0 : err_sys(err, "%s", dir);
	return 0;
}

int maildir_delete(struct maildir *m, struct span folder, struct err *err)
{
	if (span_ieqs(folder, "INBOX"))
		return err_set(err, ERR_PERM, "INBOX can't be deleted"); /* RFC 9051 6.3.5 */
	char *dir = dir_if(m, folder, true, err);
	if (!dir)
		return -1;
	/* Away under a name that is no folder's: to the outside it vanishes at once, and a crash leaves no half of it.
	 */
	char *away = xasprintf("%s/..deleted.%lld.%ld", m->path, (long long)time(NULL), (long)getpid());
	int rc = durable_rename(m->d, dir, away, err);
	if (rc == 0)
		/* What can't be removed now lies out of the way; the mailbox is deleted all the same. */
		(void)remove_tree(away, NULL);
	free(away);
	free(dir);
	return rc;
}

/* INBOX stays; its messages go (RFC 9051 6.3.6). */
struct emptying {
	struct maildir *m;
	const char *from, *to;
};

static int move_message(void *arg, struct span name, unsigned char type)
{
	struct emptying *x = arg;
	(void)type;
	char *from = xasprintf("%s/%.*s", x->from, SPAN_FMT(name));
	bool has_info = span_chr(name, ':') >= 0;
	char *to = xasprintf("%s/cur/%.*s%s", x->to, SPAN_FMT(name), has_info ? "" : ":2,");
	int rc = rename(from, to);
	free(from);
	free(to);
	return rc < 0 && errno != ENOENT ? -1 : 0;
}

static int empty_inbox(struct maildir *m, struct span to, struct err *err)
{
	static const char *const subs[] = { "cur", "new" };
	if (maildir_create(m, to, err) < 0)
		return -1;
	char *dir = maildir_dir(m, to, err);
	int rc = dir ? 0 : -1;
	for (size_t i = 0; i < 2 && rc == 0; i++) {
		char *from = xasprintf("%s/%s", m->path, subs[i]);
		struct emptying x = { m, from, dir };
		if (maildir_each(from, false, move_message, &x, err) < 0)
			rc = err_sys(err, "moving the messages of INBOX");
		free(from);
	}
	free(dir);
	return rc;
}

/* The folder and those below it: ".Old" and ".Old.*". */
struct renaming {
	struct maildir *m;
	struct span from; /* ".Old" */
	const char *to;   /* ROOT/.New */
	struct err *err;
};

static int rename_entry(void *arg, struct span entry, unsigned char type)
{
	struct renaming *x = arg;
	(void)type;
	if (!span_starts(entry, x->from.p) || (entry.n > x->from.n && entry.p[x->from.n] != '.'))
		return 0;
	char *from = xasprintf("%s/%.*s", x->m->path, SPAN_FMT(entry));
	char *to = xasprintf("%s%.*s", x->to, SPAN_FMT(span_from(entry, x->from.n)));
	int rc = durable_rename(x->m->d, from, to, x->err);
	free(from);
	free(to);
	return rc;
}

int maildir_rename(struct maildir *m, struct span from, struct span to, struct err *err)
{
	if (span_ieqs(from, "INBOX"))
		return empty_inbox(m, to, err);
	char *old = dir_if(m, from, true, err), *new = old ? dir_if(m, to, false, err) : NULL;
	int rc = -1;
	if (new &&strncmp(new, old, strlen(old)) == 0 && new[strlen(old)] == '.') {
		err_set(err, ERR_PERM, "a mailbox can't become its own child");
	} else if (new) {
		struct renaming x = { m, span_str(strrchr(old, '/') + 1), new, err };
		rc = maildir_each(m->path, true, rename_entry, &x, err);
	}
	free(old);
	free(new);
	return rc;
}
