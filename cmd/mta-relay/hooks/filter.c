/* SPDX-License-Identifier: ISC */
#include "mta-relay/hooks/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "io/spawn.h"
#include "mta-relay/content/content_edit.h"

enum {
	BLOCK = 65536,
	CHILD_GRACE = 1000
};

struct run {
	const struct filter *f;
	struct child child;
	int errors; /* our end of its stderr */
	struct content *in;
	struct span piece; /* of in, not yet written */
	struct buf line;   /* the piece with LF line ends */
	size_t written;    /* of line */
	bool in_ended;
	struct content_text text;
	uint64_t size;
	struct buf *said;
	int64_t end;
	struct err *err;
};

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* The one place where it is started. */
static int start(struct run *r)
{
	int errors[2];
	if (pipe2(errors, O_CLOEXEC) < 0)
		return err_sys(r->err, "pipe");
	const struct spawn sp = { .command = r->f->command,
		.env = r->f->env,
		.in = SPAWN_PIPE,
		.out = SPAWN_PIPE,
		.errfd = errors[1],
		.broker = r->f->broker,
		.index = r->f->index };
	int rc = spawn_start(&sp, &r->child, r->err);
	close(errors[1]);
	r->errors = errors[0];
	if (rc < 0) {
		close_fd(&r->errors);
		return -1;
	}
	fcntl(r->child.in, F_SETFL, fcntl(r->child.in, F_GETFL) | O_NONBLOCK);
	return 0;
}

/* The next block of the message, without the CRs of its line ends. */
static int next_block(struct run *r)
{
	int rc = 1;
	buf_reset(&r->line);
	r->written = 0;
	while (!r->piece.n && (rc = content_read(r->in, &r->piece, r->err)) > 0)
		continue;
	if (rc <= 0)
		return rc;
	struct span now = span_slice(r->piece, 0, BLOCK);
	r->piece = span_from(r->piece, now.n);
	while (now.n) {
		ptrdiff_t cr = span_chr(now, '\r');
		size_t n = cr < 0 ? now.n : (size_t)cr;
		buf_addspan(&r->line, span_slice(now, 0, n));
		now = span_from(now, n + 1);
	}
	return 1;
}

/* As much as it takes now. */
static int feed(struct run *r)
{
	if (r->written == r->line.len) {
		int rc = next_block(r);
		if (rc < 0)
			return -1;
		if (rc == 0) {
			close_fd(&r->child.in);
			return 0;
		}
	}
	ssize_t n = write(r->child.in, r->line.p + r->written, r->line.len - r->written);
	if (n < 0 && errno == EPIPE)
		close_fd(&r->child.in); /* it has seen enough */
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		return err_sys(r->err, "filter");
	else if (n > 0)
		r->written += (size_t)n;
	return 0;
}

static int take_output(struct run *r)
{
	char block[BLOCK];
	ssize_t n = read(r->child.out, block, sizeof block);
	if (n < 0)
		return errno == EINTR ? 0 : err_sys(r->err, "filter");
	if (n == 0) {
		close_fd(&r->child.out);
		return 0;
	}
	r->size += (uint64_t)n;
	if (r->f->max_size && r->size > r->f->max_size)
		return err_set(r->err, ERR_LIMIT, "it writes more than a message may have");
	if (content_text_add(&r->text, span_of(block, (size_t)n)) == 0)
		return 0;
	*r->err = r->text.to->err;
	return -1;
}

static int take_errors(struct run *r)
{
	char block[4096];
	ssize_t n = read(r->errors, block, sizeof block);
	if (n < 0 && errno == EINTR)
		return 0;
	if (n <= 0)
		close_fd(&r->errors);
	else
		buf_addspan(r->said, span_slice(span_of(block, (size_t)n), 0, FILTER_SAID_MAX - r->said->len));
	return 0;
}

/* Until it has closed its stdout: what it leaves behind may keep stderr open for ever. */
static int exchange(struct run *r)
{
	while (r->child.out >= 0) {
		struct pollfd p[] = { { r->child.in, POLLOUT, 0 }, { r->child.out, POLLIN, 0 },
			{ r->errors, POLLIN, 0 } };
		int64_t left = r->end - now_ms();
		int n = left > 0 ? poll(p, 3, (int)left) : 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(r->err, "filter");
		if (n == 0) {
			err_set(r->err, ERR_TEMP, "it takes too long");
			r->err->sys = ETIMEDOUT;
			return -1;
		}
		if ((p[0].revents && feed(r) < 0) || (p[1].revents && take_output(r) < 0) ||
		    (p[2].revents && take_errors(r) < 0))
			return -1;
	}
	return 0;
}

/* What stderr still holds now. */
static void drain_errors(struct run *r)
{
	struct pollfd p = { r->errors, POLLIN, 0 };
	while (r->errors >= 0 && poll(&p, 1, 0) > 0) {
		take_errors(r);
		p.fd = r->errors;
	}
}

int filter_run(const struct filter *f, struct content *in, struct content *out, struct buf *said, struct err *err)
{
	struct run r = { .f = f, .in = in, .piece = SPAN(""), .text.to = out, .said = said, .err = err };
	int64_t left;
	struct err own = { 0 };
	content_rewind(in);
	r.end = now_ms() + f->timeout;
	if (start(&r) < 0)
		return -1;
	buf_init(&r.line, BLOCK);
	int rc = exchange(&r);
	if (rc == 0 && content_text_end(&r.text) < 0) {
		*err = out->err;
		rc = -1;
	}
	close_fd(&r.child.in);
	close_fd(&r.child.out);
	if (rc < 0)
		spawn_kill(&r.child, SIGTERM);
	left = r.end - now_ms();
	int status = spawn_wait(&r.child, rc < 0 ? CHILD_GRACE : left > 0 ? left : 1, rc < 0 ? &own : err);
	drain_errors(&r);
	close_fd(&r.errors);
	buf_free(&r.line);
	return rc < 0 ? -1 : status;
}
