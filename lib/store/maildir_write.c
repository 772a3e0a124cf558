/* SPDX-License-Identifier: ISC
 *
 * A message on its way into a folder: CRLF becomes LF, both sizes are counted, and the file gets its name from them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "store/maildir_int.h"

struct maildir_writer {
	struct maildir *m;
	char *dir;
	char *name;  /* "SECS.M...host" */
	char *final; /* set by the commit */
	struct durable *f;
	uint64_t size, lines;
	bool held_cr; /* a CR at the end of the last piece, not written yet */
	char last;
};

struct sweep {
	const char *tmp;
	time_t now;
};

static int sweep_entry(void *arg, struct span name, unsigned char type)
{
	struct sweep *s = arg;
	struct stat st;
	(void)type;
	char *path = xasprintf("%s/%.*s", s->tmp, SPAN_FMT(name));
	if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && s->now - st.st_mtime > MAILDIR_STALE_TMP_S)
		unlink(path);
	free(path);
	return 0;
}

/* What deliveries that died have left: at most once for each folder as long as the store is open. Failures don't matter
 * here. */
static void sweep_tmp(struct maildir *m, const char *dir)
{
	for (size_t i = 0; i < m->n_swept; i++)
		if (strcmp(m->swept[i], dir) == 0)
			return;
	m->swept = xreallocarray(m->swept, m->n_swept + 1, sizeof *m->swept);
	m->swept[m->n_swept++] = xstrdup(dir);
	char *tmp = xasprintf("%s/tmp", dir);
	struct sweep s = { tmp, time(NULL) };
	maildir_each(tmp, false, sweep_entry, &s, NULL);
	free(tmp);
}

static struct durable *begin_tmp(struct maildir *m, const char *dir, const char *name, struct err *err)
{
	char *tmp = xasprintf("%s/tmp/%s", dir, name);
	struct durable *f = durable_begin(m->d, tmp, m->file_mode, err);
	free(tmp);
	return f;
}

struct maildir_writer *maildir_begin(struct maildir *m, struct span folder, struct err *err)
{
	struct err why = { 0 };
	struct buf name;
	char *dir = maildir_dir(m, folder, err);
	if (!dir)
		return NULL;
	sweep_tmp(m, dir);
	buf_init(&name, MAILDIR_PATH_MAX);
	maildir_name_new(&name);
	struct durable *f = begin_tmp(m, dir, name.p, &why);
	bool inbox = strcmp(dir, m->path) == 0;
	/* A folder that somebody removed under us is made anew if it is the INBOX, which always exists (RFC 9051 5.1).
	 */
	if (!f && why.sys == ENOENT && inbox && maildir_make(m, dir, &why) == 0)
		f = begin_tmp(m, dir, name.p, &why);
	if (!f) {
		if (why.sys == ENOENT && !inbox)
			why = (struct err){ .class = ERR_PERM, .sys = ENOENT, .text = "no such mailbox" };
		if (err)
			*err = why;
		buf_free(&name);
		free(dir);
		return NULL;
	}
	struct maildir_writer *w = xcalloc(1, sizeof *w);
	*w = (struct maildir_writer){ .m = m, .dir = dir, .f = f, .name = buf_steal(&name) };
	return w;
}

static int put(struct maildir_writer *w, const char *p, size_t n)
{
	if (!n)
		return 0;
	w->size += n;
	w->last = p[n - 1];
	return durable_write(w->f, span_of(p, n));
}

/* One line with its LF, if it has one; a CR before the LF is dropped, others are kept. */
static int put_line(struct maildir_writer *w, const char *p, size_t n)
{
	bool lf = p[n - 1] == '\n';
	if (!lf) {
		w->held_cr = p[n - 1] == '\r';
		return put(w, p, n - w->held_cr);
	}
	bool crlf = n > 1 && p[n - 2] == '\r';
	size_t text = n - 1 - crlf;
	/* Counted as RFC822.SIZE will be: an LF after a CR that stays is a CRLF already. */
	w->lines += !((text ? p[text - 1] : w->last) == '\r');
	return put(w, p, text) < 0 || put(w, "\n", 1) < 0 ? -1 : 0;
}

int maildir_write(struct maildir_writer *w, struct span data)
{
	int rc = 0;
	if (data.n && w->held_cr) {
		w->held_cr = false;
		if (data.p[0] != '\n')
			rc = put(w, "\r", 1);
	}
	while (data.n && rc == 0) {
		const char *lf = memchr(data.p, '\n', data.n);
		size_t n = lf ? (size_t)(lf - data.p) + 1 : data.n;
		rc = put_line(w, data.p, n);
		data = span_from(data, n);
	}
	return rc;
}

