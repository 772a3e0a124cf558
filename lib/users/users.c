/* SPDX-License-Identifier: ISC */
#include "users/users.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/limits.h"
#include "base/xalloc.h"
#include "io/confine/confine.h"
#include "msg/addr.h"
#include "users/domains.h"
#include "users/users_row.h"
#include "users/users_secret.h"

/* The file's text, its rows (spans into the text), and an open-addressing hash of row numbers (+1, 0 is free) by the
 * folded name. The hash has at least twice as many places as rows, so that a search ends soon. */
struct users {
	char *path;
	struct buf text;
	struct user *row;
	size_t n, cap;
	uint32_t *slot;
	size_t n_slots;
	struct stat seen;
	unsigned loaded;
	bool hidden;
	int64_t looked; /* when the file was looked at, clock_coarse_ms */
};

enum {
	LOOK_MS = 100 /* so often at most is looked whether the file has changed */
};

static size_t hash_name(struct span name)
{
	uint64_t h = 14695981039346656037u;
	for (size_t i = 0; i < name.n; i++)
		h = (h ^ (unsigned char)ascii_lower(name.p[i])) * 1099511628211u;
	return (size_t)(h ^ h >> 32);
}

/* The name as it is looked up: with a domain of U-labels as A-labels, into b, or as it is. */
static struct span to_key(struct span name, struct buf *b)
{
	ptrdiff_t at = span_rchr(name, '@');
	struct span domain = at < 0 ? SPAN("") : span_from(name, (size_t)at + 1);
	if (!addr_needs_utf8(domain))
		return name;
	buf_reset(b);
	buf_addspan(b, span_slice(name, 0, (size_t)at + 1));
	return domain_normalise(domain, b) ? buf_span(b) : name;
}

static bool is_named(const struct user *row, struct span key)
{
	struct buf b;
	if (!addr_needs_utf8(row->name))
		return span_ieq(row->name, key);
	buf_init(&b, LIMIT_SMTP_PATH);
	bool yes = span_ieq(to_key(row->name, &b), key);
	buf_free(&b);
	return yes;
}

/* Where the key's row number stands, or where it would. */
static uint32_t *find_slot(const struct users *u, struct span key)
{
	size_t i = hash_name(key) & (u->n_slots - 1);
	while (u->slot[i] && !is_named(&u->row[u->slot[i] - 1], key))
		i = (i + 1) & (u->n_slots - 1);
	return &u->slot[i];
}

static int index_rows(struct users *u, const unsigned *lines, struct err *err)
{
	u->n_slots = 16;
	while (u->n_slots < 2 * u->n)
		u->n_slots *= 2;
	u->slot = xcalloc(u->n_slots, sizeof *u->slot);
	struct buf b;
	int rc = 0;
	buf_init(&b, LIMIT_SMTP_PATH);
	for (size_t i = 0; i < u->n && rc == 0; i++) {
		uint32_t *at = find_slot(u, to_key(u->row[i].name, &b));
		if (*at)
			rc = err_set(
			    err, ERR_CONFIG, "%s:%u: the user of line %u again", u->path, lines[i], lines[*at - 1]);
		else
			*at = (uint32_t)i + 1;
	}
	buf_free(&b);
	return rc;
}

static int read_rows(struct users *u, unsigned **lines, struct err *err)
{
	struct span rest = buf_span(&u->text);
	for (unsigned line = 1; rest.n; line++) {
		struct user row;
		int rc = users_row_parse(span_cut(&rest, '\n'), &row, err);
		if (rc < 0)
			return err_prefix(err, "%s:%u", u->path, line);
		if (rc == 0)
			continue;
		if (u->n == u->cap) {
			u->cap = u->cap ? 2 * u->cap : 64;
			u->row = xreallocarray(u->row, u->cap, sizeof *u->row);
			*lines = xreallocarray(*lines, u->cap, sizeof **lines);
		}
		(*lines)[u->n] = line;
		u->row[u->n++] = row;
	}
	return 0;
}

static void choose_decoy(const struct users *u)
{
	for (size_t i = 0; i < u->n; i++) {
		if (!u->row[i].secret.n)
			continue;
		users_secret_decoy(u->row[i].secret);
		return;
	}
}

static void drop_table(struct users *u)
{
	free(u->row);
	free(u->slot);
	buf_free(&u->text);
	u->row = NULL;
	u->slot = NULL;
	u->n = u->cap = u->n_slots = 0;
}

