/* SPDX-License-Identifier: ISC */
#include "mua-read/search.h"

#include <errno.h>
#include <time.h>
#include <wctype.h>

#include "base/opts.h"
#include "msg/charset.h"
#include "msg/date.h"
#include "msg/mime.h"
#include "mua-read/flow.h"
#include "mua-read/mua.h"

enum {
	DEPTH_MAX = 100
};

enum op {
	OP_AND,
	OP_OR,
	OP_NOT,
	OP_FROM,
	OP_TO,
	OP_CC,
	OP_SUBJECT,
	OP_ANY,
	OP_BODY,
	OP_SINCE,
	OP_BEFORE,
	OP_FLAG
};

struct search {
	enum op op;
	struct search *left, *right;
	struct span text; /* folded */
	int64_t time;
	unsigned flag;
	bool clear; /* the flag must not be set */
};

struct parser {
	struct arena *arena;
	struct span rest;
	int64_t now;
	unsigned depth;
	struct err *err;
};

/* Lower case by the locale's letters, so that both sides compare as bytes. */
static struct span folded(struct arena *a, struct span s)
{
	struct buf out;
	buf_init(&out, 4 * s.n + 16);
	for (size_t i = 0, n; i < s.n; i += n) {
		uint32_t c = 0xfffd;
		n = utf8_decode(s.p + i, s.n - i, &c);
		utf8_append(
		    &out, c < 128 ? (uint32_t)(unsigned char)ascii_lower((char)c) : (uint32_t)towlower((wint_t)c));
		n = n ? n : 1;
	}
	struct span folded_text = arena_span(a, buf_span(&out));
	buf_free(&out);
	return folded_text;
}

static bool contains(struct arena *a, struct span text, struct span needle)
{
	return span_find(folded(a, text), needle) >= 0;
}

static struct search *node(struct parser *p, enum op op, struct search *left, struct search *right)
{
	struct search *s = arena_alloc(p->arena, sizeof *s);
	s->op = op;
	s->left = left;
	s->right = right;
	s->text = SPAN("");
	return s;
}

static struct search *complain(struct parser *p, const char *what, struct span at)
{
	err_set(p->err, ERR_USAGE, "search: %s '%.*s'", what, at.n > 40 ? 40 : (int)at.n, at.p);
	return NULL;
}

static void skip_blanks(struct parser *p)
{
	while (p->rest.n && ascii_isblank(p->rest.p[0]))
		p->rest = span_from(p->rest, 1);
}

static size_t word_length(struct span s)
{
	size_t n = 0;
	while (n < s.n && !ascii_isblank(s.p[n]) && s.p[n] != '(' && s.p[n] != ')' && s.p[n] != '"')
		n++;
	return n;
}

static bool take_word(struct parser *p, const char *word)
{
	skip_blanks(p);
	size_t n = word_length(p->rest);
	if (!span_ieqs(span_slice(p->rest, 0, n), word))
		return false;
	p->rest = span_from(p->rest, n);
	return true;
}

static bool take_char(struct parser *p, char c)
{
	skip_blanks(p);
	if (!p->rest.n || p->rest.p[0] != c)
		return false;
	p->rest = span_from(p->rest, 1);
	return true;
}

/* A word or a quoted text; false when there is none. */
static bool take_value(struct parser *p, struct span *out)
{
	if (p->rest.n && p->rest.p[0] == '"') {
		p->rest = span_from(p->rest, 1);
		bool closed = span_chr(p->rest, '"') >= 0;
		*out = span_cut(&p->rest, '"');
		return closed;
	}
	size_t n = word_length(p->rest);
	*out = span_slice(p->rest, 0, n);
	p->rest = span_from(p->rest, n);
	return n > 0;
}

/* The key before a ':', none when the word has no ':'. */
static struct span take_key(struct parser *p)
{
	struct span word = span_slice(p->rest, 0, word_length(p->rest));
	ptrdiff_t colon = span_chr(word, ':');
	if (colon < 0)
		return SPAN("");
	p->rest = span_from(p->rest, (size_t)colon + 1);
	return span_slice(word, 0, (size_t)colon);
}

