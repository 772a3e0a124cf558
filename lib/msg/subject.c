/* SPDX-License-Identifier: ISC */
#include "msg/subject.h"

/* Each step below cuts a stretch off the front or the end; none looks further than the stretch that it may cut and one
 * bracket, so the whole is linear but for brackets that are never closed, which end the search. */
struct work {
	struct span s;
	bool reply;
};

static bool cut_tail(struct work *w)
{
	struct span s = span_trim(w->s);
	bool fwd = span_iends(s, "(fwd)");
	if (fwd) {
		s.n -= strlen("(fwd)");
		w->reply = true;
	}
	bool changed = s.n != w->s.n;
	w->s = s;
	return changed;
}

/* "[...]" and the blanks after it: bytes, 0 when there is none. */
static size_t blob_length(struct span s)
{
	size_t n = 1;
	if (!s.n || s.p[0] != '[')
		return 0;
	while (n < s.n && s.p[n] != ']' && s.p[n] != '[')
		n++;
	if (n == s.n || s.p[n] != ']')
		return 0;
	n++;
	while (n < s.n && ascii_isblank(s.p[n]))
		n++;
	return n;
}

/* "re", "fw" or "fwd", blanks, perhaps a blob, ':' (subj-refwd): bytes, 0 when there is none. */
static size_t refwd_length(struct span s)
{
	size_t n = span_istarts(s, "fwd") ? 3 : span_istarts(s, "fw") || span_istarts(s, "re") ? 2 : 0;
	if (!n)
		return 0;
	while (n < s.n && ascii_isblank(s.p[n]))
		n++;
	n += blob_length(span_from(s, n));
	return n < s.n && s.p[n] == ':' ? n + 1 : 0;
}

/* subj-leader: blobs before a refwd belong to it. */
static bool cut_leader(struct work *w)
{
	size_t at = 0, n = 0;
	for (size_t blob; (blob = blob_length(span_from(w->s, at))) != 0;)
		at += blob;
	n = refwd_length(span_from(w->s, at));
	if (!n)
		return false;
	w->reply = true;
	w->s = span_trim(span_from(w->s, at + n));
	return true;
}

/* A blob alone in front goes too, unless nothing would be left. */
static bool cut_blob(struct work *w)
{
	size_t n = blob_length(w->s);
	if (!n || n == w->s.n)
		return false;
	w->s = span_from(w->s, n);
	return true;
}

/* "[fwd: ... ]" */
static bool cut_wrapper(struct work *w)
{
	if (!span_istarts(w->s, "[fwd:") || !span_ends(w->s, "]"))
		return false;
	w->s = span_slice(w->s, strlen("[fwd:"), w->s.n - 1);
	w->reply = true;
	return true;
}

bool subject_base(struct span decoded, struct buf *out)
{
	struct work w = { .s = span_trim(decoded) };
	/* RFC 5256 2.1 (2) to (6) */
	do {
		while (cut_tail(&w))
			continue;
		while (cut_leader(&w) || cut_blob(&w))
			continue;
	} while (cut_wrapper(&w));
	bool blank = false;
	for (size_t i = 0; i < w.s.n; i++) {
		char c = w.s.p[i];
		bool is_blank = ascii_isblank(c) || c == '\r' || c == '\n';
		if (!is_blank || !blank)
			buf_addc(out, is_blank ? ' ' : c);
		blank = is_blank;
	}
	return w.reply;
}
