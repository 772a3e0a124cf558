/* SPDX-License-Identifier: ISC
 *
 * Address lists. An element is read in two steps: the lexer runs to the next of `, ; : < @`, which tells what stands
 * before it (a phrase, a group's name, a local part), and that stretch is then read again as what it is. So each
 * byte is lexed a bounded number of times, whatever the input.
 */
#include "msg/addr.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/xalloc.h"
#include "msg/header.h"

enum token_kind {
	TOKEN_END,
	TOKEN_ATOM,
	TOKEN_QUOTED,  /* text: with its quotes */
	TOKEN_LITERAL, /* "[...]" */
	TOKEN_SPECIAL, /* one of ( ) < > : ; @ , . */
};

struct token {
	enum token_kind kind;
	struct span text;
	bool spaced;   /* blanks or comments stood before it */
	bool unclosed; /* a quoted string that runs to the value's end */
};

struct lexer {
	struct span rest;
	struct span comment; /* the last comment met, inside its parentheses */
};

struct parser {
	struct lexer lex;
	struct arena *arena;
	struct buf text; /* for a name, a local part, a domain while it is put together */
	struct addr *v;
	size_t n, cap;
	size_t skipped;
	bool in_group;
	struct span group;
	size_t group_start; /* rows when the group began */
};

static bool is_blank(char c)
{
	return (unsigned char)c <= 32 || c == 127;
}

static bool is_special(char c)
{
	return c && strchr("()<>[]:;@,.\"", c);
}

/* The rest of a quoted string or comment, from just behind its opening: how many bytes to and with its end. An
 * unclosed one runs to the end of the value. */
static size_t quoted_length(struct span s, bool *unclosed)
{
	size_t i = 0;
	for (; i < s.n && s.p[i] != '"'; i++)
		if (s.p[i] == '\\')
			i++;
	*unclosed = i >= s.n;
	return *unclosed ? s.n : i + 1;
}

/* "[...]" from its bracket; 1 when it is never closed or another one opens first: then the bracket is text. */
static size_t literal_length(struct span s)
{
	size_t i = 1;
	while (i < s.n && s.p[i] != ']' && s.p[i] != '[')
		i++;
	return i < s.n && s.p[i] == ']' ? i + 1 : 1;
}

static bool skip_blanks(struct lexer *l)
{
	struct span start = l->rest;
	while (l->rest.n && (is_blank(l->rest.p[0]) || l->rest.p[0] == '(')) {
		size_t n = 1;
		if (l->rest.p[0] == '(') {
			n = header_comment_length(l->rest);
			size_t closed = l->rest.p[n - 1] == ')' ? 1 : 0;
			l->comment = span_slice(l->rest, 1, n - closed);
		}
		l->rest = span_from(l->rest, n);
	}
	return l->rest.n != start.n;
}

static struct token next_token(struct lexer *l)
{
	struct token t = { .spaced = skip_blanks(l) };
	struct span s = l->rest;
	size_t n = 1;
	if (!s.n) {
		t.text = s;
		return t;
	}
	if (s.p[0] == '"') {
		t.kind = TOKEN_QUOTED;
		n += quoted_length(span_from(s, 1), &t.unclosed);
	} else if (s.p[0] == '[' && (n = literal_length(s)) > 1) {
		t.kind = TOKEN_LITERAL;
	} else if (is_special(s.p[0]) && s.p[0] != '[' && s.p[0] != ']') {
		t.kind = TOKEN_SPECIAL;
	} else {
		t.kind = TOKEN_ATOM;
		while (n < s.n && !is_blank(s.p[n]) && !is_special(s.p[n]))
			n++;
	}
	t.text = span_slice(s, 0, n);
	l->rest = span_from(s, n);
	return t;
}

static bool is(const struct token *t, char c)
{
	return t->kind == TOKEN_SPECIAL && t->text.p[0] == c;
}

static bool ends_element(const struct token *t)
{
	return t->kind == TOKEN_END || is(t, ',') || is(t, ';');
}

