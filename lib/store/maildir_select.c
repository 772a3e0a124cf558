/* SPDX-License-Identifier: ISC
 *
 * A folder as a list of messages: directory and uidlist brought together. The order of steps matters: the uidlist is
 * read after the directory, so that a file which has a UID by then is never given another; and a record is dropped from
 * it only if it was there before the directory was read, and its file was missing in a reading during which nothing was
 * renamed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/xalloc.h"
#include "store/maildir_int.h"

enum {
	SCAN_TRIES = 5,
};

/* One synchronisation. */
struct sync {
	struct folder *f;
	struct scan scan;
	struct uidlist list;
	uint32_t uidnext_before; /* UIDs below it were in the list before the directory was read */
	uint32_t last;           /* UIDs above it may be appended to what the client has seen */
	size_t unused;           /* entries of the scan that are no message yet */
	bool changed;
};

static void set_name(struct maildir_msg *msg, const struct scan_entry *e)
{
	msg->name = e->name;
	msg->in_new = e->in_new;
}

static struct span base_of(struct span name)
{
	return span_cut(&name, ':');
}

/* Gives each message its present name. Returns how many were not met. */
static size_t match_names(struct folder *f, struct scan *s)
{
	size_t missing = 0;
	for (size_t i = 0; i < f->pub.n; i++) {
		struct maildir_msg *msg = &f->pub.msg[i];
		if (msg->gone)
			continue;
		struct scan_entry *e = scan_find(s, base_of(msg->name));
		if (e)
			e->used = true;
		else
			missing++;
	}
	return missing;
}

static bool list_has_missing(const struct sync *y)
{
	for (size_t i = 0; i < y->list.n; i++)
		if (y->list.rec[i].uid > y->last && !scan_find(&y->scan, y->list.rec[i].name))
			return true;
	return false;
}

/* Reads the directory until nothing that was there is missing, or nothing was renamed while it was read. */
static int scan_settled(struct folder *f, struct scan *s, struct err *err)
{
	for (int i = 0; i < SCAN_TRIES; i++) {
		if (scan_read(s, f->dir, err) < 0)
			return -1;
		if (match_names(f, s) == 0 || scan_current(&s->new_mtime, &s->cur_mtime, f->dir))
			return 0;
	}
	return 0;
}

/* The messages' names and flags as the scan has them; the scan's names become the folder's. */
static void take_names(struct folder *f, struct scan *s, bool flags_too, bool *changed)
{
	for (size_t i = 0; i < f->pub.n; i++) {
		struct maildir_msg *msg = &f->pub.msg[i];
		struct scan_entry *e = msg->gone ? NULL : scan_find(s, base_of(msg->name));
		if (!e) {
			*changed |= !msg->gone;
			msg->gone = true;
			msg->name = arena_span(s->names, msg->name);
			continue;
		}
		e->used = true;
		set_name(msg, e);
		if (!flags_too)
			continue;
		struct maildir_name name;
		maildir_name_parse(e->name, &name);
		unsigned flags = name.flags | (msg->flags & FLAG_RECENT);
		*changed |= flags != msg->flags || name.keywords != msg->keywords;
		msg->flags = flags;
		msg->keywords = name.keywords;
	}
	arena_free(f->names);
	f->names = s->names;
	s->names = arena_new();
}

static void append_msg(struct sync *y, uint32_t uid, struct scan_entry *e)
{
	struct folder *f = y->f;
	struct maildir_name name;
	if (f->pub.n == f->cap) {
		f->cap = f->cap ? 2 * f->cap : 64;
		f->pub.msg = xreallocarray(f->pub.msg, f->cap, sizeof *f->pub.msg);
	}
	maildir_name_parse(e->name, &name);
	struct maildir_msg *msg = &f->pub.msg[f->pub.n++];
	*msg = (struct maildir_msg){
		.uid = uid,
		.flags = name.flags | (e->in_new ? FLAG_RECENT : 0),
		.keywords = name.keywords,
		.size = name.size,
		.vsize = name.vsize,
	};
	set_name(msg, e);
	e->used = true;
	y->last = uid;
	y->unused--;
	y->changed = true;
}

/* Appends the messages that have a UID above the last one. */
static void absorb(struct sync *y)
{
	for (size_t i = 0; i < y->list.n && y->unused; i++) {
		if (y->list.rec[i].uid <= y->last)
			continue;
		struct scan_entry *e = scan_find(&y->scan, y->list.rec[i].name);
		if (e && !e->used)
			append_msg(y, y->list.rec[i].uid, e);
	}
}

static int by_arrival(const void *a, const void *b)
{
	const struct span *x = a, *y = b;
	return maildir_name_order(*x, *y);
}

