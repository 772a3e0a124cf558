/* SPDX-License-Identifier: ISC
 *
 * Sequence sets and dates: the parts of imap/parse.h that compute.
 */
#include <stdlib.h>

#include "imap/parse.h"
#include "msg/date.h"

/* A number or '*', which is kept as 0. */
static bool seq_number(struct imap_in *in, uint32_t *out)
{
	*out = 0;
	return imap_eat(in, '*') || imap_nz_number(in, out);
}

static void add_range(struct arena *a, struct imap_set *s, struct imap_range r)
{
	/* Full whenever the count is a power of two. */
	if ((s->n & (s->n - 1)) == 0) {
		struct imap_range *v = arena_alloc(a, (s->n ? 2 * s->n : 1) * sizeof *v);
		if (s->n)
			memcpy(v, s->v, s->n * sizeof *v);
		s->v = v;
	}
	s->v[s->n++] = r;
}

bool imap_sequence_set(struct imap_in *in, struct imap_set *out)
{
	*out = (struct imap_set){ 0 };
	do {
		struct imap_range r;
		if (!seq_number(in, &r.first))
			return false;
		r.last = r.first;
		if (imap_eat(in, ':') && !seq_number(in, &r.last))
			return false;
		add_range(in->arena, out, r);
	} while (imap_eat(in, ','));
	return true;
}

static int by_first(const void *a, const void *b)
{
	const struct imap_range *x = a, *y = b;
	return x->first < y->first ? -1 : x->first > y->first;
}

void imap_set_resolve(struct imap_set *s, uint32_t largest)
{
	size_t n = 0;
	for (size_t i = 0; i < s->n; i++) {
		struct imap_range *r = &s->v[i];
		r->first = r->first ? r->first : largest;
		r->last = r->last ? r->last : largest;
		/* RFC 3501 9: 4:2 is 2:4. */
		if (r->first > r->last)
			*r = (struct imap_range){ r->last, r->first };
	}
	if (s->n)
		qsort(s->v, s->n, sizeof *s->v, by_first);
	for (size_t i = 0; i < s->n; i++) {
		struct imap_range r = s->v[i];
		if (n > 0 && (uint64_t)s->v[n - 1].last + 1 >= r.first) {
			if (r.last > s->v[n - 1].last)
				s->v[n - 1].last = r.last;
		} else {
			s->v[n++] = r;
		}
	}
	s->n = n;
}

bool imap_set_has(const struct imap_set *s, uint32_t n)
{
	size_t lo = 0, hi = s->n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (n < s->v[mid].first)
			hi = mid;
		else if (n > s->v[mid].last)
			lo = mid + 1;
		else
			return true;
	}
	return false;
}

/* A run of digits: how many, and the value's bounds. */
struct field {
	size_t min, max; /* digits */
	int lo, hi;
};

static bool read_field(struct imap_in *in, const struct field *f, int *out)
{
	size_t n = 0;
	*out = 0;
	for (; n < f->max && ascii_isdigit(imap_peek(in)); n++, in->at++)
		*out = *out * 10 + (imap_peek(in) - '0');
	return (n >= f->min && *out >= f->lo && *out <= f->hi) || imap_fail(in, "malformed date");
}

static bool month(struct imap_in *in, int *out)
{
	static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";
	struct span word = span_slice(in->text, in->at, in->at + 3);
	for (int i = 0; i < 12 && word.n == 3 && !in->bad; i++) {
		if (!span_ieq(word, span_of(names + 3 * i, 3)))
			continue;
		in->at += 3;
		*out = i + 1;
		return true;
	}
	return imap_fail(in, "malformed date");
}

static int days_in(int y, int m)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
	return days[m - 1] + (m == 2 && leap);
}

/* dd-Mon-yyyy; one digit may do for the day, or a blank before it (date-day-fixed). */
static bool civil(struct imap_in *in, int64_t *days)
{
	static const struct field day = { 1, 2, 1, 31 }, year = { 4, 4, 0, 9999 };
	int d = 0, m = 1, y = 0;
	if (!read_field(in, &day, &d) || !imap_eat(in, '-') || !month(in, &m) || !imap_eat(in, '-') ||
	    !read_field(in, &year, &y) || d > days_in(y, m))
		return imap_fail(in, "malformed date");
	*days = date_days(y, m, d);
	return true;
}

bool imap_date(struct imap_in *in, int64_t *days)
{
	bool quoted = imap_eat(in, '"');
	return civil(in, days) && (!quoted || imap_expect(in, '"'));
}

static bool clock_time(struct imap_in *in, int *seconds)
{
	static const struct field hour = { 2, 2, 0, 23 }, minute = { 2, 2, 0, 59 }, second = { 2, 2, 0, 60 };
	int h = 0, m = 0, s = 0;
	if (!read_field(in, &hour, &h) || !imap_eat(in, ':') || !read_field(in, &minute, &m) || !imap_eat(in, ':') ||
	    !read_field(in, &second, &s))
		return imap_fail(in, "malformed time");
	*seconds = h * 3600 + m * 60 + s;
	return true;
}

static bool zone(struct imap_in *in, int *seconds)
{
	static const struct field hour = { 2, 2, 0, 23 }, minute = { 2, 2, 0, 59 };
	int h = 0, m = 0;
	bool west = imap_eat(in, '-');
	if ((!west && !imap_eat(in, '+')) || !read_field(in, &hour, &h) || !read_field(in, &minute, &m))
		return imap_fail(in, "malformed time zone");
	*seconds = (h * 3600 + m * 60) * (west ? -1 : 1);
	return true;
}

bool imap_date_time(struct imap_in *in, int64_t *unix_time)
{
	int64_t days;
	int seconds = 0, east = 0;
	if (!imap_expect(in, '"'))
		return false;
	imap_eat(in, ' ');
	if (!civil(in, &days) || !imap_sp(in) || !clock_time(in, &seconds) || !imap_sp(in) || !zone(in, &east) ||
	    !imap_expect(in, '"'))
		return false;
	*unix_time = days * 86400 + seconds - east;
	return true;
}