static void dispose(struct maildir_writer *w)
{
	durable_abort(w->f);
	free(w->dir);
	free(w->name);
	free(w->final);
	free(w);
}

void maildir_abort(struct maildir_writer *w)
{
	if (w)
		dispose(w);
}

static int keyword_bits(struct maildir_writer *w, const struct maildir_commit *c, uint64_t *bits, struct err *err)
{
	struct keywords k;
	*bits = 0;
	if (!c->n_keywords)
		return 0;
	if (keywords_load(w->dir, &k, err) < 0)
		return -1;
	for (size_t i = 0; i < c->n_keywords; i++) {
		int bit = keywords_add(w->m, w->dir, &k, c->keywords[i], err);
		if (bit < 0)
			return -1;
		*bits |= (uint64_t)1 << bit;
	}
	return 0;
}

static int set_date(struct maildir_writer *w, int64_t when, struct err *err)
{
	struct timespec times[2] = { { .tv_sec = when }, { .tv_sec = when } };
	if (!when)
		return 0;
	int fd = durable_fd(w->f, err);
	if (fd < 0)
		return -1;
	return futimens(fd, times) < 0 ? err_sys(err, "%s", w->final) : 0;
}

/* Everything up to the sync: the last byte, the quota, the date, the final name. */
static int prepare(struct maildir_writer *w, const struct maildir_commit *c, struct err *err)
{
	uint64_t keywords;
	struct buf path;
	if (w->held_cr) {
		w->held_cr = false;
		put(w, "\r", 1);
	}
	if (maildir_quota_check(w->m, w->size, err) < 0 || keyword_bits(w, c, &keywords, err) < 0)
		return -1;
	bool cur = c->in_cur || keywords || (c->flags & ~(unsigned)FLAG_RECENT);
	buf_init(&path, MAILDIR_PATH_MAX);
	buf_addf(&path, "%s/%s/%s,S=%llu,W=%llu", w->dir, cur ? "cur" : "new", w->name, (unsigned long long)w->size,
	    (unsigned long long)(w->size + w->lines));
	if (cur)
		maildir_name_flags(c->flags, keywords, span_str(""), &path);
	if (path.bad) {
		buf_free(&path);
		return err_set(err, ERR_PERM, "%s: the path is too long", w->dir);
	}
	w->final = buf_steal(&path);
	return set_date(w, c->internal_date, err);
}

/* Disk quota is the user's, a full disk is ours (RFC 3463 3.3, 3.4). */
static void name_shortage(struct err *err)
{
	if (!err || err->code)
		return;
	if (err->sys == EDQUOT)
		err->code = 452, snprintf(err->enh, sizeof err->enh, "4.2.2");
	else if (err->sys == ENOSPC)
		err->code = 452, snprintf(err->enh, sizeof err->enh, "4.3.1");
}

static int publish(struct maildir_writer **w, size_t n, struct err *err)
{
	struct durable_pub *pubs = xcalloc(n, sizeof *pubs);
	for (size_t i = 0; i < n; i++) {
		pubs[i] = (struct durable_pub){ w[i]->f, w[i]->final };
		w[i]->f = NULL;
	}
	/* The unique name was ours alone in tmp/ (O_EXCL): a rename replaces nothing. */
	int rc = durable_publish_all(pubs, n, false, err);
	free(pubs);
	return rc;
}

static void after(struct maildir_writer *w, struct maildir_commit *c)
{
	maildir_quota_add(w->m, (int64_t)w->size, 1);
	if (c->want_uid) {
		struct maildir_name name;
		struct maildir_uid uid = { 0, 0 };
		maildir_name_parse(span_str(strrchr(w->final, '/') + 1), &name);
		/* The message is there whatever happens now; without a UID it gets one when the folder is next read. */
		maildir_uids_one(w->m, w->dir, name.base, &uid, NULL);
		c->uid = uid.uid;
		c->uidvalidity = uid.uidvalidity;
	}
	c->name = w->final;
	w->final = NULL;
}

int maildir_commit_all(struct maildir_writer **w, struct maildir_commit *c, size_t n, struct err *err)
{
	int rc = 0;
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = prepare(w[i], &c[i], err);
	if (rc == 0)
		rc = publish(w, n, err);
	if (rc < 0)
		name_shortage(err);
	for (size_t i = 0; i < n; i++) {
		c[i].name = NULL;
		c[i].uid = c[i].uidvalidity = 0;
		if (rc == 0)
			after(w[i], &c[i]);
		dispose(w[i]);
	}
	return rc;
}

int maildir_commit(struct maildir_writer *w, struct maildir_commit *c, struct err *err)
{
	return maildir_commit_all(&w, c, 1, err);
}
