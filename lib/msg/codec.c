/* SPDX-License-Identifier: ISC */
#include "msg/codec.h"

enum codec codec_of(struct span encoding)
{
	static const struct {
		const char *name;
		enum codec codec;
	} names[] = {
		{ "", CODEC_IDENTITY },
		{ "7bit", CODEC_IDENTITY },
		{ "8bit", CODEC_IDENTITY },
		{ "binary", CODEC_IDENTITY },
		{ "base64", CODEC_BASE64 },
		{ "quoted-printable", CODEC_QP },
		{ "x-uuencode", CODEC_UUENCODE },
		{ "uuencode", CODEC_UUENCODE },
		{ "x-uue", CODEC_UUENCODE },
		{ "uue", CODEC_UUENCODE },
	};
	struct span s = span_trim(encoding);
	size_t n = 0;
	while (n < s.n && !ascii_isblank(s.p[n]) && s.p[n] != ';' && s.p[n] != '(' && s.p[n] != '\r')
		n++;
	s.n = n;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (span_ieqs(s, names[i].name))
			return names[i].codec;
	return CODEC_UNKNOWN;
}

/* Decoded bytes on their way into a buf, so that it is asked for room once in a while only. */
struct sink {
	struct buf *out;
	size_t n;
	char p[1024];
};

static void sink_flush(struct sink *s)
{
	buf_add(s->out, s->p, s->n);
	s->n = 0;
}

static void sink_byte(struct sink *s, unsigned c)
{
	if (s->n == sizeof s->p)
		sink_flush(s);
	s->p[s->n++] = (char)(unsigned char)c;
}

static const char base64_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int base64_value(unsigned char c)
{
	/* clang-format off */
	static const signed char values[128] = {
		-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
		-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
		-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 62, -1, -1, -1, 63,
		52, 53, 54, 55, 56, 57, 58, 59, 60, 61, -1, -1, -1, -1, -1, -1,
		-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
		15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, -1, -1, -1, -1, -1,
		-1, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
		41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, -1, -1, -1, -1, -1
	};
	/* clang-format on */
	return c < 128 ? values[c] : -1;
}

/* What a group of `state` characters (fewer than 4) holds in whole bytes. One alone holds none. */
static void base64_flush(struct decoder *d, struct sink *s)
{
	if (d->state >= 2)
		sink_byte(s, d->bits >> (d->state == 2 ? 4 : 10));
	if (d->state == 3)
		sink_byte(s, d->bits >> 2 & 0xff);
	d->state = d->bits = 0;
}

/* Whole groups at the start of the input, as long as nothing else stands between them; returns the bytes read. */
static size_t base64_groups(struct span in, struct sink *s)
{
	const unsigned char *p = (const unsigned char *)in.p;
	size_t i = 0;
	for (; i + 4 <= in.n; i += 4) {
		int a = base64_value(p[i]), b = base64_value(p[i + 1]), c = base64_value(p[i + 2]),
		    d = base64_value(p[i + 3]);
		if ((a | b | c | d) < 0)
			break;
		if (s->n + 3 > sizeof s->p)
			sink_flush(s);
		s->p[s->n++] = (char)(a << 2 | b >> 4);
		s->p[s->n++] = (char)(b << 4 | c >> 2);
		s->p[s->n++] = (char)(c << 6 | d);
	}
	return i;
}

/* Characters outside the alphabet are skipped (RFC 2045 6.8); padding ends a group, and what follows it is the next
 * one, so that pieces encoded apart and put together decode whole. */
static void base64_feed(struct decoder *d, struct span in, struct sink *s)
{
	for (size_t i = 0; i < in.n; i++) {
		if (!d->state)
			i += base64_groups(span_from(in, i), s);
		if (i == in.n)
			break;
		int v = base64_value((unsigned char)in.p[i]);
		if (in.p[i] == '=') {
			base64_flush(d, s);
			continue;
		}
		if (v < 0)
			continue;
		d->bits = (d->bits << 6 | (unsigned)v) & 0xffffff;
		if (++d->state < 4)
			continue;
		sink_byte(s, d->bits >> 16);
		sink_byte(s, d->bits >> 8 & 0xff);
		sink_byte(s, d->bits & 0xff);
		d->state = d->bits = 0;
	}
}

