/* SPDX-License-Identifier: ISC
 *
 * Replaying a commit log: what its records come to (commitlog_plan.h) is made true where it is not. First removals,
 * then renames, then contents, each written whole and synced beside the tree before it gets its name. Done twice, or
 * stopped in the middle and done again, it comes to the same.
 *
 * Another program may rename, replace or remove a file without our knowing. So a name is taken for the logged file only
 * if the file there is that one (commitlog_file.h); a different file under that name is left alone: it was put there
 * later, or by an interrupted replay. A Maildir file is looked for under its other names too (commitlog_plan_key).
 */
#include "io/durable/commitlog.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "io/durable/commitlog_file.h"
#include "io/durable/commitlog_plan.h"
#include "io/durable/commitlog_segment.h"
#include "io/durable/durable_fs.h"

struct replay {
	const char *root, *dir;
	struct err *err;
	struct commitlog_plan plan;
	struct span *segments; /* mapped */
	size_t n_segments;
	uint64_t records;
};

/* Only what lies below the root is touched, whatever the record says. */
static bool path_ok(struct span path)
{
	if (!path.n || path.p[0] == '/' || path.p[path.n - 1] == '/' || memchr(path.p, '\0', path.n))
		return false;
	while (path.n) {
		struct span part = span_cut(&path, '/');
		if (span_eqs(part, "..") || span_eqs(part, ".") || !part.n)
			return false;
	}
	return true;
}

static char *full_path(const struct replay *x, struct span path)
{
	return xasprintf("%s/%.*s", x->root, SPAN_FMT(path));
}

/* ---- finding ---- */

/* Does this very file stand at path? */
static bool is_file(const char *path, uint64_t id)
{
	struct commitlog_file file;
	return commitlog_file_at(AT_FDCWD, path, &file) == 0 && S_ISREG(file.mode) && file.id == id;
}

/* The name that begins with this unique name in new/ or cur/. Allocated; NULL when there is none. */
static char *find_in(const char *dir, struct span unique)
{
	char *found = NULL;
	DIR *d = opendir(dir);
	for (struct dirent *e; d && !found && (e = readdir(d));) {
		struct span name = span_str(e->d_name);
		if (span_eq(span_cut(&name, ':'), unique))
			found = xasprintf("%s/%s", dir, e->d_name);
	}
	if (d)
		closedir(d);
	return found;
}

static char *find_maildir_name(const struct replay *x, struct span path)
{
	static const char *const sub[] = { "cur", "new" };
	struct plan_key key = commitlog_plan_key(path);
	char *found = NULL;
	for (size_t i = 0; key.unique.n && !found && i < 2; i++) {
		char *dir = xasprintf("%s/%.*s%s", x->root, SPAN_FMT(key.dir), sub[i]);
		found = find_in(dir, key.unique);
		free(dir);
	}
	return found;
}

/* Where a file waits for its name while others still have to give it up. */
static char *aside_path(const struct replay *x, size_t i)
{
	return xasprintf("%s/move.%zu", x->dir, i);
}

static char *if_file(char *path, uint64_t id)
{
	if (path && is_file(path, id))
		return path;
	free(path);
	return NULL;
}

/* Where the file stands: its last name first, then earlier ones, then one that we do not know of. Allocated; NULL when
 * it is nowhere. */
static char *find_file(const struct replay *x, size_t i)
{
	const struct plan_file *f = &x->plan.files[i];
	char *path = NULL;
	for (size_t k = f->n_names; !path && k-- > 0;)
		path = if_file(full_path(x, f->names[k]), f->id);
	if (!path)
		path = if_file(aside_path(x, i), f->id);
	return path ? path : if_file(find_maildir_name(x, commitlog_plan_name(f)), f->id);
}

