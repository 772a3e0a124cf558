/* SPDX-License-Identifier: ISC
 *
 * The bottom of a stream: bytes from and to descriptors or memory, and every wait with its deadlines. Descriptors
 * keep the blocking mode they came with, since a terminal's or pipe's is shared with other processes; nothing here
 * blocks but poll(2).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "io/stream_int.h"

int stream_interrupt_fd = -1;
void (*stream_on_idle)(void);
bool (*stream_is_stressed)(void);

int64_t stream_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int timed_out(struct err *err, const char *text)
{
	err_set(err, ERR_TEMP, "%s", text);
	if (err)
		err->sys = ETIMEDOUT;
	errno = ETIMEDOUT;
	return -1;
}

static int interrupted(struct err *err)
{
	err_set(err, ERR_TEMP, "interrupted by a signal to stop");
	if (err)
		err->sys = EINTR;
	errno = EINTR;
	return -1;
}

/* When the minimum rate will be missed if nothing more comes. */
static int64_t rate_end(const struct stream *s)
{
	int64_t allowed = (int64_t)(s->rate_bytes * 1000 / s->rate);
	return s->rate_since + (allowed > s->rate_grace ? allowed : s->rate_grace);
}

struct limit {
	int64_t at; /* on stream_now's clock */
	const char *text;
};

/* When this exchange is over, however it goes; INT64_MAX: never. */
static struct limit exchange_limit(const struct stream *s)
{
	struct limit l = { INT64_MAX, "timed out: the time for this exchange is over" };
	if (s->deadline)
		l.at = s->deadline;
	if (s->hurry && stream_is_stressed && stream_is_stressed()) {
		int64_t allowed = s->hurry_rate ? (int64_t)(s->hurry_bytes * 1000 / s->hurry_rate) : 0;
		int64_t end = s->hurry_since + (allowed > s->hurry ? allowed : s->hurry);
		if (end < l.at)
			l = (struct limit){ end, "timed out: the peer is too slow while others wait" };
	}
	return l;
}

/* The earliest of the ends that a wait that began then may meet. */
static struct limit wait_limit(const struct stream *s, int64_t began)
{
	struct limit l = { began + s->timeout, "timed out waiting for the peer" }, exchange = exchange_limit(s);
	if (exchange.at < l.at)
		l = exchange;
	if (s->rate && rate_end(s) < l.at)
		l = (struct limit){ rate_end(s), "timed out: the peer is too slow" };
	return l;
}