/* Quoted-printable (RFC 2045 6.7). `held` keeps what may yet vanish: blanks that may end a line, or an '=' with
 * what follows it until the escape or the soft line break is complete.
 *
 *    TEXT --CR--> TEXT_CR --LF--> TEXT          (held blanks dropped)
 *    TEXT --'='--> EQ --hex--> EQ_HEX --hex--> TEXT
 *                  EQ --blank--> EQ_BLANK --CR--> EQ_CR --LF--> TEXT   (soft line break)
 */
enum qp_state {
	QP_TEXT,
	QP_TEXT_CR,
	QP_EQ,
	QP_EQ_HEX,
	QP_EQ_BLANK,
	QP_EQ_CR
};

static void release_held(struct decoder *d, struct sink *s)
{
	for (unsigned i = 0; i < d->n_held; i++)
		sink_byte(s, d->held[i]);
	d->n_held = 0;
}

static void hold(struct decoder *d, struct sink *s, char c)
{
	/* More blanks than any encoder's line has: they are taken as text. */
	if (d->n_held == sizeof d->held) {
		release_held(d, s);
		d->state = QP_TEXT;
	}
	d->held[d->n_held++] = (unsigned char)c;
}

static void qp_text(struct decoder *d, struct sink *s, char c)
{
	if (ascii_isblank(c)) {
		hold(d, s, c);
	} else if (c == '\r') {
		d->state = QP_TEXT_CR;
	} else if (c == '\n') {
		d->n_held = 0;
		sink_byte(s, '\n');
	} else {
		release_held(d, s);
		if (c == '=') {
			hold(d, s, c);
			d->state = QP_EQ;
		} else {
			sink_byte(s, (unsigned char)c);
		}
	}
}

/* After an '='. False when c does not continue it: what was held is text then, and c is to be read anew. */
static bool qp_escape(struct decoder *d, struct sink *s, char c)
{
	if (c == '\n' && d->state != QP_EQ_HEX) {
		d->n_held = 0;
		d->state = QP_TEXT;
	} else if (c == '\r' && (d->state == QP_EQ || d->state == QP_EQ_BLANK)) {
		d->state = QP_EQ_CR;
	} else if (ascii_isblank(c) && (d->state == QP_EQ || d->state == QP_EQ_BLANK)) {
		d->state = QP_EQ_BLANK;
		hold(d, s, c);
	} else if (ascii_hex(c) >= 0 && d->state == QP_EQ) {
		d->state = QP_EQ_HEX;
		hold(d, s, c);
	} else if (ascii_hex(c) >= 0 && d->state == QP_EQ_HEX) {
		sink_byte(s, (unsigned)(ascii_hex((char)d->held[1]) << 4 | ascii_hex(c)));
		d->n_held = 0;
		d->state = QP_TEXT;
	} else {
		return false;
	}
	return true;
}

static void qp_byte(struct decoder *d, struct sink *s, char c)
{
	if (d->state == QP_TEXT_CR) {
		d->state = QP_TEXT;
		if (c == '\n')
			d->n_held = 0;
		release_held(d, s);
		sink_byte(s, '\r');
	} else if (d->state != QP_TEXT) {
		bool cr = d->state == QP_EQ_CR;
		if (qp_escape(d, s, c))
			return;
		release_held(d, s);
		d->state = QP_TEXT;
		if (cr)
			sink_byte(s, '\r');
	}
	qp_text(d, s, c);
}

static void qp_end(struct decoder *d, struct sink *s)
{
	if (d->state == QP_EQ_HEX)
		release_held(d, s);
	/* Blanks at the end stand at a line's end too, and an '=' there is a soft line break. */
	d->n_held = 0;
	if (d->state == QP_TEXT_CR)
		sink_byte(s, '\r');
	d->state = QP_TEXT;
}

/* uuencode: lines between "begin MODE NAME" and a line of length 0. bits: 24 bits of a group; held[0]: bytes that the
 * line still promises, held[1]: characters of the group; before "begin ", held compares the line's start with it. */
enum uu_state {
	UU_SEEK,
	UU_SKIP,
	UU_BEGIN_LINE,
	UU_LENGTH,
	UU_DATA,
	UU_DONE
};

static void uu_group(struct decoder *d, struct sink *s)
{
	for (unsigned i = 0; i < 3 && d->held[0] && i + 1 < d->held[1]; i++, d->held[0]--)
		sink_byte(s, d->bits >> (16 - 8 * i) & 0xff);
	d->bits = 0;
	d->held[1] = 0;
}

