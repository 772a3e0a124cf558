/* SPDX-License-Identifier: ISC
 *
 * Parameters (RFC 2045 5.1) and their continuations, charsets and languages (RFC 2231 3 and 4). The pieces are sorted
 * by name and section, so that however many there are, and in whatever order, joining them is cheap.
 */
#include <stdlib.h>

#include "base/xalloc.h"
#include "msg/charset.h"
#include "msg/header.h"
#include "msg/mime.h"

enum {
	SECTION_WHOLE = -1,    /* name=value */
	SECTION_EXTENDED = -2, /* name*=charset'language'value: first in order, since it is the better one */
	SECTION_MAX = 9999
};

struct piece {
	struct span name; /* lower case, without section */
	int section;
	bool extended;
	struct span value; /* unquoted */
	size_t order;
};

struct pieces {
	struct arena *arena;
	struct piece *v;
	size_t n, cap;
};

static bool is_space(char c)
{
	return ascii_isblank(c) || c == '\r' || c == '\n';
}

/* Bytes of the quoted string or comment at the start of s, all of s when it is not closed. */
static size_t quoted_length(struct span s)
{
	size_t i = 1;
	for (; i < s.n && s.p[i] != '"'; i++)
		if (s.p[i] == '\\')
			i++;
	return i < s.n ? i + 1 : s.n;
}

/* Does a parameter begin at s? Some writers leave out the ';' before it. */
static bool parameter_follows(struct span s)
{
	size_t i = 0;
	while (i < s.n && (ascii_isalnum(s.p[i]) || s.p[i] == '-' || s.p[i] == '*'))
		i++;
	return i && i < s.n && s.p[i] == '=';
}

static size_t blanks_length(struct span s, bool *folded)
{
	size_t n = 0;
	*folded = false;
	for (; n < s.n && is_space(s.p[n]); n++)
		*folded |= s.p[n] == '\n';
	return n;
}

/* A run up to one of `stops`, a comment, a line that begins with a parameter, or the end; trimmed. Mail has blanks in
 * values that should be quoted. */
static struct span take_until(struct span *rest, const char *stops)
{
	size_t n = 0;
	bool folded;
	while (n < rest->n && rest->p[n] != '(' && !(rest->p[n] && strchr(stops, rest->p[n]))) {
		size_t blanks = blanks_length(span_from(*rest, n), &folded);
		if (folded && parameter_follows(span_from(*rest, n + blanks)))
			break;
		n += blanks ? blanks : 1;
	}
	struct span run = span_trim(span_slice(*rest, 0, n));
	*rest = header_skip_cfws(span_from(*rest, n));
	return run;
}

/* The first word: CFWS may stand around its '/' (RFC 2045 5.1 in RFC 822's lexical rules), and is left out. */
static struct span take_first(struct arena *a, struct span *rest)
{
	char *p = arena_alloc(a, rest->n + 1);
	size_t n = 0;
	for (;;) {
		size_t i = 0;
		while (i < rest->n && !is_space(rest->p[i]) && rest->p[i] != '(' && rest->p[i] != ';')
			i++;
		memcpy(p + n, rest->p, i);
		n += i;
		*rest = header_skip_cfws(span_from(*rest, i));
		bool goes_on = (rest->n && rest->p[0] == '/') || (n && p[n - 1] == '/' && rest->n && rest->p[0] != ';');
		if (!goes_on || !i)
			break;
	}
	if (rest->n && rest->p[0] != ';' && !parameter_follows(*rest))
		take_until(rest, ";");
	return span_of(p, n);
}

static struct span unquote(struct arena *a, struct span s)
{
	char *p = arena_alloc(a, s.n + 1);
	size_t n = 0, end = s.n >= 2 && s.p[s.n - 1] == '"' ? s.n - 1 : s.n;
	for (size_t i = 1; i < end; i++) {
		if (s.p[i] == '\\' && i + 1 < end)
			i++;
		if (s.p[i] != '\r' && s.p[i] != '\n')
			p[n++] = s.p[i];
	}
	return span_of(p, n);
}

static struct span take_value(struct arena *a, struct span *rest)
{
	*rest = header_skip_cfws(*rest);
	if (!rest->n || rest->p[0] != '"')
		return take_until(rest, ";");
	size_t n = quoted_length(*rest);
	struct span value = unquote(a, span_slice(*rest, 0, n));
	*rest = header_skip_cfws(span_from(*rest, n));
	return value;
}

/* "name", "name*", "name*3", "name*3*" */
static void split_name(struct arena *a, struct span s, struct piece *piece)
{
	uint64_t section = 0;
	char *p = arena_str(a, s);
	for (size_t i = 0; i < s.n; i++)
		p[i] = ascii_lower(p[i]);
	piece->section = SECTION_WHOLE;
	struct span rest = span_of(p, s.n);
	piece->name = span_trim(span_cut(&rest, '*'));
	if (piece->name.n == s.n)
		return;
	if (!rest.n) {
		piece->section = SECTION_EXTENDED;
		piece->extended = true;
	} else if (span_u64(span_cut(&rest, '*'), SECTION_MAX, &section)) {
		piece->section = (int)section;
		piece->extended = p[s.n - 1] == '*';
	} else {
		piece->name = span_of(p, s.n);
	}
}

static void add_piece(struct pieces *ps, struct span name, struct span value)
{
	if (ps->n == ps->cap) {
		ps->cap = ps->cap ? 2 * ps->cap : 4;
		ps->v = xreallocarray(ps->v, ps->cap, sizeof *ps->v);
	}
	struct piece *piece = &ps->v[ps->n];
	*piece = (struct piece){ .value = value, .order = ps->n };
	split_name(ps->arena, name, piece);
	ps->n += piece->name.n > 0;
}

