/* SPDX-License-Identifier: ISC
 *
 * Where a section stands in a message (RFC 3501 6.4.5): part numbers down the MIME tree, then what of that part.
 */
#include <inttypes.h>

#include "imap/format.h"
#include "imap_fetch.h"
#include "msg/header.h"

struct mime_part *fetch_mime(struct fetch_message *m)
{
	if (!m->root)
		m->root = mime_parse(m->arena, m->content);
	return m->root;
}

static struct mime_part *nth_child(struct mime_part *p, uint32_t n)
{
	p = p->children;
	while (p && --n)
		p = p->next;
	return p;
}

/* Part numbers count children of a multipart. A message that is none has one part, 1, itself; a message/rfc822 part is
 * entered, and its own parts are counted. */
static struct mime_part *find_part(struct mime_part *p, const struct section *sec)
{
	bool message = true; /* p is a whole message, not a part of one */
	for (size_t i = 0; p && i < sec->depth; i++) {
		if (!message && p->kind == MIME_MESSAGE) {
			p = p->children;
			message = true;
		}
		if (p && p->kind == MIME_MULTIPART)
			p = nth_child(p, sec->path[i]);
		else if (!message || sec->path[i] != 1)
			p = NULL;
		message = false;
	}
	return p;
}

static bool named(const struct section *sec, struct span name)
{
	for (size_t i = 0; i < sec->fields.n; i++)
		if (span_ieq(sec->fields.v[i], name))
			return true;
	return false;
}

/* The fields asked for (or all others), and the blank line that ends a header. */
static struct span filter(struct span header, const struct section *sec, struct buf *out)
{
	struct header_field f;
	buf_reset(out);
	while (header_next(&header, &f))
		if (named(sec, f.name) == (sec->what == SECTION_FIELDS) && f.name.n)
			buf_addspan(out, f.raw);
	if (out->len && out->p[out->len - 1] != '\n')
		buf_addc(out, '\n');
	buf_addc(out, '\n');
	return buf_span(out);
}

static bool of_header(
    struct span header, struct span body, const struct section *sec, struct buf *fields, struct span *out)
{
	if (sec->what == SECTION_TEXT)
		*out = body;
	else if (sec->what == SECTION_HEADER)
		*out = header;
	else
		*out = filter(header, sec, fields);
	return !fields->bad;
}

static bool whole_message(
    const struct fetch_message *m, const struct section *sec, struct buf *fields, struct span *out)
{
	struct span body, header = header_of(m->content, &body);
	if (sec->what != SECTION_ALL)
		return of_header(header, body, sec, fields, out);
	*out = m->content;
	return true;
}

bool section_find(struct fetch_message *m, const struct section *sec, struct buf *fields, struct span *out)
{
	if (!sec->depth)
		return whole_message(m, sec, fields, out);
	struct mime_part *p = find_part(fetch_mime(m), sec);
	if (!p)
		return false;
	if (sec->what == SECTION_ALL)
		*out = p->body;
	else if (sec->what == SECTION_MIME)
		*out = p->header;
	/* HEADER and TEXT of a part exist only where the part is a message. */
	else if (p->kind == MIME_MESSAGE && p->children)
		return of_header(p->children->header, p->children->body, sec, fields, out);
	else
		return false;
	return true;
}

void section_label(const struct section *sec, struct buf *out)
{
	static const char *const names[] = { "", "HEADER", "HEADER.FIELDS", "HEADER.FIELDS.NOT", "TEXT", "MIME" };
	if (sec->label) {
		buf_adds(out, sec->label);
		return;
	}
	buf_adds(out, "BODY[");
	for (size_t i = 0; i < sec->depth; i++)
		buf_addf(out, "%s%" PRIu32, i ? "." : "", sec->path[i]);
	if (sec->depth && sec->what != SECTION_ALL)
		buf_addc(out, '.');
	buf_adds(out, names[sec->what]);
	for (size_t i = 0; i < sec->fields.n; i++) {
		buf_adds(out, i ? " " : " (");
		imap_add_string(out, sec->fields.v[i], true);
	}
	buf_adds(out, sec->fields.n ? ")]" : "]");
	if (sec->partial)
		buf_addf(out, "<%" PRIu32 ">", sec->from);
}
