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

int maildir_copy(struct maildir_folder *pub, struct span folder, struct maildir_copy *c, struct err *err)
{
	struct copy x = { .f = folder_of(pub), .folder = folder };
	memset(c->uid, 0, c->n * sizeof *c->uid);
	c->uidvalidity = 0;
	x.dir = maildir_dir(x.f->m, folder, err);
	if (!x.dir)
		return -1;
	x.path = xcalloc(c->n ? c->n : 1, sizeof *x.path);
	int rc = publish(&x, c, err);
	if (rc == 0 && x.n) {
		maildir_quota_add(x.f->m, (int64_t)x.bytes, (int64_t)x.n);
		allot_uids(&x, c);
	}
	for (size_t i = 0; i < x.n; i++)
		free(x.path[i]);
	free(x.path);
	free(x.dir);
	return rc;
}
