/* SPDX-License-Identifier: ISC */
#include "users/table.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/limits.h"
#include "base/xalloc.h"
#include "io/confine/confine.h"
#include "msg/addr.h"
#include "users/domains.h"
#include "users/table_int.h"

enum {
	LOOK_MS = 100 /* so often at most is looked whether a file has changed */
};

struct table {
	const struct table_kind *kind;
	char *spec;
	void *state;
};

static const struct table_kind *const kinds[] = { &table_kind_file, &table_kind_inline, &table_kind_list,
	&table_kind_regexp, &table_kind_socketmap };

/* "word:" at the start; "" when there is none. */
static struct span prefix_of(struct span s)
{
	size_t n = 0;
	while (n < s.n && ((s.p[n] >= 'a' && s.p[n] <= 'z') || ascii_isdigit(s.p[n])))
		n++;
	return n && n < s.n && s.p[n] == ':' ? span_slice(s, 0, n) : SPAN("");
}

bool table_names_kind(const char *spec)
{
	return prefix_of(span_str(spec)).n > 0;
}

static const struct table_kind *kind_of(struct span spec, struct span *rest)
{
	struct span name = prefix_of(spec);
	*rest = spec;
	if (!name.n)
		return span_chr(spec, '/') >= 0 ? &table_kind_file : &table_kind_list;
	*rest = span_from(spec, name.n + 1);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (span_eqs(name, kinds[i]->name))
			return kinds[i];
	return NULL;
}

struct table *table_open(const char *spec, struct err *err)
{
	struct span rest;
	const struct table_kind *kind = kind_of(span_str(spec), &rest);
	if (!kind) {
		err_set(err, ERR_USAGE, "'%.100s' is no kind of table: file, inline, list, regexp, socketmap", spec);
		return NULL;
	}
	void *state = kind->open(rest, err);
	if (!state)
		return NULL;
	struct table *t = xcalloc(1, sizeof *t);
	t->kind = kind;
	t->spec = xstrdup(spec);
	t->state = state;
	return t;
}

void table_rules(const char *spec, struct confine_rules *r)
{
	struct span rest;
	const struct table_kind *kind = kind_of(span_str(spec), &rest);
	if (kind && kind->rules)
		kind->rules(rest, r);
}

void table_close(struct table *t)
{
	if (!t)
		return;
	t->kind->close(t->state);
	free(t->spec);
	free(t);
}

int table_refresh(struct table *t, struct err *err)
{
	return t && t->kind->refresh ? t->kind->refresh(t->state, err) : 0;
}

bool table_out_of_reach(const struct table *t)
{
	return t && t->kind->hidden && t->kind->hidden(t->state);
}

enum table_result table_get(struct table *t, struct arena *a, struct span key, struct span *value, struct err *err)
{
	*value = SPAN("");
	return t ? t->kind->get(t->state, a, key, value, err) : TABLE_NONE;
}

bool table_is_plain(const struct table *t)
{
	return t->kind->plain;
}

struct span table_first(const struct table *t)
{
	return t->kind->first ? t->kind->first(t->state) : SPAN("");
}

const char *table_spec(const struct table *t)
{
	return t->spec;
}

static void add_lower(struct span s, struct buf *out)
{
	size_t from = out->len;
	buf_addspan(out, s);
	for (size_t i = from; i < out->len; i++)
		out->p[i] = ascii_lower(out->p[i]);
}

bool table_key_address(struct span local, struct span domain, struct buf *out)
{
	add_lower(local, out);
	buf_addc(out, '@');
	return domain_normalise(domain, out) && !out->bad;
}

static bool key_of_quoted(struct span text, struct buf *out)
{
	struct arena *a = arena_new();
	struct addr addr;
	bool ok = addr_parse_mailbox(text, true, false, &addr, a) && table_key_address(addr.local, addr.domain, out);
	arena_free(a);
	return ok;
}

bool table_key(struct span text, struct buf *out)
{
	ptrdiff_t at = span_rchr(text, '@');
	if (!text.n || text.n > LIMIT_SMTP_PATH || span_has_ctl(text))
		return false;
	if (text.p[0] == '"')
		return key_of_quoted(text, out);
	if (at >= 0)
		return table_key_address(span_slice(text, 0, (size_t)at), span_from(text, (size_t)at + 1), out);
	if (text.p[0] == '.' && text.n > 1) {
		buf_addc(out, '.');
		text = span_from(text, 1);
	}
	if (addr_needs_utf8(text))
		return domain_normalise(text, out);
	add_lower(text, out);
	return !out->bad;
}

int table_file_read(struct table_file *f, struct buf *text, struct err *err)
{
	/* Looked at before it is read: a change in between is seen the next time. */
	if (stat(f->path, &f->seen) < 0)
		f->seen = (struct stat){ 0 };
	f->looked = clock_coarse_ms();
	buf_init(text, LIMIT_CONFIG_FILE);
	if (config_slurp(f->path, text, err) == 0)
		return 0;
	if (err)
		err->class = ERR_CONFIG;
	return -1;
}

bool table_file_changed(struct table_file *f)
{
	struct stat now;
	int64_t ms = clock_coarse_ms();
	if (ms - f->looked < LOOK_MS)
		return false;
	f->looked = ms;
	if (stat(f->path, &now) < 0)
		return true;
	bool same_file = now.st_ino == f->seen.st_ino && now.st_dev == f->seen.st_dev;
	f->hidden = !same_file && confine_hides(f->path);
	if (f->hidden)
		return false;
	return !same_file || now.st_size != f->seen.st_size || now.st_mtim.tv_sec != f->seen.st_mtim.tv_sec ||
	       now.st_mtim.tv_nsec != f->seen.st_mtim.tv_nsec || now.st_ctim.tv_sec != f->seen.st_ctim.tv_sec ||
	       now.st_ctim.tv_nsec != f->seen.st_ctim.tv_nsec;
}

void table_file_rules(struct span path, struct confine_rules *r)
{
	char *p = xstrndup(path.p, path.n);
	confine_allow_path(r, p, CONFINE_READ | CONFINE_REPLACED);
	free(p);
}

static bool is_comment(struct span line)
{
	line = span_trim(line);
	return !line.n || line.p[0] == '#';
}

void table_lines_init(struct table_lines *l, struct span text)
{
	*l = (struct table_lines){ .rest = text };
	buf_init(&l->joined, LIMIT_CONFIG_FILE);
}

void table_lines_free(struct table_lines *l)
{
	buf_free(&l->joined);
}

int table_lines_next(struct table_lines *l)
{
	bool begun = false;
	buf_reset(&l->joined);
	while (l->rest.n) {
		struct span rest = l->rest, line = span_cut(&rest, '\n');
		bool continues = line.n && ascii_isblank(line.p[0]), skip = is_comment(line);
		if (begun && !skip && !continues)
			break;
		l->rest = rest;
		l->next++;
		if (skip)
			continue;
		if (begun)
			buf_addc(&l->joined, ' ');
		else
			l->line = l->next;
		buf_addspan(&l->joined, span_trim(line));
		if (!begun && continues)
			return -1;
		begun = true;
	}
	l->text = buf_span(&l->joined);
	return begun;
}
