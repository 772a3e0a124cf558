/* SPDX-License-Identifier: ISC */
#include "mua-read/term.h"

#include <wchar.h>

#include "msg/charset.h"

enum {
	TAB = 8
};

/* Characters that change how others are shown, or are not seen although they are there. */
static bool is_treacherous(uint32_t c)
{
	static const uint32_t ranges[][2] = {
		{ 0x80, 0x9f },       /* C1: commands of one character */
		{ 0x61c, 0x61c },     /* Arabic letter mark */
		{ 0x180e, 0x180e },   /* Mongolian vowel separator */
		{ 0x200e, 0x200f },   /* marks of writing direction */
		{ 0x2028, 0x202e },   /* separators, embeddings and overrides of direction */
		{ 0x2066, 0x206f },   /* isolates, deprecated controls */
		{ 0xfeff, 0xfeff },   /* a byte order mark that is none */
		{ 0xfff9, 0xfffb },   /* interlinear annotations */
		{ 0xe0000, 0xe0fff }, /* tags: text that no terminal shows */
	};
	for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
		if (c >= ranges[i][0] && c <= ranges[i][1])
			return true;
	return false;
}

static size_t char_columns(uint32_t c)
{
	int n = wcwidth((wchar_t)c);
	return n < 0 ? 1 : (size_t)n;
}

static void add_char(uint32_t c, struct buf *out)
{
	if (c < 32 || c == 127) {
		buf_addc(out, '^');
		buf_addc(out, (char)(c ^ 64));
	} else if (is_treacherous(c)) {
		buf_addf(out, "<U+%04X>", (unsigned)c);
	} else {
		utf8_append(out, c);
	}
}

void term_safe(struct span text, bool lines, struct buf *out)
{
	size_t column = 0;
	for (size_t i = 0, n; i < text.n; i += n) {
		uint32_t c = 0xfffd;
		n = utf8_decode(text.p + i, text.n - i, &c);
		size_t before = out->len;
		if (c == '\n' && lines) {
			buf_addc(out, '\n');
			column = 0;
		} else if (c == '\t' && lines) {
			for (size_t stop = column / TAB * TAB + TAB; column < stop; column++)
				buf_addc(out, ' ');
		} else if (c == '\t' || c == '\n' || c == '\r') {
			/* "\r\n" is one blank, and a CR before it is not seen in lines either. */
			if (!(c == '\r' && i + 1 < text.n && text.p[i + 1] == '\n'))
				add_char(lines ? c : ' ', out);
		} else {
			add_char(c, out);
			column += out->len - before > 4 ? out->len - before : char_columns(c);
		}
		n = n ? n : 1;
	}
}

size_t term_columns(struct span safe)
{
	size_t columns = 0;
	for (size_t i = 0, n; i < safe.n; i += n) {
		uint32_t c = 0xfffd;
		n = utf8_decode(safe.p + i, safe.n - i, &c);
		columns += char_columns(c);
		n = n ? n : 1;
	}
	return columns;
}

size_t term_fit(struct span safe, size_t columns)
{
	size_t used = 0, i = 0;
	while (i < safe.n) {
		uint32_t c = 0xfffd;
		size_t n = utf8_decode(safe.p + i, safe.n - i, &c);
		used += char_columns(c);
		if (used > columns)
			break;
		i += n ? n : 1;
	}
	return i;
}

void term_put(const struct term *t, struct span safe)
{
	struct buf local;
	buf_init(&local, 8 * safe.n + 64);
	charset_from_utf8(t->charset, safe, &local);
	fwrite(local.p, 1, local.len, t->out);
	buf_free(&local);
}

void term_puts(const struct term *t, const char *safe)
{
	term_put(t, span_str(safe));
}

void term_text(const struct term *t, struct span text)
{
	term_field(t, text, 0);
}

void term_field(const struct term *t, struct span text, size_t columns)
{
	struct buf safe;
	buf_init(&safe, 10 * text.n + 16);
	term_safe(text, false, &safe);
	struct span s = buf_span(&safe);
	size_t used = columns ? term_columns(s) : 0;
	if (used > columns) {
		s = span_slice(s, 0, term_fit(s, columns - 1));
		term_put(t, s);
		term_puts(t, "\xe2\x80\xa6");
		used = term_columns(s) + 1;
	} else {
		term_put(t, s);
	}
	for (; used < columns; used++)
		putc(' ', t->out);
	buf_free(&safe);
}