/* The start of a day in local time, or so long before now. */
static bool parse_when(struct parser *p, struct span value, int64_t *out)
{
	int64_t ms;
	int zone;
	const char *text = arena_str(p->arena, value);
	if (value.n && ascii_isalpha(value.p[value.n - 1]) && opts_parse_duration(text, &ms)) {
		*out = p->now - ms / 1000;
		return true;
	}
	if (!date_parse(value, out, &zone))
		return false;
	/* A day begins when it does here; a time of day says itself where. */
	if (span_chr(value, ':') < 0)
		*out -= (int64_t)date_local_zone(*out) * 60;
	return true;
}

static bool parse_flag(struct span value, struct search *s)
{
	static const struct {
		const char *name;
		unsigned flag;
		bool clear;
	} names[] = { { "seen", FLAG_SEEN, false }, { "read", FLAG_SEEN, false }, { "unseen", FLAG_SEEN, true },
		{ "unread", FLAG_SEEN, true }, { "new", FLAG_SEEN, true }, { "answered", FLAG_ANSWERED, false },
		{ "replied", FLAG_ANSWERED, false }, { "passed", FLAG_PASSED, false },
		{ "flagged", FLAG_FLAGGED, false }, { "draft", FLAG_DRAFT, false },
		{ "deleted", FLAG_DELETED, false } };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (span_ieqs(value, names[i].name)) {
			s->flag = names[i].flag;
			s->clear = names[i].clear;
			return true;
		}
	return false;
}

static struct search *parse_key(struct parser *p)
{
	static const struct {
		const char *name;
		enum op op;
	} keys[] = { { "", OP_ANY }, { "from", OP_FROM }, { "to", OP_TO }, { "cc", OP_CC }, { "subject", OP_SUBJECT },
		{ "body", OP_BODY }, { "since", OP_SINCE }, { "before", OP_BEFORE }, { "flag", OP_FLAG } };
	struct span key = take_key(p), value;
	size_t i = 0;
	while (i < sizeof keys / sizeof *keys && !span_ieqs(key, keys[i].name))
		i++;
	if (i == sizeof keys / sizeof *keys)
		return complain(p, "unknown key", key);
	if (!take_value(p, &value))
		return complain(p, "a value is missing before", p->rest);
	struct search *s = node(p, keys[i].op, NULL, NULL);
	s->text = folded(p->arena, value);
	if ((s->op == OP_SINCE || s->op == OP_BEFORE) && !parse_when(p, value, &s->time))
		return complain(p, "no date or duration:", value);
	if (s->op == OP_FLAG && !parse_flag(value, s))
		return complain(p, "unknown flag", value);
	return s;
}

static struct search *parse_or(struct parser *p);

static struct search *parse_term(struct parser *p)
{
	struct search *s;
	if (++p->depth > DEPTH_MAX)
		return complain(p, "too deeply nested at", p->rest);
	if (take_word(p, "not")) {
		s = parse_term(p);
		s = s ? node(p, OP_NOT, s, NULL) : NULL;
	} else if (take_char(p, '(')) {
		s = parse_or(p);
		if (s && !take_char(p, ')'))
			s = complain(p, "')' is missing before", p->rest);
	} else {
		s = parse_key(p);
	}
	p->depth--;
	return s;
}

static bool at_or(const struct parser *p)
{
	return span_ieqs(span_slice(p->rest, 0, word_length(p->rest)), "or");
}

static struct search *parse_and(struct parser *p)
{
	struct search *s = parse_term(p);
	while (s) {
		bool and = take_word(p, "and");
		skip_blanks(p);
		if (!and&&(!p->rest.n || p->rest.p[0] == ')' || at_or(p)))
			break;
		struct search *right = parse_term(p);
		s = right ? node(p, OP_AND, s, right) : NULL;
	}
	return s;
}

static struct search *parse_or(struct parser *p)
{
	struct search *s = parse_and(p);
	while (s && take_word(p, "or")) {
		struct search *right = parse_and(p);
		s = right ? node(p, OP_OR, s, right) : NULL;
	}
	return s;
}

