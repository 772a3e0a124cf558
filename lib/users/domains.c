/* SPDX-License-Identifier: ISC */
#include "users/domains.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/config.h"
#include "base/limits.h"
#include "base/xalloc.h"
#include "users/table.h"

struct domains {
	struct arena *arena;
	struct span *v; /* sorted, normalised; a suffix entry keeps its first dot */
	size_t n, cap;
	struct span first;
	struct table *table; /* instead of v; NULL: none */
};

static bool add_name(struct domains *d, struct span name)
{
	struct buf b;
	bool suffix = span_starts(name, ".");
	buf_init(&b, LIMIT_DOMAIN + 1);
	if (suffix)
		buf_addc(&b, '.');
	struct buf rest;
	buf_init(&rest, LIMIT_DOMAIN);
	bool ok = domain_normalise(span_from(name, suffix ? 1 : 0), &rest);
	buf_addspan(&b, buf_span(&rest));
	buf_free(&rest);
	if (ok && d->n == d->cap) {
		d->cap = d->cap ? d->cap * 2 : 16;
		d->v = xreallocarray(d->v, d->cap, sizeof *d->v);
	}
	if (ok)
		d->v[d->n++] = arena_span(d->arena, buf_span(&b));
	if (ok && !suffix && !d->first.n)
		d->first = d->v[d->n - 1];
	buf_free(&b);
	return ok;
}

/* Names separated by commas and blanks; -1 with the bad one in err. */
static int add_names(struct domains *d, struct span text, struct err *err)
{
	while (text.n) {
		struct span part = span_cut(&text, ',');
		for (struct span name; (name = span_word(&part)).n;)
			if (!add_name(d, name))
				return err_set(
				    err, ERR_USAGE, "'%.*s' is no domain", (int)(name.n > 100 ? 100 : name.n), name.p);
	}
	return 0;
}

static int read_file(struct domains *d, const char *path, struct err *err)
{
	struct buf text;
	int rc;
	buf_init(&text, LIMIT_CONFIG_FILE);
	rc = config_slurp(path, &text, err);
	struct span rest = buf_span(&text);
	for (unsigned n = 1; rc == 0 && rest.n; n++) {
		struct span line = span_cut(&rest, '\n');
		ptrdiff_t hash = span_chr(line, '#');
		line = span_trim(hash < 0 ? line : span_slice(line, 0, (size_t)hash));
		rc = add_names(d, line, err);
		if (rc < 0)
			err_prefix(err, "%s:%u", path, n);
	}
	if (rc < 0)
		err->class = ERR_CONFIG;
	buf_free(&text);
	return rc;
}

static int compare(const void *a, const void *b)
{
	return span_cmp(*(const struct span *)a, *(const struct span *)b);
}

static int open_table(struct domains *d, const char *spec, struct err *err)
{
	if (!(d->table = table_open(spec, err)))
		return -1;
	d->first = table_first(d->table);
	if (d->first.n && d->first.p[0] == '.')
		d->first = SPAN("");
	d->first = arena_span(d->arena, d->first);
	return 0;
}

struct domains *domains_open(const char *list_or_file, struct err *err)
{
	struct err own = { 0 };
	struct domains *d = xcalloc(1, sizeof *d);
	d->arena = arena_new();
	d->first = SPAN("");
	int rc;
	if (table_names_kind(list_or_file))
		rc = open_table(d, list_or_file, &own);
	else if (strchr(list_or_file, '/'))
		rc = read_file(d, list_or_file, &own);
	else
		rc = add_names(d, span_str(list_or_file), &own);
	if (rc < 0) {
		if (err)
			*err = own;
		domains_free(d);
		return NULL;
	}
	if (d->n)
		qsort(d->v, d->n, sizeof *d->v, compare);
	return d;
}

void domains_free(struct domains *d)
{
	if (!d)
		return;
	arena_free(d->arena);
	table_close(d->table);
	free(d->v);
	free(d);
}

static bool has(const struct domains *d, struct span name)
{
	return bsearch(&name, d->v, d->n, sizeof *d->v, compare) != NULL;
}

static bool match(const struct domains *d, struct span name)
{
	if (has(d, name))
		return true;
	for (size_t i = 1; i < name.n; i++)
		if (name.p[i] == '.' && has(d, span_from(name, i)))
			return true;
	return false;
}

int domains_refresh(struct domains *d, struct err *err)
{
	return d ? table_refresh(d->table, err) : 0;
}

bool domains_out_of_reach(const struct domains *d)
{
	return d && table_out_of_reach(d->table);
}

/* The name, then ".suffix" where to ask costs nothing. */
static int match_table(struct table *t, struct span name, struct err *err)
{
	struct arena *a = arena_new();
	struct span value;
	enum table_result r = table_get(t, a, name, &value, err);
	for (size_t i = 1; r == TABLE_NONE && table_is_plain(t) && i < name.n; i++)
		if (name.p[i] == '.')
			r = table_get(t, a, span_from(name, i), &value, err);
	arena_free(a);
	return r == TABLE_FOUND ? 1 : r == TABLE_NONE ? 0 : -1;
}

int domains_find(const struct domains *d, struct span domain, struct err *err)
{
	struct buf b;
	int found = 0;
	if (!d || (!d->n && !d->table) || domain.n > 4 * LIMIT_DOMAIN || span_starts(domain, "."))
		return 0;
	buf_init(&b, LIMIT_DOMAIN);
	if (domain_normalise(domain, &b))
		found = d->table ? match_table(d->table, buf_span(&b), err) : match(d, buf_span(&b));
	buf_free(&b);
	return found;
}

bool domains_match(const struct domains *d, struct span domain)
{
	return domains_find(d, domain, NULL) > 0;
}

struct span domains_first(const struct domains *d)
{
	return d ? d->first : SPAN("");
}
