/* SPDX-License-Identifier: ISC */
#include "msg/date.h"

#include <stdio.h>

#include "msg/header.h"

enum {
	DATE_BYTES = 256 /* of a value that are looked at: no date is longer, comments in front included */
};

static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov",
	"Dec" };
static const char weekdays[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };

int64_t date_days(int64_t year, int month, int day)
{
	/* Years begin in March, so that the leap day is the last; eras of 400 years repeat. */
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t yoe = y - era * 400;
	int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

void date_civil(int64_t days, int64_t *year, int *month, int *day)
{
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;
	*day = (int)(doy - (153 * mp + 2) / 5 + 1);
	*month = (int)(mp < 10 ? mp + 3 : mp - 9);
	*year = yoe + era * 400 + (*month <= 2);
}

/* What was made out so far; -1 where nothing was. */
struct reading {
	int64_t year;
	int day, month, hour, minute, second;
	int zone;
	bool zone_known, pm, am;
};

struct scan {
	struct span rest;
	char before; /* the byte in front of the token: a sign, perhaps */
};

static bool take(struct scan *s, char c)
{
	if (!s->rest.n || s->rest.p[0] != c)
		return false;
	s->before = c;
	s->rest = span_from(s->rest, 1);
	return true;
}

static struct span take_run(struct scan *s, bool (*is)(char))
{
	size_t n = 0;
	while (n < s->rest.n && is(s->rest.p[n]))
		n++;
	struct span run = span_slice(s->rest, 0, n);
	if (n)
		s->before = run.p[n - 1];
	s->rest = span_from(s->rest, n);
	return run;
}

static int number(struct span s)
{
	uint64_t v;
	return span_u64(s, 99999, &v) ? (int)v : -1;
}

static bool digit_next(const struct scan *s, size_t at)
{
	return s->rest.n > at && ascii_isdigit(s->rest.p[at]);
}

/* RFC 5322 4.3: two digits 00-49 are of 2000, 50-99 and all three-digit years of 1900. */
static int64_t full_year(struct span digits, int value)
{
	if (digits.n >= 4)
		return value;
	return digits.n == 2 && value < 50 ? value + 2000 : value + 1900;
}

/* ":MM[:SS[.fraction]]" after the hour. */
static void read_time(struct scan *s, struct span hour, struct reading *r)
{
	char sep = s->rest.p[0];
	r->hour = number(hour);
	r->second = 0;
	take(s, sep);
	r->minute = number(take_run(s, ascii_isdigit));
	if (s->rest.n && s->rest.p[0] == sep && digit_next(s, 1)) {
		take(s, sep);
		r->second = number(take_run(s, ascii_isdigit));
		if (s->rest.n && (s->rest.p[0] == '.' || s->rest.p[0] == ',') && digit_next(s, 1)) {
			take(s, s->rest.p[0]);
			take_run(s, ascii_isdigit);
		}
	}
}

/* "+hhmm", "+hh:mm" or "+hh" */
static void read_zone(struct scan *s, struct span digits, char sign, struct reading *r)
{
	int v = number(digits);
	if (digits.n <= 2) {
		v *= 100;
		if (take(s, ':'))
			v += number(take_run(s, ascii_isdigit));
	}
	r->zone_known = true;
	/* A zone that is none says nothing of where: UTC then, as RFC 5322 4.3 has it of unknown names. */
	if (v < 0 || v % 100 > 59 || v / 100 > 23)
		return;
	r->zone = (v / 100 * 60 + v % 100) * (sign == '-' ? -1 : 1);
}

/* "-MM-DD" after a four-digit year (ISO 8601, RFC 3339). */
static bool read_iso(struct scan *s, struct span year, struct reading *r)
{
	struct scan t = *s;
	if (year.n != 4 || r->month >= 0 || !take(&t, '-'))
		return false;
	int month = number(take_run(&t, ascii_isdigit));
	if (month < 1 || !take(&t, '-'))
		return false;
	r->year = number(year);
	r->month = month - 1;
	r->day = number(take_run(&t, ascii_isdigit));
	*s = t;
	return true;
}

static void read_number(struct scan *s, char sign, struct reading *r)
{
	struct span digits = take_run(s, ascii_isdigit);
	char next = s->rest.n ? s->rest.p[0] : 0;
	if (r->hour >= 0 && !r->zone_known && (sign == '+' || sign == '-') && digits.n <= 4)
		read_zone(s, digits, sign, r);
	else if (r->hour < 0 && digits.n <= 2 && (next == ':' || (next == '.' && r->day >= 0)) && digit_next(s, 1))
		read_time(s, digits, r);
	else if (read_iso(s, digits, r))
		return;
	else if (r->day < 0 && digits.n <= 2)
		r->day = number(digits);
	else if (r->year < 0 && digits.n >= 2 && digits.n <= 5)
		r->year = full_year(digits, number(digits));
}

static bool name_in(struct span word, const char (*names)[4], int n, int *found)
{
	for (int i = 0; i < n; i++)
		if (word.n >= 3 && span_istarts(word, names[i])) {
			*found = i;
			return true;
		}
	return false;
}

static bool zone_name(struct span word, int *hours)
{
	/* RFC 5322 4.3, and European names that are met; all others are of unknown meaning. */
	static const struct {
		const char *name;
		int hours;
	} zones[] = { { "UT", 0 }, { "GMT", 0 }, { "UTC", 0 }, { "Z", 0 }, { "EST", -5 }, { "EDT", -4 }, { "CST", -6 },
		{ "CDT", -5 }, { "MST", -7 }, { "MDT", -6 }, { "PST", -8 }, { "PDT", -7 }, { "WET", 0 }, { "WEST", 1 },
		{ "BST", 1 }, { "CET", 1 }, { "MET", 1 }, { "CEST", 2 }, { "MEST", 2 }, { "EET", 2 }, { "EEST", 3 },
		{ "MSK", 3 }, { "JST", 9 } };
	for (size_t i = 0; i < sizeof zones / sizeof *zones; i++)
		if (span_ieqs(word, zones[i].name)) {
			*hours = zones[i].hours;
			return true;
		}
	return false;
}

static void read_word(struct scan *s, struct reading *r)
{
	struct span word = take_run(s, ascii_isalpha);
	int found;
	if (r->month < 0 && name_in(word, months, 12, &found)) {
		r->month = found;
	} else if (r->hour >= 0 && (span_ieqs(word, "AM") || span_ieqs(word, "PM"))) {
		r->pm = ascii_lower(word.p[0]) == 'p';
		r->am = !r->pm;
	} else if (r->hour >= 0 && !r->zone_known && zone_name(word, &found)) {
		r->zone = found * 60;
		/* "GMT+0100": the number that follows is the zone. */
		r->zone_known = !(found == 0 && s->rest.n && (s->rest.p[0] == '+' || s->rest.p[0] == '-'));
	}
}

/* Without comments, and without the blanks around ':' (RFC 5322 4.3 lets CFWS stand there). out has room for s. */
static size_t plain_copy(struct span s, char *out)
{
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (c == '(') {
			i += header_comment_length(span_from(s, i)) - 1;
			c = ' ';
		}
		bool blank = ascii_isblank(c) || c == '\r' || c == '\n';
		if (blank && n && out[n - 1] == ':')
			continue;
		while (c == ':' && n && ascii_isblank(out[n - 1]))
			n--;
		out[n++] = blank ? ' ' : c;
	}
	return n;
}

