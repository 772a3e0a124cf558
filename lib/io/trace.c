/* SPDX-License-Identifier: ISC */
#include "io/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "io/redact.h"

/* The bytes that each text may take in the line, escapes included; more is cut. Their sum and the rest of the line stay
 * within LIMIT_TRACE_LINE, so that every event is one whole line, whatever stands in it. */
enum {
	ROOM_NAME = 40, /* prog, role, ev, rfc, result, conv */
	ROOM_ID = 200,  /* qid, env, peer, tls */
	ROOM_MID = 400,
	ROOM_LINE = 1000,
	ROOM_WHY = 750,
	ROOM_REST = 300, /* keys, quotes, time, numbers */
};
_Static_assert(6 * ROOM_NAME + 4 * ROOM_ID + ROOM_MID + ROOM_LINE + ROOM_WHY + ROOM_REST <= LIMIT_TRACE_LINE,
    "an event fits its line");

/* A conversation; the lowest one stands for what happens outside of any. */
struct trace_talk {
	struct trace_talk *outer;
	char conv[20], peer[ROOM_ID], tls[ROOM_ID], qid[ROOM_ID], env[ROOM_ID], mid[ROOM_MID];
	struct timespec start;
	struct redact redact;
};

static struct {
	int fd;
	bool explain, transcript;
	char prog[ROOM_NAME], role[ROOM_NAME];
	struct trace_talk *top;
} state = { .fd = -1 };

/* Copies what fits, never a piece of a UTF-8 sequence at the end. */
static void copy_text(char *to, size_t room, struct span s)
{
	size_t n = s.n < room ? s.n : room - 1;
	while (n && n < s.n && ((unsigned char)s.p[n] & 0xc0) == 0x80)
		n--;
	memcpy(to, s.p, n);
	to[n] = '\0';
}

int trace_open(const char *prog, const char *role, const char *path, bool explain, struct err *err)
{
	if (!path)
		path = getenv("WAYPOST_TRACE");
	copy_text(state.prog, sizeof state.prog, span_str(prog));
	trace_role(role);
	/* Under inetd fd 2 is the client's socket: nothing but replies may go there. */
	state.explain = explain && log_where() != LOG_TO_SYSLOG;
	if (path && *path) {
		int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
		if (fd < 0)
			return err_sys(err, "trace file %s", path);
		if (state.fd >= 0)
			close(state.fd);
		state.fd = fd;
	}
	if (trace_on() && !state.top)
		state.top = xcalloc(1, sizeof *state.top);
	return 0;
}

void trace_role(const char *role)
{
	copy_text(state.role, sizeof state.role, span_str(role));
}

bool trace_on(void)
{
	return state.fd >= 0 || state.explain || state.transcript;
}

void trace_transcript(void)
{
	state.transcript = log_where() != LOG_TO_SYSLOG;
	if (trace_on() && !state.top)
		state.top = xcalloc(1, sizeof *state.top);
}

static void new_id(char out[20])
{
	unsigned char raw[8] = { 0 };
	if (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw) {
		struct timespec ts;
		clock_gettime(CLOCK_REALTIME, &ts);
		uint64_t mixed = (uint64_t)ts.tv_sec << 32 ^ (uint64_t)ts.tv_nsec << 8 ^ (uint64_t)getpid();
		memcpy(raw, &mixed, sizeof raw);
	}
	for (size_t i = 0; i < sizeof raw; i++)
		snprintf(out + 2 * i, 3, "%02x", raw[i]);
}

void trace_begin(const char *peer)
{
	if (!trace_on())
		return;
	struct trace_talk *f = xmalloc(sizeof *f);
	*f = *state.top;
	f->outer = state.top;
	f->tls[0] = '\0';
	f->redact = (struct redact){ 0 };
	new_id(f->conv);
	copy_text(f->peer, sizeof f->peer, span_str(peer));
	clock_gettime(CLOCK_MONOTONIC, &f->start);
	state.top = f;
}

void trace_end(void)
{
	if (!trace_on() || !state.top->outer)
		return;
	struct trace_talk *f = state.top;
	state.top = f->outer;
	free(f);
}

struct trace_talk *trace_leave(void)
{
	if (!trace_on() || !state.top->outer)
		return NULL;
	struct trace_talk *f = state.top;
	state.top = f->outer;
	return f;
}

