/* SPDX-License-Identifier: ISC */
#include "mta-relay/content/content_edit.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/xalloc.h"

enum {
	ABOVE_MAX = CONTENT_PREFIX / 2
};

static void put(struct content_edit *e, size_t i, struct span raw)
{
	if (e->n == e->cap) {
		e->cap = e->cap ? e->cap * 2 : 64;
		e->field = xrealloc(e->field, e->cap * sizeof *e->field);
	}
	if (i > e->n)
		i = e->n;
	memmove(e->field + i + 1, e->field + i, (e->n - i) * sizeof *e->field);
	e->field[i] = raw;
	e->n++;
}

/* The fields that stand in memory; false when there are too many, or the header does not end there. */
static bool split(struct content_edit *e)
{
	struct span all = buf_span(&e->c->mem), rest = all;
	struct header_field h;
	size_t header = 0;
	while (header_next(&rest, &h)) {
		if (!e->n && !h.name.n) {
			e->body = all; /* no header: it was all body from the first line on */
			return true;
		}
		if (e->n == LIMIT_HEADER_FIELDS)
			return false;
		put(e, e->n, h.raw);
		header += h.raw.n;
	}
	e->blank = all.n - rest.n > header;
	e->body = rest;
	return e->blank || e->c->fd < 0;
}

int content_edit_begin(struct content_edit *e, struct content *c, struct arena *a, struct err *err)
{
	*e = (struct content_edit){ .c = c, .arena = a };
	buf_init(&e->above, ABOVE_MAX);
	if (split(e))
		return 0;
	content_edit_end(e);
	return err_set(err, ERR_LIMIT, "the header is too long");
}

void content_edit_end(struct content_edit *e)
{
	if (e->new) {
		content_free(e->new);
		free(e->new);
	}
	e->new = NULL;
	buf_free(&e->above);
	buf_init(&e->above, ABOVE_MAX);
	free(e->field);
	e->field = NULL;
	e->n = e->cap = 0;
}

void content_edit_field(const struct content_edit *e, size_t i, struct header_field *f)
{
	struct span rest = e->field[i];
	header_next(&rest, f);
}

ptrdiff_t content_edit_find(const struct content_edit *e, struct span name, size_t nth)
{
	struct header_field f;
	for (size_t i = 0; i < e->n; i++) {
		content_edit_field(e, i, &f);
		if (f.name.n && span_ieq(f.name, name) && nth-- == 0)
			return (ptrdiff_t)i;
	}
	return -1;
}

/* RFC 5322 2.2: printable US-ASCII except ':'. */
static bool name_ok(struct span name)
{
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= 32 || name.p[i] >= 127 || name.p[i] == ':')
			return false;
	return name.n > 0;
}

/* A line of a value: without what ends lines, and never one that is empty or begins another field. */
static void add_line(struct buf *b, struct span line, bool first)
{
	if (!first && !span_trim(line).n)
		return;
	if (!first)
		buf_adds(b, "\r\n");
	if (!first && !ascii_isblank(line.p[0]))
		buf_addc(b, '\t');
	for (size_t i = 0; i < line.n; i++)
		if (line.p[i] && line.p[i] != '\r')
			buf_addc(b, line.p[i]);
}

/* The whole field in the arena. */
static int make(
    struct content_edit *e, struct span name, struct span value, bool exact, struct span *out, struct err *err)
{
	struct buf b;
	buf_init(&b, LIMIT_HEADER_FIELD);
	if (!name_ok(name))
		return err_set(err, ERR_DATA, "a field's name is none");
	buf_addspan(&b, name);
	buf_adds(&b, exact ? ":" : ": ");
	for (bool first = true; first || value.n; first = false)
		add_line(&b, span_cut(&value, '\n'), first);
	buf_adds(&b, "\r\n");
	e->added += b.len;
	bool fits = !b.bad && e->added <= LIMIT_HEADER_BYTES;
	if (fits)
		*out = arena_span(e->arena, buf_span(&b));
	buf_free(&b);
	return fits ? 0 : err_set(err, ERR_LIMIT, "too much is added to the header");
}

int content_edit_insert(
    struct content_edit *e, size_t i, struct span name, struct span value, bool exact, struct err *err)
{
	struct span raw;
	if (make(e, name, value, exact, &raw, err) < 0)
		return -1;
	put(e, i, raw);
	return 0;
}