/* Does some other file have its name? */
static bool is_taken(const struct replay *x, const struct plan_file *f)
{
	struct stat st;
	char *path = full_path(x, commitlog_plan_name(f)), *other = NULL;
	bool taken = lstat(path, &st) == 0 || (other = find_maildir_name(x, commitlog_plan_name(f)));
	free(other);
	free(path);
	return taken;
}

/* ---- removals and renames ---- */

static int unlink_all(struct replay *x, const struct plan_file *f, size_t n)
{
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < n; i++) {
		char *path = full_path(x, f->names[i]);
		if (is_file(path, f->id) && fs_unlink(path) < 0 && errno != ENOENT)
			rc = err_sys(x->err, "replay %s", path);
		free(path);
	}
	return rc;
}

static int remove_file(struct replay *x, size_t i)
{
	const struct plan_file *f = &x->plan.files[i];
	if (unlink_all(x, f, f->n_names) < 0)
		return -1;
	char *path = find_file(x, i);
	int rc = path && fs_unlink(path) < 0 && errno != ENOENT ? err_sys(x->err, "replay %s", path) : 0;
	free(path);
	return rc;
}

static void make_parents(const char *path)
{
	char *at = xstrdup(path);
	for (char *p = at + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		fs_mkdir(at, 0700); /* mostly there already; what can't be made fails at the file */
		*p = '/';
	}
	free(at);
}

static bool has_name(const struct replay *x, const struct plan_file *f, size_t n, const char *path)
{
	bool known = false;
	for (size_t i = 0; !known && i < n; i++) {
		char *name = full_path(x, f->names[i]);
		known = strcmp(name, path) == 0;
		free(name);
	}
	return known;
}

/* From a name of before its last one to a place beside the tree, so that no file stands in another's way; a name that
 * is not known was given to it later. */
static int take_aside(struct replay *x, size_t i)
{
	const struct plan_file *f = &x->plan.files[i];
	char *from = find_file(x, i), *to = full_path(x, commitlog_plan_name(f)), *aside = aside_path(x, i);
	int rc = 0;
	if (from && strcmp(from, to) != 0 && has_name(x, f, f->n_names - 1, from))
		rc = fs_rename(from, aside) < 0 ? err_sys(x->err, "replay %s", from) : 0;
	free(from);
	free(to);
	free(aside);
	return rc;
}

static int rename_file(struct replay *x, size_t i)
{
	const struct plan_file *f = &x->plan.files[i];
	char *to = full_path(x, commitlog_plan_name(f)), *aside = aside_path(x, i);
	int rc = 0;
	if (is_file(aside, f->id)) {
		make_parents(to);
		rc = fs_rename(aside, to) < 0 ? err_sys(x->err, "replay %s", to) : 0;
	}
	/* A rename between two directories of which half was lost. */
	if (rc == 0 && is_file(to, f->id) && !has_name(x, f, f->n_names - 1, to))
		rc = unlink_all(x, f, f->n_names - 1);
	free(aside);
	free(to);
	return rc;
}

/* With each file that was not removed and had more than one name. */
static int each_renamed(struct replay *x, int (*what)(struct replay *x, size_t i))
{
	for (size_t i = 0; i < x->plan.n_files; i++) {
		const struct plan_file *f = &x->plan.files[i];
		if (!f->gone && f->id && f->n_names > 1 && what(x, i) < 0)
			return -1;
	}
	return 0;
}

static int move_and_remove(struct replay *x)
{
	const struct commitlog_plan *p = &x->plan;
	for (size_t i = 0; i < p->n_files; i++)
		if (p->files[i].gone && p->files[i].id && remove_file(x, i) < 0)
			return -1;
	return each_renamed(x, take_aside) < 0 ? -1 : each_renamed(x, rename_file);
}

/* ---- contents ---- */

/* The file as it was at the log's end. */
static void whole_content(const struct plan_file *f, struct buf *out)
{
	size_t max = f->content.n;
	for (size_t i = 0; i < f->n_patches; i++)
		max += f->patches[i].data.n;
	buf_init(out, max);
	buf_addspan(out, f->content);
	for (size_t i = 0; i < f->n_patches; i++) {
		struct plan_patch p = f->patches[i];
		if (p.at > out->len)
			break;
		buf_truncate(out, p.at);
		buf_addspan(out, p.data);
	}
}

