/* SPDX-License-Identifier: ISC
 *
 * Copies between folders of one store: hard links, one directory sync and one change of the uidlist for all of them.
 * Where the file system has no links the content is written anew.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "store/maildir_int.h"

struct copy {
	struct folder *f;
	struct span folder;
	char *dir;   /* of the target */
	char **path; /* of the copies made so far */
	size_t n;
	int8_t bit[MAILDIR_KEYWORDS]; /* our keyword's letter over there */
	uint64_t bytes;
};

/* The keywords in use, by name. */
static int map_keywords(struct copy *x, const struct maildir_copy *c, struct err *err)
{
	struct keywords there;
	uint64_t used = 0;
	for (size_t i = 0; i < c->n; i++)
		used |= c->msg[i]->keywords;
	if (!used)
		return 0;
	if (keywords_load(x->dir, &there, err) < 0)
		return -1;
	for (unsigned i = 0; i < x->f->pub.n_keywords; i++) {
		if (!(used >> i & 1) || !x->f->pub.keyword[i][0])
			continue;
		int bit = keywords_add(x->f->m, x->dir, &there, span_str(x->f->pub.keyword[i]), err);
		if (bit < 0)
			return -1;
		x->bit[i] = (int8_t)(bit + 1);
	}
	return 0;
}

static uint64_t keywords_there(const struct copy *x, uint64_t keywords)
{
	uint64_t bits = 0;
	for (unsigned i = 0; i < MAILDIR_KEYWORDS; i++)
		if ((keywords >> i & 1) && x->bit[i])
			bits |= UINT64_C(1) << (x->bit[i] - 1);
	return bits;
}

/* A name of its own in the target's cur/, with the sizes and flags that the old one tells now. */
static char *new_path(const struct copy *x, const struct maildir_msg *msg)
{
	struct buf path;
	struct maildir_name old;
	buf_init(&path, MAILDIR_PATH_MAX);
	maildir_name_parse(msg->name, &old);
	buf_addf(&path, "%s/cur/", x->dir);
	maildir_name_new(&path);
	if (old.size != UINT64_MAX)
		buf_addf(&path, ",S=%llu", (unsigned long long)old.size);
	if (old.vsize != UINT64_MAX)
		buf_addf(&path, ",W=%llu", (unsigned long long)old.vsize);
	maildir_name_flags(old.flags, keywords_there(x, old.keywords), old.other, &path);
	return buf_steal(&path);
}

static int link_once(struct copy *x, const struct maildir_msg *msg, const char *to, struct err *err)
{
	struct stat st;
	char *from = maildir_msg_path(x->f, msg);
	int rc = durable_link(x->f->m->d, from, to, err);
	if (rc == 0 && stat(to, &st) == 0)
		x->bytes += (uint64_t)st.st_size;
	free(from);
	return rc;
}

/* *to becomes the copy's path. Tried again when the source is renamed under us, with the flags that it has then. */
static int link_msg(struct copy *x, struct maildir_msg *msg, char **to, struct err *err)
{
	for (int again = 0;; again++) {
		free(*to);
		*to = new_path(x, msg);
		if (link_once(x, msg, *to, err) == 0)
			return 0;
		if ((err->sys != ENOENT && err->sys != ESTALE) || again == 3)
			return -1;
		if (maildir_find_again(x->f, msg, err) < 0)
			return -1;
	}
}

static bool no_links(int sys)
{
	return sys == EXDEV || sys == EMLINK || sys == EPERM || sys == EOPNOTSUPP || sys == ENOSYS;
}

/* The content once more; *path becomes the name that it got. */
static int write_msg(struct copy *x, struct maildir_msg *msg, char **path, struct err *err)
{
	struct span content, keywords[MAILDIR_KEYWORDS];
	struct maildir_commit c = {
		.flags = msg->flags & ~(unsigned)FLAG_RECENT, .in_cur = true, .keywords = keywords
	};
	if (maildir_content(&x->f->pub, msg, &content, err) < 0 ||
	    maildir_internal_date(&x->f->pub, msg, &c.internal_date, err) < 0)
		return -1;
	for (unsigned i = 0; i < x->f->pub.n_keywords; i++)
		if ((msg->keywords >> i & 1) && x->f->pub.keyword[i][0])
			keywords[c.n_keywords++] = span_str(x->f->pub.keyword[i]);
	struct maildir_writer *w = maildir_begin(x->f->m, x->folder, err);
	if (!w)
		return -1;
	maildir_write(w, content);
	if (maildir_commit(w, &c, err) < 0)
		return -1;
	free(*path);
	*path = c.name;
	return 0;
}

static int copy_all(struct copy *x, const struct maildir_copy *c, struct err *err)
{
	for (size_t i = 0; i < c->n; i++) {
		char *path = NULL;
		int rc = link_msg(x, c->msg[i], &path, err);
		if (rc < 0 && no_links(err->sys))
			rc = write_msg(x, c->msg[i], &path, err);
		if (rc < 0) {
			free(path);
			return -1;
		}
		x->path[x->n++] = path;
	}
	return c->moving ? 0 : maildir_quota_check(x->f->m, x->bytes, err);
}

static int allot(struct copy *x, struct uidlist *u, struct maildir_copy *c, struct err *err)
{
	if (maildir_uids_load(x->dir, u, err) < 0 || (!u->uidvalidity && maildir_uids_start(x->f->m, u, err) < 0))
		return -1;
	for (size_t i = 0; i < x->n; i++) {
		struct maildir_name name;
		maildir_name_parse(span_str(strrchr(x->path[i], '/') + 1), &name);
		const struct uidlist_rec *rec = uidlist_find(u, name.base);
		c->uid[i] = rec ? rec->uid : uidlist_add(u, name.base);
	}
	c->uidvalidity = u->uidvalidity;
	return maildir_uids_store(x->f->m, x->dir, u, err);
}

