/* SPDX-License-Identifier: ISC */
#include "mta-relay/spool/spool.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/pid.h"
#include "base/xalloc.h"
#include "mta-relay/spool/spool_dir.h"
#include "mta-relay/spool/spool_format.h"

enum {
	OUTCOMES_MAX = 64 * 1024 * 1024
};

struct spool_writer {
	struct spool *s;
	struct durable *f;
	char id[SPOOL_ID_SIZE];
	bool held;
	uint64_t size;       /* of the content so far, as stored */
	bool after_cr;       /* the last byte written was a CR */
	bool verbatim;       /* binary MIME */
	struct buf outcomes; /* lines that follow the content */
};

static enum durability durability = DURABILITY_FILE;

static const char *const folders[] = { "tmp", "msg", "hold", "bad" };

int64_t spool_now(void)
{
	struct timeval now;
	gettimeofday(&now, NULL);
	return (int64_t)now.tv_sec * 1000000 + now.tv_usec;
}

char *spool_path(const struct spool *s, const char *folder, const char *id)
{
	return xasprintf("%s/%s/%s", s->dir, folder, id);
}

/* mkdir -p of a directory that may lie anywhere. */
static int make_tree(const char *path, struct err *err)
{
	struct durable_dir *d = durable_open(*path == '/' ? "/" : ".", DURABLE_FILE, err);
	if (!d)
		return -1;
	char *below = *path == '/' ? xstrdup(path) : xasprintf("./%s", path);
	int rc = durable_mkdir(d, below, 0700, err);
	free(below);
	durable_close(d);
	return rc;
}

static int make_folders(struct spool *s, struct err *err)
{
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
		char *path = xasprintf("%s/%s", s->dir, folders[i]);
		int rc = access(path, F_OK) == 0 ? 0 : durable_mkdir(s->d, path, 0700, err);
		free(path);
		if (rc < 0)
			return -1;
	}
	return 0;
}

void spool_durability(enum durability how)
{
	durability = how;
}

int spool_as_owner(const char *queue, struct err *err)
{
	struct stat st;
	if (geteuid() != 0 || stat(queue, &st) < 0 || st.st_uid == 0)
		return 0;
	if (setgroups(1, &st.st_gid) < 0 || setgid(st.st_gid) < 0 || setuid(st.st_uid) < 0)
		return err_sys(err, "becoming the owner of %s", queue);
	return 0;
}

struct spool *spool_open_node(const char *queue, const char *node, struct err *err)
{
	struct spool *s = xcalloc(1, sizeof *s);
	s->dir = xasprintf("%s/%s", queue, node);
	if (access(s->dir, F_OK) < 0 && make_tree(s->dir, err) < 0)
		goto out;
	/* What a crash left is mended before anything is looked at. */
	if (!durable_log_is_open()) {
		if (durable_log_open(s->dir, durability, err) < 0)
			goto out;
		s->logged = durable_log_is_open();
	}
	s->d = durable_open(s->dir, DURABLE_FILE, err);
	if (s->d && make_folders(s, err) == 0)
		return s;
out:
	spool_close(s);
	return NULL;
}

struct spool *spool_open(const char *queue, struct err *err)
{
	char node[256];
	if (gethostname(node, sizeof node - 1) < 0 || !*node)
		snprintf(node, sizeof node, "localhost");
	node[sizeof node - 1] = '\0';
	return spool_open_node(queue, node, err);
}

void spool_close(struct spool *s)
{
	if (!s)
		return;
	durable_close(s->d);
	if (s->logged)
		durable_log_close();
	free(s->dir);
	free(s);
}

const char *spool_dir(const struct spool *s)
{
	return s->dir;
}

/* 11 digits of microseconds, so that names sort by arrival, and 5 of the process: no two processes of a node and no
 * two messages of one make the same. */
void spool_make_id(char id[SPOOL_ID_SIZE])
{
	static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	static int64_t last;
	int64_t now = spool_now();
	last = now > last ? now : last + 1;
	uint64_t time = (uint64_t)last, pid = (uint64_t)own_pid();
	for (int i = 10; i >= 0; i--, time >>= 5)
		id[i] = digits[time & 31];
	for (int i = 15; i >= 11; i--, pid >>= 5)
		id[i] = digits[pid & 31];
	id[SPOOL_ID_SIZE - 1] = '\0';
}

/* The lock tells who clears tmp/ after a crash that this file has a writer. */
static int lock_tmp(struct durable *f, struct err *err)
{
	int fd = durable_fd(f, err);
	if (fd < 0)
		return -1;
	return flock(fd, LOCK_EX | LOCK_NB) < 0 ? err_sys(err, "lock of a new queue file") : 0;
}

