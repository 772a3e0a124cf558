/* SPDX-License-Identifier: ISC
 *
 * One pass over the message. The parts that are open form a stack, from the root to the current one; a line that begins
 * with "--" is held against the boundaries in it, and closes every part inside the one whose boundary it is. Depth and
 * boundary length are bounded, so the work per line is too.
 *
 * A delimiter is what RFC 2046 5.1.1's grammar says: "--", the boundary, perhaps "--", blanks, the line's end. Its
 * prose would let any line pass that begins so; then a boundary "a" would also end at its nested neighbour's "ab".
 */
#include "msg/mime.h"

#include "base/limits.h"
#include "msg/header.h"

struct open_part {
	struct mime_part *part, *last_child;
	struct span boundary; /* of a multipart whose parts are not all seen; else empty */
	size_t lines_before;  /* line ends of the message in front of its body */
};

struct parser {
	struct arena *arena;
	struct span msg;
	size_t at;    /* the next line's offset */
	size_t lines; /* line ends before it */
	struct open_part open[LIMIT_MIME_DEPTH + 1];
	size_t depth; /* how many are open; the last is the current one */
	size_t parts;
};

static struct open_part *current(struct parser *p)
{
	return &p->open[p->depth - 1];
}

static struct span next_line(const struct parser *p)
{
	struct span rest = span_from(p->msg, p->at);
	ptrdiff_t end = span_chr(rest, '\n');
	return end < 0 ? rest : span_slice(rest, 0, (size_t)end + 1);
}

static void take_line(struct parser *p, struct span line)
{
	p->at += line.n;
	p->lines += line.n && line.p[line.n - 1] == '\n';
}

/* Which open multipart's delimiter the line is: its place in the stack plus 1, 0 for none. */
static size_t find_delimiter(const struct parser *p, struct span line, bool *final)
{
	size_t found = 0, longest = 0;
	/* The rest of the message is a leaf when there are too many parts. */
	if (line.n < 3 || line.p[0] != '-' || line.p[1] != '-' || p->parts >= LIMIT_MIME_PARTS)
		return 0;
	line = span_from(line, 2);
	for (size_t i = p->depth; i > 0; i--) {
		struct span b = p->open[i - 1].boundary;
		if (b.n > longest && b.n <= line.n && memcmp(line.p, b.p, b.n) == 0) {
			found = i;
			longest = b.n;
		}
	}
	*final = span_starts(span_from(line, longest), "--");
	return found;
}

static struct span lower(struct arena *a, struct span s)
{
	char *p = arena_str(a, s);
	for (size_t i = 0; i < s.n; i++)
		p[i] = ascii_lower(p[i]);
	return span_of(p, s.n);
}

/* RFC 2045 5.1's token at the start of s. */
static struct span token(struct span s)
{
	size_t n = 0;
	while (n < s.n && s.p[n] > 32 && s.p[n] < 127 && !strchr("()<>@,;:\\\"/[]?=", s.p[n]))
		n++;
	return span_slice(s, 0, n);
}

static struct span boundary_of(const struct mime_part *part)
{
	struct span b;
	if (!mime_param(&part->params, "boundary", &b) || b.n > LIMIT_BOUNDARY)
		return SPAN("");
	/* RFC 2046 5.1.1: it does not end with a blank; a delimiter's are padding. */
	while (b.n && ascii_isblank(b.p[b.n - 1]))
		b.n--;
	return b;
}

/* "type/subtype"; what is none leaves the default (RFC 2045 5.2). */
static void read_type(struct parser *p, struct mime_part *part, struct span value)
{
	struct span first, type;
	mime_parse_params(p->arena, value, &first, &part->params);
	struct span subtype = lower(p->arena, first);
	type = span_trim(span_cut(&subtype, '/'));
	subtype = token(span_trim(subtype));
	if (!type.n || token(type).n != type.n || !subtype.n)
		return;
	part->type = type;
	part->subtype = subtype;
	/* From here on: its first delimiter may come before the blank line that should end this header. */
	if (span_eqs(type, "multipart") && p->depth <= LIMIT_MIME_DEPTH)
		current(p)->boundary = boundary_of(part);
}

static void read_encoding(struct parser *p, struct mime_part *part, struct span value)
{
	struct mime_params none;
	struct span first;
	mime_parse_params(p->arena, value, &first, &none);
	part->encoding = lower(p->arena, first);
	part->codec = codec_of(first);
}

static void read_disposition(struct parser *p, struct mime_part *part, struct span value)
{
	struct span first;
	mime_parse_params(p->arena, value, &first, &part->disposition_params);
	part->disposition = lower(p->arena, first);
}

enum seen {
	SEEN_TYPE = 1,
	SEEN_ENCODING = 2,
	SEEN_DISPOSITION = 4
};

/* The first of several fields of one name counts. */
static void read_field(struct parser *p, struct mime_part *part, const struct header_field *f, unsigned *seen)
{
	const struct {
		const char *name;
		struct span *slot;
	} plain[] = { { "Content-ID", &part->id }, { "Content-Description", &part->description },
		{ "Content-Language", &part->language }, { "Content-Location", &part->location },
		{ "Content-MD5", &part->md5 } };
	if (!span_istarts(f->name, "Content-"))
		return;
	if (span_ieqs(f->name, "Content-Type") && !(*seen & SEEN_TYPE)) {
		*seen |= SEEN_TYPE;
		read_type(p, part, f->value);
	} else if (span_ieqs(f->name, "Content-Transfer-Encoding") && !(*seen & SEEN_ENCODING)) {
		*seen |= SEEN_ENCODING;
		read_encoding(p, part, f->value);
	} else if (span_ieqs(f->name, "Content-Disposition") && !(*seen & SEEN_DISPOSITION)) {
		*seen |= SEEN_DISPOSITION;
		read_disposition(p, part, f->value);
	}
	for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
		if (span_ieqs(f->name, plain[i].name) && !plain[i].slot->n)
			*plain[i].slot = span_trim(f->value);
}

