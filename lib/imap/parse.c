/* SPDX-License-Identifier: ISC */
#include "imap/parse.h"

void imap_in_init(struct imap_in *in, struct span text, struct arena *a)
{
	*in = (struct imap_in){ .text = text, .arena = a };
}

bool imap_fail(struct imap_in *in, const char *expected)
{
	if (!in->bad)
		in->bad = expected;
	return false;
}

char imap_peek(const struct imap_in *in)
{
	return in->bad || in->at >= in->text.n ? '\0' : in->text.p[in->at];
}

/* Anything left, and no error before? A NUL in the text makes the question different from imap_peek's. */
static bool more(const struct imap_in *in)
{
	return !in->bad && in->at < in->text.n;
}

bool imap_eat(struct imap_in *in, char c)
{
	if (!more(in) || in->text.p[in->at] != c)
		return false;
	in->at++;
	return true;
}

bool imap_expect(struct imap_in *in, char c)
{
	static const char *const what[] = { ['('] = "'(' expected",
		[')'] = "')' expected",
		['"'] = "'\"' expected",
		['['] = "'[' expected",
		[']'] = "']' expected",
		['<'] = "'<' expected",
		['>'] = "'>' expected" };
	if (imap_eat(in, c))
		return true;
	size_t i = (unsigned char)c;
	return imap_fail(in, i < sizeof what / sizeof *what && what[i] ? what[i] : "something else expected");
}

bool imap_sp(struct imap_in *in)
{
	return imap_eat(in, ' ') || imap_fail(in, more(in) ? "one space expected" : "argument missing");
}

bool imap_end(struct imap_in *in)
{
	return !in->bad && (in->at == in->text.n || imap_fail(in, "too many arguments"));
}

enum {
	CLASS_ATOM = 1,    /* ATOM-CHAR */
	CLASS_ASTRING = 2, /* ASTRING-CHAR: ']' too */
	CLASS_LIST = 4,    /* list-char: ']', '%' and '*' too */
	CLASS_TAG = 8,     /* ASTRING-CHAR without '+' */
};

static unsigned class_of(char c)
{
	unsigned char u = (unsigned char)c;
	if (u <= ' ' || u >= 0x7f || strchr("(){\"\\", c))
		return 0;
	if (c == '%' || c == '*')
		return CLASS_LIST;
	if (c == ']')
		return CLASS_ASTRING | CLASS_LIST | CLASS_TAG;
	return CLASS_ATOM | CLASS_ASTRING | CLASS_LIST | (c == '+' ? 0u : (unsigned)CLASS_TAG);
}

static struct span run_of(struct imap_in *in, unsigned class)
{
	size_t start = in->at;
	while (more(in) && (class_of(in->text.p[in->at]) & class))
		in->at++;
	return span_slice(in->text, start, in->at);
}

static bool take(struct imap_in *in, unsigned class, const char *expected, struct span *out)
{
	*out = run_of(in, class);
	return out->n > 0 || imap_fail(in, expected);
}

bool imap_tag(struct imap_in *in, struct span *out)
{
	return take(in, CLASS_TAG, "tag expected", out);
}

bool imap_atom(struct imap_in *in, struct span *out)
{
	return take(in, CLASS_ATOM, "atom expected", out);
}

bool imap_eat_word(struct imap_in *in, const char *word)
{
	size_t start = in->at;
	struct span got = run_of(in, CLASS_ATOM);
	if (span_ieqs(got, word) && !in->bad)
		return true;
	in->at = start;
	return false;
}

/* After the opening quote. Without a backslash the text itself serves. */
static bool quoted(struct imap_in *in, struct span *out)
{
	size_t start = in->at, i = start, escapes = 0;
	for (; i < in->text.n && in->text.p[i] != '"'; i++) {
		char c = in->text.p[i];
		if (c == '\r' || c == '\n' || c == '\0')
			return imap_fail(in, "CR, LF or NUL in a quoted string");
		if (c != '\\')
			continue;
		escapes++;
		if (++i >= in->text.n || (in->text.p[i] != '"' && in->text.p[i] != '\\'))
			return imap_fail(in, "only \\\" and \\\\ may stand in a quoted string");
	}
	if (i >= in->text.n)
		return imap_fail(in, "closing '\"' missing");
	in->at = i + 1;
	*out = span_slice(in->text, start, i);
	if (!escapes)
		return true;
	char *p = arena_alloc(in->arena, out->n + 1);
	size_t n = 0;
	for (size_t k = 0; k < out->n; k++) {
		k += out->p[k] == '\\';
		p[n++] = out->p[k];
	}
	*out = span_of(p, n);
	return true;
}

bool imap_literal_header(struct span line, size_t at, struct imap_literal *out, size_t *len)
{
	size_t i = at;
	*out = (struct imap_literal){ .sync = true };
	if (i < line.n && line.p[i] == '~') {
		out->binary = true;
		i++;
	}
	if (i >= line.n || line.p[i] != '{')
		return false;
	size_t digits = ++i;
	while (i < line.n && ascii_isdigit(line.p[i]))
		i++;
	if (i == digits)
		return false;
	/* More than can be counted is still a literal: its sender goes on to send it. */
	if (!span_u64(span_slice(line, digits, i), INT64_MAX, &out->size))
		out->size = INT64_MAX;
	if (i < line.n && line.p[i] == '+') {
		out->sync = false;
		i++;
	}
	if (i >= line.n || line.p[i] != '}')
		return false;
	*len = i + 1 - at;
	return true;
}

