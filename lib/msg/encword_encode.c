/* SPDX-License-Identifier: ISC */
#include "msg/encword.h"

#include "msg/charset.h"
#include "msg/codec.h"

enum {
	WORD_MAX = 75, /* RFC 2047 2 */
	/* The value's first word shares its line with the field's name: "Content-Description: " and 55 are 76 columns.
	 */
	FIRST_WORD_MAX = 55,
	FRAME = 12 /* "=?utf-8?q?" and "?=" */
};

static bool has_8bit_or_mark(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] > 126)
			return true;
	return span_find(s, SPAN("=?")) >= 0;
}

static bool is_atext(char c)
{
	return ascii_isalnum(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

static bool is_atom(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_atext(s.p[i]))
			return false;
	return s.n > 0;
}

static bool needs_word(struct span s, bool phrase)
{
	return has_8bit_or_mark(s) || (phrase && !is_atom(s));
}

/* Can c stand for itself in a Q word? In a phrase only RFC 2047 5 (3)'s few. */
static bool q_literal(char c, bool phrase)
{
	if (phrase)
		return ascii_isalnum(c) || (c && strchr("!*+-/", c));
	return c > 32 && c < 127 && c != '=' && c != '?' && c != '_';
}

static size_t q_cost(struct span s, bool phrase)
{
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++)
		n += q_literal(s.p[i], phrase) || s.p[i] == ' ' ? 1 : 3;
	return n;
}

static void put_q(struct span s, bool phrase, struct buf *out)
{
	static const char hex[] = "0123456789ABCDEF";
	for (size_t i = 0; i < s.n; i++) {
		unsigned char u = (unsigned char)s.p[i];
		if (u == ' ')
			buf_addc(out, '_');
		else if (q_literal(s.p[i], phrase))
			buf_addc(out, s.p[i]);
		else {
			const char text[3] = { '=', hex[u >> 4], hex[u & 15] };
			buf_add(out, text, sizeof text);
		}
	}
}

static size_t cost(struct span s, bool base64, bool phrase)
{
	return base64 ? (s.n + 2) / 3 * 4 : q_cost(s, phrase);
}

/* As many whole characters from the start of s as make a word of at most `room` encoded bytes; at least one. */
static size_t word_length(struct span s, bool base64, bool phrase, size_t room)
{
	size_t n = 0, used = 0;
	uint32_t c;
	while (n < s.n) {
		size_t len = utf8_decode(s.p + n, s.n - n, &c);
		used = base64 ? cost(span_slice(s, 0, n + len), true, phrase)
			      : used + q_cost(span_slice(s, n, n + len), phrase);
		if (used > room && n)
			break;
		n += len;
	}
	return n;
}

/* A stretch of valid UTF-8 as encoded words. */
static void put_words(struct span s, bool phrase, struct buf *out, size_t start)
{
	bool base64 = cost(s, true, phrase) < cost(s, false, phrase);
	while (s.n) {
		bool first = out->len == start;
		size_t n = word_length(s, base64, phrase, (first ? FIRST_WORD_MAX : WORD_MAX) - FRAME);
		buf_adds(out, base64 ? "=?utf-8?b?" : "=?utf-8?q?");
		if (base64)
			base64_encode(span_slice(s, 0, n), NULL, out);
		else
			put_q(span_slice(s, 0, n), phrase, out);
		buf_adds(out, "?=");
		s = span_from(s, n);
		if (s.n && !out->bad)
			buf_addc(out, ' ');
	}
}

static void put_quoted(struct span s, struct buf *out)
{
	buf_addc(out, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_addc(out, '\\');
		buf_addc(out, s.p[i]);
	}
	buf_addc(out, '"');
}

static bool only_atoms(struct span s)
{
	while (s.n)
		if (!is_atom(span_cut(&s, ' ')))
			return false;
	return true;
}

/* Where the stretch that starts at s and needs encoding ends: words with the blanks between them, since blanks
 * between two encoded words vanish at the reader's. */
static size_t stretch(struct span s, bool phrase)
{
	size_t end = 0;
	for (struct span rest = s; rest.n;) {
		struct span word = span_word(&rest);
		if (!needs_word(word, phrase))
			break;
		end = (size_t)(word.p - s.p) + word.n;
	}
	return end;
}

static void put_mixed(struct span s, bool phrase, struct buf *out)
{
	size_t start = out->len;
	while (s.n) {
		size_t n = stretch(s, phrase);
		if (n) {
			put_words(span_slice(s, 0, n), phrase, out, start);
		} else {
			struct span rest = s;
			n = s.n - (span_word(&rest), rest.n);
			buf_add(out, s.p, n);
		}
		s = span_from(s, n);
		/* The blank after an encoded word belongs to the plain text that follows. */
		while (s.n && ascii_isblank(s.p[0])) {
			buf_addc(out, s.p[0]);
			s = span_from(s, 1);
		}
	}
}

/* Valid UTF-8 without controls: what could not be shown, or would end the line, is a blank. */
static void clean(struct span in, struct buf *out)
{
	uint32_t c;
	for (size_t i = 0, n; i < in.n; i += n) {
		n = utf8_decode(in.p + i, in.n - i, &c);
		if (!n)
			utf8_append(out, 0xfffd);
		else if ((c < 32 && c != '\t') || c == 127)
			buf_addc(out, ' ');
		else
			utf8_append(out, c);
		n = n ? n : 1;
	}
}

void encword_encode(struct span utf8, bool phrase, struct buf *out)
{
	struct buf text;
	buf_init(&text, 3 * utf8.n + 1);
	clean(span_trim(utf8), &text);
	struct span s = span_trim(buf_span(&text));
	if (phrase && !has_8bit_or_mark(s) && !only_atoms(s))
		put_quoted(s, out);
	else if (phrase && has_8bit_or_mark(s) && span_find(s, SPAN("  ")) >= 0)
		put_words(s, phrase, out, out->len); /* a phrase's blanks count only inside words */
	else
		put_mixed(s, phrase, out);
	buf_free(&text);
}