/* Gives UIDs to the files that have none, in the order in which they came. */
static int allot(struct sync *y, struct err *err)
{
	struct span *names = xcalloc(y->scan.n + 1, sizeof *names);
	size_t n = 0;
	int rc = 0;
	for (size_t i = 0; i < y->scan.n; i++)
		if (!y->scan.e[i].used && !uidlist_find(&y->list, y->scan.e[i].base))
			names[n++] = y->scan.e[i].base;
	qsort(names, n, sizeof *names, by_arrival);
	for (size_t i = 0; i < n && rc == 0; i++)
		if (!uidlist_add(&y->list, names[i]))
			rc = err_set(err, ERR_TEMP, "%s: no UID is left", y->f->dir);
	free(names);
	return rc;
}

static void drop_records(struct sync *y)
{
	bool *keep = xcalloc(y->list.n + 1, sizeof *keep);
	for (size_t i = 0; i < y->list.n; i++)
		keep[i] = y->list.rec[i].uid >= y->uidnext_before || scan_find(&y->scan, y->list.rec[i].name);
	uidlist_keep(&y->list, keep);
	free(keep);
}

static int check_validity(const struct sync *y, struct err *err)
{
	uint32_t had = y->f->pub.uidvalidity;
	return !had || had == y->list.uidvalidity
		   ? 0
		   : err_set(err, ERR_TEMP, "%s: the UIDs were made invalid while the mailbox was open", y->f->dir);
}

static int allot_locked(struct sync *y, struct err *err)
{
	struct folder *f = y->f;
	if (maildir_uids_load(f->dir, &y->list, err) < 0)
		return -1;
	if (!y->list.uidvalidity && maildir_uids_start(f->m, &y->list, err) < 0)
		return -1;
	if (check_validity(y, err) < 0)
		return -1;
	/* Only what is certainly gone: nothing may have been renamed while the directory was read. */
	if (scan_current(&y->scan.new_mtime, &y->scan.cur_mtime, f->dir))
		drop_records(y);
	if (allot(y, err) < 0)
		return -1;
	return maildir_uids_store(f->m, f->dir, &y->list, err);
}

/* Files without a record? */
static bool needs_allot(const struct sync *y)
{
	for (size_t i = 0; i < y->scan.n; i++)
		if (!y->scan.e[i].used && !uidlist_find(&y->list, y->scan.e[i].base))
			return true;
	return !y->list.uidvalidity;
}

static int add_new(struct sync *y, struct err *err)
{
	if (maildir_uids_load(y->f->dir, &y->list, err) < 0)
		return -1;
	if (y->list.uidvalidity && check_validity(y, err) < 0)
		return -1;
	/* Before UIDs beyond it are shown, a lower one whose file the reading missed gets a second chance. */
	if (list_has_missing(y) && scan_read(&y->scan, y->f->dir, err) < 0)
		return -1;
	if (needs_allot(y)) {
		struct dotlock lock;
		if (maildir_uids_lock(y->f->dir, &lock, err) < 0)
			return -1;
		int rc = allot_locked(y, err);
		dotlock_release(&lock);
		if (rc < 0)
			return -1;
	}
	match_names(y->f, &y->scan);
	y->unused = 0;
	for (size_t i = 0; i < y->scan.n; i++)
		y->unused += !y->scan.e[i].used;
	absorb(y);
	y->f->pub.uidvalidity = y->list.uidvalidity;
	y->f->pub.uidnext = y->list.uidnext;
	return 0;
}

/* new/ -> cur/: who wins the rename has seen the message first, and has it as \Recent (RFC 3501 2.3.2). */
static void move_new(struct folder *f)
{
	struct buf to;
	buf_init(&to, MAILDIR_PATH_MAX);
	for (size_t i = 0; i < f->pub.n; i++) {
		struct maildir_msg *msg = &f->pub.msg[i];
		if (!msg->in_new || msg->gone)
			continue;
		struct span info = msg->name;
		span_cut(&info, ':');
		buf_reset(&to);
		buf_addf(&to, "%s/cur/%.*s%s", f->dir, SPAN_FMT(msg->name), info.n ? "" : ":2,");
		char *from = maildir_msg_path(f, msg);
		/* When it fails the file has been moved by somebody else, or stays where it is: the next scan tells. */
		if (!to.bad && rename(from, to.p) == 0) {
			msg->in_new = false;
			msg->name = arena_span(f->names, span_str(strrchr(to.p, '/') + 1));
		}
		free(from);
	}
	buf_free(&to);
}

static void count_recent(struct folder *f)
{
	f->pub.recent = 0;
	for (size_t i = 0; i < f->pub.n; i++)
		f->pub.recent += !f->pub.msg[i].gone && (f->pub.msg[i].flags & FLAG_RECENT);
}

static int load_keywords(struct folder *f, struct err *err)
{
	struct keywords k;
	if (keywords_load(f->dir, &k, err) < 0)
		return -1;
	memcpy(f->pub.keyword, k.name, sizeof k.name);
	f->pub.n_keywords = k.n;
	return 0;
}

