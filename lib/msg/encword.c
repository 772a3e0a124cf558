/* SPDX-License-Identifier: ISC */
#include "msg/encword.h"

#include "msg/charset.h"
#include "msg/codec.h"

enum {
	CHARSET_MAX = 64
};

/* "=?charset*language?encoding?text?=" (RFC 2047 2, RFC 2231 5) */
struct word {
	struct span charset, text;
	bool base64;
	size_t length;
};

struct decoding {
	struct buf *out;
	struct span charset; /* of `bytes`; adjacent words of one charset are converted together */
	struct buf bytes;
	bool open;
};

/* Reads the word that begins at s ("=?"). No part of it holds a '?', so that each byte is looked at by few attempts,
 * whatever stands in s. */
static bool read_word(struct span s, struct word *w)
{
	struct span rest = span_from(s, 2);
	ptrdiff_t at = span_chr(span_slice(rest, 0, CHARSET_MAX), '?');
	if (at < 1)
		return false;
	struct span label = span_slice(rest, 0, (size_t)at);
	w->charset = span_cut(&label, '*');
	rest = span_from(rest, (size_t)at + 1);
	if (rest.n < 2 || rest.p[1] != '?' || !strchr("bBqQ", rest.p[0]) || !rest.p[0])
		return false;
	w->base64 = ascii_lower(rest.p[0]) == 'b';
	rest = span_from(rest, 2);
	at = span_chr(rest, '?');
	if (at < 0 || !span_starts(span_from(rest, (size_t)at), "?="))
		return false;
	w->text = span_slice(rest, 0, (size_t)at);
	w->length = (size_t)(w->text.p - s.p) + w->text.n + 2;
	return true;
}

static void decode_q(struct span s, struct buf *out)
{
	for (size_t i = 0; i < s.n; i++) {
		int high = i + 2 < s.n ? ascii_hex(s.p[i + 1]) : -1;
		int low = high >= 0 ? ascii_hex(s.p[i + 2]) : -1;
		if (s.p[i] == '=' && low >= 0) {
			buf_addc(out, (char)(high << 4 | low));
			i += 2;
		} else if (s.p[i] != '\r' && s.p[i] != '\n') {
			buf_addc(out, s.p[i] == '_' ? ' ' : s.p[i]);
		}
	}
}

/* Line ends and NULs that a word smuggles in must not become lines of whatever the text is put into. */
static void add_harmless(struct buf *out, struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		buf_addc(out, c == '\r' || c == '\n' || c == '\0' ? ' ' : c);
	}
}

static void flush(struct decoding *d)
{
	if (d->bytes.len) {
		struct buf text;
		buf_init(&text, 4 * d->bytes.len + 16);
		charset_to_utf8(d->charset, buf_span(&d->bytes), &text);
		add_harmless(d->out, buf_span(&text));
		buf_free(&text);
		buf_reset(&d->bytes);
	}
	d->open = false;
}

static void add_word(struct decoding *d, const struct word *w)
{
	if (d->open && !span_ieq(d->charset, w->charset))
		flush(d);
	if (w->base64)
		codec_decode(CODEC_BASE64, w->text, &d->bytes);
	else
		decode_q(w->text, &d->bytes);
	d->charset = w->charset;
	d->open = true;
}

static void add_text(struct decoding *d, struct span s)
{
	uint32_t c;
	for (size_t i = 0, n; i < s.n; i += n) {
		n = utf8_decode(s.p + i, s.n - i, &c);
		if (n && c != '\r' && c != '\n')
			buf_add(d->out, s.p + i, n);
		else if (!n)
			charset_append_1252(d->out, (unsigned char)s.p[i]);
		n = n ? n : 1;
	}
}

/* The text up to the next word or the end. Blanks between two words vanish (RFC 2047 6.2), and none stand at the end.
 */
static void add_between(struct decoding *d, struct span s)
{
	if (d->open && span_trim(s).n == 0)
		return;
	flush(d);
	add_text(d, s);
}

void encword_decode(struct span value, struct buf *out)
{
	struct decoding d = { .out = out, .charset = SPAN("") };
	size_t from = 0, i = 0;
	struct word w;
	value = span_trim(value);
	buf_init(&d.bytes, value.n + 1);
	while (i < value.n) {
		struct span rest = span_from(value, i);
		if (!span_starts(rest, "=?") || !read_word(rest, &w)) {
			i++;
			continue;
		}
		if (i > from)
			add_between(&d, span_slice(value, from, i));
		add_word(&d, &w);
		from = i += w.length;
	}
	add_between(&d, span_from(value, from));
	flush(&d);
	buf_free(&d.bytes);
}
