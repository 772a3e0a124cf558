/* SPDX-License-Identifier: ISC
 *
 * HTML reduced to text: one pass over tags and characters, each consumed once. Nothing is fetched, run or styled; links
 * become numbers whose addresses stand at the end, so that what a link says and where it leads are both seen.
 */
#include <stdlib.h>

#include "base/xalloc.h"
#include "mua-read/entity.h"
#include "mua-read/flow.h"

enum {
	LINKS_MAX = 1000 /* that get a number */
};

enum kind {
	TAG_OTHER,
	TAG_BLOCK, /* begins and ends a line */
	TAG_PARA,  /* with a blank line around it */
	TAG_BR,
	TAG_HR,
	TAG_ITEM,
	TAG_CELL,
	TAG_QUOTE,
	TAG_PRE,
	TAG_SKIP, /* its content is no text */
	TAG_LINK,
	TAG_IMAGE
};

struct tag {
	enum kind kind;
	bool close;
	struct span name, attributes;
};

struct html {
	struct span rest;
	struct buf *out;
	size_t width, quotes, pre;
	struct buf line; /* the paragraph so far */
	bool blank;      /* a blank is due before the next character */
	bool gap;        /* a blank line is due before the next paragraph */
	bool started;
	struct span href;
	size_t link_start; /* where the open link's text begins in line */
	struct span links[LINKS_MAX];
	size_t n_links;
};

