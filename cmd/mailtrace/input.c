/* SPDX-License-Identifier: ISC
 *
 * Files to events and messages. Fields that are not known are dropped.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/xalloc.h"
#include "mailtrace/model.h"
#include "msg/date.h"
#include "msg/header.h"

static struct span text_of(struct arena *a, const json_t *j, const char *key)
{
	const json_t *v = json_object_get(j, key);
	if (!json_is_string(v))
		return span_str("");
	return arena_span(a, span_of(json_string_value(v), json_string_length(v)));
}

/* n digits at *at, which moves on. */
static bool digits(struct span s, size_t *at, size_t n, int *out)
{
	uint64_t v;
	if (!span_u64(span_slice(s, *at, *at + n), 9999, &v) || *at + n > s.n)
		return false;
	*at += n;
	*out = (int)v;
	return true;
}

static bool mark(struct span s, size_t *at, const char *any)
{
	if (*at >= s.n || !strchr(any, s.p[*at]))
		return false;
	++*at;
	return true;
}

/* ".123456": microseconds of as many digits as there are. */
static int64_t fraction(struct span s, size_t *at)
{
	int64_t us = 0, unit = 100000;
	if (!mark(s, at, "."))
		return 0;
	for (; *at < s.n && ascii_isdigit(s.p[*at]); ++*at, unit /= 10)
		us += (s.p[*at] - '0') * unit;
	return us;
}

/* "2026-11-22": days since 1970. */
static bool parse_date(struct span s, size_t *at, int64_t *days)
{
	int y, mo, d;
	if (!digits(s, at, 4, &y) || !mark(s, at, "-") || !digits(s, at, 2, &mo) || !mark(s, at, "-") ||
	    !digits(s, at, 2, &d))
		return false;
	*days = date_days(y, mo, d);
	return mo >= 1 && mo <= 12 && d >= 1 && d <= 31;
}

/* "03:10": minutes. */
static bool parse_minutes(struct span s, size_t *at, int *minutes)
{
	int h, mi;
	if (!digits(s, at, 2, &h) || !mark(s, at, ":") || !digits(s, at, 2, &mi))
		return false;
	*minutes = h * 60 + mi;
	return h <= 23 && mi <= 59;
}

/* RFC 3339 5.6; UTC ("Z") or with an offset. */
static bool parse_time(struct span s, int64_t *us)
{
	int64_t days;
	int minutes, seconds, zone = 0, sign = 1;
	size_t at = 0;
	if (!parse_date(s, &at, &days) || !mark(s, &at, "Tt ") || !parse_minutes(s, &at, &minutes))
		return false;
	if (!mark(s, &at, ":") || !digits(s, &at, 2, &seconds) || seconds > 60)
		return false;
	int64_t micro = fraction(s, &at);
	if (!mark(s, &at, "Zz")) {
		sign = at < s.n && s.p[at] == '-' ? -1 : 1;
		if (!mark(s, &at, "+-") || !parse_minutes(s, &at, &zone))
			return false;
	}
	*us = ((days * 1440 + minutes - sign * zone) * 60 + seconds) * 1000000 + micro;
	return at == s.n;
}

static void fill_event(struct arena *a, const json_t *j, struct event *e)
{
	const struct {
		const char *key;
		struct span *to;
	} texts[] = { { "prog", &e->prog }, { "role", &e->role }, { "conv", &e->conv }, { "mid", &e->mid },
		{ "qid", &e->qid }, { "env", &e->env }, { "ev", &e->ev }, { "line", &e->line }, { "peer", &e->peer },
		{ "tls", &e->tls }, { "result", &e->result }, { "why", &e->why }, { "rfc", &e->rfc } };
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		*texts[i].to = text_of(a, j, texts[i].key);
	struct span dir = text_of(a, j, "dir");
	e->dir = span_eqs(dir, "<") || span_eqs(dir, ">") ? dir.p[0] : 0;
	e->pid = json_integer_value(json_object_get(j, "pid"));
	e->code = (int)json_integer_value(json_object_get(j, "code"));
	const json_t *ms = json_object_get(j, "ms");
	e->ms = json_is_number(ms) ? json_number_value(ms) : -1;
}