/* Adds text without quotes, backslashes and controls. */
static void add_plain(struct buf *out, struct span s, bool escapes)
{
	for (size_t i = 0; i < s.n; i++) {
		if (escapes && s.p[i] == '\\' && i + 1 < s.n)
			i++;
		if (!is_blank(s.p[i]) || s.p[i] == ' ' || s.p[i] == '\t')
			buf_addc(out, s.p[i]);
	}
}

static struct span inside_quotes(struct span s)
{
	size_t end = s.n >= 2 && s.p[s.n - 1] == '"' ? s.n - 1 : s.n;
	return span_slice(s, 1, end);
}

static void add_token(struct buf *out, const struct token *t)
{
	if (t->kind == TOKEN_QUOTED)
		add_plain(out, inside_quotes(t->text), true);
	else
		add_plain(out, t->text, false);
}

static struct span keep(struct parser *p)
{
	struct span s = arena_span(p->arena, span_trim(buf_span(&p->text)));
	buf_reset(&p->text);
	return s;
}

/* A stretch as a display name. */
static struct span read_phrase(struct parser *p, struct span s)
{
	struct lexer l = { .rest = s };
	for (struct token t = next_token(&l); t.kind != TOKEN_END; t = next_token(&l)) {
		if (t.spaced && p->text.len)
			buf_addc(&p->text, ' ');
		add_token(&p->text, &t);
	}
	return keep(p);
}

/* A stretch as a local part: words and dots, nothing else (RFC 5322 3.4.1, 4.4). Dots where none belong are met and
 * kept. False when it is none. */
static bool read_local(struct parser *p, struct span s, struct span *out)
{
	struct lexer l = { .rest = s };
	bool word = false, ok = true;
	size_t n = 0;
	for (struct token t = next_token(&l); t.kind != TOKEN_END && ok; t = next_token(&l), n++) {
		bool dot = is(&t, '.');
		ok = dot || (!word && !t.unclosed && (t.kind == TOKEN_ATOM || t.kind == TOKEN_QUOTED));
		word = !dot;
		add_token(&p->text, &t);
	}
	bool quoted_empty = n == 1 && !p->text.len;
	/* The text of a quoted local part keeps its blanks: no trimming here. */
	*out = arena_span(p->arena, buf_span(&p->text));
	buf_reset(&p->text);
	return ok && n && !quoted_empty;
}

/* Reads the domain behind an '@'. Returns the token after it; *ok tells whether there was one. */
static struct token read_domain(struct parser *p, struct span *out, bool *ok)
{
	struct token t = next_token(&p->lex);
	bool label = false;
	*ok = false;
	if (t.kind == TOKEN_LITERAL) {
		add_plain(&p->text, t.text, false);
		*ok = true;
		t = next_token(&p->lex);
	} else {
		while ((t.kind == TOKEN_ATOM && !label) || is(&t, '.')) {
			label = t.kind == TOKEN_ATOM;
			*ok = *ok || label;
			add_token(&p->text, &t);
			t = next_token(&p->lex);
		}
	}
	*out = keep(p);
	return t;
}

static void add_row(struct parser *p, struct addr row)
{
	if (p->n == LIMIT_ADDRESSES) {
		p->skipped++;
		return;
	}
	if (p->n == p->cap) {
		p->cap = p->cap ? 2 * p->cap : 8;
		p->v = xreallocarray(p->v, p->cap, sizeof *p->v);
	}
	row.group = p->group;
	p->v[p->n++] = row;
}

/* To the element's end: what is left there is no address. Returns the token that ends it. */
static struct token skip_junk(struct parser *p, struct token t, bool count)
{
	if (!ends_element(&t) && count)
		p->skipped++;
	while (!ends_element(&t))
		t = next_token(&p->lex);
	return t;
}

static struct span old_style_name(struct parser *p)
{
	add_plain(&p->text, p->lex.comment, true);
	return keep(p);
}

/* The end of the stretch that began at start and is followed by token t. */
static struct span before(struct span start, const struct token *t)
{
	return span_slice(start, 0, (size_t)(t->text.p - start.p));
}

