/* SPDX-License-Identifier: ISC
 *
 * A folder's directories read into a table by base name.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/vfs.h>

#include "base/xalloc.h"
#include "store/maildir_int.h"

void scan_init(struct scan *s)
{
	*s = (struct scan){ .names = arena_new() };
}

void scan_free(struct scan *s)
{
	arena_free(s->names);
	free(s->e);
	free(s->slot);
	*s = (struct scan){ 0 };
}

static size_t hash_name(struct span name)
{
	uint64_t h = 14695981039346656037u;
	for (size_t i = 0; i < name.n; i++)
		h = (h ^ (unsigned char)name.p[i]) * 1099511628211u;
	return (size_t)(h ^ h >> 29);
}

static uint32_t *find_slot(const struct scan *s, struct span base)
{
	size_t i = hash_name(base) & (s->n_slots - 1);
	while (s->slot[i] && !span_eq(s->e[s->slot[i] - 1].base, base))
		i = (i + 1) & (s->n_slots - 1);
	return &s->slot[i];
}

struct scan_entry *scan_find(const struct scan *s, struct span base)
{
	uint32_t at = s->n_slots ? *find_slot(s, base) : 0;
	return at ? &s->e[at - 1] : NULL;
}

static void grow(struct scan *s)
{
	if (s->n == s->cap) {
		s->cap = s->cap ? 2 * s->cap : 256;
		s->e = xreallocarray(s->e, s->cap, sizeof *s->e);
	}
	if (s->n_slots >= 2 * (s->n + 1))
		return;
	free(s->slot);
	s->n_slots = s->n_slots ? 2 * s->n_slots : 512;
	s->slot = xcalloc(s->n_slots, sizeof *s->slot);
	for (size_t i = 0; i < s->n; i++)
		*find_slot(s, s->e[i].base) = (uint32_t)i + 1;
}

struct reading {
	struct scan *s;
	bool in_new;
};

static int add_entry(void *arg, struct span name, unsigned char type)
{
	struct reading *r = arg;
	struct span rest = name;
	/* A uidlist can't hold such a name; none of the programs that write Maildirs makes one. */
	if (type == DT_DIR || span_has_ctl(name) || name.p[0] == ':' || r->s->n >= MAILDIR_FILES_MAX)
		return 0;
	grow(r->s);
	uint32_t *at = find_slot(r->s, span_cut(&rest, ':'));
	struct span copy = arena_span(r->s->names, name);
	rest = copy;
	struct span base = span_cut(&rest, ':');
	if (*at) {
		/* Met again after it was renamed while we read: the later name is the better guess. */
		struct scan_entry *e = &r->s->e[*at - 1];
		e->name = copy;
		e->base = base;
		e->in_new = r->in_new;
		return 0;
	}
	r->s->e[r->s->n++] = (struct scan_entry){ .name = copy, .base = base, .in_new = r->in_new };
	*at = (uint32_t)r->s->n;
	return 0;
}

static int read_one(struct scan *s, const char *dir, bool in_new, struct timespec *mtime, struct err *err)
{
	struct reading r = { s, in_new };
	struct stat st;
	char *path = xasprintf("%s/%s", dir, in_new ? "new" : "cur");
	int rc = stat(path, &st) < 0 ? err_sys(err, "%s", path) : 0;
	if (rc == 0) {
		*mtime = st.st_mtim;
		rc = maildir_each(path, false, add_entry, &r, err);
	}
	free(path);
	return rc;
}

/* Is it a file system whose directories only this kernel changes? Others may show an old name, or an old mtime, for a
 * second or more. */
static bool is_local(const char *dir)
{
	static const long magic[] = { 0xef53 /* ext4 */, 0x58465342 /* xfs */, 0x9123683e /* btrfs */,
		0x01021994 /* tmpfs */, 0xf2f52010 /* f2fs */, 0x2fc12fc1 /* zfs */ };
	struct statfs fs;
	if (statfs(dir, &fs) < 0)
		return false;
	for (size_t i = 0; i < sizeof magic / sizeof *magic; i++)
		if ((unsigned long)fs.f_type == (unsigned long)magic[i])
			return true;
	return false;
}

/* A later change gets another mtime only if the clock that stamps them has moved on: a tick of 10 ms at most where
 * there are nanoseconds in it at all, a second elsewhere. */
static bool is_old(const struct timespec *mtime, const struct timespec *now, bool local)
{
	int64_t age_ms = (now->tv_sec - mtime->tv_sec) * 1000 + (now->tv_nsec - mtime->tv_nsec) / 1000000;
	return age_ms > (local && mtime->tv_nsec ? 50 : 2500);
}

int scan_read(struct scan *s, const char *dir, struct err *err)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	/* new first: what moves to cur meanwhile is then met there. */
	if (read_one(s, dir, true, &s->new_mtime, err) < 0 || read_one(s, dir, false, &s->cur_mtime, err) < 0)
		return -1;
	bool local = is_local(dir);
	s->settled = is_old(&s->new_mtime, &now, local) && is_old(&s->cur_mtime, &now, local);
	return 0;
}

static bool same_mtime(const char *dir, const char *sub, const struct timespec *mtime)
{
	struct stat st;
	char *path = xasprintf("%s/%s", dir, sub);
	bool same = stat(path, &st) == 0 && st.st_mtim.tv_sec == mtime->tv_sec && st.st_mtim.tv_nsec == mtime->tv_nsec;
	free(path);
	return same;
}

bool scan_current(const struct timespec *new_mtime, const struct timespec *cur_mtime, const char *dir)
{
	return same_mtime(dir, "new", new_mtime) && same_mtime(dir, "cur", cur_mtime);
}
