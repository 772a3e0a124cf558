/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <stdio.h>

#include "io/trace.h"
#include "msg/addr.h"
#include "msg/encword.h"
#include "msg/header.h"
#include "mua-read/flow.h"
#include "mua-read/mua.h"
#include "mua-read/part.h"

enum {
	PIPE_WIDTH = 78 /* of flowed text and HTML where no terminal says how wide it is */
};

struct shower {
	const struct term *term;
	struct arena *arena;
	bool all_fields;
};

static void put_line(const struct shower *s, const char *name, struct span text)
{
	term_puts(s->term, name);
	term_puts(s->term, ": ");
	term_text(s->term, text);
	putc('\n', s->term->out);
}

static void put_decoded(const struct shower *s, const char *name, struct span raw)
{
	struct buf text;
	buf_init(&text, 4 * raw.n + 16);
	encword_decode(raw, &text);
	put_line(s, name, buf_span(&text));
	buf_free(&text);
}

/* A display name in quotes when it holds what could be taken for an address. */
static void add_name(struct span name, struct buf *out)
{
	struct buf text;
	bool plain = true;
	buf_init(&text, 4 * name.n + 16);
	encword_decode(name, &text);
	for (size_t i = 0; i < text.len; i++)
		plain = plain && (text.p[i] == '.' || !strchr("()<>[]:;@\\,\"", text.p[i]));
	if (!plain)
		buf_addc(out, '"');
	for (size_t i = 0; i < text.len; i++) {
		if (text.p[i] == '"' || text.p[i] == '\\')
			buf_addc(out, '\\');
		buf_addc(out, text.p[i]);
	}
	if (!plain)
		buf_addc(out, '"');
	buf_free(&text);
}

static void add_address(const struct addr *a, struct buf *out)
{
	if (a->name.n) {
		add_name(a->name, out);
		buf_adds(out, " <");
	}
	if (a->local.n)
		addr_format(a, out);
	if (a->name.n)
		buf_addc(out, '>');
}

static void add_addresses(const struct addr_list *list, struct buf *out)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct addr *a = &list->v[i], *last = i ? a - 1 : NULL;
		bool same_group = last && last->group.p == a->group.p && last->group.n == a->group.n;
		if (last && last->group.n && !same_group)
			buf_addc(out, ';');
		if (last)
			buf_adds(out, last->group.n && !same_group ? " " : ", ");
		if (a->group.n && !same_group) {
			add_name(a->group, out);
			buf_adds(out, ": ");
		}
		add_address(a, out);
		if (a->group.n && i + 1 == list->n)
			buf_addc(out, ';');
	}
}

/* Addresses one by one, so that no encoded name can pose as another address; as written when not all is understood. */
static void put_addresses(const struct shower *s, const char *name, struct span raw)
{
	struct addr_list list;
	struct buf text;
	addr_parse_list(s->arena, raw, &list);
	if (list.skipped) {
		put_decoded(s, name, raw);
		return;
	}
	buf_init(&text, 16 * raw.n + 64);
	add_addresses(&list, &text);
	put_line(s, name, buf_span(&text));
	buf_free(&text);
}

static void put_usual(const struct shower *s, struct span msg)
{
	static const struct {
		const char *name;
		bool addresses;
	} fields[] = { { "From", true }, { "Reply-To", true }, { "To", true }, { "Cc", true }, { "Date", false },
		{ "Subject", false } };
	struct header_field f;
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		for (size_t k = 0; header_find_nth(msg, fields[i].name, k, &f) && k < 2; k++) {
			if (fields[i].addresses)
				put_addresses(s, fields[i].name, f.value);
			else
				put_decoded(s, fields[i].name, f.value);
		}
}

static void put_header(const struct shower *s, struct span msg)
{
	struct header_field f;
	if (!s->all_fields) {
		put_usual(s, msg);
		return;
	}
	for (struct span rest = msg; header_next(&rest, &f);) {
		if (f.name.n) {
			term_text(s->term, f.name);
			put_decoded(s, "", f.value);
		} else {
			term_text(s->term, f.value);
			putc('\n', s->term->out);
		}
	}
}

static void put_text(const struct shower *s, const struct mime_part *p)
{
	struct buf text, lines, safe;
	struct span v;
	size_t width = s->term->width ? s->term->width : PIPE_WIDTH;
	buf_init(&text, 4 * p->body.n + 16);
	buf_init(&lines, SIZE_MAX / 4);
	buf_init(&safe, SIZE_MAX / 4);
	mime_content(p, true, &text);
	bool flowed = mime_param(&p->params, "format", &v) && span_ieqs(v, "flowed");
	bool delsp = mime_param(&p->params, "delsp", &v) && span_ieqs(v, "yes");
	if (span_eqs(p->subtype, "html"))
		flow_html(buf_span(&text), width, &lines);
	else if (flowed)
		flow_flowed(buf_span(&text), delsp, width, &lines);
	else
		flow_fixed(buf_span(&text), s->term->width, &lines);
	term_safe(buf_span(&lines), true, &safe);
	term_put(s->term, buf_span(&safe));
	buf_free(&text);
	buf_free(&lines);
	buf_free(&safe);
}