int content_edit_change(
    struct content_edit *e, size_t i, struct span name, struct span value, bool exact, struct err *err)
{
	struct span raw;
	if (make(e, name, value, exact, &raw, err) < 0)
		return -1;
	e->field[i] = raw;
	return 0;
}

void content_edit_delete(struct content_edit *e, size_t i)
{
	e->n--;
	memmove(e->field + i, e->field + i + 1, (e->n - i) * sizeof *e->field);
}

int content_edit_above(struct content_edit *e, struct span name, struct span value, bool exact, struct err *err)
{
	struct span raw;
	if (make(e, name, value, exact, &raw, err) < 0)
		return -1;
	struct span old = arena_span(e->arena, buf_span(&e->above));
	buf_reset(&e->above);
	buf_addspan(&e->above, raw);
	buf_addspan(&e->above, old);
	return e->above.bad ? err_set(err, ERR_LIMIT, "too much is added to the header") : 0;
}

int content_text_end(struct content_text *t)
{
	if (!t->mid_line)
		return 0;
	t->mid_line = false;
	return content_add(t->to, SPAN("\r\n"));
}

/* What stands between pieces of text. */
static int special(struct content_text *t, char c)
{
	bool ends = c && !(c == '\n' && t->after_cr);
	t->after_cr = c == '\r';
	t->mid_line |= ends; /* an empty line has an end as well */
	return ends ? content_text_end(t) : 0;
}

int content_text_add(struct content_text *t, struct span piece)
{
	size_t from = 0;
	int rc = 0;
	for (size_t i = 0; i < piece.n && rc == 0; i++) {
		char c = piece.p[i];
		if (c != '\n' && c != '\r' && c) {
			t->mid_line = true;
			t->after_cr = false;
			continue;
		}
		if (i > from)
			rc = content_add(t->to, span_slice(piece, from, i));
		from = i + 1;
		rc = rc < 0 ? rc : special(t, c);
	}
	if (rc == 0 && from < piece.n)
		rc = content_add(t->to, span_from(piece, from));
	return rc;
}

int content_edit_body(struct content_edit *e, struct span piece, struct err *err)
{
	if (!e->new) {
		e->new = xcalloc(1, sizeof *e->new);
		content_init(e->new);
		e->text = (struct content_text){ .to = e->new };
	}
	if (content_text_add(&e->text, piece) == 0)
		return 0;
	if (err)
		*err = e->new->err;
	return -1;
}

void content_edit_rewind(struct content_edit *e)
{
	e->reading = false;
}

int content_edit_read(struct content_edit *e, struct span *out, struct err *err)
{
	struct content *c = e->c;
	if (!e->reading) {
		content_rewind(c);
		c->stage = CONTENT_READ_FILE;
		e->reading = true;
		*out = e->body;
		if (out->n)
			return 1;
	}
	return content_read(c, out, err);
}

/* Header and the body's part that is in memory. */
static void build(const struct content_edit *e, struct span body, bool more, struct buf *out)
{
	buf_init(out, CONTENT_MEMORY + 2 * LIMIT_HEADER_BYTES + 2);
	for (size_t i = 0; i < e->n; i++) {
		buf_addspan(out, e->field[i]);
		if (!span_ends(e->field[i], "\n"))
			buf_adds(out, "\r\n");
	}
	if (e->blank || body.n || more || !e->n)
		buf_adds(out, "\r\n");
	buf_addspan(out, body);
}

int content_edit_commit(struct content_edit *e, struct err *err)
{
	struct content *c = e->c;
	struct buf mem;
	if (e->new &&content_text_end(&e->text) < 0) {
		*err = e->new->err;
		content_edit_end(e);
		return -1;
	}
	struct span body = e->new ? buf_span(&e->new->mem) : e->body;
	build(e, body, (e->new ? e->new->fd : c->fd) >= 0, &mem);
	if (mem.bad || c->above.len + e->above.len > ABOVE_MAX) {
		buf_free(&mem);
		content_edit_end(e);
		return err_set(err, ERR_LIMIT, "the message is too long");
	}
	if (e->new)
		content_take_file(c, e->new);
	buf_free(&c->mem);
	c->mem = mem;
	content_put_above(c, buf_span(&e->above));
	content_rewind(c);
	content_edit_end(e);
	return 0;
}