bool imap_line_literal(struct span line, struct imap_literal *out)
{
	size_t len;
	if (line.n < 3 || line.p[line.n - 1] != '}')
		return false;
	ptrdiff_t open = span_rchr(line, '{');
	if (open < 0)
		return false;
	size_t at = (size_t)open;
	if (at > 0 && line.p[at - 1] == '~')
		at--;
	return imap_literal_header(line, at, out, &len) && at + len == line.n;
}

static bool literal(struct imap_in *in, struct span *out)
{
	struct imap_literal l;
	size_t len;
	if (!imap_literal_header(in->text, in->at, &l, &len))
		return imap_fail(in, "malformed literal");
	size_t at = in->at + len;
	if (at < in->text.n && in->text.p[at] == '\r')
		at++;
	if (at >= in->text.n || in->text.p[at] != '\n')
		return imap_fail(in, "line end after a literal's size missing");
	at++;
	if (l.size > in->text.n - at)
		return imap_fail(in, "literal is cut");
	*out = span_slice(in->text, at, at + (size_t)l.size);
	in->at = at + (size_t)l.size;
	/* RFC 3501 9: CHAR8 is any octet but NUL; only literal8 may hold one. */
	if (!l.binary && memchr(out->p, 0, out->n))
		return imap_fail(in, "NUL in a literal");
	return true;
}

bool imap_string(struct imap_in *in, struct span *out)
{
	*out = span_of("", 0);
	if (imap_eat(in, '"'))
		return quoted(in, out);
	if (imap_peek(in) == '{' || imap_peek(in) == '~')
		return literal(in, out);
	return imap_fail(in, "string expected");
}

bool imap_nstring(struct imap_in *in, struct span *out, bool *nil)
{
	*nil = imap_eat_word(in, "NIL");
	*out = span_of("", 0);
	return *nil || imap_string(in, out);
}

bool imap_astring(struct imap_in *in, struct span *out)
{
	char c = imap_peek(in);
	if (c == '"' || c == '{')
		return imap_string(in, out);
	return take(in, CLASS_ASTRING, "atom or string expected", out);
}

bool imap_list_mailbox(struct imap_in *in, struct span *out)
{
	char c = imap_peek(in);
	if (c == '"' || c == '{')
		return imap_string(in, out);
	return take(in, CLASS_LIST, "mailbox pattern expected", out);
}

bool imap_flag(struct imap_in *in, struct span *out)
{
	size_t start = in->at;
	if (imap_eat(in, '\\') && imap_eat(in, '*')) {
		*out = span_slice(in->text, start, in->at);
		return true;
	}
	struct span word;
	if (!take(in, CLASS_ATOM, "flag expected", &word))
		return false;
	*out = span_slice(in->text, start, in->at);
	return true;
}

void imap_words_add(struct arena *a, struct imap_words *w, struct span word)
{
	/* Full whenever the count is a power of two. */
	if ((w->n & (w->n - 1)) == 0) {
		struct span *v = arena_alloc(a, (w->n ? 2 * w->n : 1) * sizeof *v);
		if (w->n)
			memcpy(v, w->v, w->n * sizeof *v);
		w->v = v;
	}
	w->v[w->n++] = word;
}

bool imap_flag_list(struct imap_in *in, struct imap_words *out)
{
	struct span flag;
	*out = (struct imap_words){ 0 };
	if (!imap_expect(in, '('))
		return false;
	while (!imap_eat(in, ')')) {
		if ((out->n && !imap_sp(in)) || !imap_flag(in, &flag))
			return false;
		imap_words_add(in->arena, out, flag);
	}
	return true;
}

static bool number(struct imap_in *in, uint64_t max, uint64_t *out)
{
	size_t start = in->at;
	while (more(in) && ascii_isdigit(in->text.p[in->at]))
		in->at++;
	return span_u64(span_slice(in->text, start, in->at), max, out) ||
	       imap_fail(in, in->at > start ? "number too large" : "number expected");
}

bool imap_number(struct imap_in *in, uint32_t *out)
{
	uint64_t v = 0;
	bool ok = number(in, UINT32_MAX, &v);
	*out = (uint32_t)v;
	return ok;
}

bool imap_nz_number(struct imap_in *in, uint32_t *out)
{
	return imap_number(in, out) && (*out != 0 || imap_fail(in, "number may not be 0"));
}

bool imap_number64(struct imap_in *in, uint64_t *out)
{
	*out = 0;
	return number(in, INT64_MAX, out);
}

bool imap_is_atom(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!(class_of(s.p[i]) & CLASS_ATOM))
			return false;
	return s.n > 0;
}

bool imap_is_quotable(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == '\0' || (s.p[i] & 0x80))
			return false;
	return true;
}
