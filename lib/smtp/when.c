/* SPDX-License-Identifier: ISC */
#include "smtp/when.h"

#include "msg/date.h"

enum {
	SECONDS_MAX = 999999999,
	SECONDS_DIGITS = 9
};

bool when_hold_for(struct span value, int64_t *seconds)
{
	uint64_t n;
	/* RFC 4865 3: no leading zero. */
	if (!value.n || value.n > SECONDS_DIGITS || value.p[0] == '0' || !span_u64(value, SECONDS_MAX, &n))
		return false;
	*seconds = (int64_t)n;
	return true;
}

/* n digits and the character that follows them, 0 for none. */
static bool number(struct span *s, size_t n, char then, int max, int *out)
{
	uint64_t v;
	size_t all = n + (then ? 1 : 0);
	if (s->n < all || (then && ascii_upper(s->p[n]) != then) || !span_u64(span_slice(*s, 0, n), (uint64_t)max, &v))
		return false;
	*out = (int)v;
	*s = span_from(*s, all);
	return true;
}

/* A fraction of a second is more than a queue can keep: it is passed over. */
static bool fraction(struct span *s)
{
	size_t i = 1;
	if (!span_starts(*s, "."))
		return true;
	while (i < s->n && ascii_isdigit(s->p[i]))
		i++;
	*s = span_from(*s, i);
	return i > 1;
}

bool when_date(struct span value, int64_t *unix_time)
{
	int year, month, day, hour, minute, second;
	int64_t y, days;
	int m, d;
	if (!number(&value, 4, '-', 9999, &year) || !number(&value, 2, '-', 12, &month) ||
	    !number(&value, 2, 'T', 31, &day) || !number(&value, 2, ':', 23, &hour) ||
	    !number(&value, 2, ':', 59, &minute) || !number(&value, 2, 0, 60, &second) || !fraction(&value))
		return false;
	if (!span_ieqs(value, "Z") && !span_eqs(value, "+00:00") && !span_eqs(value, "-00:00"))
		return false;
	if (!month || !day)
		return false;
	days = date_days(year, month, day);
	date_civil(days, &y, &m, &d);
	if (m != month || d != day)
		return false; /* the 31st of a month that has none */
	*unix_time = days * 86400 + hour * 3600 + minute * 60 + second;
	return true;
}

void when_date_format(int64_t unix_time, struct buf *out)
{
	int64_t year, days = unix_time / 86400, second = unix_time % 86400;
	int month, day;
	date_civil(days, &year, &month, &day);
	buf_addf(out, "%04d-%02d-%02dT%02d:%02d:%02dZ", (int)year, month, day, (int)(second / 3600),
	    (int)(second / 60 % 60), (int)(second % 60));
}

bool when_by(struct span value, struct smtp_by *out)
{
	uint64_t n;
	struct span mode = value, time = span_cut(&mode, ';');
	bool minus = span_starts(time, "-");
	if (minus || span_starts(time, "+"))
		time = span_from(time, 1);
	if (!time.n || time.n > SECONDS_DIGITS || !span_u64(time, SECONDS_MAX, &n) || !mode.n || mode.n > 2)
		return false;
	out->seconds = minus ? -(int64_t)n : (int64_t)n;
	out->mode = ascii_upper(mode.p[0]);
	out->trace = mode.n == 2;
	if (out->trace && ascii_upper(mode.p[1]) != 'T')
		return false;
	/* RFC 2852 4: what is to be returned can't be late already. */
	return out->mode == 'N' || (out->mode == 'R' && out->seconds > 0);
}
