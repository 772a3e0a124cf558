/* SPDX-License-Identifier: ISC */
#include "msg/header.h"

#include "base/limits.h"

enum {
	FOLD_COLUMNS = 76 /* RFC 5322 2.1.1 asks 78, RFC 2047 2 76 of lines with encoded words */
};

/* Bytes of the line at the start of s, with its LF. */
static size_t line_length(struct span s)
{
	ptrdiff_t at = span_chr(s, '\n');
	return at < 0 ? s.n : (size_t)at + 1;
}

static struct span without_eol(struct span line)
{
	if (line.n && line.p[line.n - 1] == '\n')
		line.n--;
	if (line.n && line.p[line.n - 1] == '\r')
		line.n--;
	return line;
}

static bool is_blank_line(struct span line)
{
	return line.n && line.p[line.n - 1] == '\n' && without_eol(line).n == 0;
}

/* The name before the ':' (RFC 5322 2.2, blanks before the colon 4.5); empty when the line is no field. */
static struct span field_name(struct span line, size_t *colon)
{
	size_t i = 0;
	/* ftext: printable US-ASCII except ':' */
	while (i < line.n && line.p[i] > 32 && line.p[i] < 127 && line.p[i] != ':')
		i++;
	struct span name = span_slice(line, 0, i);
	while (i < line.n && ascii_isblank(line.p[i]))
		i++;
	if (i == line.n || line.p[i] != ':')
		return SPAN("");
	*colon = i;
	return name;
}

bool header_next(struct span *rest, struct header_field *f)
{
	size_t n = line_length(*rest), colon = 0;
	if (!n)
		return false;
	if (is_blank_line(span_slice(*rest, 0, n))) {
		*rest = span_from(*rest, n);
		return false;
	}
	f->name = field_name(span_slice(*rest, 0, n), &colon);
	while (n < rest->n && ascii_isblank(rest->p[n]))
		n += line_length(span_from(*rest, n));
	f->raw = span_slice(*rest, 0, n);
	f->value = without_eol(f->name.n ? span_from(f->raw, colon + 1) : f->raw);
	*rest = span_from(*rest, n);
	return true;
}

/* header_next within the limits of a whole header; start is where it began. */
static bool next_within_limits(struct span start, struct span *rest, struct header_field *f, size_t *fields)
{
	if (start.n - rest->n >= LIMIT_HEADER_BYTES || *fields >= LIMIT_HEADER_FIELDS)
		return false;
	++*fields;
	return header_next(rest, f);
}

struct span header_of(struct span msg, struct span *body)
{
	struct span rest = msg;
	struct header_field f;
	size_t fields = 0;
	while (next_within_limits(msg, &rest, &f, &fields))
		continue;
	if (body)
		*body = rest;
	return span_slice(msg, 0, msg.n - rest.n);
}

bool header_find_nth(struct span msg, const char *name, size_t n, struct header_field *f)
{
	struct span rest = msg;
	size_t fields = 0;
	while (next_within_limits(msg, &rest, f, &fields))
		if (span_ieqs(f->name, name) && n-- == 0)
			return true;
	return false;
}

bool header_find(struct span msg, const char *name, struct header_field *f)
{
	return header_find_nth(msg, name, 0, f);
}

size_t header_count(struct span msg, const char *name)
{
	struct span rest = msg;
	struct header_field f;
	size_t fields = 0, found = 0;
	while (next_within_limits(msg, &rest, &f, &fields))
		found += span_ieqs(f.name, name);
	return found;
}

void header_unfold(struct span value, struct buf *out)
{
	value = span_trim(value);
	while (value.n) {
		struct span line = span_cut(&value, '\n');
		if (value.n && line.n && line.p[line.n - 1] == '\r')
			line.n--;
		/* A CR that ends no line would end one for somebody: it becomes a blank. */
		while (line.n) {
			size_t before = line.n;
			struct span piece = span_cut(&line, '\r');
			buf_addspan(out, piece);
			if (piece.n < before)
				buf_addc(out, ' ');
		}
	}
}

/* The next word of *rest with the blanks before it; line ends count as blanks. */
static struct span next_segment(struct span *rest, size_t *blanks)
{
	size_t i = 0;
	while (i < rest->n && (ascii_isblank(rest->p[i]) || rest->p[i] == '\r' || rest->p[i] == '\n'))
		i++;
	*blanks = i;
	while (i < rest->n && !(ascii_isblank(rest->p[i]) || rest->p[i] == '\r' || rest->p[i] == '\n'))
		i++;
	struct span s = span_slice(*rest, 0, i);
	*rest = span_from(*rest, i);
	return s;
}

static size_t add_blanks(struct span s, struct buf *out)
{
	size_t added = 0;
	for (size_t i = 0; i < s.n; i++)
		if (ascii_isblank(s.p[i])) {
			buf_addc(out, s.p[i]);
			added++;
		}
	if (!added)
		buf_addc(out, ' ');
	return added ? added : 1;
}

void header_fold(const char *name, struct span value, const char *eol, struct buf *out)
{
	size_t column = strlen(name) + 1, blanks;
	struct span rest = span_trim(value);
	buf_adds(out, name);
	buf_addc(out, ':');
	/* The first word stays on the name's line: a line with nothing but the name confuses some readers. */
	for (bool first = true; rest.n; first = false) {
		struct span s = next_segment(&rest, &blanks);
		if (!first && column + s.n > FOLD_COLUMNS) {
			buf_adds(out, eol);
			column = 0;
		}
		column += add_blanks(span_slice(s, 0, blanks), out) + s.n - blanks;
		buf_addspan(out, span_from(s, blanks));
	}
	buf_adds(out, eol);
}

size_t header_comment_length(struct span s)
{
	size_t depth = 0;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\\')
			i++;
		else if (s.p[i] == '(')
			depth++;
		else if (s.p[i] == ')' && --depth == 0)
			return i + 1;
	}
	return s.n;
}

struct span header_skip_cfws(struct span s)
{
	while (s.n && (ascii_isblank(s.p[0]) || s.p[0] == '\r' || s.p[0] == '\n' || s.p[0] == '('))
		s = span_from(s, s.p[0] == '(' ? header_comment_length(s) : 1);
	return s;
}