static int poll_ms(int64_t at)
{
	int64_t left = at - stream_now();
	return left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

/* poll(2) until `end` (stream_now), with the time of a peer's silence put to use. */
static int poll_until(struct pollfd *p, nfds_t n_fds, int64_t end)
{
	int64_t idle = stream_now() + STREAM_IDLE_MS;
	if (stream_on_idle && idle < end) {
		int n = poll(p, n_fds, STREAM_IDLE_MS);
		if (n || stream_now() < idle)
			return n;
		stream_on_idle();
	}
	return poll(p, n_fds, poll_ms(end));
}

/* Waits for events on fd within the limits. */
static int wait_for(struct stream *s, int fd, short events, struct err *err)
{
	int64_t began = stream_now();
	bool stoppable = events == POLLIN && s->interruptible;
	struct pollfd p[2] = { { .fd = fd, .events = events }, { .fd = stream_interrupt_fd, .events = POLLIN } };
	for (;;) {
		/* A signal interrupts the wait when stress begins. */
		struct limit limit = wait_limit(s, began);
		int n = poll_until(p, stoppable ? 2 : 1, limit.at);
		if (n < 0 && errno != EINTR)
			return err_sys(err, "poll");
		if (n > 0 && p[0].revents)
			return 0;
		if (n > 0)
			return interrupted(err);
		if (n == 0 && stream_now() >= limit.at)
			return timed_out(err, limit.text);
	}
}

int stream_base_poll(struct stream *s, int other_fd, int64_t ms, struct err *err)
{
	int64_t end = ms < 0 ? INT64_MAX : stream_now() + ms;
	for (;;) {
		struct pollfd p[3] = { { .fd = s->rfd, .events = POLLIN }, { .fd = other_fd, .events = POLLIN },
			{ .fd = stream_interrupt_fd, .events = POLLIN } };
		int n = poll_until(p, 3, end);
		if (n < 0 && errno != EINTR)
			return err_sys(err, "poll");
		int got = n <= 0 ? 0 : (p[0].revents ? STREAM_READY : 0) | (p[1].revents ? STREAM_OTHER : 0);
		if (got)
			return got;
		if (n > 0)
			return interrupted(err);
		if (n == 0 && stream_now() >= end)
			return 0;
	}
}

static ssize_t mem_read(struct stream *s, char *p, size_t n)
{
	if (s->chunk && n > s->chunk)
		n = s->chunk;
	struct span got = span_slice(s->in, 0, n);
	memcpy(p, got.p, got.n);
	s->in = span_from(s->in, got.n);
	return (ssize_t)got.n;
}

static ssize_t fd_read_now(struct stream *s, char *p, size_t n)
{
	return s->rsock ? recv(s->rfd, p, n, MSG_DONTWAIT) : read(s->rfd, p, n);
}

/* Receives, waiting for a while: one call in the place of two. After it, or when the process was interrupted, EAGAIN or
 * EINTR: then it is time to look at limits. */
static ssize_t receive_patiently(struct stream *s, char *p, size_t n)
{
	struct timeval t = { .tv_sec = STREAM_IDLE_MS / 1000, .tv_usec = STREAM_IDLE_MS % 1000 * 1000 };
	if (!s->patient && !s->impatient) {
		s->patient = setsockopt(s->rfd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t) == 0;
		s->impatient = !s->patient || (fcntl(s->rfd, F_GETFL) & O_NONBLOCK);
	}
	if (s->impatient || wait_limit(s, stream_now()).at - stream_now() <= STREAM_IDLE_MS) {
		errno = EAGAIN;
		return -1;
	}
	return recv(s->rfd, p, n, 0);
}

static bool would_block(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

static bool input_ready(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	return poll(&p, 1, 0) > 0;
}

/* A socket is asked first, since in a transfer the next bytes are usually there, except right after we wrote: then
 * the peer has yet to answer and is waited for. Other descriptors may be in blocking mode and are polled first. */
static ssize_t fd_read(struct stream *s, char *p, size_t n, struct err *err)
{
	struct limit over = exchange_limit(s);
	if (over.at != INT64_MAX && stream_now() >= over.at)
		return timed_out(err, over.text);
	bool wait = !s->rsock, patiently = s->rsock && s->just_wrote && !s->no_wait;
	s->just_wrote = false;
	for (;; wait = true, patiently = false) {
		if (s->no_wait && !input_ready(s->rfd)) {
			err_set(err, ERR_TEMP, "no input yet");
			if (err)
				err->sys = EAGAIN;
			return -1;
		}
		if (wait && wait_for(s, s->rfd, POLLIN, err))
			return -1;
		ssize_t got = patiently ? receive_patiently(s, p, n) : fd_read_now(s, p, n);
		if (got >= 0)
			return got;
		if (!would_block())
			return err_sys(err, "read");
	}
}

static void count(struct stream *s, uint64_t n)
{
	s->rate_bytes += n;
	s->hurry_bytes += n;
}

ssize_t stream_base_read(struct stream *s, char *p, size_t n, struct err *err)
{
	ssize_t got = s->rfd < 0 ? mem_read(s, p, n) : fd_read(s, p, n, err);
	if (got > 0)
		count(s, (uint64_t)got);
	return got;
}

/* A pipe that poll calls writable takes PIPE_BUF bytes without blocking, not more. */
static ssize_t fd_write_now(struct stream *s, const char *p, size_t n)
{
	if (s->wsock)
		return send(s->wfd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	return write(s->wfd, p, n < PIPE_BUF ? n : PIPE_BUF);
}

static ssize_t fd_write(struct stream *s, const char *p, size_t n, struct err *err)
{
	for (bool wait = !s->wsock;; wait = true) {
		if (wait && wait_for(s, s->wfd, POLLOUT, err))
			return -1;
		ssize_t put = fd_write_now(s, p, n);
		if (put >= 0)
			return put;
		if (!would_block())
			return err_sys(err, "write");
	}
}

ssize_t stream_base_write(struct stream *s, const char *p, size_t n, struct err *err)
{
	ssize_t put = (ssize_t)n;
	if (s->rfd < 0) {
		buf_add(&s->out, p, n);
		if (s->out.bad)
			return err_set(err, ERR_LIMIT, "too much output for a memory stream");
	} else {
		put = fd_write(s, p, n, err);
		s->just_wrote = true;
	}
	if (put > 0)
		count(s, (uint64_t)put);
	return put;
}
