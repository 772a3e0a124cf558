/* SPDX-License-Identifier: ISC
 *
 * What a reader wants of a part: its content, its file name, and which part to show.
 */
#include "msg/charset.h"
#include "msg/encword.h"
#include "msg/mime.h"

static void lf_only(struct span s, struct buf *out)
{
	while (s.n) {
		ptrdiff_t at = span_find(s, SPAN("\r\n"));
		if (at < 0) {
			buf_addspan(out, s);
			return;
		}
		buf_add(out, s.p, (size_t)at);
		buf_addc(out, '\n');
		s = span_from(s, (size_t)at + 2);
	}
}

void mime_content(const struct mime_part *p, bool as_text, struct buf *out)
{
	enum codec codec = p->kind == MIME_LEAF ? p->codec : CODEC_IDENTITY;
	if (!as_text) {
		codec_decode(codec, p->body, out);
		return;
	}
	struct buf bytes, text;
	struct span charset = SPAN("");
	mime_param(&p->params, "charset", &charset);
	buf_init(&bytes, p->body.n + 1);
	codec_decode(codec, p->body, &bytes);
	buf_init(&text, 4 * bytes.len + 16);
	charset_to_utf8(charset, buf_span(&bytes), &text);
	buf_free(&bytes);
	struct span s = buf_span(&text);
	lf_only(span_starts(s, "\xef\xbb\xbf") ? span_from(s, 3) : s, out);
	buf_free(&text);
}

static bool unsafe_in_name(uint32_t c)
{
	return c < 32 || (c >= 127 && c < 160) || c == '/' || c == '\\' || c == 0x2028 || c == 0x2029;
}

void mime_filename(const struct mime_part *p, struct buf *out)
{
	struct span raw;
	struct buf name;
	if (!mime_param(&p->disposition_params, "filename", &raw) && !mime_param(&p->params, "name", &raw))
		return;
	buf_init(&name, 4 * raw.n + 16);
	encword_decode(raw, &name);
	struct span s = span_trim(buf_span(&name));
	bool dots = span_eqs(s, ".") || span_eqs(s, "..");
	uint32_t c;
	for (size_t i = 0, n; i < s.n; i += n) {
		n = utf8_decode(s.p + i, s.n - i, &c);
		if (!n || dots || unsafe_in_name(c))
			buf_addc(out, '_');
		else
			buf_add(out, s.p + i, n);
		n = n ? n : 1;
	}
	buf_free(&name);
}

/* How good a leaf is to read on a terminal: 0 not at all. */
static int leaf_score(const struct mime_part *p)
{
	if (!span_eqs(p->type, "text") || span_eqs(p->disposition, "attachment"))
		return 0;
	return span_eqs(p->subtype, "plain") ? 3 : span_eqs(p->subtype, "html") ? 2 : 1;
}

static const struct mime_part *best_in(const struct mime_part *p, int *score);

/* The last of the best: RFC 2046 5.1.4 orders alternatives by faithfulness. */
static const struct mime_part *best_alternative(const struct mime_part *p, int *score)
{
	const struct mime_part *best = NULL;
	*score = 0;
	for (const struct mime_part *c = p->children; c; c = c->next) {
		int s;
		const struct mime_part *found = best_in(c, &s);
		if (found && s >= *score) {
			best = found;
			*score = s;
		}
	}
	return best;
}

static const struct mime_part *first_text(const struct mime_part *p, const struct mime_part *tried, int *score)
{
	for (const struct mime_part *c = p->children; c; c = c->next) {
		const struct mime_part *found = c == tried ? NULL : best_in(c, score);
		if (found)
			return found;
	}
	*score = 0;
	return NULL;
}

/* RFC 2387 3.2: the part that "start" names, else the first. */
static const struct mime_part *related_root(const struct mime_part *p)
{
	struct span start;
	if (mime_param(&p->params, "start", &start))
		for (const struct mime_part *c = p->children; c; c = c->next)
			if (span_eq(c->id, span_trim(start)))
				return c;
	return p->children;
}

/* Recursion is as deep as the tree, LIMIT_MIME_DEPTH, and comes to each part once. */
static const struct mime_part *best_in(const struct mime_part *p, int *score)
{
	*score = 0;
	if (p->kind == MIME_LEAF) {
		*score = leaf_score(p);
		return *score ? p : NULL;
	}
	if (span_eqs(p->disposition, "attachment") && p->parent)
		return NULL;
	if (p->kind == MIME_MULTIPART && span_eqs(p->subtype, "alternative"))
		return best_alternative(p, score);
	const struct mime_part *tried = NULL, *found = NULL;
	if (p->kind == MIME_MULTIPART && span_eqs(p->subtype, "related") && p->children) {
		tried = related_root(p);
		found = best_in(tried, score);
	}
	return found ? found : first_text(p, tried, score);
}

const struct mime_part *mime_best_text(const struct mime_part *root)
{
	int score;
	return best_in(root, &score);
}