static bool input_event(struct input *in, struct span line)
{
	struct event e = { .time = span_str(""), .seq = in->n_events };
	json_t *j = json_loadb(line.p, line.n, JSON_ALLOW_NUL, NULL);
	bool ok = json_is_object(j);
	if (ok) {
		e.time = text_of(in->a, j, "t");
		fill_event(in->a, j, &e);
		ok = parse_time(e.time, &e.us) && e.ev.n;
	}
	json_decref(j);
	if (!ok)
		return false;
	if (in->n_events == in->room_events) {
		in->room_events += in->room_events / 2 + 256;
		in->event = xreallocarray(in->event, in->room_events, sizeof *in->event);
	}
	in->event[in->n_events++] = e;
	return true;
}

static void input_events(struct input *in, struct span text)
{
	while (text.n) {
		struct span line = span_trim(span_cut(&text, '\n'));
		if (line.n && !input_event(in, line))
			in->malformed++;
	}
}

/* "<...>" of a Message-ID field, comments and folding aside; the trimmed text when there are no brackets. */
static struct span message_id(struct arena *a, struct span value)
{
	struct buf b;
	buf_init(&b, LIMIT_HEADER_FIELD);
	header_unfold(value, &b);
	struct span s = span_trim(arena_span(a, buf_span(&b)));
	buf_free(&b);
	ptrdiff_t open = span_chr(s, '<'), close = span_rchr(s, '>');
	return open >= 0 && close > open ? span_slice(s, (size_t)open, (size_t)close + 1) : s;
}

static void read_received(struct input *in, struct mail *m, struct span header)
{
	struct header_field f;
	size_t count = header_count(header, "Received");
	if (count > MAX_HOPS)
		count = MAX_HOPS;
	m->hop = arena_alloc(in->a, (count + 1) * sizeof *m->hop);
	while (m->n < count && header_next(&header, &f))
		if (span_ieqs(f.name, "Received") && received_parse(in->a, f.value, &m->hop[m->n]))
			m->n++;
	/* Each server puts its own in front. */
	for (size_t i = 0; i < m->n / 2; i++) {
		struct received keep = m->hop[i];
		m->hop[i] = m->hop[m->n - 1 - i];
		m->hop[m->n - 1 - i] = keep;
	}
}

static void input_mail(struct input *in, const char *file, struct span message)
{
	struct header_field f;
	struct mail m = { .file = file, .mid = span_str("") };
	struct span body, header = header_of(span_slice(message, 0, LIMIT_HEADER_BYTES), &body);
	int zone;
	if (header_find(header, "Message-ID", &f))
		m.mid = message_id(in->a, f.value);
	if (header_find(header, "Date", &f))
		m.has_date = date_parse(f.value, &m.date, &zone);
	read_received(in, &m, header);
	if (!m.mid.n && !m.n && !m.has_date) {
		in->malformed++;
		return;
	}
	if (in->n_mails == in->room_mails) {
		in->room_mails += in->room_mails / 2 + 16;
		in->mail = xreallocarray(in->mail, in->room_mails, sizeof *in->mail);
	}
	in->mail[in->n_mails++] = m;
}

void input_bytes(struct input *in, const char *file, struct span text)
{
	if (span_starts(span_trim(span_slice(text, 0, 4096)), "{"))
		input_events(in, text);
	else if (text.n)
		input_mail(in, file, text);
}

static int slurp_fd(int fd, const char *path, struct buf *b, struct err *err)
{
	for (;;) {
		char *at = buf_room(b, 65536);
		if (!at)
			return err_set(err, ERR_LIMIT, "%s is longer than %d bytes", path, MAX_INPUT);
		ssize_t n = read(fd, at, 65536);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "%s", path);
		if (n == 0)
			return 0;
		buf_grew(b, (size_t)n);
	}
}

int input_read(struct input *in, const char *path, struct err *err)
{
	struct buf b;
	bool is_stdin = !strcmp(path, "-");
	int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "%s", path);
	buf_init(&b, MAX_INPUT);
	int rc = slurp_fd(fd, path, &b, err);
	if (!is_stdin)
		close(fd);
	if (rc == 0)
		input_bytes(in, path, buf_span(&b));
	buf_free(&b);
	return rc;
}
