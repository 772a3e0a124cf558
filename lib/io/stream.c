/* SPDX-License-Identifier: ISC */
#include "io/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/xalloc.h"
#include "io/stream_int.h"

enum {
	DEFAULT_TIMEOUT = 5 * 60 * 1000,
	MEM_OUTPUT_MAX = 256 * 1024 * 1024, /* a test's or fuzzer's output, far beyond any dialogue */
	LINGER_MS = 200,                    /* for a peer that still talks when we hang up */
};

static struct stream *stream_new(void)
{
	struct stream *s = xcalloc(1, sizeof *s);
	s->rfd = s->wfd = -1;
	s->timeout = DEFAULT_TIMEOUT;
	for (unsigned i = 0; i < STREAM_LAYERS; i++)
		s->below[i] = (struct stream_below){ s, i };
	s->rcap = LIMIT_STREAM_READ;
	s->rbuf = xmalloc(s->rcap);
	s->wbuf = xmalloc(LIMIT_STREAM_WRITE);
	buf_init(&s->out, MEM_OUTPUT_MAX);
	return s;
}

static bool is_socket(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

struct stream *stream_from_fds(int rfd, int wfd)
{
	struct stream *s = stream_new();
	s->rfd = rfd;
	s->wfd = wfd;
	s->rsock = is_socket(rfd);
	s->wsock = wfd == rfd ? s->rsock : is_socket(wfd);
	s->local = !s->rsock;
	/* Replies leave whole from our buffer, so Nagle's delay only hurts. Fails harmlessly on a Unix socket. */
	int on = 1;
	if (s->wsock)
		setsockopt(wfd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	return s;
}

struct stream *stream_from_mem(struct span in, size_t chunk)
{
	struct stream *s = stream_new();
	s->in = in;
	s->chunk = chunk;
	return s;
}

struct span stream_mem_output(struct stream *s)
{
	stream_flush(s);
	return buf_span(&s->out);
}

static void stream_free(struct stream *s)
{
	if (s->rfd >= 0)
		close(s->rfd);
	if (s->wfd >= 0 && s->wfd != s->rfd)
		close(s->wfd);
	buf_free(&s->out);
	free(s->rbuf);
	free(s->wbuf);
	free(s);
}

/* Closing a socket with unread input sends a reset, which can destroy our last reply before the peer reads it. */
static void linger(struct stream *s)
{
	shutdown(s->wfd, SHUT_WR);
	s->interruptible = s->no_wait = false;
	int64_t end = stream_now() + LINGER_MS;
	for (int64_t left = LINGER_MS; left > 0; left = end - stream_now())
		if (stream_base_poll(s, -1, left, NULL) != STREAM_READY ||
		    recv(s->rfd, s->rbuf, s->rcap, MSG_DONTWAIT) <= 0)
			break;
}

static void stream_end(struct stream *s, bool speak)
{
	while (s->layers) {
		unsigned i = --s->layers;
		s->layer[i]->finish(s->layer_ctx[i], speak && !s->write_failed);
	}
	if (speak && !s->write_failed && s->rsock && s->wsock && s->rend > s->rpos)
		linger(s);
	stream_free(s);
}

void stream_close(struct stream *s)
{
	if (!s)
		return;
	stream_flush(s);
	stream_end(s, true);
}

void stream_abandon(struct stream *s)
{
	if (s)
		stream_end(s, false);
}

/* The first error is kept. A failed read leaves writing possible: a server still says why it hangs up. */
static void fail(struct stream *s, const struct err *err, bool *side)
{
	*side = true;
	if (s->err.class == ERR_NONE)
		s->err = *err;
}

/* ---- layers ---- */

int stream_push(struct stream *s, const struct stream_layer *layer, void *ctx, struct err *err)
{
	if (stream_has_input(s))
		return err_set(err, ERR_PROTO, "the peer sent data too early, before the change of layer was complete");
	if (s->layers == STREAM_LAYERS)
		return err_set(err, ERR_BUG, "too many layers on one stream");
	if (stream_flush(s)) {
		if (err)
			*err = s->err;
		return -1;
	}
	s->layer[s->layers] = layer;
	s->layer_ctx[s->layers] = ctx;
	s->layers++;
	return 0;
}

void *stream_find_layer(const struct stream *s, const struct stream_layer *layer)
{
	for (unsigned i = s->layers; i-- > 0;)
		if (s->layer[i] == layer)
			return s->layer_ctx[i];
	return NULL;
}

struct stream_below *stream_below(struct stream *s)
{
	return s->layers < STREAM_LAYERS ? &s->below[s->layers] : NULL;
}

ssize_t stream_below_read(struct stream_below *b, char *p, size_t n, struct err *err)
{
	struct stream *s = b->s;
	if (b->level == 0)
		return stream_base_read(s, p, n, err);
	return s->layer[b->level - 1]->read(s->layer_ctx[b->level - 1], p, n, err);
}

ssize_t stream_below_write(struct stream_below *b, const char *p, size_t n, struct err *err)
{
	struct stream *s = b->s;
	if (b->level == 0)
		return stream_base_write(s, p, n, err);
	return s->layer[b->level - 1]->write(s->layer_ctx[b->level - 1], p, n, err);
}

static ssize_t top_read(struct stream *s, char *p, size_t n, struct err *err)
{
	return stream_below_read(&(struct stream_below){ s, s->layers }, p, n, err);
}

static bool layers_pending(const struct stream *s)
{
	for (unsigned i = 0; i < s->layers; i++)
		if (s->layer[i]->pending && s->layer[i]->pending(s->layer_ctx[i]))
			return true;
	return false;
}

/* ---- writing ---- */

static int write_down(struct stream *s, const char *p, size_t n)
{
	struct stream_below top = { s, s->layers };
	s->held = s->layers > 0;
	while (n) {
		struct err err = { 0 };
		ssize_t put = stream_below_write(&top, p, n, &err);
		if (put < 0) {
			fail(s, &err, &s->write_failed);
			return -1;
		}
		p += put; /* UNSAFE: a write moves at most n */
		n -= (size_t)put;
	}
	return 0;
}

static int drain_wbuf(struct stream *s)
{
	size_t n = s->wlen;
	s->wlen = 0;
	return write_down(s, s->wbuf, n);
}

int stream_write(struct stream *s, const char *p, size_t n)
{
	if (s->write_failed)
		return -1;
	if (n > LIMIT_STREAM_WRITE - s->wlen) {
		if (drain_wbuf(s))
			return -1;
		if (n >= LIMIT_STREAM_WRITE)
			return write_down(s, p, n);
	}
	if (n)
		memcpy(s->wbuf + s->wlen, p, n);
	s->wlen += n;
	return 0;
}

int stream_span(struct stream *s, struct span data)
{
	return stream_write(s, data.p, data.n);
}

int stream_puts(struct stream *s, const char *text)
{
	return stream_write(s, text, strlen(text));
}

int stream_printf(struct stream *s, const char *fmt, ...)
{
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	char text[1024];
	int n = vsnprintf(text, sizeof text, fmt, ap), r;
	if (n >= 0 && (size_t)n < sizeof text) {
		r = stream_write(s, text, (size_t)n);
	} else {
		struct buf b;
		buf_init(&b, MEM_OUTPUT_MAX);
		buf_addv(&b, fmt, again);
		r = stream_span(s, buf_span(&b));
		buf_free(&b);
	}
	va_end(again);
	va_end(ap);
	return r;
}

int stream_flush(struct stream *s)
{
	if (s->write_failed)
		return -1;
	if (s->wlen && drain_wbuf(s))
		return -1;
	for (unsigned i = s->held ? s->layers : 0; i-- > 0;) {
		struct err err = { 0 };
		if (s->layer[i]->flush && s->layer[i]->flush(s->layer_ctx[i], &err)) {
			fail(s, &err, &s->write_failed);
			return -1;
		}
	}
	s->held = false;
	return 0;
}

/* ---- reading ---- */

/* Makes room behind rend: at most half of the buffer is moved each time half of it was used, so the work stays
 * linear as long as rcap is twice what a caller keeps unread. */
static void make_room(struct stream *s)
{
	if (s->rend < s->rcap && s->rpos < s->rend)
		return;
	size_t kept = s->rend - s->rpos;
	memmove(s->rbuf, s->rbuf + s->rpos, kept);
	s->rscan -= s->rscan > s->rpos ? s->rpos : s->rscan;
	s->rpos = 0;
	s->rend = kept;
}

static ssize_t read_failed(struct stream *s, const struct err *err)
{
	if (s->no_wait && err->sys == EAGAIN)
		errno = EAGAIN;
	else
		fail(s, err, &s->read_failed);
	return -1;
}

/* Reads more into the buffer, flushing our side first. > 0 bytes, 0 end of file, -1 error. */
static ssize_t fill(struct stream *s)
{
	if (s->read_failed) {
		errno = s->err.sys;
		return -1;
	}
	stream_flush(s);
	make_room(s);
	struct err err = { 0 };
	ssize_t n = top_read(s, s->rbuf + s->rend, s->rcap - s->rend, &err);
	if (n < 0)
		return read_failed(s, &err);
	s->rend += (size_t)n;
	return n;
}

static void reserve(struct stream *s, size_t need)
{
	if (need <= s->rcap)
		return;
	s->rbuf = xrealloc(s->rbuf, need);
	s->rcap = need;
}

static enum line_end line_fail(struct stream *s, struct line *line)
{
	line->text = span_of("", 0);
	return line->end = s->err.sys == ETIMEDOUT || s->err.sys == EINTR ? LINE_TIMEOUT : LINE_ERROR;
}

static void judge(struct line *line)
{
	struct span t = line->text;
	line->has_nul = memchr(t.p, '\0', t.n);
	line->has_bare_cr = memchr(t.p, '\r', t.n);
}

/* The line's LF stands at offset lf of the buffer. */
static enum line_end line_at(struct stream *s, size_t lf, size_t max, struct line *line)
{
	struct span text = { s->rbuf + s->rpos, lf - s->rpos };
	line->bare_lf = !span_ends(text, "\r");
	line->end = line->bare_lf ? LINE_LF : LINE_CRLF;
	if (!line->bare_lf)
		text.n--;
	if (text.n > max) {
		text.n = max;
		line->end = LINE_TOO_LONG;
	}
	line->text = text;
	judge(line);
	s->rpos = s->rscan = lf + 1;
	return line->end;
}

/* Keeps the first max bytes at the front of the buffer and reads the rest of the line over and over behind them. */
static enum line_end line_too_long(struct stream *s, size_t max, struct line *line)
{
	size_t thrown = 0;
	make_room(s);
	char last = s->rbuf[s->rend - 1]; /* of what is thrown away; UNSAFE: more than max bytes are there */
	memmove(s->rbuf, s->rbuf + s->rpos, max);
	for (;;) {
		s->rpos = s->rend = s->rscan = max;
		struct err err = { 0 };
		stream_flush(s);
		ssize_t n = thrown < STREAM_LINE_MOST
				? top_read(s, s->rbuf + max, s->rcap - max, &err)
				: err_set(&err, ERR_PROTO, "the peer sends a line without an end");
		if (n < 0) {
			read_failed(s, &err);
			return line_fail(s, line);
		}
		s->rend += (size_t)n;
		thrown += (size_t)n;
		const char *lf = n ? memchr(s->rbuf + max, '\n', (size_t)n) : NULL;
		if (lf) {
			s->rpos = s->rscan = (size_t)(lf - s->rbuf) + 1;
			line->bare_lf = (lf > s->rbuf + max ? lf[-1] : last) != '\r';
		}
		if (lf || !n)
			break;
		last = s->rbuf[s->rend - 1];
	}
	line->text = span_of(s->rbuf, max);
	judge(line);
	return line->end = LINE_TOO_LONG;
}

static enum line_end line_eof(struct stream *s, struct line *line)
{
	line->text = span_of(s->rbuf + s->rpos, s->rend - s->rpos);
	judge(line);
	s->rpos = s->rscan = s->rend;
	return line->end = LINE_EOF;
}

enum line_end stream_line(struct stream *s, size_t max, struct line *line)
{
	reserve(s, 2 * (max + 2));
	line->bare_lf = false;
	s->rscan = s->rpos;
	for (;;) {
		const char *lf = memchr(s->rbuf + s->rscan, '\n', s->rend - s->rscan);
		if (lf)
			return line_at(s, (size_t)(lf - s->rbuf), max, line);
		s->rscan = s->rend;
		if (s->rend - s->rpos > max + 1)
			return line_too_long(s, max, line);
		s->interruptible = s->rend == s->rpos && !s->unstoppable;
		ssize_t n = fill(s);
		s->interruptible = false;
		if (n < 0)
			return line_fail(s, line);
		if (!n)
			return s->rend - s->rpos > max ? line_too_long(s, max, line) : line_eof(s, line);
	}
}

int stream_peek(struct stream *s, struct span *out)
{
	ssize_t n = s->rend > s->rpos ? 1 : fill(s);
	*out = span_of(s->rbuf + s->rpos, s->rend - s->rpos);
	return n > 0 ? 1 : (int)n;
}

void stream_consume(struct stream *s, size_t n)
{
	size_t have = s->rend - s->rpos;
	s->rpos += n < have ? n : have;
}

ssize_t stream_read(struct stream *s, char *p, size_t n)
{
	if (!n)
		return 0;
	struct span got;
	int r = stream_peek(s, &got);
	if (r <= 0)
		return r;
	got = span_slice(got, 0, n);
	memcpy(p, got.p, got.n);
	stream_consume(s, got.n);
	return (ssize_t)got.n;
}

int stream_read_full(struct stream *s, char *p, size_t n)
{
	while (n) {
		ssize_t got = stream_read(s, p, n);
		if (got == 0) {
			struct err err = { 0 };
			err_set(&err, ERR_PROTO, "the connection ended in the middle of data");
			fail(s, &err, &s->read_failed);
		}
		if (got <= 0)
			return -1;
		p += got; /* UNSAFE: a read gives at most n */
		n -= (size_t)got;
	}
	return 0;
}

bool stream_has_input(struct stream *s)
{
	return s->rend > s->rpos || layers_pending(s);
}

/* ---- times and waiting ---- */

void stream_set_timeout(struct stream *s, int64_t ms)
{
	s->timeout = ms;
}

void stream_set_deadline(struct stream *s, int64_t ms)
{
	s->deadline = ms ? stream_now() + ms : 0;
}

void stream_set_min_rate(struct stream *s, size_t bytes_per_second, int64_t grace_ms)
{
	s->rate = bytes_per_second;
	s->rate_grace = grace_ms;
	s->rate_since = stream_now();
	s->rate_bytes = 0;
}

void stream_set_hurry(struct stream *s, int64_t ms, size_t bytes_per_second)
{
	s->hurry = ms;
	s->hurry_since = stream_now();
	s->hurry_rate = bytes_per_second;
	s->hurry_bytes = 0;
}

/* Below a layer a readable descriptor may hold no more than a part of a record: tries without blocking. True when a
 * read would return at once. */
static bool layer_has_input(struct stream *s)
{
	s->no_wait = true;
	ssize_t n = fill(s);
	s->no_wait = false;
	return n >= 0 || errno != EAGAIN || s->read_failed;
}

int stream_wait(struct stream *s, int other_fd, int64_t ms)
{
	stream_flush(s);
	if (s->rend > s->rpos || s->rfd < 0 || s->read_failed || (layers_pending(s) && layer_has_input(s)))
		return STREAM_READY;
	int64_t end = ms < 0 ? INT64_MAX : stream_now() + ms;
	for (;;) {
		struct err err = { 0 };
		int64_t left = ms < 0 ? -1 : end - stream_now();
		int got = stream_base_poll(s, other_fd, ms < 0 ? -1 : left < 0 ? 0 : left, &err);
		if (got < 0) {
			fail(s, &err, &s->read_failed);
			return -1;
		}
		if ((got & STREAM_READY) && s->layers && !layer_has_input(s))
			got &= ~STREAM_READY;
		if (got || (ms >= 0 && stream_now() >= end))
			return got;
	}
}

const struct err *stream_err(const struct stream *s)
{
	return &s->err;
}

int stream_fd(const struct stream *s)
{
	return s->rfd;
}

bool stream_is_local(const struct stream *s)
{
	return s->local;
}

void stream_set_local(struct stream *s, bool local)
{
	s->local = local;
}

void stream_set_stoppable(struct stream *s, bool stoppable)
{
	s->unstoppable = !stoppable;
}