/* "<" was read: [route] addr-spec ">". Returns the token that ends the element. */
static struct token read_angle(struct parser *p, struct addr row)
{
	struct span start = p->lex.rest;
	struct token t = next_token(&p->lex);
	if (is(&t, '@')) { /* RFC 5322 4.4: the route means nothing any more */
		while (!is(&t, ':') && !is(&t, '>') && !is(&t, ';') && t.kind != TOKEN_END)
			t = next_token(&p->lex);
		if (!is(&t, ':'))
			return skip_junk(p, t, true);
		start = p->lex.rest;
		t = next_token(&p->lex);
	}
	while (t.kind == TOKEN_ATOM || t.kind == TOKEN_QUOTED || is(&t, '.'))
		t = next_token(&p->lex);
	bool ok = read_local(p, before(start, &t), &row.local), has_domain = true;
	row.domain = SPAN("");
	if (is(&t, '@'))
		t = read_domain(p, &row.domain, &has_domain);
	ok = ok && has_domain && (is(&t, '>') || ends_element(&t));
	if (is(&t, '>'))
		t = next_token(&p->lex);
	if (!ok) {
		p->skipped++;
		return skip_junk(p, t, false);
	}
	t = skip_junk(p, t, true);
	if (!row.name.n)
		row.name = old_style_name(p);
	add_row(p, row);
	return t;
}

/* "local@" was read; start is where the element began. */
static struct token read_spec(struct parser *p, struct span start, struct token at)
{
	struct addr row = { .name = SPAN("") };
	bool has_domain, ok = read_local(p, before(start, &at), &row.local);
	struct token t = read_domain(p, &row.domain, &has_domain);
	if (ok && has_domain && ends_element(&t)) {
		row.name = old_style_name(p);
		add_row(p, row);
		return t;
	}
	/* "joe@example.com <joe@example.com>": a name that should have been quoted. */
	while (!ends_element(&t) && !is(&t, '<'))
		t = next_token(&p->lex);
	if (is(&t, '<')) {
		row.name = read_phrase(p, before(start, &t));
		return read_angle(p, row);
	}
	p->skipped++;
	return t;
}

/* Words alone: a local part without a domain ("root"), or nothing that could be understood. */
static void read_bare(struct parser *p, struct span s)
{
	struct addr row = { .name = SPAN(""), .domain = SPAN("") };
	struct lexer l = { .rest = s };
	if (next_token(&l).kind == TOKEN_END)
		return;
	if (!read_local(p, s, &row.local)) {
		p->skipped++;
		return;
	}
	row.name = old_style_name(p);
	add_row(p, row);
}

static void group_end(struct parser *p)
{
	if (p->in_group && p->n == p->group_start && p->group.n)
		add_row(p, (struct addr){ .name = SPAN(""), .local = SPAN(""), .domain = SPAN("") });
	p->in_group = false;
	p->group = SPAN("");
}

static void group_begin(struct parser *p, struct span name)
{
	group_end(p);
	p->group = read_phrase(p, name);
	p->in_group = true;
	p->group_start = p->n;
}

static void read_element(struct parser *p)
{
	struct span start = p->lex.rest;
	p->lex.comment = SPAN("");
	struct token t = next_token(&p->lex);
	while (!ends_element(&t) && !is(&t, '<') && !is(&t, '@') && !is(&t, ':'))
		t = next_token(&p->lex);
	if (is(&t, ':')) {
		group_begin(p, before(start, &t));
		return;
	}
	if (is(&t, '<')) {
		struct addr row = { .name = read_phrase(p, before(start, &t)) };
		t = read_angle(p, row);
	} else if (is(&t, '@')) {
		t = read_spec(p, start, t);
	} else {
		read_bare(p, before(start, &t));
	}
	if (is(&t, ';'))
		group_end(p);
}

void addr_parse_list(struct arena *a, struct span value, struct addr_list *out)
{
	struct parser p = { .lex = { .rest = value }, .arena = a, .group = SPAN("") };
	buf_init(&p.text, value.n + 1);
	while (p.lex.rest.n && p.n < LIMIT_ADDRESSES)
		read_element(&p);
	if (p.lex.rest.n)
		p.skipped++;
	group_end(&p);
	*out = (struct addr_list){ .n = p.n, .skipped = p.skipped, .v = arena_alloc(a, p.n * sizeof *p.v) };
	if (p.n)
		memcpy(out->v, p.v, p.n * sizeof *p.v);
	free(p.v);
	buf_free(&p.text);
}
