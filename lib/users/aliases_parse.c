/* SPDX-License-Identifier: ISC */
#include <stdlib.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/limits.h"
#include "base/xalloc.h"
#include "msg/addr.h"
#include "users/aliases_int.h"
#include "users/domains.h"

struct parser {
	struct alias_table *t;
	const char *path;
	unsigned line;
	unsigned depth; /* of :include: */
	struct err *err;
};

static int bad(struct parser *p, const char *what, struct span text)
{
	if (text.n > 100)
		text.n = 100;
	return err_set(p->err, ERR_CONFIG, "%s:%u: %s: '%.*s'", p->path, p->line, what, SPAN_FMT(text));
}

bool aliases_key(struct span local, struct span domain, struct buf *b)
{
	buf_reset(b);
	buf_addspan(b, local);
	for (size_t i = 0; i < b->len; i++)
		b->p[i] = ascii_lower(b->p[i]);
	if (!domain.n)
		return !b->bad && local.n;
	buf_addc(b, '@');
	return domain_normalise(domain, b) && !b->bad;
}

/* Offset of the first c outside quotes; the length when there is none. */
static size_t outside_quotes(struct span s, char c)
{
	bool quoted = false;
	for (size_t i = 0; i < s.n; i++) {
		if (quoted && s.p[i] == '\\')
			i++;
		else if (s.p[i] == '"')
			quoted = !quoted;
		else if (s.p[i] == c && !quoted)
			return i;
	}
	return s.n;
}

/* "text" as a whole in quotes, unescaped; other text as it is. */
static struct span unquote(struct parser *p, struct span s)
{
	if (s.n < 2 || s.p[0] != '"' || s.p[s.n - 1] != '"' || outside_quotes(s, '@') < s.n)
		return s;
	char *to = arena_alloc(p->t->arena, s.n);
	size_t n = 0;
	for (size_t i = 1; i + 1 < s.n; i++) {
		if (s.p[i] == '\\' && i + 2 < s.n)
			i++;
		to[n++] = s.p[i];
	}
	return span_of(to, n);
}

static void add_target(struct parser *p, struct alias_row *row, const struct alias_target *t)
{
	if (row->n == row->cap) {
		size_t cap = row->cap ? row->cap * 2 : 4;
		struct alias_target *v = arena_alloc(p->t->arena, cap * sizeof *v);
		if (row->n)
			memcpy(v, row->v, row->n * sizeof *v);
		row->v = v;
		row->cap = cap;
	}
	row->v[row->n++] = *t;
}

static int include(struct parser *p, struct alias_row *row, struct span path);

/* "local@domain", perhaps within "Name <...>". */
static int add_address(struct parser *p, struct alias_row *row, struct span s)
{
	struct alias_target t = { 0 };
	struct addr a;
	size_t open = outside_quotes(s, '<');
	if (open < s.n && span_ends(s, ">"))
		s = span_slice(s, open + 1, s.n - 1);
	if (!addr_parse_mailbox(s, true, false, &a, p->t->arena))
		return bad(p, "that is no mail address", s);
	t.local = arena_span(p->t->arena, a.local);
	t.domain = arena_span(p->t->arena, a.domain);
	add_target(p, row, &t);
	return 0;
}

static int add_name(struct parser *p, struct alias_row *row, struct span s)
{
	struct alias_target t = { .literal = span_starts(s, "\\"), .domain = SPAN("") };
	t.local = arena_span(p->t->arena, span_from(s, t.literal ? 1 : 0));
	if (!t.local.n || t.local.n > LIMIT_SMTP_LOCALPART || span_has_ctl(t.local))
		return bad(p, "that is no name", s);
	add_target(p, row, &t);
	return 0;
}

/* "|command" or "/file", perhaps in quotes, or |"command". */
static int add_action(struct parser *p, struct alias_row *row, struct span s)
{
	bool command = s.p[0] == '|';
	struct alias_target t = {
		.kind = command ? TARGET_COMMAND : TARGET_FILE, .local = SPAN(""), .domain = SPAN("")
	};
	t.text = command ? unquote(p, span_trim(span_from(s, 1))) : s;
	if (!(p->t->allow & (command ? ALIASES_COMMANDS : ALIASES_FILES)))
		return bad(p, command ? "commands are not allowed" : "delivery to files is not allowed", s);
	if (p->depth)
		return bad(p, "an included file may hold addresses only", s);
	if (!t.text.n || span_has_ctl(t.text))
		return bad(p, "that is no destination", s);
	t.text = arena_span(p->t->arena, t.text);
	add_target(p, row, &t);
	return 0;
}

