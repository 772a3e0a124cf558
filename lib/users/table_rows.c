/* SPDX-License-Identifier: ISC
 *
 * Tables whose keys are written down: text of a file, of the option itself, a plain list.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "base/xalloc.h"
#include "users/table_int.h"

struct row {
	struct span key, value;
	unsigned line;
};

/* An open-addressing hash of row numbers (+1, 0 is free), with at least twice as many places as rows. */
struct table_rows {
	struct arena *arena;
	struct row *row;
	size_t n, cap;
	uint32_t *slot;
	size_t n_slots;
};

static size_t hash(struct span key)
{
	uint64_t h = 14695981039346656037u;
	for (size_t i = 0; i < key.n; i++)
		h = (h ^ (unsigned char)key.p[i]) * 1099511628211u;
	return (size_t)(h ^ h >> 32);
}

static uint32_t *find_slot(const struct table_rows *r, struct span key)
{
	size_t i = hash(key) & (r->n_slots - 1);
	while (r->slot[i] && !span_eq(r->row[r->slot[i] - 1].key, key))
		i = (i + 1) & (r->n_slots - 1);
	return &r->slot[i];
}

static struct table_rows *rows_new(void)
{
	struct table_rows *r = xcalloc(1, sizeof *r);
	r->arena = arena_new();
	return r;
}

void table_rows_free(struct table_rows *r)
{
	if (!r)
		return;
	arena_free(r->arena);
	free(r->row);
	free(r->slot);
	free(r);
}

static int add_row(struct table_rows *r, struct span key, struct span value, unsigned line, struct err *err)
{
	struct buf b;
	buf_init(&b, LIMIT_SMTP_PATH);
	bool ok = table_key(key, &b);
	if (ok && r->n == r->cap) {
		r->cap = r->cap ? r->cap * 2 : 16;
		r->row = xreallocarray(r->row, r->cap, sizeof *r->row);
	}
	if (ok)
		r->row[r->n++] = (struct row){ arena_span(r->arena, buf_span(&b)), arena_span(r->arena, value), line };
	buf_free(&b);
	return ok ? 0 : err_set(err, ERR_CONFIG, "'%.*s' is no key", (int)(key.n > 100 ? 100 : key.n), key.p);
}

/* twice: the same key may come again, the first counts. */
static int index_rows(struct table_rows *r, bool twice, unsigned *line, struct err *err)
{
	r->n_slots = 16;
	while (r->n_slots < 2 * r->n)
		r->n_slots *= 2;
	r->slot = xcalloc(r->n_slots, sizeof *r->slot);
	for (size_t i = 0; i < r->n; i++) {
		uint32_t *at = find_slot(r, r->row[i].key);
		*line = r->row[i].line;
		if (!*at)
			*at = (uint32_t)i + 1;
		else if (!twice)
			return err_set(err, ERR_CONFIG, "the key of line %u again", r->row[*at - 1].line);
	}
	return 0;
}

/* The end of a key that may hold blanks in quotes. */
static size_t key_end(struct span s)
{
	bool quoted = false;
	size_t i = 0;
	for (; i < s.n && (quoted || !ascii_isblank(s.p[i])); i++) {
		if (quoted && s.p[i] == '\\')
			i++;
		else if (s.p[i] == '"')
			quoted = !quoted;
	}
	return i;
}

struct table_rows *table_rows_text(struct span text, const char *name, struct err *err)
{
	struct table_rows *r = rows_new();
	struct table_lines l;
	int rc;
	table_lines_init(&l, text);
	while ((rc = table_lines_next(&l)) > 0) {
		size_t end = key_end(l.text);
		rc = add_row(r, span_slice(l.text, 0, end), span_trim(span_from(l.text, end)), l.line, err);
		if (rc < 0)
			break;
	}
	unsigned line = l.line;
	if (rc < 0 && l.text.n == 0)
		err_set(err, ERR_CONFIG, "continues no line");
	if (rc == 0)
		rc = index_rows(r, false, &line, err);
	table_lines_free(&l);
	if (rc == 0)
		return r;
	err_prefix(err, "%s:%u", name, line);
	table_rows_free(r);
	return NULL;
}

/* Up to the first c outside braces and quotes. */
static struct span cut_outside(struct span *rest, const char *set)
{
	unsigned depth = 0;
	bool quoted = false;
	size_t i = 0;
	for (; i < rest->n; i++) {
		char c = rest->p[i];
		if (c == '"')
			quoted = !quoted;
		if (quoted)
			continue;
		if (!depth && c && strchr(set, c))
			break;
		if (c == '{')
			depth++;
		else if (c == '}' && depth)
			depth--;
	}
	struct span s = span_slice(*rest, 0, i);
	*rest = span_from(*rest, i + 1);
	return s;
}