/* The messages are there whatever happens here: without a UID they get one when the folder is next read. */
static void allot_uids(struct copy *x, struct maildir_copy *c)
{
	struct dotlock lock;
	struct uidlist u;
	struct err err;
	if (maildir_uids_lock(x->dir, &lock, &err) < 0)
		return;
	uidlist_init(&u);
	if (allot(x, &u, c, &err) < 0)
		memset(c->uid, 0, c->n * sizeof *c->uid);
	uidlist_free(&u);
	dotlock_release(&lock);
}

static int check_target(const struct copy *x, struct err *err)
{
	struct stat st;
	char *cur = xasprintf("%s/cur", x->dir);
	int rc = stat(cur, &st);
	if (rc < 0 && errno == ENOENT && err)
		*err = (struct err){ .class = ERR_PERM, .sys = ENOENT, .text = "no such mailbox" };
	else if (rc < 0)
		err_sys(err, "%s", cur);
	free(cur);
	return rc;
}

static int publish(struct copy *x, struct maildir_copy *c, struct err *err)
{
	char *cur = xasprintf("%s/cur", x->dir);
	int rc = check_target(x, err);
	if (rc == 0)
		rc = map_keywords(x, c, err);
	if (rc == 0)
		rc = copy_all(x, c, err);
	if (rc == 0)
		rc = durable_sync_dir(x->f->m->d, cur, err);
	for (size_t i = 0; rc < 0 && i < x->n; i++)
		unlink(x->path[i]);
	free(cur);
	return rc;
}

static void free_paths(char **path, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(path[i]);
	free(path);
}

int maildir_copy(struct maildir_folder *pub, struct span folder, struct maildir_copy *c, struct err *err)
{
	struct copy x = { .f = folder_of(pub), .folder = folder };
	memset(c->uid, 0, c->n * sizeof *c->uid);
	c->uidvalidity = 0;
	c->path = NULL;
	x.dir = maildir_dir(x.f->m, folder, err);
	if (!x.dir)
		return -1;
	x.path = xcalloc(c->n ? c->n : 1, sizeof *x.path);
	int rc = publish(&x, c, err);
	if (rc == 0 && x.n) {
		maildir_quota_add(x.f->m, (int64_t)x.bytes, (int64_t)x.n);
		allot_uids(&x, c);
	}
	if (rc == 0 && c->moving)
		c->path = x.path;
	else
		free_paths(x.path, x.n);
	free(x.dir);
	return rc;
}

/* The path that a copy has now, if somebody has set its flags since; *path is NULL when it is gone. */
static int look_again(char **path, struct err *err)
{
	struct scan s;
	struct maildir_name name;
	char *slash = strrchr(*path, '/'), *dir = xstrndup(*path, (size_t)(slash - *path) - strlen("/cur"));
	maildir_name_parse(span_str(slash + 1), &name);
	scan_init(&s);
	int rc = scan_read(&s, dir, err);
	const struct scan_entry *e = rc == 0 ? scan_find(&s, name.base) : NULL;
	char *now = e ? xasprintf("%s/%s/%.*s", dir, e->in_new ? "new" : "cur", SPAN_FMT(e->name)) : NULL;
	scan_free(&s);
	free(dir);
	if (rc < 0)
		return -1;
	free(*path);
	*path = now;
	return 0;
}

/* Removed by somebody else is as good. */
static int take_back(struct folder *f, struct durable_removals *r, char **path, struct err *err)
{
	for (int again = 0; *path; again++) {
		struct stat st;
		bool known = stat(*path, &st) == 0;
		if (durable_remove(r, *path, err) == 0) {
			maildir_quota_add(f->m, known ? -(int64_t)st.st_size : 0, -1);
			return 0;
		}
		if ((err->sys != ENOENT && err->sys != ESTALE) || again == 3 || look_again(path, err) < 0)
			return -1;
	}
	return 0;
}

/* A removal that failed may have been done all the same: only the copy of an original that is still seen may go. */
static bool surely_there(struct folder *f, struct maildir_msg *msg)
{
	struct err err;
	return maildir_find_again(f, msg, &err) == 0;
}

static void take_back_all(struct folder *f, struct maildir_copy *c)
{
	struct durable_removals *r = durable_removals_new(f->m->d);
	size_t taken = 0;
	struct err err = { 0 };
	for (size_t i = 0; i < c->n; i++) {
		if (c->msg[i]->gone)
			continue;
		if (surely_there(f, c->msg[i]) && take_back(f, r, &c->path[i], &err) == 0)
			taken++;
		else if (!c->msg[i]->gone)
			c->in_both++;
	}
	if (durable_removals_end(r, &err) < 0)
		c->in_both += taken; /* after a crash */
}

int maildir_moved(struct maildir_folder *pub, struct maildir_copy *c, struct err *err)
{
	struct folder *f = folder_of(pub);
	struct err first = { 0 }, one = { 0 };
	for (size_t i = 0; i < c->n; i++)
		if (maildir_expunge(pub, c->msg[i], &one) < 0 && first.class == ERR_NONE)
			first = one;
	c->in_both = 0;
	if (first.class != ERR_NONE)
		take_back_all(f, c);
	if (maildir_expunged(pub, &one) < 0 && first.class == ERR_NONE)
		first = one;
	free_paths(c->path, c->n);
	c->path = NULL;
	if (first.class != ERR_NONE && err)
		*err = first;
	return first.class == ERR_NONE ? 0 : -1;
}
