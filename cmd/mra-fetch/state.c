/* SPDX-License-Identifier: ISC */
#include "mra-fetch/state.h"

#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/xalloc.h"
#include "io/durable/durable.h"

enum {
	STATE_MAX = 256 << 20
};

static const char magic[] = "waypost-fetch-state 1\n";

struct range {
	uint32_t first, last;
};
struct uidl {
	bool doomed, seen;
	char id[];
};

struct state {
	char *path, *identity, *where;
	int lock;
	struct durable_dir *dir;
	bool exists;        /* the file is there, with its head */
	bool rewrite;       /* appending is not enough */
	struct buf unsaved; /* lines */
	unsigned n_unsaved;

	uint32_t uidvalidity;
	struct range *seen; /* sorted, apart from each other */
	size_t n_seen;
	uint32_t *doomed; /* sorted */
	size_t n_doomed;
	void *uidls; /* a tsearch tree of struct uidl */
};

/* ---- sets ---- */

/* Index of the first range that ends at or after uid - 1: the one to join or to put a new one before. */
static size_t place(const struct state *st, uint32_t uid)
{
	size_t lo = 0, hi = st->n_seen;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if ((uint64_t)st->seen[mid].last + 1 < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void add_range(struct state *st, uint32_t first, uint32_t last)
{
	size_t at = place(st, first), end = at;
	while (end < st->n_seen && st->seen[end].first <= (uint64_t)last + 1) {
		if (st->seen[end].first < first)
			first = st->seen[end].first;
		if (st->seen[end].last > last)
			last = st->seen[end].last;
		end++;
	}
	if (end == at)
		st->seen = xreallocarray(st->seen, st->n_seen + 1, sizeof *st->seen);
	memmove(st->seen + at + 1, st->seen + end, (st->n_seen - end) * sizeof *st->seen);
	st->n_seen = st->n_seen - (end - at) + 1;
	st->seen[at] = (struct range){ first, last };
}

static size_t doom_place(const struct state *st, uint32_t uid)
{
	size_t at = st->n_doomed;
	while (at > 0 && st->doomed[at - 1] >= uid)
		at--;
	return at;
}

static bool is_doomed(const struct state *st, size_t at, uint32_t uid)
{
	return at < st->n_doomed && st->doomed[at] == uid;
}

static void add_doomed(struct state *st, uint32_t uid)
{
	size_t at = doom_place(st, uid);
	if (is_doomed(st, at, uid))
		return;
	st->doomed = xreallocarray(st->doomed, st->n_doomed + 1, sizeof *st->doomed);
	memmove(st->doomed + at + 1, st->doomed + at, (st->n_doomed - at) * sizeof *st->doomed);
	st->doomed[at] = uid;
	st->n_doomed++;
}

static void drop_doomed(struct state *st, uint32_t uid)
{
	size_t at = doom_place(st, uid);
	if (!is_doomed(st, at, uid))
		return;
	memmove(st->doomed + at, st->doomed + at + 1, (st->n_doomed - at - 1) * sizeof *st->doomed);
	st->n_doomed--;
}

static int by_id(const void *a, const void *b)
{
	return strcmp(((const struct uidl *)a)->id, ((const struct uidl *)b)->id);
}

static struct uidl *new_uidl(struct span id)
{
	struct uidl *u = xcalloc(1, sizeof *u + id.n + 1);
	memcpy(u->id, id.p, id.n);
	return u;
}

static struct uidl *find_uidl(const struct state *st, const char *id)
{
	struct uidl *key = new_uidl(span_str(id));
	void **node = tfind(key, (void *const *)&st->uidls, by_id);
	free(key);
	return node ? *node : NULL;
}

static void put_uidl(struct state *st, struct span id, bool doomed)
{
	struct uidl *u = new_uidl(id);
	struct uidl **node = tsearch(u, &st->uidls, by_id);
	if (!node)
		abort(); /* out of memory, where every allocation of ours ends the process */
	if (*node != u)
		free(u);
	(*node)->doomed |= doomed;
}

static void forget_uids(struct state *st)
{
	st->n_seen = st->n_doomed = 0;
}

/* ---- the file's text ---- */

static bool parse_uid(struct span s, uint32_t *out)
{
	uint64_t n;
	if (!span_u64(s, UINT32_MAX, &n) || n == 0)
		return false;
	*out = (uint32_t)n;
	return true;
}

static bool parse_range(struct span s, struct range *r)
{
	struct span last = s, first = span_cut(&last, ':');
	if (!parse_uid(first, &r->first))
		return false;
	r->last = r->first;
	return !last.n || (parse_uid(last, &r->last) && r->last >= r->first);
}

static bool parse_line(struct state *st, struct span line)
{
	struct range r;
	uint32_t uid;
	struct span value = line, key = span_cut(&value, ' ');
	if (span_eqs(key, "for"))
		return span_eqs(value, st->identity);
	if (span_eqs(key, "uidvalidity")) {
		forget_uids(st);
		return parse_uid(value, &st->uidvalidity);
	}
	if (span_eqs(key, "uid")) {
		if (!parse_range(value, &r))
			return false;
		add_range(st, r.first, r.last);
	} else if (span_eqs(key, "doomed") || span_eqs(key, "deleted")) {
		if (!parse_uid(value, &uid))
			return false;
		(span_eqs(key, "doomed") ? add_doomed : drop_doomed)(st, uid);
	} else if (span_eqs(key, "uidl") || span_eqs(key, "doomed-uidl")) {
		if (!value.n)
			return false;
		put_uidl(st, value, key.n > 4);
	} else {
		return false;
	}
	return true;
}

static int parse(struct state *st, struct span text, struct err *err)
{
	if (!span_starts(text, magic))
		return err_set(err, ERR_CONFIG, "%s is no state file of mra-fetch", st->path);
	text = span_from(text, sizeof magic - 1);
	/* What a crash tore off has no line end: it was not promised to anybody. */
	size_t whole = (size_t)(span_rchr(text, '\n') + 1);
	st->rewrite = whole < text.n;
	text.n = whole;
	for (unsigned n = 2; text.n; n++) {
		struct span line = span_cut(&text, '\n');
		if (!parse_line(st, line))
			return err_set(err, ERR_CONFIG,
			    span_starts(line, "for ") ? "%s:%u: the file belongs to another account or mailbox"
						      : "%s:%u: malformed",
			    st->path, n);
	}
	return 0;
}

static int load(struct state *st, struct err *err)
{
	struct buf text;
	struct err why = { 0 };
	buf_init(&text, STATE_MAX);
	int rc = config_slurp(st->path, &text, &why);
	st->exists = rc == 0;
	if (rc == 0)
		rc = parse(st, buf_span(&text), &why);
	else if (why.sys == ENOENT)
		rc = 0;
	buf_free(&text);
	if (rc && err)
		*err = why;
	return rc;
}

/* ---- opening ---- */

/* The directory of path, made if missing. */
static char *directory(const char *path, struct err *err)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash ? xstrndup(path, slash == path ? 1 : (size_t)(slash - path)) : xstrdup(".");
	for (char *p = dir + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		mkdir(dir, 0700);
		*p = '/';
	}
	if (mkdir(dir, 0700) == 0 || errno == EEXIST)
		return dir;
	err_sys(err, "%s", dir);
	free(dir);
	return NULL;
}

static int take_lock(struct state *st, struct err *err)
{
	char *path = xasprintf("%s.lock", st->path);
	st->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int rc = 0;
	if (st->lock < 0)
		rc = err_sys(err, "%s", path);
	else if (flock(st->lock, LOCK_EX | LOCK_NB))
		rc = errno == EWOULDBLOCK ? err_set(err, ERR_TEMP, "another mra-fetch is at work on %s", st->path)
					  : err_sys(err, "%s", path);
	free(path);
	return rc;
}

struct state *state_open(const char *path, const char *identity, struct err *err)
{
	struct state *st = xcalloc(1, sizeof *st);
	st->path = xstrdup(path);
	st->identity = xstrdup(identity);
	st->lock = -1;
	buf_init(&st->unsaved, STATE_MAX);
	st->where = directory(path, err);
	if (st->where && take_lock(st, err) == 0 && load(st, err) == 0)
		st->dir = durable_open(st->where, DURABLE_FILE, err);
	if (st->dir)
		return st;
	state_close(st);
	return NULL;
}

void state_close(struct state *st)
{
	if (!st)
		return;
	if (st->dir)
		durable_close(st->dir);
	if (st->lock >= 0)
		close(st->lock);
	tdestroy(st->uidls, free);
	buf_free(&st->unsaved);
	free(st->seen);
	free(st->doomed);
	free(st->identity);
	free(st->where);
	free(st->path);
	free(st);
}

const char *state_dir(const struct state *st)
{
	return st->where;
}

/* ---- questions and changes ---- */

static void record(struct state *st)
{
	st->n_unsaved++;
}

bool state_uidvalidity(struct state *st, uint32_t validity)
{
	if (st->uidvalidity == validity)
		return false;
	bool changed = st->uidvalidity != 0;
	forget_uids(st);
	st->uidvalidity = validity;
	buf_addf(&st->unsaved, "uidvalidity %u\n", (unsigned)validity);
	record(st);
	return changed;
}

bool state_has_uid(const struct state *st, uint32_t uid)
{
	size_t at = place(st, uid);
	if (at < st->n_seen && st->seen[at].last < uid)
		at++;
	return at < st->n_seen && st->seen[at].first <= uid && uid <= st->seen[at].last;
}

uint32_t state_first_uid(const struct state *st)
{
	return st->n_seen && st->seen[0].first == 1 && st->seen[0].last < UINT32_MAX ? st->seen[0].last + 1 : 1;
}

void state_add_uid(struct state *st, uint32_t uid, bool doomed)
{
	add_range(st, uid, uid);
	buf_addf(&st->unsaved, "uid %u\n", (unsigned)uid);
	if (doomed) {
		add_doomed(st, uid);
		buf_addf(&st->unsaved, "doomed %u\n", (unsigned)uid);
	}
	record(st);
}

void state_settle(struct state *st, uint32_t first, uint32_t last)
{
	if (first > last)
		return;
	add_range(st, first, last);
	buf_addf(&st->unsaved, "uid %u:%u\n", (unsigned)first, (unsigned)last);
	record(st);
}

const uint32_t *state_doomed(const struct state *st, size_t *n)
{
	*n = st->n_doomed;
	return st->doomed;
}

void state_deleted(struct state *st, uint32_t uid)
{
	drop_doomed(st, uid);
	buf_addf(&st->unsaved, "deleted %u\n", (unsigned)uid);
	record(st);
}

bool state_has_uidl(const struct state *st, const char *uidl, bool *doomed)
{
	const struct uidl *u = find_uidl(st, uidl);
	*doomed = u && u->doomed;
	return u;
}

void state_add_uidl(struct state *st, const char *uidl, bool doomed)
{
	put_uidl(st, span_str(uidl), doomed);
	state_saw_uidl(st, uidl);
	buf_addf(&st->unsaved, doomed ? "doomed-uidl %s\n" : "uidl %s\n", uidl);
	record(st);
}

void state_saw_uidl(struct state *st, const char *uidl)
{
	struct uidl *u = find_uidl(st, uidl);
	if (u)
		u->seen = true;
}

/* ---- saving ---- */

unsigned state_unsaved(const struct state *st)
{
	return st->n_unsaved;
}

static void write_uidl(const void *node, VISIT which, void *arg)
{
	const struct uidl *u = *(struct uidl *const *)node;
	if ((which == postorder || which == leaf) && u->seen)
		buf_addf(arg, u->doomed ? "doomed-uidl %s\n" : "uidl %s\n", u->id);
}

static int rewrite(struct state *st, struct err *err)
{
	struct buf text;
	buf_init(&text, STATE_MAX);
	buf_addf(&text, "%sfor %s\n", magic, st->identity);
	if (st->uidvalidity)
		buf_addf(&text, "uidvalidity %u\n", (unsigned)st->uidvalidity);
	for (size_t i = 0; i < st->n_seen; i++)
		buf_addf(&text, "uid %u:%u\n", (unsigned)st->seen[i].first, (unsigned)st->seen[i].last);
	for (size_t i = 0; i < st->n_doomed; i++)
		buf_addf(&text, "doomed %u\n", (unsigned)st->doomed[i]);
	twalk_r(st->uidls, write_uidl, &text);
	int rc = text.bad ? err_set(err, ERR_LIMIT, "%s: too much to remember", st->path)
			  : durable_replace(st->dir, st->path, buf_span(&text), 0600, err);
	buf_free(&text);
	return rc;
}

static void mark_seen(const void *node, VISIT which, void *arg)
{
	(void)arg;
	if (which == postorder || which == leaf)
		(*(struct uidl *const *)node)->seen = true;
}

static int saved(struct state *st, int rc)
{
	if (rc)
		return -1;
	st->exists = true;
	st->rewrite = false;
	st->n_unsaved = 0;
	buf_reset(&st->unsaved);
	return 0;
}

int state_save(struct state *st, struct err *err)
{
	if (!st->n_unsaved && !st->rewrite)
		return 0;
	if (st->exists && !st->rewrite && !st->unsaved.bad)
		return saved(st, durable_append(st->dir, st->path, buf_span(&st->unsaved), err));
	twalk_r(st->uidls, mark_seen, NULL);
	return saved(st, rewrite(st, err));
}

int state_compact(struct state *st, struct err *err)
{
	return saved(st, rewrite(st, err));
}