/* Does the file begin with these bytes? More may stand behind them: appended and synced without the log. */
static bool begins_with(int fd, struct span want)
{
	char have[8192];
	for (size_t at = 0; at < want.n;) {
		size_t n = want.n - at < sizeof have ? want.n - at : sizeof have;
		if (pread(fd, have, n, (off_t)at) != (ssize_t)n || memcmp(have, want.p + at, n) != 0)
			return false;
		at += n;
	}
	return true;
}

static bool is_whole(const char *path, struct span want)
{
	int fd = fs_open(path, O_RDONLY | O_CLOEXEC, 0);
	bool whole = fd >= 0 && begins_with(fd, want);
	if (fd >= 0)
		close(fd);
	return whole;
}

static char *temporary(const struct replay *x, size_t i)
{
	return xasprintf("%s/put.%zu", x->dir, i);
}

static int write_temporary(struct replay *x, size_t i, mode_t mode, struct span content)
{
	char *tmp = temporary(x, i);
	int fd = fs_open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int rc = fd < 0 || fs_write_all(fd, content.p, content.n) < 0 || fchmod(fd, mode) < 0
		     ? err_sys(x->err, "replay %s", tmp)
		     : 0;
	if (fd >= 0)
		close(fd);
	free(tmp);
	return rc;
}

/* *target: where the content that is missing belongs, allocated; NULL when nothing is missing. */
static int prepare_content(struct replay *x, size_t i, char **target)
{
	const struct plan_file *f = &x->plan.files[i];
	struct buf want;
	char *path = find_file(x, i);
	if (!path && !is_taken(x, f))
		path = full_path(x, commitlog_plan_name(f));
	if (!path)
		return 0;
	whole_content(f, &want);
	int rc = 0;
	if (!is_whole(path, buf_span(&want))) {
		rc = write_temporary(x, i, f->mode, buf_span(&want));
		*target = path;
		path = NULL;
	}
	buf_free(&want);
	free(path);
	return rc;
}

/* What a crash left of an append: some of the bytes, or zeros. Anything else was written there by others, later. */
static bool is_torn(const char *have, size_t n, struct span want)
{
	for (size_t i = 0; i < n; i++)
		if (have[i] != want.p[i] && have[i] != '\0')
			return false;
	return true;
}

static int mend_append(int fd, const struct plan_patch *p)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return -1;
	if (st.st_size < 0 || (uint64_t)st.st_size < p->at)
		return 0;
	size_t rest = (uint64_t)st.st_size - p->at < p->data.n ? (size_t)((uint64_t)st.st_size - p->at) : p->data.n;
	char *have = xmalloc(rest + 1);
	ssize_t got = pread(fd, have, rest, (off_t)p->at);
	bool torn = got == (ssize_t)rest && is_torn(have, rest, p->data);
	free(have);
	return torn ? fs_pwrite_all(fd, p->data.p, p->data.n, (off_t)p->at) : 0;
}

/* A file that was durable before the log began; its end was appended by the log. */
static int mend_appends(struct replay *x, size_t file)
{
	const struct plan_file *f = &x->plan.files[file];
	char *path = find_file(x, file);
	if (!path)
		return 0;
	int fd = fs_open(path, O_RDWR | O_CLOEXEC, 0), rc = fd < 0 ? -1 : 0;
	for (size_t i = 0; rc == 0 && i < f->n_patches; i++)
		rc = mend_append(fd, &f->patches[i]);
	if (rc < 0)
		err_sys(x->err, "replay %s", path);
	if (fd >= 0)
		close(fd);
	free(path);
	return rc;
}

