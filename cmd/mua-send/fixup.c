/* SPDX-License-Identifier: ISC */
#include "mua-send/fixup.h"

#include "msg/date.h"
#include "msg/encword.h"
#include "msg/header.h"

struct span fixup_without_from_line(struct span text)
{
	if (span_starts(text, "From ") && span_chr(text, '\n') >= 0)
		span_cut(&text, '\n');
	return text;
}

/* RFC 5322 3.6.8's name, then a colon, blanks between them forgiven (4.5.8). */
bool fixup_has_header(struct span text)
{
	if (span_starts(text, "\n") || span_starts(text, "\r\n"))
		return true;
	size_t i = 0;
	while (i < text.n && text.p[i] > ' ' && text.p[i] < 0x7f && text.p[i] != ':')
		i++;
	if (!i)
		return false;
	while (i < text.n && ascii_isblank(text.p[i]))
		i++;
	return i < text.n && text.p[i] == ':';
}

static const char *line_end_of(struct span text)
{
	ptrdiff_t lf = span_chr(text, '\n');
	return lf > 0 && text.p[lf - 1] == '\r' ? "\r\n" : "\n";
}

void fixup_mailbox(const char *name, const char *address, struct buf *out)
{
	if (name && *name) {
		encword_encode(span_str(name), true, out);
		buf_adds(out, " <");
	}
	buf_adds(out, address);
	if (name && *name)
		buf_addc(out, '>');
}

static void add_missing(const struct fixup *c, struct span header, const char *eol, struct buf *head)
{
	struct header_field f;
	struct buf value;
	buf_init(&value, head->max);
	if (!header_find(header, "From", &f)) {
		fixup_mailbox(c->name, c->from, &value);
		header_fold("From", buf_span(&value), eol, head);
	}
	if (!header_find(header, "Date", &f)) {
		buf_adds(head, "Date: ");
		date_format(c->now, c->zone_min, head);
		buf_adds(head, eol);
	}
	if (!header_find(header, "Message-ID", &f))
		buf_addf(head, "Message-ID: %s%s", c->message_id, eol);
	buf_free(&value);
}

/* All fields but Bcc, as they stand, and the blank line. */
static void keep_header(struct span header, struct buf *head)
{
	struct header_field f;
	struct span rest = header;
	const char *end = header.p;
	while (header_next(&rest, &f)) {
		end = f.raw.p + f.raw.n;
		if (!span_ieqs(f.name, "Bcc") && !span_ieqs(f.name, "Resent-Bcc"))
			buf_addspan(head, f.raw);
	}
	buf_addspan(head, span_from(header, (size_t)(end - header.p)));
}

void fixup_message(const struct fixup *c, struct span text, struct buf *head, struct span *body)
{
	const char *eol = line_end_of(text);
	*body = text;
	if (!fixup_has_header(text)) {
		add_missing(c, SPAN(""), eol, head);
		buf_adds(head, eol);
		return;
	}
	struct span header = header_of(text, body);
	add_missing(c, header, eol, head);
	keep_header(header, head);
}