static void put_size(FILE *out, size_t n)
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB" };
	double v = (double)n;
	size_t unit = 0;
	for (; v >= 1024 && unit < 3; unit++)
		v /= 1024;
	fprintf(out, unit ? "%.1f %s" : "%.0f %s", v, units[unit]);
}

/* "[2: application/pdf, name.pdf, 12.3 KiB]" */
static void list_part(const struct shower *s, const struct mime_part *p)
{
	struct buf name, content;
	buf_init(&name, 1u << 22);
	buf_init(&content, p->body.n + 16);
	putc('[', s->term->out);
	part_name(p, &name);
	term_put(s->term, buf_span(&name));
	term_puts(s->term, ": ");
	term_text(s->term, p->type);
	putc('/', s->term->out);
	term_text(s->term, p->subtype);
	buf_reset(&name);
	mime_filename(p, &name);
	if (name.len) {
		term_puts(s->term, ", ");
		term_text(s->term, buf_span(&name));
	}
	term_puts(s->term, ", ");
	mime_content(p, false, &content);
	put_size(s->term->out, content.len);
	term_puts(s->term, "]\n");
	buf_free(&name);
	buf_free(&content);
}

static bool is_text(const struct mime_part *p)
{
	/* A multipart without parts is shown as what it is then. */
	bool text = span_eqs(p->type, "text") || (span_eqs(p->type, "multipart") && !p->children);
	return text && (!span_eqs(p->disposition, "attachment") || !p->parent);
}

static void put_part(const struct shower *s, const struct mime_part *p);

/* One of the alternatives, and what is none of the texts: images that belong to the HTML. */
static void put_alternative(const struct shower *s, struct mime_part *p)
{
	const struct mime_part *best = mime_best_text(p);
	if (best)
		put_part(s, best);
	struct mime_part *end = p;
	while (end && !end->next)
		end = end->parent;
	end = end ? end->next : NULL;
	for (struct mime_part *c = p->children; c && c != end; c = mime_next(c))
		if (c->kind == MIME_LEAF && c != best && (!span_eqs(c->type, "text") || !best))
			list_part(s, c);
}

static void put_message(const struct shower *s, const struct mime_part *p)
{
	struct span inner = p->body;
	list_part(s, p);
	put_header(s, inner);
	putc('\n', s->term->out);
	put_part(s, p->children);
}

/* As deep as the tree at most: LIMIT_MIME_DEPTH. */
static void put_part(const struct shower *s, const struct mime_part *p)
{
	if (p->kind == MIME_MESSAGE) {
		put_message(s, p);
	} else if (p->kind == MIME_MULTIPART && span_eqs(p->subtype, "alternative")) {
		put_alternative(s, (struct mime_part *)p);
	} else if (p->children) {
		for (const struct mime_part *c = p->children; c; c = c->next)
			put_part(s, c);
	} else if (is_text(p)) {
		put_text(s, p);
	} else {
		list_part(s, p);
	}
}

static void trace_read(const struct mua *m, struct span msg, const char *done)
{
	struct header_field f;
	if (!trace_on())
		return;
	trace_mid(header_find(msg, "Message-ID", &f) ? span_trim(f.value) : SPAN(""));
	trace_why("read", "ok", NULL, "message %zu of %s was %s", m->number, m->where, done);
}

static int finish(struct err *err)
{
	return fflush(stdout) == EOF || ferror(stdout) ? err_sys(err, "standard output") : 0;
}

int command_show(struct mua *m, struct err *err)
{
	struct span msg;
	if (box_content(&m->box, m->number, &msg, err) < 0)
		return -1;
	if (m->options->raw) {
		fwrite(msg.p, 1, msg.n, stdout);
	} else {
		struct shower s = { .term = &m->term, .arena = arena_new(), .all_fields = m->options->headers };
		put_header(&s, msg);
		putc('\n', m->term.out);
		put_part(&s, mime_parse(s.arena, msg));
		arena_free(s.arena);
	}
	trace_read(m, msg, "shown");
	if (finish(err) < 0)
		return -1;
	return m->options->seen ? box_mark_seen(&m->box, m->number, err) : 0;
}

int command_export(struct mua *m, struct err *err)
{
	struct arena *a = arena_new();
	struct span msg;
	int rc = box_content(&m->box, m->number, &msg, err);
	const struct mime_part *p = rc == 0 ? part_find(mime_parse(a, msg), m->part) : NULL;
	if (rc == 0 && !p) {
		rc = err_set(err, ERR_DATA, "message %zu has no part '%s'", m->number, m->part);
		err->sys = ENOENT;
	}
	if (p) {
		struct buf content;
		buf_init(&content, p->body.n + 16);
		mime_content(p, false, &content);
		fwrite(content.p, 1, content.len, stdout);
		buf_free(&content);
		trace_read(m, msg, "exported in part");
		rc = finish(err);
	}
	arena_free(a);
	return rc;
}