static int add_dest(struct parser *p, struct alias_row *row, struct span s)
{
	bool quoted = span_starts(s, "\"");
	struct span bare = unquote(p, s);
	if (span_starts(bare, "|") || span_starts(bare, "/"))
		return add_action(p, row, bare);
	if (span_istarts(bare, ":include:"))
		return include(p, row, span_trim(span_from(bare, 9)));
	if (outside_quotes(s, '@') < s.n)
		return add_address(p, row, s);
	if (!quoted && (span_chr(bare, ' ') >= 0 || span_chr(bare, ':') >= 0))
		return bad(p, "that is no name", bare);
	return add_name(p, row, bare);
}

/* The text may have commas. */
static void add_error(struct parser *p, struct alias_row *row, struct span text)
{
	const struct alias_target t = {
		.kind = TARGET_ERROR, .local = SPAN(""), .domain = SPAN(""), .text = arena_span(p->t->arena, text)
	};
	add_target(p, row, &t);
}

static int add_dests(struct parser *p, struct alias_row *row, struct span list)
{
	struct alias_error e;
	if (!row->n && alias_error_parse(span_trim(list), &e)) {
		add_error(p, row, span_trim(list));
		return 0;
	}
	while (list.n) {
		size_t end = outside_quotes(list, ',');
		struct span dest = span_trim(span_slice(list, 0, end));
		list = span_from(list, end + 1);
		if (dest.n && add_dest(p, row, dest) < 0)
			return -1;
	}
	return 0;
}

static void remember_file(struct alias_table *t, const char *path)
{
	if (t->n_files == t->cap_files) {
		t->cap_files = t->cap_files ? t->cap_files * 2 : 4;
		t->file = xreallocarray(t->file, t->cap_files, sizeof *t->file);
	}
	struct alias_file *f = &t->file[t->n_files++];
	memset(f, 0, sizeof *f);
	f->path = arena_str(t->arena, span_str(path));
	if (stat(path, &f->seen) < 0)
		memset(&f->seen, 0, sizeof f->seen);
}

/* Whoever may write to it decides who gets the mail. A file that is not there is told by its reader. */
static bool include_is_safe(const struct stat *st)
{
	return !st->st_mode || (S_ISREG(st->st_mode) && !(st->st_mode & S_IWOTH));
}

/* A list: addresses on lines of their own or with commas, '#' comments. */
static int include(struct parser *p, struct alias_row *row, struct span path)
{
	struct buf text;
	struct parser in = { .t = p->t, .path = arena_str(p->t->arena, path), .depth = p->depth + 1, .err = p->err };
	struct err why = { 0 };
	if (in.depth > ALIASES_INCLUDES)
		return bad(p, "too many files include one another", path);
	if (!span_starts(path, "/") || span_has_ctl(path))
		return bad(p, "an included file needs its whole path", path);
	buf_init(&text, LIMIT_CONFIG_FILE);
	remember_file(p->t, in.path);
	if (!include_is_safe(&p->t->file[p->t->n_files - 1].seen))
		return bad(p, "an included file is a plain file that not everybody may write to", path);
	if (config_slurp(in.path, &text, &why) < 0) {
		buf_free(&text);
		return err_set(p->err, ERR_CONFIG, "%s:%u: %s", p->path, p->line, why.text);
	}
	int rc = 0;
	for (struct span rest = buf_span(&text); rest.n && rc == 0;) {
		struct span line = span_cut(&rest, '\n');
		in.line++;
		rc = add_dests(&in, row, span_trim(span_slice(line, 0, outside_quotes(line, '#'))));
	}
	buf_free(&text);
	return rc;
}

static struct alias_row *add_row(struct parser *p, const struct buf *key)
{
	struct alias_table *t = p->t;
	if (t->n == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 64;
		t->row = xreallocarray(t->row, t->cap, sizeof *t->row);
	}
	struct alias_row *row = &t->row[t->n++];
	*row = (struct alias_row){ .key = arena_span(t->arena, buf_span(key)), .line = p->line };
	return row;
}