struct search *search_parse(struct arena *a, const char *expression, int64_t now, struct err *err)
{
	struct parser p = { .arena = a, .rest = span_str(expression), .now = now, .err = err };
	struct search *s = parse_or(&p);
	skip_blanks(&p);
	if (s && p.rest.n)
		return complain(&p, "what is", p.rest);
	return s;
}

static bool in_body(struct arena *a, struct span msg, struct span needle)
{
	bool found = false;
	for (struct mime_part *p = mime_parse(a, msg); p && !found; p = mime_next(p)) {
		if (p->kind != MIME_LEAF || !span_eqs(p->type, "text"))
			continue;
		struct buf text, lines;
		buf_init(&text, 4 * p->body.n + 16);
		buf_init(&lines, SIZE_MAX / 4);
		mime_content(p, true, &text);
		bool html = span_eqs(p->subtype, "html");
		if (html)
			flow_html(buf_span(&text), 0, &lines);
		found = contains(a, buf_span(html ? &lines : &text), needle);
		buf_free(&text);
		buf_free(&lines);
	}
	return found;
}

static bool in_header(const struct search *s, struct arena *a, const struct summary *m)
{
	bool any = s->op == OP_ANY;
	return ((any || s->op == OP_FROM) && contains(a, m->from_field, s->text)) ||
	       ((any || s->op == OP_TO) && contains(a, m->to, s->text)) ||
	       ((any || s->op == OP_CC) && contains(a, m->cc, s->text)) ||
	       ((any || s->op == OP_SUBJECT) && contains(a, m->subject, s->text));
}

static bool matches(const struct search *s, struct arena *a, const struct summary *m, struct span msg);

static bool leaf_matches(const struct search *s, struct arena *a, const struct summary *m, struct span msg)
{
	switch (s->op) {
	case OP_BODY:
		return in_body(a, msg, s->text);
	case OP_SINCE:
		return m->date && m->date >= s->time;
	case OP_BEFORE:
		return m->date && m->date < s->time;
	case OP_FLAG:
		return !(m->flags & s->flag) == s->clear;
	default:
		return in_header(s, a, m);
	}
}

/* A chain of "and" or "or" leans to the left, as long as the expression: it is walked, not recursed into. */
static bool chain_matches(const struct search *s, struct arena *a, const struct summary *m, struct span msg)
{
	enum op op = s->op;
	for (; s->op == op; s = s->left)
		if (matches(s->right, a, m, msg) == (op == OP_OR))
			return op == OP_OR;
	return matches(s, a, m, msg);
}

/* Recursion is as deep as the parentheses: DEPTH_MAX, times the three kinds of node between two. */
static bool matches(const struct search *s, struct arena *a, const struct summary *m, struct span msg)
{
	if (s->op == OP_AND || s->op == OP_OR)
		return chain_matches(s, a, m, msg);
	if (s->op == OP_NOT)
		return !matches(s->left, a, m, msg);
	return leaf_matches(s, a, m, msg);
}

bool search_match(const struct search *s, struct arena *a, const struct summary *summary, struct span msg)
{
	return matches(s, a, summary, msg);
}

int command_search(struct mua *m, struct err *err)
{
	struct arena *keep = arena_new(), *a = arena_new();
	struct search *s = search_parse(keep, m->expression, (int64_t)time(NULL), err);
	struct lister l;
	int rc = s ? 0 : -1;
	if (s)
		lister_begin(&l, &m->term, m->options->json, m->box.n);
	for (size_t i = 1; s && rc == 0 && i <= m->box.n; i++) {
		struct summary row;
		struct span msg;
		struct err why;
		if (box_content(&m->box, i, &msg, &why) == 0) {
			summary_read(a, &m->box, i, msg, &row);
			if (search_match(s, a, &row, msg))
				lister_row(&l, &row);
			arena_reset(a);
		} else if (why.sys != ENOENT) {
			*err = why;
			rc = -1;
		}
	}
	if (s && lister_end(&l) < 0 && rc == 0)
		rc = err_sys(err, "standard output");
	arena_free(keep);
	arena_free(a);
	return rc;
}