static void uu_data(struct decoder *d, struct sink *s, char c)
{
	unsigned at = d->held[1]++;
	d->bits |= (((unsigned)c - 32) & 63) << (18 - 6 * at);
	if (d->held[1] == 4)
		uu_group(d, s);
}

static void uu_seek(struct decoder *d, char c)
{
	static const char begin[] = "begin ";
	if (c != begin[d->n_held])
		d->state = UU_SKIP;
	else if (++d->n_held == sizeof begin - 1)
		d->state = UU_BEGIN_LINE;
}

static void uu_line_end(struct decoder *d, struct sink *s)
{
	if (d->state == UU_DATA)
		uu_group(d, s);
	d->n_held = 0;
	if (d->state == UU_SKIP || d->state == UU_SEEK)
		d->state = UU_SEEK;
	else if (d->state != UU_DONE)
		d->state = UU_LENGTH;
}

static void uu_byte(struct decoder *d, struct sink *s, char c)
{
	if (c == '\n') {
		uu_line_end(d, s);
	} else if (c == '\r') {
		return;
	} else if (d->state == UU_SEEK) {
		uu_seek(d, c);
	} else if (d->state == UU_LENGTH) {
		d->held[0] = (unsigned char)(((unsigned)c - 32) & 63);
		d->held[1] = 0;
		d->bits = 0;
		d->state = d->held[0] ? UU_DATA : UU_DONE;
	} else if (d->state == UU_DATA) {
		uu_data(d, s, c);
	}
}

void decoder_init(struct decoder *d, enum codec codec)
{
	*d = (struct decoder){ .codec = codec };
}

void decoder_feed(struct decoder *d, struct span in, struct buf *out)
{
	struct sink s = { .out = out };
	switch (d->codec) {
	case CODEC_IDENTITY:
	case CODEC_UNKNOWN:
		buf_addspan(out, in);
		return;
	case CODEC_BASE64:
		base64_feed(d, in, &s);
		break;
	case CODEC_QP:
		for (size_t i = 0; i < in.n; i++)
			qp_byte(d, &s, in.p[i]);
		break;
	case CODEC_UUENCODE:
		for (size_t i = 0; i < in.n; i++)
			uu_byte(d, &s, in.p[i]);
		break;
	}
	sink_flush(&s);
}

void decoder_end(struct decoder *d, struct buf *out)
{
	struct sink s = { .out = out };
	if (d->codec == CODEC_BASE64)
		base64_flush(d, &s);
	else if (d->codec == CODEC_QP)
		qp_end(d, &s);
	else if (d->codec == CODEC_UUENCODE)
		uu_line_end(d, &s);
	sink_flush(&s);
}

void codec_decode(enum codec codec, struct span in, struct buf *out)
{
	struct decoder d;
	decoder_init(&d, codec);
	decoder_feed(&d, in, out);
	decoder_end(&d, out);
}

bool base64_decode_strict(struct span in, struct buf *out)
{
	size_t n = in.n, pad = 0;
	if (n % 4)
		return false;
	while (pad < 2 && n && in.p[n - 1] == '=') {
		n--;
		pad++;
	}
	for (size_t i = 0; i < n; i++)
		if (base64_value((unsigned char)in.p[i]) < 0)
			return false;
	/* Canonical (RFC 4648 3.5): the bits that no byte uses are zero. */
	if (pad && (base64_value((unsigned char)in.p[n - 1]) & (pad == 1 ? 3 : 15)))
		return false;
	codec_decode(CODEC_BASE64, in, out);
	return true;
}

static void base64_group(const unsigned char *p, size_t n, char *o)
{
	unsigned v = (unsigned)p[0] << 16 | (n > 1 ? (unsigned)p[1] << 8 : 0) | (n > 2 ? p[2] : 0);
	o[0] = base64_alphabet[v >> 18];
	o[1] = base64_alphabet[v >> 12 & 63];
	o[2] = n > 1 ? base64_alphabet[v >> 6 & 63] : '=';
	o[3] = n > 2 ? base64_alphabet[v & 63] : '=';
}

void base64_encode(struct span in, const char *eol, struct buf *out)
{
	const unsigned char *p = (const unsigned char *)in.p;
	for (size_t at = 0; at < in.n; at += 57) {
		char line[76];
		size_t n = 0, end = at + 57 < in.n ? at + 57 : in.n;
		for (size_t i = at; i < end; i += 3, n += 4)
			base64_group(p + i, end - i, line + n);
		buf_add(out, line, n);
		if (eol)
			buf_adds(out, eol);
	}
}
