/* SPDX-License-Identifier: ISC
 *
 * Inside of a stream, shared by stream.c (buffers, lines, layers) and stream_base.c (descriptors, memory, waiting).
 * Nobody else includes it.
 */
#ifndef WP_IO_STREAM_INT_H
#define WP_IO_STREAM_INT_H

#include "io/stream.h"

enum {
	STREAM_LAYERS = 4 /* TLS and deflate, with room for a test's own */
};

struct stream_below {
	struct stream *s;
	unsigned level; /* how many layers lie below */
};

struct stream {
	/* The base: descriptors, or memory when rfd is -1. */
	int rfd, wfd;
	bool rsock, wsock, local;
	bool just_wrote; /* the peer has nothing to answer yet: wait before the next read */
	bool patient;    /* a receive waits for STREAM_IDLE_MS by itself */
	bool impatient;  /* it can't: the descriptor does not block */
	struct span in;
	size_t chunk;
	struct buf out;

	const struct stream_layer *layer[STREAM_LAYERS];
	void *layer_ctx[STREAM_LAYERS];
	struct stream_below below[STREAM_LAYERS];
	unsigned layers;

	/* Read ahead: rbuf[rpos, rend); rscan is where the search for a line's LF goes on. */
	char *rbuf;
	size_t rpos, rend, rcap, rscan;
	char *wbuf;
	size_t wlen;
	bool held; /* layers may hold back what was written */

	struct err err;
	bool read_failed, write_failed;

	bool interruptible; /* the present read waits for a command */
	bool unstoppable;   /* not any */
	bool no_wait;       /* the present read must not block: EAGAIN */
	int64_t timeout, deadline;
	size_t rate;
	int64_t rate_since, rate_grace;
	uint64_t rate_bytes;
	int64_t hurry, hurry_since; /* 0: never */
	size_t hurry_rate;
	uint64_t hurry_bytes;
};

int64_t stream_now(void);
/* The base's bytes; results as struct stream_layer's functions. */
ssize_t stream_base_read(struct stream *s, char *p, size_t n, struct err *err);
ssize_t stream_base_write(struct stream *s, const char *p, size_t n, struct err *err);
/* Polls the base's read side and other_fd until ms have passed (-1: for ever): STREAM_READY and STREAM_OTHER, 0 when
 * nothing came, -1 with err when interrupted. */
int stream_base_poll(struct stream *s, int other_fd, int64_t ms, struct err *err);

#endif