static int load(struct users *u, struct err *err)
{
	unsigned *lines = NULL;
	/* The next process can read what took its place. */
	u->hidden = u->slot && confine_hides(u->path);
	if (u->hidden)
		return 0;
	drop_table(u);
	u->seen = (struct stat){ 0 };
	struct stat st;
	/* Looked at before it is read: a change in between is seen at the next lookup. */
	if (stat(u->path, &st) < 0)
		return err_sys(err, "%s", u->path);
	int rc = config_slurp(u->path, &u->text, err);
	if (rc == 0)
		rc = read_rows(u, &lines, err);
	if (rc == 0)
		rc = index_rows(u, lines, err);
	free(lines);
	if (rc < 0) {
		drop_table(u);
		return -1;
	}
	choose_decoy(u);
	u->seen = st;
	u->loaded++;
	return 0;
}

static bool changed(struct users *u)
{
	struct stat now;
	int64_t ms = clock_coarse_ms();
	if (u->slot && ms - u->looked < LOOK_MS)
		return false;
	u->looked = ms;
	if (!u->slot || stat(u->path, &now) < 0)
		return true;
	return now.st_ino != u->seen.st_ino || now.st_dev != u->seen.st_dev || now.st_size != u->seen.st_size ||
	       now.st_mtim.tv_sec != u->seen.st_mtim.tv_sec || now.st_mtim.tv_nsec != u->seen.st_mtim.tv_nsec ||
	       now.st_ctim.tv_sec != u->seen.st_ctim.tv_sec || now.st_ctim.tv_nsec != u->seen.st_ctim.tv_nsec;
}

struct users *users_open(const char *path, struct err *err)
{
	struct users *u = xcalloc(1, sizeof *u);
	u->path = xstrdup(path);
	buf_init(&u->text, LIMIT_CONFIG_FILE);
	if (load(u, err) == 0)
		return u;
	if (err)
		err->class = ERR_CONFIG;
	users_close(u);
	return NULL;
}

void users_close(struct users *u)
{
	if (!u)
		return;
	drop_table(u);
	free(u->path);
	free(u);
}

int users_refresh(struct users *u, struct err *err)
{
	u->looked = clock_coarse_ms() - LOOK_MS;
	if (!changed(u))
		return 0;
	return load(u, err) < 0 ? -1 : 1;
}

unsigned users_loaded(const struct users *u)
{
	return u->loaded;
}

bool users_out_of_reach(const struct users *u)
{
	return u->hidden;
}

void users_each(const struct users *u, void (*fn)(void *arg, const struct user *row), void *arg)
{
	for (size_t i = 0; i < u->n; i++)
		fn(arg, &u->row[i]);
}

static const struct user *find_row(const struct users *u, struct span key)
{
	uint32_t at = *find_slot(u, key);
	return at ? &u->row[at - 1] : NULL;
}

/* The address as it is, then its local part alone. */
static const struct user *find_address(const struct users *u, struct span local, struct span domain, struct buf *key)
{
	buf_reset(key);
	buf_addspan(key, local);
	if (domain.n) {
		buf_addc(key, '@');
		if (!addr_needs_utf8(domain) || !domain_normalise(domain, key))
			buf_addspan(key, domain);
	}
	const struct user *row = key->bad ? NULL : find_row(u, buf_span(key));
	/* A row with a domain is no local part, though one in quotes may look like it. */
	return row || !domain.n || span_chr(local, '@') >= 0 ? row : find_row(u, local);
}

static size_t detail_at(struct span local, const char *delimiters)
{
	for (size_t i = 1; i < local.n; i++)
		if (local.p[i] && strchr(delimiters, local.p[i]))
			return i;
	return local.n;
}

enum users_result users_lookup(
    struct users *u, struct arena *a, struct span address, const char *delimiters, struct user *out, struct err *err)
{
	if (changed(u) && load(u, err) < 0)
		return USERS_ERROR;
	address = addr_unquoted(address, a);
	ptrdiff_t at = span_rchr(address, '@');
	struct span local = at < 0 ? address : span_slice(address, 0, (size_t)at);
	struct span domain = at < 0 ? span_str("") : span_from(address, (size_t)at + 1);
	struct buf key;
	buf_init(&key, LIMIT_SMTP_PATH);
	const struct user *row = find_address(u, local, domain, &key);
	size_t cut = detail_at(local, delimiters);
	if (!row && cut < local.n)
		row = find_address(u, span_slice(local, 0, cut), domain, &key);
	buf_free(&key);
	if (!row)
		return USERS_UNKNOWN;
	*out = *row;
	out->name = arena_span(a, row->name);
	out->secret = arena_span(a, row->secret);
	out->home = arena_span(a, row->home);
	out->mail = arena_span(a, row->mail);
	return USERS_OK;
}

bool users_scram_ready(const struct users *u)
{
	for (size_t i = 0; i < u->n; i++) {
		struct span secret = u->row[i].secret;
		if (secret.n && !span_istarts(secret, "{PLAIN}") && !span_istarts(secret, "{SCRAM-SHA-256}"))
			return false;
	}
	return true;
}