static int name_contents(struct replay *x, char *const *targets)
{
	for (size_t i = 0; i < x->plan.n_files; i++) {
		if (!targets[i])
			continue;
		make_parents(targets[i]);
		char *tmp = temporary(x, i);
		int rc = fs_rename(tmp, targets[i]) < 0 ? err_sys(x->err, "replay %s", targets[i]) : 0;
		free(tmp);
		if (rc < 0)
			return -1;
	}
	return 0;
}

static int sync_tree(struct replay *x, int dir_fd)
{
	return fs_sync_all(dir_fd) < 0 ? err_sys(x->err, "sync of %s", x->root) : 0;
}

static int restore_contents(struct replay *x, int dir_fd)
{
	const struct commitlog_plan *p = &x->plan;
	char **targets = xcalloc(p->n_files + 1, sizeof *targets);
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < p->n_files; i++) {
		if (p->files[i].gone)
			continue;
		rc = p->files[i].has_content ? prepare_content(x, i, &targets[i]) : mend_appends(x, i);
	}
	if (rc == 0)
		rc = sync_tree(x, dir_fd);
	if (rc == 0)
		rc = name_contents(x, targets);
	if (rc == 0)
		rc = sync_tree(x, dir_fd);
	for (size_t i = 0; i < p->n_files; i++)
		free(targets[i]);
	free(targets);
	return rc;
}

/* ---- reading ---- */

static void plan_segment(struct replay *x, struct span bytes)
{
	struct commitlog_record r;
	struct span boot;
	uint64_t nonce, place = COMMITLOG_HEADER;
	if (!commitlog_header_decode(bytes, &nonce, &boot))
		return; /* never used: nothing in it was promised */
	for (; commitlog_record_decode(bytes, nonce, place, &r); place += commitlog_record_size(&r)) {
		x->records++;
		if (path_ok(r.path) && (r.kind != COMMITLOG_RENAME || path_ok(r.data)))
			commitlog_plan_add(&x->plan, &r);
	}
}

static int read_segment(struct replay *x, int dir_fd, uint64_t segment)
{
	struct stat st;
	int fd = segment_open(dir_fd, segment), rc = 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		rc = err_sys(x->err, "commit log segment %llu", (unsigned long long)segment);
	size_t n = rc == 0 ? (size_t)st.st_size : 0;
	char *p = n ? mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
	if (n && p == MAP_FAILED)
		rc = err_sys(x->err, "commit log segment");
	if (p != MAP_FAILED) {
		x->segments[x->n_segments++] = span_of(p, n);
		plan_segment(x, span_of(p, n));
	}
	if (fd >= 0)
		close(fd);
	return rc;
}

static int read_all(struct replay *x, int dir_fd)
{
	uint64_t *numbers;
	ssize_t n = segment_list(dir_fd, &numbers);
	int rc = n < 0 ? err_sys(x->err, "%s", x->dir) : 0;
	x->segments = xcalloc(n > 0 ? (size_t)n : 1, sizeof *x->segments);
	for (ssize_t i = 0; rc == 0 && i < n; i++)
		rc = read_segment(x, dir_fd, numbers[i]);
	free(numbers);
	return rc;
}

int commitlog_replay(const char *root, const char *dir, uint64_t *records, struct err *err)
{
	struct replay x = { .root = root, .dir = dir, .err = err };
	int dir_fd = fs_open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	*records = 0;
	if (dir_fd < 0)
		return err_sys(err, "%s", dir);
	commitlog_plan_init(&x.plan);
	int rc = read_all(&x, dir_fd);
	*records = x.records;
	if (rc == 0 && x.n_segments)
		rc = move_and_remove(&x) < 0 ? -1 : restore_contents(&x, dir_fd);
	commitlog_plan_free(&x.plan);
	for (size_t i = 0; i < x.n_segments; i++)
		munmap((void *)x.segments[i].p, x.segments[i].n);
	free(x.segments);
	close(dir_fd);
	return rc;
}
