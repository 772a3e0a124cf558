/* SPDX-License-Identifier: ISC */
#include "users/aliases.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/xalloc.h"
#include "io/confine/confine.h"
#include "users/alias_set.h"
#include "users/aliases_int.h"
#include "users/domains.h"

struct aliases {
	char *path;
	struct alias_table *t;
	time_t looked;
	bool hidden;
};

struct aliases *aliases_open(const char *path, struct err *err)
{
	return aliases_open_allowing(path, 0, err);
}

struct aliases *aliases_open_allowing(const char *path, unsigned allow, struct err *err)
{
	struct alias_table *t = aliases_read(path, allow, err);
	if (!t)
		return NULL;
	struct aliases *a = xcalloc(1, sizeof *a);
	a->path = xstrdup(path);
	a->t = t;
	a->looked = time(NULL);
	return a;
}

void aliases_free(struct aliases *a)
{
	if (!a)
		return;
	aliases_table_free(a->t);
	free(a->path);
	free(a);
}

const char *aliases_file(const struct aliases *a, size_t i)
{
	return i < a->t->n_files ? a->t->file[i].path : NULL;
}

static bool changed(const struct alias_file *f)
{
	struct stat st;
	if (stat(f->path, &st) < 0)
		return true;
	return st.st_mtim.tv_sec != f->seen.st_mtim.tv_sec || st.st_mtim.tv_nsec != f->seen.st_mtim.tv_nsec ||
	       st.st_size != f->seen.st_size || st.st_ino != f->seen.st_ino;
}

int aliases_refresh(struct aliases *a, struct err *err)
{
	time_t now = time(NULL);
	bool any = false;
	if (now == a->looked)
		return 0;
	a->looked = now;
	for (size_t i = 0; i < a->t->n_files && !any; i++)
		any = changed(&a->t->file[i]);
	a->hidden = any && confine_hides(a->path);
	if (!any || a->hidden)
		return 0;
	struct alias_table *t = aliases_read(a->path, a->t->allow, err);
	if (!t)
		return -1;
	aliases_table_free(a->t);
	a->t = t;
	return 1;
}

bool aliases_out_of_reach(const struct aliases *a)
{
	return a->hidden;
}

/* One expansion: the names already seen, the result, and the limits. */
struct expansion {
	const struct aliases *a;
	struct arena *arena;
	const struct alias_context *c;
	struct alias_list *out;
	struct err *err;
	struct alias_set seen;
	unsigned depth;
};