static int by_section(const void *x, const void *y)
{
	const struct piece *a = x, *b = y;
	int order = span_cmp(a->name, b->name);
	if (order)
		return order;
	if (a->section != b->section)
		return a->section < b->section ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

/* %xx (RFC 2231 4); a '%' that begins none stands for itself. */
static void add_percent(struct buf *out, struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		int high = i + 2 < s.n ? ascii_hex(s.p[i + 1]) : -1;
		int low = high >= 0 ? ascii_hex(s.p[i + 2]) : -1;
		if (s.p[i] == '%' && low >= 0) {
			buf_addc(out, (char)(high << 4 | low));
			i += 2;
		} else {
			buf_addc(out, s.p[i]);
		}
	}
}

/* charset'language'value; without both quotes the whole is the value. */
static struct span cut_charset(struct span *value)
{
	struct span rest = *value, charset = span_cut(&rest, '\'');
	if (span_chr(rest, '\'') < 0)
		return SPAN("");
	span_cut(&rest, '\'');
	*value = rest;
	return charset;
}

static void add_value(struct buf *bytes, const struct piece *piece, struct span value)
{
	if (piece->extended)
		add_percent(bytes, value);
	else
		buf_addspan(bytes, value);
}

/* The bytes of the parameter that starts at v: one piece, or the sections from 0 up to the first that is missing. */
static void join(const struct piece *v, size_t n, struct buf *bytes, struct span *charset)
{
	struct span value = v[0].value;
	if (v[0].extended)
		*charset = cut_charset(&value);
	add_value(bytes, v, value);
	int next = 1;
	for (size_t i = 1; i < n && v[0].section == 0 && v[i].section <= next; i++)
		if (v[i].section == next) { /* else a second one of that number: the first counts */
			add_value(bytes, &v[i], v[i].value);
			next++;
		}
}

/* What a group offers best: extended, else sections from 0 on, else whole. The sort puts extended first, whole next, so
 * sections are looked for behind a whole one. */
static const struct piece *best(const struct piece *v, size_t n)
{
	if (v[0].section != SECTION_WHOLE)
		return v;
	for (size_t i = 0; i < n; i++)
		if (v[i].section == 0)
			return &v[i];
	return v;
}

static struct mime_param make_param(struct arena *a, const struct piece *v, size_t n, struct buf *bytes)
{
	const struct piece *from = best(v, n);
	struct span charset = SPAN("");
	struct buf text;
	buf_reset(bytes);
	join(from, n - (size_t)(from - v), bytes, &charset);
	buf_init(&text, 4 * bytes->len + 16);
	charset_to_utf8(charset, buf_span(bytes), &text);
	struct mime_param param = { .name = v[0].name, .value = arena_span(a, buf_span(&text)), .raw = from->value };
	buf_free(&text);
	return param;
}

struct placed {
	struct mime_param param;
	size_t order;
};

static int by_place(const void *x, const void *y)
{
	const struct placed *a = x, *b = y;
	return a->order < b->order ? -1 : a->order > b->order;
}

static void join_all(struct pieces *ps, size_t bytes_max, struct mime_params *params)
{
	struct placed *placed = xreallocarray(NULL, ps->n, sizeof *placed);
	struct buf bytes;
	size_t n = 0;
	buf_init(&bytes, bytes_max);
	qsort(ps->v, ps->n, sizeof *ps->v, by_section);
	for (size_t i = 0, end; i < ps->n; i = end, n++) {
		placed[n].order = ps->v[i].order;
		for (end = i; end < ps->n && span_eq(ps->v[end].name, ps->v[i].name); end++)
			if (ps->v[end].order < placed[n].order)
				placed[n].order = ps->v[end].order;
		placed[n].param = make_param(ps->arena, ps->v + i, end - i, &bytes);
	}
	qsort(placed, n, sizeof *placed, by_place);
	params->v = arena_alloc(ps->arena, n * sizeof *params->v);
	params->n = n;
	for (size_t i = 0; i < n; i++)
		params->v[i] = placed[i].param;
	free(placed);
	buf_free(&bytes);
}

void mime_parse_params(struct arena *a, struct span value, struct span *first, struct mime_params *params)
{
	struct pieces ps = { .arena = a };
	struct span rest = header_skip_cfws(value);
	*first = take_first(a, &rest);
	*params = (struct mime_params){ 0 };
	while (rest.n) {
		if (rest.p[0] == ';') {
			rest = header_skip_cfws(span_from(rest, 1));
			continue;
		}
		struct span name = take_until(&rest, ";=");
		if (!rest.n || rest.p[0] != '=') {
			/* Text that is no parameter: a stop that is not a ';' was a comment, which take_until has
			 * skipped. */
			continue;
		}
		rest = span_from(rest, 1);
		struct span v = take_value(a, &rest);
		/* Between a value and the next ';' nothing may stand. */
		if (rest.n && rest.p[0] != ';' && !parameter_follows(rest))
			take_until(&rest, ";");
		add_piece(&ps, name, v);
	}
	if (ps.n)
		join_all(&ps, value.n + 1, params);
	free(ps.v);
}

bool mime_param(const struct mime_params *p, const char *name, struct span *value)
{
	for (size_t i = 0; i < p->n; i++)
		if (span_ieqs(p->v[i].name, name)) {
			*value = p->v[i].value;
			return true;
		}
	return false;
}