void trace_enter(struct trace_talk *talk)
{
	if (!trace_on())
		return;
	if (!talk) { /* there is always one to end */
		trace_begin("");
		return;
	}
	const struct trace_talk *outer = state.top;
	memcpy(talk->mid, outer->mid, sizeof talk->mid);
	memcpy(talk->qid, outer->qid, sizeof talk->qid);
	memcpy(talk->env, outer->env, sizeof talk->env);
	talk->outer = state.top;
	state.top = talk;
}

const char *trace_conv(void)
{
	return trace_on() ? state.top->conv : "";
}

void trace_mid(struct span message_id)
{
	if (trace_on())
		copy_text(state.top->mid, sizeof state.top->mid, message_id);
}

void trace_qid(const char *queue_id)
{
	if (trace_on())
		copy_text(state.top->qid, sizeof state.top->qid, span_str(queue_id));
}

void trace_env(struct span envid)
{
	if (trace_on())
		copy_text(state.top->env, sizeof state.top->env, envid);
}

void trace_tls(const char *summary)
{
	if (trace_on())
		copy_text(state.top->tls, sizeof state.top->tls, span_str(summary));
}

/* Length of the UTF-8 sequence at p, 0 when it is none: RFC 3629 4's table of first and second bytes. */
static size_t utf8_len(const unsigned char *p, size_t n)
{
	static const struct {
		unsigned char first, last, low, high;
		size_t len;
	} forms[] = {
		{ 0x00, 0x7f, 0x00, 0xff, 1 },
		{ 0xc2, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 },
		{ 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 },
		{ 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 },
		{ 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};
	size_t f = 0, count = sizeof forms / sizeof *forms;
	while (f < count && (p[0] < forms[f].first || p[0] > forms[f].last))
		f++;
	if (f == count || forms[f].len > n)
		return 0;
	if (forms[f].len > 1 && (p[1] < forms[f].low || p[1] > forms[f].high))
		return 0;
	for (size_t i = 2; i < forms[f].len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return forms[f].len;
}

/* One character of a JSON string (RFC 8259 7) into out; the bytes of s it took. Bytes that are no UTF-8 become \u00XX,
 * as if they were Latin-1: the line stays valid JSON, and what was there can be seen. */
static size_t escape_char(struct span s, char out[8], size_t *out_n)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t len = utf8_len(p, s.n);
	if (len == 1 && (*p == '"' || *p == '\\')) {
		out[0] = '\\';
		out[1] = (char)*p;
		*out_n = 2;
	} else if (len == 0 || *p < 0x20 || *p == 0x7f) {
		*out_n = (size_t)snprintf(out, 8, "\\u%04x", *p);
		len = 1;
	} else {
		memcpy(out, p, len);
		*out_n = len;
	}
	return len;
}

/* The string s within room bytes, "..." at its end when it was cut. */
static void add_escaped(struct buf *b, struct span s, size_t room)
{
	size_t start = b->len, safe = b->len;
	while (s.n) {
		char piece[8];
		size_t n, took = escape_char(s, piece, &n);
		if (b->len - start + n > room) {
			buf_truncate(b, safe);
			buf_adds(b, "...");
			return;
		}
		buf_add(b, piece, n);
		if (b->len - start + 3 <= room)
			safe = b->len;
		s = span_from(s, took);
	}
}

static void add_text(struct buf *b, const char *key, struct span s, size_t room)
{
	if (!s.n)
		return;
	buf_addf(b, ",\"%s\":\"", key);
	add_escaped(b, s, room);
	buf_addc(b, '"');
}

static void add_time(struct buf *b)
{
	struct timespec ts;
	struct tm tm;
	char date[32];
	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
	buf_addf(b, "{\"t\":\"%s.%06ldZ\"", date, ts.tv_nsec / 1000);
}

/* Milliseconds with three decimals: hops on one host are often shorter than one. */
static void add_ms(struct buf *b, const struct trace_talk *f)
{
	struct timespec now;
	if (!f->conv[0])
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	long long us = (long long)(now.tv_sec - f->start.tv_sec) * 1000000 + (now.tv_nsec - f->start.tv_nsec) / 1000;
	buf_addf(b, ",\"ms\":%lld.%03lld", us / 1000, us % 1000);
}

static void format_event(struct buf *b, const struct trace_event *e, struct span line)
{
	const struct trace_talk *f = state.top;
	add_time(b);
	add_text(b, "prog", span_str(state.prog), ROOM_NAME);
	add_text(b, "role", span_str(state.role), ROOM_NAME);
	buf_addf(b, ",\"pid\":%ld", (long)getpid());
	add_text(b, "conv", span_str(f->conv), ROOM_NAME);
	add_text(b, "mid", span_str(f->mid), ROOM_MID);
	add_text(b, "qid", span_str(f->qid), ROOM_ID);
	add_text(b, "env", span_str(f->env), ROOM_ID);
	add_text(b, "ev", span_str(e->ev), ROOM_NAME);
	if (e->dir)
		add_text(b, "dir", span_of(&e->dir, 1), ROOM_NAME);
	add_text(b, "line", line, ROOM_LINE);
	add_text(b, "peer", span_str(f->peer), ROOM_ID);
	add_text(b, "tls", span_str(f->tls), ROOM_ID);
	add_text(b, "result", span_str(e->result), ROOM_NAME);
	if (e->code)
		buf_addf(b, ",\"code\":%d", e->code);
	add_text(b, "why", span_str(e->why), ROOM_WHY);
	add_text(b, "rfc", span_str(e->rfc), ROOM_NAME);
	add_ms(b, f);
	buf_adds(b, "}\n");
}

/* Whole in one write, so that several writers' lines don't mix. A failure can be told to nobody from here. */
static void write_whole(int fd, const struct buf *b)
{
	while (!b->bad && write(fd, b->p, b->len) < 0)
		if (errno != EINTR)
			return;
}

static void mask_controls(struct buf *b)
{
	for (size_t i = 0; i < b->len; i++)
		if ((unsigned char)b->p[i] < ' ' || b->p[i] == 127)
			b->p[i] = '?';
}

/* "why (RFC 5321 4.5.4.1)", without control characters: part of it comes from peers. */
static void explain(const struct trace_event *e)
{
	struct buf b;
	if (!e->why || !*e->why)
		return;
	buf_init(&b, LIMIT_TRACE_LINE);
	buf_addf(&b, "%.1500s", e->why);
	if (e->rfc && *e->rfc) {
		struct span section = span_str(e->rfc), number = span_cut(&section, '#');
		buf_addf(&b, " (RFC %.*s%s%.*s)", SPAN_FMT(number), section.n ? " " : "", SPAN_FMT(section));
	}
	mask_controls(&b);
	buf_addc(&b, '\n');
	write_whole(STDERR_FILENO, &b);
	buf_free(&b);
}

static void transcribe(char dir, struct span line)
{
	struct buf b;
	buf_init(&b, LIMIT_TRACE_LINE);
	buf_addf(&b, "%c ", dir);
	buf_addspan(&b, span_slice(line, 0, LIMIT_TRACE_LINE - ROOM_NAME));
	mask_controls(&b);
	buf_addc(&b, '\n');
	write_whole(STDERR_FILENO, &b);
	buf_free(&b);
}

static void emit(const struct trace_event *e, struct span line)
{
	int keep = errno;
	struct buf b;
	if (state.explain)
		explain(e);
	if (state.transcript && e->dir && line.n)
		transcribe(e->dir, line);
	if (state.fd >= 0) {
		buf_init(&b, LIMIT_TRACE_LINE);
		format_event(&b, e, line);
		write_whole(state.fd, &b);
		buf_free(&b);
	}
	errno = keep;
}

void trace_event(const struct trace_event *e)
{
	struct buf line;
	if (!trace_on())
		return;
	buf_init(&line, e->line.n + ROOM_NAME); /* what is hidden is never longer than ROOM_NAME */
	if (e->line.n)
		redact_line(&state.top->redact, e->dir, e->line, &line);
	emit(e, buf_span(&line));
	buf_free(&line);
}

void trace_why(const char *ev, const char *result, const char *rfc, const char *fmt, ...)
{
	char why[ROOM_WHY + 1];
	va_list ap;
	if (!trace_on())
		return;
	va_start(ap, fmt);
	vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	trace_event(&(struct trace_event){ .ev = ev, .result = result, .rfc = rfc, .why = why });
}

void trace_line(char dir, struct span line, bool secret)
{
	if (!trace_on())
		return;
	struct trace_event e = { .ev = "line", .dir = dir, .line = line };
	if (secret)
		emit(&e, SPAN("***"));
	else
		trace_event(&e);
}