/* The left side: a name, perhaps quoted, with or without domain. */
static int left_side(struct parser *p, struct span s, struct buf *key)
{
	size_t at = outside_quotes(s, '@');
	struct span local = unquote(p, span_trim(span_slice(s, 0, at))), domain = span_trim(span_from(s, at + 1));
	if (at < s.n && !domain.n)
		return bad(p, "that is no name", s);
	if (local.n > LIMIT_SMTP_LOCALPART || span_has_ctl(local) || !aliases_key(local, domain, key))
		return bad(p, "that is no name", s);
	return 0;
}

static int logical_line(struct parser *p, struct span s)
{
	struct buf key;
	size_t colon = outside_quotes(s, ':');
	if (colon == s.n)
		return bad(p, "name: destination... expected", s);
	buf_init(&key, LIMIT_SMTP_PATH);
	int rc = left_side(p, span_trim(span_slice(s, 0, colon)), &key);
	if (rc == 0) {
		struct alias_row *row = add_row(p, &key);
		rc = add_dests(p, row, span_from(s, colon + 1));
		if (rc == 0 && !row->n)
			rc = bad(p, "no destination", s);
	}
	buf_free(&key);
	return rc;
}

static bool is_comment(struct span line)
{
	line = span_trim(line);
	return !line.n || line.p[0] == '#';
}

/* Joins a line with those that continue it (they begin with a blank), then parses it. */
static int read_lines(struct parser *p, struct span rest)
{
	struct buf joined;
	unsigned line = 0;
	int rc = 0;
	buf_init(&joined, LIMIT_CONFIG_FILE);
	while (rc == 0 && (rest.n || joined.len)) {
		struct span next = rest, text = span_cut(&next, '\n');
		bool continues = rest.n && text.n && ascii_isblank(text.p[0]);
		if (rest.n && (is_comment(text) || (continues && joined.len))) {
			if (!is_comment(text))
				buf_addspan(&joined, text);
			line++;
			rest = next;
			continue;
		}
		if (joined.len) {
			rc = logical_line(p, span_trim(buf_span(&joined)));
			buf_reset(&joined);
			continue;
		}
		p->line = ++line;
		rest = next;
		buf_addspan(&joined, text);
		if (continues)
			rc = bad(p, "continues no line", text);
	}
	buf_free(&joined);
	return rc;
}

static int compare_rows(const void *a, const void *b)
{
	return span_cmp(((const struct alias_row *)a)->key, ((const struct alias_row *)b)->key);
}

static int sort_rows(struct parser *p)
{
	struct alias_table *t = p->t;
	if (t->n)
		qsort(t->row, t->n, sizeof *t->row, compare_rows);
	for (size_t i = 1; i < t->n; i++) {
		unsigned a = t->row[i - 1].line, b = t->row[i].line;
		if (!span_eq(t->row[i].key, t->row[i - 1].key))
			continue;
		p->line = a > b ? a : b;
		return bad(p, "the name was given before", t->row[i].key);
	}
	return 0;
}

struct alias_table *aliases_read_text(struct span text, const char *path, unsigned allow, struct err *err)
{
	struct alias_table *t = xcalloc(1, sizeof *t);
	t->arena = arena_new();
	t->allow = allow;
	struct parser p = { .t = t, .path = path, .err = err };
	remember_file(t, path);
	if (read_lines(&p, text) == 0 && sort_rows(&p) == 0)
		return t;
	aliases_table_free(t);
	return NULL;
}

/* Who may write to the file may have commands run. */
static int check_owner(const char *path, unsigned allow, struct err *err)
{
	struct stat st;
	if (!allow || stat(path, &st) < 0 || !(st.st_mode & (S_IWGRP | S_IWOTH)))
		return 0;
	return err_set(err, ERR_CONFIG, "%s: with commands or files in it nobody but its owner may write to it", path);
}

struct alias_table *aliases_read(const char *path, unsigned allow, struct err *err)
{
	struct buf text;
	struct alias_table *t = NULL;
	buf_init(&text, LIMIT_CONFIG_FILE);
	if (check_owner(path, allow, err) == 0) {
		if (config_slurp(path, &text, err) == 0)
			t = aliases_read_text(buf_span(&text), path, allow, err);
		else if (err)
			err->class = ERR_CONFIG;
	}
	buf_free(&text);
	return t;
}

void aliases_table_free(struct alias_table *t)
{
	if (!t)
		return;
	arena_free(t->arena);
	free(t->row);
	free(t->file);
	free(t);
}