static struct span without_braces(struct span s)
{
	s = span_trim(s);
	if (s.n >= 2 && s.p[0] == '{' && s.p[s.n - 1] == '}')
		s = span_trim(span_slice(s, 1, s.n - 1));
	return s;
}

/* {k=v, k={a, b}} or {{k = a, b}, ...}. */
struct table_rows *table_rows_inline(struct span text, struct err *err)
{
	struct table_rows *r = rows_new();
	unsigned line = 0;
	int rc = 0;
	text = span_trim(text);
	if (!span_starts(text, "{") || !span_ends(text, "}") || text.n < 2)
		rc = err_set(err, ERR_USAGE, "inline: {key=value, ...} expected");
	else
		text = span_slice(text, 1, text.n - 1);
	while (rc == 0 && text.n) {
		struct span row = span_trim(cut_outside(&text, ","));
		if (!row.n)
			continue;
		if (row.p[0] == '{')
			row = without_braces(row);
		struct span key = span_trim(cut_outside(&row, "="));
		rc = add_row(r, key, without_braces(row), 0, err);
	}
	if (rc == 0)
		rc = index_rows(r, true, &line, err);
	if (rc == 0)
		return r;
	if (err)
		err->class = ERR_USAGE;
	table_rows_free(r);
	return NULL;
}

struct table_rows *table_rows_list(struct span text, struct err *err)
{
	struct table_rows *r = rows_new();
	unsigned line = 0;
	int rc = 0;
	while (rc == 0 && text.n) {
		struct span part = span_cut(&text, ',');
		for (struct span key; rc == 0 && (key = span_word(&part)).n;)
			rc = add_row(r, key, SPAN(""), 0, err);
	}
	if (rc == 0)
		rc = index_rows(r, true, &line, err);
	if (rc == 0)
		return r;
	if (err)
		err->class = ERR_USAGE;
	table_rows_free(r);
	return NULL;
}

bool table_rows_find(const struct table_rows *r, struct span key, struct span *value)
{
	uint32_t at = *find_slot(r, key);
	if (at)
		*value = r->row[at - 1].value;
	return at != 0;
}

struct span table_rows_first(const struct table_rows *r)
{
	return r->n ? r->row[0].key : SPAN("");
}

static enum table_result rows_get(void *state, struct arena *a, struct span key, struct span *value, struct err *err)
{
	(void)a;
	(void)err;
	return table_rows_find(state, key, value) ? TABLE_FOUND : TABLE_NONE;
}

static void *inline_open(struct span rest, struct err *err)
{
	return table_rows_inline(rest, err);
}

static void *list_open(struct span rest, struct err *err)
{
	return table_rows_list(rest, err);
}

static struct span rows_first(const void *state)
{
	return table_rows_first(state);
}

static void rows_close(void *state)
{
	table_rows_free(state);
}

const struct table_kind table_kind_inline = {
	.name = "inline", .plain = true, .open = inline_open, .get = rows_get, .first = rows_first, .close = rows_close
};
const struct table_kind table_kind_list = {
	.name = "list", .plain = true, .open = list_open, .get = rows_get, .first = rows_first, .close = rows_close
};

struct text_file {
	struct table_file file;
	struct table_rows *rows;
};

static void file_close(void *state)
{
	struct text_file *f = state;
	table_rows_free(f->rows);
	free(f->file.path);
	free(f);
}

static int read_again(struct text_file *f, struct err *err)
{
	struct buf text;
	struct table_rows *rows = NULL;
	if (table_file_read(&f->file, &text, err) == 0)
		rows = table_rows_text(buf_span(&text), f->file.path, err);
	buf_free(&text);
	if (!rows)
		return -1;
	table_rows_free(f->rows);
	f->rows = rows;
	return 0;
}

static void *file_open(struct span rest, struct err *err)
{
	struct text_file *f = xcalloc(1, sizeof *f);
	f->file.path = xstrndup(rest.p, rest.n);
	if (read_again(f, err) == 0)
		return f;
	file_close(f);
	return NULL;
}

static int file_refresh(void *state, struct err *err)
{
	struct text_file *f = state;
	return table_file_changed(&f->file) ? read_again(f, err) : 0;
}

static bool file_hidden(const void *state)
{
	const struct text_file *f = state;
	return f->file.hidden;
}

static enum table_result file_get(void *state, struct arena *a, struct span key, struct span *value, struct err *err)
{
	struct text_file *f = state;
	return rows_get(f->rows, a, key, value, err);
}

static struct span file_first(const void *state)
{
	const struct text_file *f = state;
	return table_rows_first(f->rows);
}

const struct table_kind table_kind_file = { .name = "file",
	.plain = true,
	.open = file_open,
	.get = file_get,
	.refresh = file_refresh,
	.hidden = file_hidden,
	.rules = table_file_rules,
	.first = file_first,
	.close = file_close };