static int sync_folder(struct sync *y, bool first, struct err *err)
{
	struct folder *f = y->f;
	if (scan_settled(f, &y->scan, err) < 0)
		return -1;
	size_t known = f->pub.n - match_names(f, &y->scan);
	for (size_t i = 0; i < f->pub.n; i++)
		known -= f->pub.msg[i].gone;
	if ((first || known < y->scan.n) && add_new(y, err) < 0)
		return -1;
	take_names(f, &y->scan, true, &y->changed);
	f->new_mtime = y->scan.new_mtime;
	f->cur_mtime = y->scan.cur_mtime;
	f->settled = y->scan.settled;
	if (load_keywords(f, err) < 0)
		return -1;
	if (!f->read_only)
		move_new(f);
	count_recent(f);
	return 0;
}

static int synchronise(struct folder *f, bool first, bool *changed, struct err *err)
{
	struct sync y = { .f = f, .uidnext_before = f->pub.uidnext };
	int rc = 0;
	y.last = f->pub.n ? f->pub.msg[f->pub.n - 1].uid : 0;
	if (f->last_uid > y.last)
		y.last = f->last_uid;
	scan_init(&y.scan);
	uidlist_init(&y.list);
	if (first) {
		rc = maildir_uids_load(f->dir, &y.list, err);
		y.uidnext_before = y.list.uidvalidity ? y.list.uidnext : 0;
	}
	if (rc == 0)
		rc = sync_folder(&y, first, err);
	*changed = y.changed;
	f->last_uid = y.last;
	scan_free(&y.scan);
	uidlist_free(&y.list);
	return rc;
}

struct maildir_folder *maildir_select(struct maildir *m, struct span folder, bool read_only, struct err *err)
{
	bool changed;
	char *dir = maildir_dir(m, folder, err);
	if (!dir)
		return NULL;
	struct folder *f = xcalloc(1, sizeof *f);
	*f = (struct folder){ .m = m, .dir = dir, .read_only = read_only, .watch = -1, .names = arena_new() };
	buf_init(&f->content, LIMIT_MESSAGE_DEFAULT);
	struct err why = { 0 };
	if (synchronise(f, true, &changed, &why) == 0)
		return &f->pub;
	if (why.sys == ENOENT || why.sys == ENOTDIR)
		why = (struct err){ .class = ERR_PERM, .sys = ENOENT, .text = "no such mailbox" };
	if (err)
		*err = why;
	maildir_deselect(&f->pub);
	return NULL;
}

void maildir_deselect(struct maildir_folder *pub)
{
	if (!pub)
		return;
	struct folder *f = folder_of(pub);
	maildir_expunged(pub, NULL);
	if (f->watch >= 0)
		close(f->watch);
	if (f->map)
		munmap(f->map, f->map_len);
	buf_free(&f->content);
	arena_free(f->names);
	free(f->pub.msg);
	free(f->dir);
	free(f);
}

static void drain_watch(struct folder *f)
{
	char events[4096] __attribute__((aligned(8)));
	while (f->watch >= 0 && read(f->watch, events, sizeof events) > 0)
		continue;
}

int maildir_rescan(struct maildir_folder *pub, struct err *err)
{
	struct folder *f = folder_of(pub);
	bool changed = false;
	/* Drained first: what happens from here on makes it readable again. */
	drain_watch(f);
	if (f->settled && !f->dirty && scan_current(&f->new_mtime, &f->cur_mtime, f->dir))
		return 0;
	bool dirty = f->dirty;
	if (synchronise(f, false, &changed, err) < 0)
		return -1;
	f->dirty = false;
	return changed || dirty;
}

void maildir_forget(struct maildir_folder *pub)
{
	size_t n = 0;
	for (size_t i = 0; i < pub->n; i++)
		if (!pub->msg[i].gone)
			pub->msg[n++] = pub->msg[i];
	pub->n = n;
}

int maildir_watch(struct maildir_folder *pub)
{
	struct folder *f = folder_of(pub);
	static const char *const subs[] = { "new", "cur" };
	if (f->watch >= 0)
		return f->watch;
	f->watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	for (size_t i = 0; i < 2 && f->watch >= 0; i++) {
		char *path = xasprintf("%s/%s", f->dir, subs[i]);
		int wd = inotify_add_watch(f->watch, path, IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE);
		free(path);
		if (wd < 0) {
			close(f->watch);
			f->watch = -1;
		}
	}
	return f->watch;
}

int maildir_find_again(struct folder *f, struct maildir_msg *msg, struct err *err)
{
	struct scan s;
	bool changed = false;
	scan_init(&s);
	int rc = scan_settled(f, &s, err);
	if (rc == 0) {
		take_names(f, &s, false, &changed);
		f->dirty |= changed;
		/* Flags may have changed with the names: the next rescan must look. */
		f->settled = false;
		count_recent(f);
		if (msg->gone) {
			errno = ENOENT;
			rc = err_sys(err, "message %u", msg->uid);
		}
	}
	scan_free(&s);
	return rc;
}
