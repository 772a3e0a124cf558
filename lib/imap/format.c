/* SPDX-License-Identifier: ISC */
#include "imap/format.h"

#include "imap/parse.h"

static void add_quoted(struct buf *out, struct span text)
{
	buf_addc(out, '"');
	size_t start = 0;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] != '"' && text.p[i] != '\\')
			continue;
		buf_addspan(out, span_slice(text, start, i));
		buf_addc(out, '\\');
		start = i;
	}
	buf_addspan(out, span_from(text, start));
	buf_addc(out, '"');
}

/* CHAR8 is any octet but NUL, and there is no way to write one. */
static void add_literal(struct buf *out, struct span text)
{
	buf_addf(out, "{%zu}\r\n", text.n);
	size_t at = out->len;
	buf_addspan(out, text);
	for (; at < out->len; at++)
		if (out->p[at] == '\0')
			out->p[at] = '?';
}

void imap_add_string(struct buf *out, struct span text, bool atom_ok)
{
	if (atom_ok && imap_is_atom(text) && !span_ieqs(text, "NIL"))
		buf_addspan(out, text);
	else if (imap_is_quotable(text))
		add_quoted(out, text);
	else
		add_literal(out, text);
}

void imap_add_nstring(struct buf *out, struct span text)
{
	if (text.n)
		imap_add_string(out, text, false);
	else
		buf_adds(out, "NIL");
}