static int write_head(struct spool_writer *w, const struct spool_envelope *env, struct err *err)
{
	struct spool_envelope e = *env;
	struct buf head;
	if (!e.arrived)
		e.arrived = spool_now();
	if (e.n_rcpt == 0 || e.n_rcpt > SPOOL_RCPT_MAX)
		return err_set(err, ERR_LIMIT, "%zu recipients", e.n_rcpt);
	buf_init(&head, SPOOL_ENVELOPE_MAX);
	spool_format_head(&e, &head);
	bool fits = !head.bad;
	if (fits)
		durable_write(w->f, buf_span(&head));
	buf_free(&head);
	return fits ? 0 : err_set(err, ERR_LIMIT, "the envelope has more than %d bytes", SPOOL_ENVELOPE_MAX);
}

struct spool_writer *spool_begin(struct spool *s, const struct spool_envelope *env, struct err *err)
{
	struct spool_writer *w = xcalloc(1, sizeof *w);
	w->s = s;
	w->verbatim = env->binary;
	buf_init(&w->outcomes, OUTCOMES_MAX);
	w->held = env->held;
	if (env->id)
		memcpy(w->id, env->id, SPOOL_ID_SIZE);
	else
		spool_make_id(w->id);
	char *tmp = spool_path(s, "tmp", w->id);
	w->f = durable_begin(s->d, tmp, 0600, err);
	free(tmp);
	if (w->f && lock_tmp(w->f, err) == 0 && write_head(w, env, err) == 0)
		return w;
	spool_abort(w);
	return NULL;
}

const char *spool_writer_id(const struct spool_writer *w)
{
	return w->id;
}

static int put(struct spool_writer *w, struct span data)
{
	w->size += data.n;
	return data.n ? durable_write(w->f, data) : 0;
}

int spool_write(struct spool_writer *w, struct span piece)
{
	size_t start = 0, from = w->verbatim ? piece.n : 0;
	int rc = 0;
	for (const char *lf; from < piece.n && (lf = memchr(piece.p + from, '\n', piece.n - from));) {
		size_t at = (size_t)(lf - piece.p);
		if (!(at ? piece.p[at - 1] == '\r' : w->after_cr)) {
			rc |= put(w, span_slice(piece, start, at));
			rc |= put(w, SPAN("\r\n"));
			start = at + 1;
		}
		from = at + 1;
	}
	rc |= put(w, span_from(piece, start));
	if (piece.n)
		w->after_cr = piece.p[piece.n - 1] == '\r';
	return rc;
}

int spool_push(struct spool_writer *w)
{
	return durable_fd(w->f, NULL) < 0 ? -1 : 0;
}

void spool_outcome(struct spool_writer *w, size_t rcpt, const struct spool_outcome *o)
{
	struct spool_outcome dated = *o;
	if (!dated.when)
		dated.when = spool_now() / 1000000;
	spool_format_outcome(rcpt, &dated, &w->outcomes);
}

static void finish(struct spool_writer *w)
{
	char size[SPOOL_SIZE_DIGITS + 1];
	spool_format_size(w->size, size);
	durable_patch(w->f, SPOOL_SIZE_AT, span_str(size));
	durable_write(w->f, SPAN("\n"));
	durable_write(w->f, buf_span(&w->outcomes));
}

int spool_commit_all(struct spool_writer **w, size_t n, char (*ids)[SPOOL_ID_SIZE], struct err *err)
{
	struct durable_pub *pubs = xcalloc(n, sizeof *pubs);
	char **paths = xcalloc(n, sizeof *paths);
	int rc = 0;
	for (size_t i = 0; i < n; i++) {
		finish(w[i]);
		paths[i] = spool_path(w[i]->s, w[i]->held ? "hold" : "msg", w[i]->id);
		pubs[i] = (struct durable_pub){ w[i]->f, paths[i] };
		if (w[i]->outcomes.bad)
			rc = err_set(err, ERR_LIMIT, "too many outcomes");
	}
	if (rc == 0) {
		rc = n == 1 ? durable_publish(w[0]->f, paths[0], false, err) : durable_publish_all(pubs, n, true, err);
		for (size_t i = 0; i < n; i++)
			w[i]->f = NULL;
	}
	for (size_t i = 0; i < n; i++) {
		if (rc == 0 && ids)
			memcpy(ids[i], w[i]->id, SPOOL_ID_SIZE);
		spool_abort(w[i]);
		free(paths[i]);
	}
	free(paths);
	free(pubs);
	return rc;
}

int spool_commit(struct spool_writer *w, char id[SPOOL_ID_SIZE], struct err *err)
{
	return spool_commit_all(&w, 1, id ? (char(*)[SPOOL_ID_SIZE])id : NULL, err);
}

void spool_abort(struct spool_writer *w)
{
	if (!w)
		return;
	durable_abort(w->f);
	buf_free(&w->outcomes);
	free(w);
}
