/* SPDX-License-Identifier: ISC */
#include "mta-relay/hooks/milter_packet.h"

#include <stdio.h>

#include "smtp/reply.h"

size_t milter_begin(struct buf *b, char command)
{
	size_t at = b->len;
	buf_add(b, "\0\0\0", 4);
	buf_addc(b, command);
	return at;
}

void milter_number(struct buf *b, uint32_t n)
{
	const char p[4] = { (char)(n >> 24), (char)(n >> 16), (char)(n >> 8), (char)n };
	buf_add(b, p, 4);
}

void milter_text(struct buf *b, struct span s)
{
	while (s.n)
		buf_addspan(b, span_cut(&s, '\0'));
	buf_addc(b, '\0');
}

void milter_end(struct buf *b, size_t begun)
{
	size_t n = b->len - begun - 4;
	if (b->bad)
		return;
	for (size_t i = 0; i < 4; i++)
		b->p[begun + i] = (char)(n >> (24 - 8 * i));
}

static bool take_number(struct span *s, uint32_t *n)
{
	if (s->n < 4)
		return false;
	*n = 0;
	for (size_t i = 0; i < 4; i++)
		*n = *n << 8 | (unsigned char)s->p[i];
	*s = span_from(*s, 4);
	return true;
}

static bool take_text(struct span *s, struct span *out)
{
	if (span_chr(*s, '\0') < 0)
		return false;
	*out = span_cut(s, '\0');
	return true;
}

bool milter_head(const char head[MILTER_HEAD], char *what, size_t *data)
{
	struct span s = span_of(head, 4);
	uint32_t n = 0;
	take_number(&s, &n);
	*what = head[4];
	*data = n - 1;
	return n >= 1 && n - 1 <= MILTER_PACKET_MAX;
}

/* Parts of the data: u a number, s a text, o a text that may be absent, b all that is left. */
static const struct {
	enum milter_said what;
	const char *parts;
} shapes[] = {
	{ MILTER_ADD_RCPT, "s" },
	{ MILTER_DELETE_RCPT, "s" },
	{ MILTER_ADD_RCPT_ARGS, "so" },
	{ MILTER_SHUTDOWN, "" },
	{ MILTER_ACCEPT, "" },
	{ MILTER_REPLACE_BODY, "b" },
	{ MILTER_CONTINUE, "" },
	{ MILTER_DISCARD, "" },
	{ MILTER_CHANGE_FROM, "so" },
	{ MILTER_CONN_FAIL, "" },
	{ MILTER_ADD_HEADER, "ss" },
	{ MILTER_INSERT_HEADER, "uss" },
	{ MILTER_CHANGE_HEADER, "uss" },
	{ MILTER_PROGRESS, "" },
	{ MILTER_QUARANTINE, "s" },
	{ MILTER_REJECT, "" },
	{ MILTER_SKIP, "" },
	{ MILTER_TEMPFAIL, "" },
	{ MILTER_REPLY_CODE, "s" },
};

static bool take_parts(const char *parts, struct span data, struct milter_reply *r)
{
	struct span *next = &r->a;
	bool ok = true;
	for (; *parts && ok; parts++) {
		if (*parts == 'u') {
			ok = take_number(&data, &r->index);
		} else if (*parts == 'b') {
			*next = data;
			data = SPAN("");
		} else if (*parts == 's' || data.n) {
			ok = take_text(&data, next);
			next = &r->b;
		}
	}
	return ok && !data.n;
}

bool milter_reply_parse(char what, struct span data, struct milter_reply *r)
{
	*r = (struct milter_reply){ .a = SPAN(""), .b = SPAN("") };
	for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
		if ((char)shapes[i].what != what)
			continue;
		r->what = shapes[i].what;
		return take_parts(shapes[i].parts, data, r);
	}
	return false;
}

bool milter_wants_parse(struct span data, struct milter_wants *w)
{
	uint32_t stage;
	*w = (struct milter_wants){ 0 };
	if (!take_number(&data, &w->version) || !take_number(&data, &w->actions) || !take_number(&data, &w->steps))
		return false;
	while (data.n) {
		struct span list;
		if (!take_number(&data, &stage) || !take_text(&data, &list))
			return false;
		if (stage >= MILTER_STAGES)
			continue;
		w->listed[stage] = true;
		w->macros[stage] = list;
	}
	return true;
}

static struct span bare_name(struct span name)
{
	return span_starts(name, "{") && span_ends(name, "}") ? span_slice(name, 1, name.n - 1) : name;
}

bool milter_macro_listed(struct span list, const char *name)
{
	struct span wanted = bare_name(span_str(name));
	while (list.n) {
		size_t n = 0;
		while (n < list.n && !strchr(" \t,", list.p[n]))
			n++;
		if (n && span_eq(bare_name(span_slice(list, 0, n)), wanted))
			return true;
		list = span_from(list, n + 1);
	}
	return false;
}

/* The code and, where there is one, what separates it from more lines. */
static bool take_code(struct span *line, int *code)
{
	uint64_t n;
	if (!span_u64(span_slice(*line, 0, 3), 599, &n) || n < 400 || (*code && *code != (int)n))
		return false;
	if (line->n > 3 && line->p[3] != ' ' && line->p[3] != '-')
		return false;
	*code = (int)n;
	*line = span_from(*line, 4);
	return true;
}

static void add_reply_text(struct buf *out, struct span text)
{
	for (size_t i = 0; i < text.n; i++) {
		buf_addc(out, text.p[i]);
		if (text.p[i] == '%' && i + 1 < text.n && text.p[i + 1] == '%')
			i++;
	}
}

bool milter_reply_code(struct span s, int *code, char enh[12], struct buf *text)
{
	bool first = true;
	*code = 0;
	enh[0] = '\0';
	buf_reset(text);
	do {
		char own[12];
		struct span line = span_cut(&s, '\n');
		if (!take_code(&line, code))
			return false;
		if (smtp_take_enhanced(&line, *code, own) && first)
			snprintf(enh, 12, "%s", own);
		if (!first)
			buf_addc(text, '\n');
		add_reply_text(text, span_trim(line));
		first = false;
	} while (s.n);
	return !text->bad;
}
