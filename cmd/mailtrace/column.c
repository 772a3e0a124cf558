/* SPDX-License-Identifier: ISC */
#include "mailtrace/column.h"

#include <stdint.h>
#include <stdlib.h>
#include <wchar.h>

enum {
	LEAST_TEXT = 20 /* columns for wrapped text, however narrow the terminal */
};

/* Marks that change the direction of the text around them could show it in another order than it is. */
static bool changes_direction(wchar_t c)
{
	return c == 0x061c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069);
}

/* The next character of s: its bytes in *take, its columns as the result; -1 when it must not be shown. */
static int next_char(struct span s, size_t *take)
{
	wchar_t c;
	mbstate_t state = { 0 };
	size_t n = mbrtowc(&c, s.p, s.n, &state);
	*take = 1;
	if (n == (size_t)-1 || n == (size_t)-2 || n == 0)
		return -1;
	*take = n;
	return changes_direction(c) ? -1 : wcwidth(c);
}

static size_t columns_of(struct span s)
{
	size_t columns = 0, take;
	for (; s.n; s = span_from(s, take)) {
		int w = next_char(s, &take);
		columns += w < 0 ? 1 : (size_t)w;
	}
	return columns;
}

size_t column_text(struct buf *out, struct span s, size_t max)
{
	size_t used = 0, take;
	bool cut = max && columns_of(s) > max;
	size_t room = cut ? (max > 3 ? max - 3 : 0) : SIZE_MAX;
	for (; s.n; s = span_from(s, take)) {
		int w = next_char(s, &take);
		size_t columns = w < 0 ? 1 : (size_t)w;
		if (columns > room - used)
			break;
		if (w < 0)
			buf_addc(out, '?');
		else
			buf_add(out, s.p, take);
		used += columns;
	}
	if (cut) {
		buf_adds(out, "...");
		used += 3;
	}
	return used;
}

void column_pad(struct buf *out, struct span s, size_t width)
{
	size_t used = column_text(out, s, width);
	buf_addf(out, "%*s", (int)(used < width ? width - used : 0), "");
}

/* Bytes of s that fit into columns: up to the last blank among them, or as many as fit. */
static size_t piece(struct span s, size_t columns)
{
	size_t used = 0, at = 0, blank = 0, take;
	for (; at < s.n; at += take) {
		int w = next_char(span_from(s, at), &take);
		used += w < 0 ? 1 : (size_t)w;
		if (used > columns)
			return blank ? blank : at ? at : take;
		if (s.p[at] == ' ' && at)
			blank = at;
	}
	return s.n;
}

void column_wrap(struct buf *out, struct span s, size_t indent, size_t columns)
{
	size_t width = columns > indent + LEAST_TEXT ? columns - indent : LEAST_TEXT;
	for (bool first = true; first || s.n; first = false) {
		if (!first)
			buf_addf(out, "%*s", (int)indent, "");
		size_t n = piece(s, width);
		column_text(out, span_slice(s, 0, n), 0);
		buf_addc(out, '\n');
		s = span_from(s, n);
		while (s.n && s.p[0] == ' ')
			s = span_from(s, 1);
	}
}

void column_duration(struct buf *out, int64_t us)
{
	if (us < 0) {
		buf_addc(out, '-');
		us = us == INT64_MIN ? INT64_MAX : -us;
	}
	long long s = us / 1000000;
	if (us < 1000000)
		buf_addf(out, "%lld.%03lld ms", (long long)us / 1000, (long long)us % 1000);
	else if (s < 100)
		buf_addf(out, "%lld.%03lld s", s, (long long)us % 1000000 / 1000);
	else if (s < 3600)
		buf_addf(out, "%lld min %lld s", s / 60, s % 60);
	else if (s < 86400)
		buf_addf(out, "%lld h %lld min", s / 3600, s % 3600 / 60);
	else
		buf_addf(out, "%lld d %lld h", s / 86400, s % 86400 / 3600);
}
