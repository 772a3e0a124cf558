/* SPDX-License-Identifier: ISC */
#include "imap/bodystructure.h"

#include "imap/envelope.h"
#include "imap/format.h"

struct writer {
	struct arena *arena;
	struct buf *out;
	bool extended;
};

/* Octets with CRLF line ends, of content that is stored with LF, CRLF or both. */
static size_t octets(struct span s)
{
	size_t n = s.n;
	const char *p = s.p, *end = s.p + s.n;
	while (p < end && (p = memchr(p, '\n', (size_t)(end - p)))) {
		n += p == s.p || p[-1] != '\r';
		p++;
	}
	return n;
}

static bool is_ascii(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] & 0x80)
			return false;
	return true;
}

/* RFC 2231 extended value: what clients undo again to get at the text. */
static void add_percent(struct buf *out, struct span value)
{
	buf_adds(out, "\"utf-8''");
	for (size_t i = 0; i < value.n; i++) {
		unsigned char c = (unsigned char)value.p[i];
		if (ascii_isalnum((char)c) || c == '.' || c == '-' || c == '_')
			buf_addc(out, (char)c);
		else
			buf_addf(out, "%%%02X", c);
	}
	buf_addc(out, '"');
}

static void add_param(struct buf *out, const struct mime_param *p)
{
	/* Continuations come joined. What was percent-encoded is so again; what was written as it is stays so. */
	if (is_ascii(p->value) || !is_ascii(p->raw)) {
		imap_add_string(out, p->name, false);
		buf_addc(out, ' ');
		imap_add_string(out, is_ascii(p->value) ? p->value : p->raw, false);
		return;
	}
	buf_addf(out, "\"%.*s*\" ", SPAN_FMT(p->name));
	add_percent(out, p->value);
}

static void add_params(struct buf *out, const struct mime_params *params)
{
	if (!params->n) {
		buf_adds(out, "NIL");
		return;
	}
	for (size_t i = 0; i < params->n; i++) {
		buf_addc(out, i ? ' ' : '(');
		add_param(out, &params->v[i]);
	}
	buf_addc(out, ')');
}

static void add_languages(struct buf *out, struct span value)
{
	if (span_chr(value, ',') < 0) {
		imap_add_nstring(out, value);
		return;
	}
	const char *sep = "(";
	while (value.n) {
		buf_adds(out, sep);
		imap_add_string(out, span_trim(span_cut(&value, ',')), false);
		sep = " ";
	}
	buf_addc(out, ')');
}

/* disposition, language, location: the end of both kinds' extension data. */
static void add_extension(struct writer *w, const struct mime_part *p)
{
	buf_addc(w->out, ' ');
	if (p->disposition.n) {
		buf_addc(w->out, '(');
		imap_add_string(w->out, p->disposition, false);
		buf_addc(w->out, ' ');
		add_params(w->out, &p->disposition_params);
		buf_addc(w->out, ')');
	} else {
		buf_adds(w->out, "NIL");
	}
	buf_addc(w->out, ' ');
	add_languages(w->out, p->language);
	buf_addc(w->out, ' ');
	imap_add_nstring(w->out, p->location);
}

static void add_one(struct writer *w, const struct mime_part *p)
{
	struct buf *out = w->out;
	bool text = span_eqs(p->type, "text");
	buf_addc(out, '(');
	imap_add_string(out, p->type, false);
	buf_addc(out, ' ');
	imap_add_string(out, p->subtype, false);
	buf_addc(out, ' ');
	/* RFC 2045 5.2 */
	if (text && span_eqs(p->subtype, "plain") && !p->params.n)
		buf_adds(out, "(\"charset\" \"us-ascii\")");
	else
		add_params(out, &p->params);
	buf_addc(out, ' ');
	imap_add_nstring(out, p->id);
	buf_addc(out, ' ');
	imap_add_nstring(out, p->description);
	buf_addc(out, ' ');
	imap_add_string(out, p->encoding.n ? p->encoding : SPAN("7bit"), false);
	buf_addf(out, " %zu", octets(p->body));
	/* The embedded message's envelope; its structure follows, put by the walk. */
	if (p->kind == MIME_MESSAGE && p->children) {
		buf_addc(out, ' ');
		imap_envelope(w->arena, p->children->header, out);
		buf_addc(out, ' ');
	} else if (text) {
		buf_addf(out, " %zu", p->lines);
	}
}

/* What stands before a part's children, and after them. */
static void open_part(struct writer *w, const struct mime_part *p)
{
	if (p->kind == MIME_MULTIPART)
		buf_addc(w->out, '(');
	else
		add_one(w, p);
}

static void close_part(struct writer *w, const struct mime_part *p)
{
	struct buf *out = w->out;
	if (p->kind == MIME_MULTIPART) {
		/* The grammar asks for one part at least. */
		if (!p->children)
			buf_adds(out, "(\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0)");
		buf_addc(out, ' ');
		imap_add_string(out, p->subtype, false);
		if (w->extended) {
			buf_addc(out, ' ');
			add_params(out, &p->params);
		}
	} else {
		if (p->kind == MIME_MESSAGE && p->children)
			buf_addf(out, " %zu", p->lines);
		if (w->extended) {
			buf_addc(out, ' ');
			imap_add_nstring(out, p->md5);
		}
	}
	if (w->extended)
		add_extension(w, p);
	buf_addc(out, ')');
}

void imap_bodystructure(struct arena *a, const struct mime_part *root, bool extended, struct buf *out)
{
	struct writer w = { a, out, extended };
	const struct mime_part *p = root;
	for (;;) {
		open_part(&w, p);
		if (p->children) {
			p = p->children;
			continue;
		}
		close_part(&w, p);
		while (p != root && !p->next) {
			p = p->parent;
			close_part(&w, p);
		}
		if (p == root)
			return;
		p = p->next;
	}
}