static bool plausible(const struct reading *r)
{
	static const int length[12] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	if (r->year < 0 || r->month < 0 || r->month > 11 || r->day < 1 || r->day > length[r->month])
		return false;
	bool leap = (r->year % 4 == 0 && r->year % 100 != 0) || r->year % 400 == 0;
	if (r->month == 1 && r->day == 29 && !leap)
		return false;
	/* Second 60 is a leap second. */
	return r->hour <= 23 && r->minute >= 0 && r->minute <= 59 && r->second >= 0 && r->second <= 60;
}

static void twelve_hours(struct reading *r)
{
	if (r->pm && r->hour < 12)
		r->hour += 12;
	if (r->am && r->hour == 12)
		r->hour = 0;
}

bool date_parse(struct span s, int64_t *unix_time, int *zone_min)
{
	struct reading r = { .year = -1, .day = -1, .month = -1, .hour = -1 };
	char plain[DATE_BYTES];
	struct scan scan = { span_of(plain, plain_copy(span_slice(s, 0, DATE_BYTES), plain)), ' ' };
	while (scan.rest.n) {
		char c = scan.rest.p[0];
		if (ascii_isdigit(c))
			read_number(&scan, scan.before, &r);
		else if (ascii_isalpha(c))
			read_word(&scan, &r);
		else
			take(&scan, c);
	}
	twelve_hours(&r);
	if (!plausible(&r))
		return false;
	int64_t hour = r.hour < 0 ? 0 : r.hour;
	*unix_time = date_days(r.year, r.month + 1, r.day) * 86400 + hour * 3600 + r.minute * 60 + r.second -
		     (int64_t)r.zone * 60;
	*zone_min = r.zone;
	return true;
}

void date_format(int64_t unix_time, int zone_min, struct buf *out)
{
	int64_t local = unix_time + (int64_t)zone_min * 60;
	int64_t days = local / 86400, second = local % 86400, year;
	int month, day, zone = zone_min < 0 ? -zone_min : zone_min;
	if (second < 0) {
		second += 86400;
		days--;
	}
	int64_t weekday = ((days + 4) % 7 + 7) % 7; /* 1970-01-01 was a Thursday */
	date_civil(days, &year, &month, &day);
	buf_addf(out, "%s, %02d %s %04lld %02d:%02d:%02d %c%02d%02d", weekdays[weekday], day, months[month - 1],
	    (long long)year, (int)(second / 3600), (int)(second / 60 % 60), (int)(second % 60),
	    zone_min < 0 ? '-' : '+', zone / 60, zone % 60);
}

const char *date_here(int64_t unix_time)
{
	static char text[64];
	static int64_t last = -1;
	struct buf b;
	if (unix_time == last)
		return text;
	buf_init(&b, sizeof text);
	date_format(unix_time, date_local_zone(unix_time), &b);
	snprintf(text, sizeof text, "%s", b.p);
	buf_free(&b);
	last = unix_time;
	return text;
}

int date_local_zone(int64_t unix_time)
{
	time_t t = (time_t)unix_time;
	struct tm tm;
	return localtime_r(&t, &tm) ? (int)(tm.tm_gmtoff / 60) : 0;
}