static const struct alias_row *find(const struct alias_table *t, struct span key)
{
	size_t lo = 0, hi = t->n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int order = span_cmp(key, t->row[mid].key);
		if (order == 0)
			return &t->row[mid];
		if (order < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

static const struct alias_row *find_name(const struct alias_table *t, struct span local, struct span domain)
{
	struct buf key;
	const struct alias_row *row = NULL;
	buf_init(&key, LIMIT_SMTP_PATH);
	if (aliases_key(local, domain, &key))
		row = find(t, buf_span(&key));
	buf_free(&key);
	return row;
}

/* The local part without its detail; the whole when it has none. */
static struct span base_of(struct span local, const char *delimiters)
{
	for (size_t i = 1; i < local.n; i++)
		if (local.p[i] && strchr(delimiters, local.p[i]))
			return span_slice(local, 0, i);
	return local;
}

static const struct alias_row *catch_all(const struct alias_table *t, struct span domain)
{
	return find_name(t, SPAN(""), domain);
}

/* The most exact row: with domain before bare, whole before without detail, the catch-all last. */
static const struct alias_row *find_row(
    const struct alias_table *t, const struct alias_context *c, struct span local, struct span domain)
{
	struct span base = base_of(local, c->delimiters);
	const struct alias_row *row = find_name(t, local, domain);
	if (!row && base.n < local.n)
		row = find_name(t, base, domain);
	if (row)
		return row;
	enum alias_place place = c->place(c->arg, local, domain);
	if (place == ALIAS_REMOTE)
		return NULL;
	row = find_name(t, local, SPAN(""));
	if (!row && base.n < local.n)
		row = find_name(t, base, SPAN(""));
	if (!row && place == ALIAS_LOCAL_UNKNOWN)
		row = catch_all(t, domain);
	return row;
}

/* Notes the address; false when it was noted before, or too many were. */
static bool note(struct expansion *x, char kind, struct span local, struct span domain)
{
	struct buf key;
	buf_init(&key, LIMIT_SMTP_PATH);
	aliases_key(local, domain, &key);
	buf_addc(&key, kind);
	bool fresh = alias_set_add(&x->seen, buf_span(&key));
	buf_free(&key);
	return fresh;
}

static void add(struct expansion *x, const struct alias_dest *d)
{
	if (note(x, '.', d->local, d->domain))
		alias_list_add(x->out, x->arena, d);
}

/* "owner-list@domain" when the file has such a row: errors of the list go there. */
static struct span owner_of(const struct expansion *x, const struct alias_row *row, struct span domain)
{
	struct span name = row->key, at = name;
	struct span local = span_cut(&at, '@');
	char *owner = arena_printf(x->arena, "owner-%.*s", SPAN_FMT(local));
	if (!local.n || span_starts(name, "owner-"))
		return SPAN("");
	if (!find_name(x->a->t, span_str(owner), domain) && !find_name(x->a->t, span_str(owner), SPAN("")))
		return SPAN("");
	return span_str(arena_printf(x->arena, "%s@%.*s", owner, SPAN_FMT(domain)));
}

static int expand(struct expansion *x, struct span local, struct span domain, struct span owner);

static bool is_itself(const struct alias_target *t, struct span local, struct span domain)
{
	return span_ieq(t->local, local) && (!t->domain.n || span_ieq(t->domain, domain));
}

/* The local part that stands for a command or a file of a row: "|list=0123456789abcdef". It tells what is meant, and
 * nobody can say by it what is to be run. */
static struct span action_of(struct arena *a, struct span key, struct span text)
{
	uint64_t h = 14695981039346656037u;
	for (size_t i = 0; i < key.n; i++)
		h = (h ^ (unsigned char)key.p[i]) * 1099511628211u;
	h = h * 1099511628211u;
	for (size_t i = 0; i < text.n; i++)
		h = (h ^ (unsigned char)text.p[i]) * 1099511628211u;
	struct span name = span_cut(&key, '@');
	bool ascii = true;
	name = span_slice(name, 0, 40);
	for (size_t i = 0; i < name.n; i++)
		ascii = ascii && (unsigned char)name.p[i] < 128;
	return span_str(arena_printf(a, "|%.*s=%016llx", ascii ? (int)name.n : 0, name.p, (unsigned long long)h));
}

static int add_target(struct expansion *x, const struct alias_row *row, const struct alias_target *t,
    struct span domain, struct span owner)
{
	struct alias_error e;
	struct alias_dest d = { .local = t->local, .domain = domain, .owner = owner, .final = t->literal };
	if (t->kind == TARGET_ERROR && alias_error_parse(t->text, &e))
		return err_reply(x->err, e.code, e.enh, "%.*s", (int)(e.text.n > 300 ? 300 : e.text.n), e.text.p);
	if (t->kind != TARGET_ADDRESS) {
		d.kind = t->kind == TARGET_COMMAND ? ALIAS_TO_COMMAND : ALIAS_TO_FILE;
		d.local = action_of(x->arena, row->key, t->text);
	}
	add(x, &d);
	return 0;
}

/* local@domain led to the row. A row that names its own address keeps a copy there: "bob: bob, archive". */
static int expand_row(
    struct expansion *x, const struct alias_row *row, struct span local, struct span domain, struct span owner)
{
	struct span own = owner_of(x, row, domain);
	int rc = 0;
	if (own.n)
		owner = own;
	if (++x->depth > ALIASES_DEPTH)
		return err_reply(x->err, 550, "5.4.6", "Aliases lead too far");
	for (size_t i = 0; i < row->n && rc == 0; i++) {
		struct span to = row->v[i].domain.n ? row->v[i].domain : domain;
		const struct alias_target *t = &row->v[i];
		if (t->kind != TARGET_ADDRESS || t->literal || is_itself(t, local, domain))
			rc = add_target(x, row, t, to, owner);
		else
			rc = expand(x, row->v[i].local, to, owner);
	}
	x->depth--;
	return rc;
}

/* An address that was expanded before stands for itself the second time, when somebody by that name is here. */
static int expand(struct expansion *x, struct span local, struct span domain, struct span owner)
{
	const struct alias_row *row = find_row(x->a->t, x->c, local, domain);
	if (row && note(x, '>', local, domain))
		return expand_row(x, row, local, domain, owner);
	if (alias_set_full(&x->seen))
		return err_reply(x->err, 550, "5.5.3", "An alias leads to too many recipients");
	if (!row || x->c->place(x->c->arg, local, domain) != ALIAS_LOCAL_UNKNOWN)
		add(x, &(struct alias_dest){ .local = local, .domain = domain, .owner = owner });
	return 0;
}

enum aliases_result aliases_expand(const struct aliases *a, struct arena *arena, const struct alias_context *c,
    struct span local, struct span domain, struct alias_list *out, struct err *err)
{
	*out = (struct alias_list){ 0 };
	if (!a || !find_row(a->t, c, local, domain)) {
		out->v = arena_alloc(arena, sizeof *out->v);
		out->v[0] = (struct alias_dest){ .local = local, .domain = domain, .owner = SPAN("") };
		out->n = out->cap = 1;
		return ALIASES_NONE;
	}
	struct expansion x = { .a = a, .arena = arena, .c = c, .out = out, .err = err };
	alias_set_init(&x.seen, arena);
	int rc = expand(&x, local, domain, SPAN(""));
	alias_set_free(&x.seen);
	if (rc == 0 && !out->n)
		rc = err_reply(err, 550, "5.4.6", "Aliases lead in a circle");
	return rc < 0 ? ALIASES_ERROR : ALIASES_FOUND;
}

bool aliases_has(const struct aliases *a, const struct alias_context *c, struct span local, struct span domain)
{
	return a && find_row(a->t, c, local, domain);
}

bool aliases_is_action(struct span local)
{
	return local.n && local.p[0] == '|';
}

bool aliases_action(
    const struct aliases *a, struct arena *arena, struct span local, enum alias_kind *kind, struct span *text)
{
	for (size_t i = 0; i < a->t->n; i++) {
		const struct alias_row *row = &a->t->row[i];
		for (size_t k = 0; k < row->n; k++) {
			const struct alias_target *t = &row->v[k];
			if (t->kind != TARGET_COMMAND && t->kind != TARGET_FILE)
				continue;
			if (!span_ieq(local, action_of(arena, row->key, t->text)))
				continue;
			*kind = t->kind == TARGET_COMMAND ? ALIAS_TO_COMMAND : ALIAS_TO_FILE;
			*text = arena_span(arena, t->text);
			return true;
		}
	}
	return false;
}

void aliases_each_action(
    const struct aliases *a, void (*fn)(void *arg, enum alias_kind kind, struct span text), void *arg)
{
	for (size_t i = 0; i < a->t->n; i++) {
		const struct alias_row *row = &a->t->row[i];
		for (size_t k = 0; k < row->n; k++) {
			if (row->v[k].kind == TARGET_COMMAND)
				fn(arg, ALIAS_TO_COMMAND, row->v[k].text);
			else if (row->v[k].kind == TARGET_FILE)
				fn(arg, ALIAS_TO_FILE, row->v[k].text);
		}
	}
}

uid_t aliases_owner(const struct aliases *a)
{
	return a->t->file[0].seen.st_uid;
}

/* "550", then perhaps "5.1.1" of the same class. */
static void read_code(struct alias_error *e)
{
	struct span rest = e->text, code = span_word(&rest), enh = rest;
	uint64_t n;
	if (!span_u64(code, 599, &n) || n < 400 || code.n != 3)
		return;
	e->code = (int)n;
	e->text = span_trim(rest);
	snprintf(e->enh, sizeof e->enh, "%c.0.0", code.p[0]);
	code = span_word(&enh);
	bool good = code.n >= 5 && code.n < sizeof e->enh && code.p[0] == e->enh[0] && code.p[1] == '.';
	for (size_t i = 0; i < code.n && good; i++)
		good = ascii_isdigit(code.p[i]) || code.p[i] == '.';
	if (!good)
		return;
	snprintf(e->enh, sizeof e->enh, "%.*s", SPAN_FMT(code));
	e->text = span_trim(enh);
}

bool alias_error_parse(struct span value, struct alias_error *out)
{
	bool fail = span_istarts(value, ":fail:");
	if (!fail && !span_istarts(value, "error:"))
		return false;
	*out = (struct alias_error){ .code = 550, .enh = "5.1.1" };
	out->text = span_trim(span_from(value, 6));
	read_code(out);
	if (!out->text.n || span_has_ctl(out->text))
		out->text = SPAN("no mail is taken for this address");
	return true;
}