static size_t count_lines(struct span s)
{
	size_t n = 0;
	for (ptrdiff_t at; (at = span_chr(s, '\n')) >= 0; n++)
		s = span_from(s, (size_t)at + 1);
	return n;
}

/* A part that begins with something else than a field has no header at all: its writer forgot the blank line, and the
 * text would be lost. Only messages may begin with mbox's From_ line. */
static bool starts_with_text(const struct parser *p, const struct mime_part *part)
{
	struct span rest = span_from(p->msg, p->at);
	struct header_field f;
	if (!part->parent || !header_next(&rest, &f) || f.name.n)
		return false;
	bool from = span_starts(f.raw, "From ") || span_starts(f.raw, ">From ");
	return part->parent->kind == MIME_MULTIPART || !from;
}

/* The header ends at the blank line, or at a delimiter when its writer broke off. */
static void read_header(struct parser *p, struct mime_part *part)
{
	size_t start = p->at, fields = 0;
	struct span rest = span_from(p->msg, p->at);
	struct header_field f;
	unsigned seen = 0;
	bool more = !starts_with_text(p, part), final;
	while (more && p->at - start < LIMIT_HEADER_BYTES && fields++ < LIMIT_HEADER_FIELDS) {
		if (find_delimiter(p, next_line(p), &final))
			break;
		more = header_next(&rest, &f);
		if (more)
			read_field(p, part, &f, &seen);
		p->at = p->msg.n - rest.n;
	}
	part->header = span_slice(p->msg, start, p->at);
	p->lines += count_lines(part->header);
}

static struct mime_part *new_part(struct parser *p)
{
	struct mime_part *part = arena_alloc(p->arena, sizeof *part);
	struct span none = SPAN("");
	part->type = SPAN("text");
	part->subtype = SPAN("plain");
	part->disposition = part->encoding = none;
	part->id = part->description = part->language = part->location = part->md5 = none;
	part->header = part->body = none;
	p->parts++;
	return part;
}

static void add_child(struct open_part *o, struct mime_part *child)
{
	child->parent = o->part;
	child->depth = o->part->depth + 1;
	child->number = o->last_child ? o->last_child->number + 1 : 1;
	if (o->last_child)
		o->last_child->next = child;
	else
		o->part->children = child;
	o->last_child = child;
	/* RFC 2046 5.1.5 */
	if (o->part->kind == MIME_MULTIPART && span_eqs(o->part->subtype, "digest")) {
		child->type = SPAN("message");
		child->subtype = SPAN("rfc822");
	}
}

static bool is_message(const struct mime_part *part)
{
	/* RFC 2046 5.2.1 and RFC 6532 3.7; what is encoded is no part of the structure. */
	return span_eqs(part->type, "message") &&
	       (span_eqs(part->subtype, "rfc822") || span_eqs(part->subtype, "global")) &&
	       part->codec == CODEC_IDENTITY;
}

/* Reads the header that begins here, and those of the messages nested in it at once. */
static void begin_part(struct parser *p, struct mime_part *part)
{
	for (bool nested = true; nested;) {
		struct open_part *o = &p->open[p->depth++];
		*o = (struct open_part){ .part = part, .boundary = SPAN("") };
		read_header(p, part);
		part->body = span_slice(p->msg, p->at, p->at);
		o->lines_before = p->lines;
		bool room = p->depth <= LIMIT_MIME_DEPTH;
		if (o->boundary.n)
			part->kind = MIME_MULTIPART;
		nested = room && is_message(part) && p->parts < LIMIT_MIME_PARTS;
		if (!nested)
			break;
		part->kind = MIME_MESSAGE;
		part = new_part(p);
		add_child(o, part);
	}
}

/* Closes the parts above `depth`: their bodies end here, before the line end that belongs to the delimiter. */
static void close_parts(struct parser *p, size_t depth, bool at_delimiter)
{
	size_t end = p->at, lines = p->lines;
	if (at_delimiter && end && p->msg.p[end - 1] == '\n') {
		end--;
		lines--;
		if (end && p->msg.p[end - 1] == '\r')
			end--;
	}
	for (; p->depth > depth; p->depth--) {
		struct open_part *o = current(p);
		size_t start = (size_t)(o->part->body.p - p->msg.p);
		/* No body: the line end is the header's, and so it belongs to all that hold this part. */
		if (end < start) {
			end = start;
			lines = o->lines_before;
		}
		o->part->body = span_slice(p->msg, start, end);
		o->part->lines = lines - o->lines_before;
	}
}

struct mime_part *mime_parse(struct arena *a, struct span msg)
{
	struct parser p = { .arena = a, .msg = msg };
	struct mime_part *root = new_part(&p);
	begin_part(&p, root);
	while (p.at < msg.n) {
		struct span line = next_line(&p);
		bool final;
		size_t depth = find_delimiter(&p, line, &final);
		if (!depth) {
			take_line(&p, line);
			continue;
		}
		close_parts(&p, depth, true);
		take_line(&p, line);
		if (final) {
			current(&p)->boundary = SPAN(""); /* what follows is its epilogue */
			continue;
		}
		struct mime_part *part = new_part(&p);
		add_child(current(&p), part);
		begin_part(&p, part);
	}
	close_parts(&p, 0, false);
	return root;
}

struct mime_part *mime_next(struct mime_part *p)
{
	if (p->children)
		return p->children;
	while (p && !p->next)
		p = p->parent;
	return p ? p->next : NULL;
}