static enum kind kind_of(struct span name)
{
	static const struct {
		const char *name;
		enum kind kind;
	} tags[] = { { "p", TAG_PARA }, { "div", TAG_BLOCK }, { "br", TAG_BR }, { "hr", TAG_HR }, { "li", TAG_ITEM },
		{ "td", TAG_CELL }, { "th", TAG_CELL }, { "tr", TAG_BLOCK }, { "table", TAG_BLOCK }, { "ul", TAG_PARA },
		{ "ol", TAG_PARA }, { "dl", TAG_PARA }, { "dt", TAG_BLOCK }, { "dd", TAG_BLOCK }, { "h1", TAG_PARA },
		{ "h2", TAG_PARA }, { "h3", TAG_PARA }, { "h4", TAG_PARA }, { "h5", TAG_PARA }, { "h6", TAG_PARA },
		{ "blockquote", TAG_QUOTE }, { "pre", TAG_PRE }, { "script", TAG_SKIP }, { "style", TAG_SKIP },
		{ "title", TAG_SKIP }, { "template", TAG_SKIP }, { "a", TAG_LINK }, { "img", TAG_IMAGE },
		{ "section", TAG_BLOCK }, { "article", TAG_BLOCK }, { "header", TAG_BLOCK }, { "footer", TAG_BLOCK },
		{ "center", TAG_BLOCK }, { "form", TAG_BLOCK }, { "address", TAG_BLOCK }, { "body", TAG_BLOCK } };
	for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
		if (span_ieqs(name, tags[i].name))
			return tags[i].kind;
	return TAG_OTHER;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

/* Ends the paragraph. */
static void flush(struct html *h)
{
	struct span s = buf_span(&h->line);
	if (!h->pre)
		s = span_trim(s);
	if (s.n) {
		if (h->gap && h->started)
			buf_addc(h->out, '\n');
		flow_paragraph(s, h->quotes, h->pre ? 0 : h->width, h->out);
		h->gap = false;
		h->started = true;
	}
	buf_reset(&h->line);
	h->blank = false;
	h->link_start = 0;
}

static void add_text(struct html *h, struct span s)
{
	if (h->blank && h->line.len)
		buf_addc(&h->line, ' ');
	h->blank = false;
	buf_addspan(&h->line, s);
}

static void add_space(struct html *h, char c)
{
	if (!h->pre) {
		h->blank = true;
	} else if (c == '\n') {
		if (!h->line.len)
			buf_addc(&h->line, ' ');
		flush(h);
	} else if (c != '\r') {
		buf_addc(&h->line, c);
	}
}

/* An attribute's value as written, "" when absent. */
static struct span attribute(struct span s, const char *wanted)
{
	while (s.n) {
		size_t n = 0;
		while (n < s.n && !is_space(s.p[n]) && s.p[n] != '=' && s.p[n] != '/')
			n++;
		struct span name = span_slice(s, 0, n), value = SPAN("");
		s = span_from(s, n ? n : 1);
		if (!name.n)
			continue;
		while (s.n && is_space(s.p[0]))
			s = span_from(s, 1);
		if (s.n && s.p[0] == '=') {
			s = span_trim(span_from(s, 1));
			if (s.n && (s.p[0] == '"' || s.p[0] == '\'')) {
				char quote = s.p[0];
				s = span_from(s, 1);
				value = span_cut(&s, quote);
			} else {
				value = span_word(&s);
			}
		}
		if (span_ieqs(name, wanted))
			return value;
	}
	return SPAN("");
}

/* Where the tag that begins at s ends: behind its '>', quotes respected; s.n when it is never closed. */
static size_t tag_length(struct span s)
{
	char quote = 0;
	for (size_t i = 1; i < s.n; i++) {
		if (quote)
			quote = s.p[i] == quote ? 0 : quote;
		else if ((s.p[i] == '"' || s.p[i] == '\'') && s.p[i - 1] == '=')
			quote = s.p[i];
		else if (s.p[i] == '>')
			return i + 1;
	}
	return s.n;
}

static void skip_content(struct html *h, struct span name)
{
	char end[16] = "</";
	for (size_t i = 0; i < name.n && i + 3 < sizeof end; i++)
		end[i + 2] = name.p[i];
	ptrdiff_t at = span_ifind(h->rest, span_str(end));
	h->rest = span_from(h->rest, at < 0 ? h->rest.n : (size_t)at);
}

/* "mailto:" shows what the text says already; other schemes are no place to go to. */
static bool worth_showing(struct span url, struct span text)
{
	if (!span_istarts(url, "http://") && !span_istarts(url, "https://") && !span_istarts(url, "ftp://"))
		return false;
	return !span_eq(url, text);
}

static void end_link(struct html *h)
{
	struct buf url;
	buf_init(&url, 4 * h->href.n + 16);
	entity_decode(span_trim(h->href), &url);
	struct span text = span_trim(span_from(buf_span(&h->line), h->link_start));
	if (text.n && worth_showing(buf_span(&url), text) && h->n_links < LINKS_MAX) {
		h->links[h->n_links++] = h->href;
		buf_addf(&h->line, "[%zu]", h->n_links);
	}
	h->href = SPAN("");
	buf_free(&url);
}

static void add_image(struct html *h, struct span attributes)
{
	struct span alt = span_trim(attribute(attributes, "alt"));
	if (!alt.n)
		return;
	struct buf text;
	buf_init(&text, 4 * alt.n + 16);
	buf_addc(&text, '[');
	entity_decode(alt, &text);
	buf_addc(&text, ']');
	add_text(h, buf_span(&text));
	buf_free(&text);
}

static void block(struct html *h, bool gap)
{
	flush(h);
	h->gap |= gap;
}

static void quote(struct html *h, bool close)
{
	block(h, true);
	if (!close)
		h->quotes++;
	else if (h->quotes)
		h->quotes--;
}

static void preformatted(struct html *h, bool close)
{
	block(h, true);
	if (!close)
		h->pre++;
	else if (h->pre)
		h->pre--;
}

static void act(struct html *h, const struct tag *t)
{
	switch (t->kind) {
	case TAG_OTHER:
		break;
	case TAG_BLOCK:
	case TAG_PARA:
		block(h, t->kind == TAG_PARA);
		break;
	case TAG_BR:
		/* An empty line of its own is wanted by the second of two. */
		if (!h->line.len)
			h->gap = true;
		flush(h);
		break;
	case TAG_HR:
		flush(h);
		add_text(h, SPAN("----------"));
		flush(h);
		break;
	case TAG_ITEM:
		flush(h);
		if (!t->close)
			add_text(h, SPAN("* "));
		break;
	case TAG_CELL:
		h->blank = true;
		break;
	case TAG_QUOTE:
		quote(h, t->close);
		break;
	case TAG_PRE:
		preformatted(h, t->close);
		break;
	case TAG_SKIP:
		if (!t->close)
			skip_content(h, t->name);
		break;
	case TAG_LINK:
		if (h->href.n)
			end_link(h);
		if (!t->close)
			h->href = attribute(t->attributes, "href");
		h->link_start = h->line.len;
		break;
	case TAG_IMAGE:
		add_image(h, t->attributes);
		break;
	}
}

/* h->rest begins with '<'. */
static void read_tag(struct html *h)
{
	struct span s = h->rest;
	if (span_starts(s, "<!--")) {
		ptrdiff_t end = span_find(s, SPAN("-->"));
		h->rest = span_from(s, end < 0 ? s.n : (size_t)end + 3);
		return;
	}
	size_t at = s.n > 1 && s.p[1] == '/' ? 2 : 1, n = at;
	while (n < s.n && (n > at ? ascii_isalnum(s.p[n]) : ascii_isalpha(s.p[n])))
		n++;
	bool declaration = s.n > 1 && (s.p[1] == '!' || s.p[1] == '?');
	if (n == at && !declaration) {
		add_text(h, SPAN("<"));
		h->rest = span_from(s, 1);
		return;
	}
	size_t length = tag_length(s), end = length && s.p[length - 1] == '>' ? length - 1 : length;
	struct tag t = { .close = at == 2, .name = span_slice(s, at, n), .attributes = span_slice(s, n, end) };
	t.kind = kind_of(t.name);
	h->rest = span_from(s, length);
	act(h, &t);
}

static void read_entity(struct html *h)
{
	struct buf text;
	buf_init(&text, 16);
	size_t n = entity_one(h->rest, &text);
	h->rest = span_from(h->rest, n ? n : 1);
	if (!n)
		buf_addc(&text, '&');
	add_text(h, buf_span(&text));
	buf_free(&text);
}

static void list_links(struct html *h)
{
	struct buf url;
	buf_init(&url, 1u << 24);
	if (h->n_links)
		buf_addc(h->out, '\n');
	for (size_t i = 0; i < h->n_links; i++) {
		buf_reset(&url);
		entity_decode(span_trim(h->links[i]), &url);
		buf_addf(h->out, "[%zu] ", i + 1);
		buf_addspan(h->out, buf_span(&url));
		buf_addc(h->out, '\n');
	}
	buf_free(&url);
}

static size_t plain_length(struct span s)
{
	size_t n = 0;
	while (n < s.n && s.p[n] != '<' && s.p[n] != '&' && !is_space(s.p[n]))
		n++;
	return n;
}

void flow_html(struct span html, size_t width, struct buf *out)
{
	struct html *h = xcalloc(1, sizeof *h);
	*h = (struct html){ .rest = html, .out = out, .width = width, .href = SPAN("") };
	/* Text is never longer than its source by more than "[1000]" for a link and "* " for an item. */
	buf_init(&h->line, 4 * html.n + 64);
	while (h->rest.n) {
		char c = h->rest.p[0];
		if (c == '<') {
			read_tag(h);
		} else if (c == '&') {
			read_entity(h);
		} else if (is_space(c)) {
			add_space(h, c);
			h->rest = span_from(h->rest, 1);
		} else {
			size_t n = plain_length(h->rest);
			add_text(h, span_slice(h->rest, 0, n));
			h->rest = span_from(h->rest, n);
		}
	}
	if (h->href.n)
		end_link(h);
	flush(h);
	list_links(h);
	buf_free(&h->line);
	free(h);
}
