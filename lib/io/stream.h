/* SPDX-License-Identifier: ISC
 *
 * A stream: one conversation's bytes in and out, blocking, buffered both ways, over file descriptors, TLS, deflate
 * or memory. Protocol engines see only this header, so that each can be driven from memory in tests and fuzzing.
 *
 * Errors are sticky: after the first, reads return what the header says for errors, writes are dropped, and
 * stream_err tells why; so an engine may write a whole reply and look once. A read that would block flushes what is
 * pending first: replies to pipelined commands leave together, without a line in the engine. After a failed read
 * (a timeout above all) writing still works, so that a server can say why it hangs up.
 *
 * Ownership: a stream owns its descriptors and layers; spans that a read gives stay valid until the next read,
 * peek, wait, push or close.
 */
#ifndef WP_IO_STREAM_H
#define WP_IO_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

struct stream;

/* rfd and wfd may be one descriptor (a socket) or two (pipes, inetd's 0 and 1). TCP sockets get TCP_NODELAY. */
struct stream *stream_from_fds(int rfd, int wfd);
/* Reads give `in` (borrowed) in pieces of at most `chunk` bytes (0: no limit), then end of file; writes are kept. */
struct stream *stream_from_mem(struct span in, size_t chunk);
/* What was written to a memory stream so far (flushes first); borrowed. */
struct span stream_mem_output(struct stream *s);
/* Flushes, ends TLS with close_notify, closes the descriptors and frees. NULL is fine. */
void stream_close(struct stream *s);
/* Closes and frees without flushing or speaking: after a fork, or to drop a peer. */
void stream_abandon(struct stream *s);

/* A layer (TLS, deflate) put on top: its functions move bytes over what was the top before. Refused with ERR_PROTO
 * while bytes that were read ahead are still unread: what a peer sent in plaintext must not survive STARTTLS
 * (RFC 3207 4.2). io/tls/tls.h and io/deflate.h call this, engines call those. */
struct stream_layer {
	/* > 0 bytes moved, 0 end of file (read only), -1 error with err set; may block until the deadline. */
	ssize_t (*read)(void *ctx, char *p, size_t n, struct err *err);
	ssize_t (*write)(void *ctx, const char *p, size_t n, struct err *err);
	int (*flush)(void *ctx, struct err *err); /* NULL: nothing is held back */
	bool (*pending)(void *ctx);               /* decoded bytes wait inside; NULL: never */
	void (*finish)(void *ctx, bool speak);    /* end the layer (speak: say so to the peer) and free ctx */
};
int stream_push(struct stream *s, const struct stream_layer *layer, void *ctx, struct err *err);
/* The ctx of the uppermost layer that was pushed with this table (which must outlive the stream); NULL if none. */
void *stream_find_layer(const struct stream *s, const struct stream_layer *layer);
/* For layers: raw I/O of what lies below ctx's layer, honouring the deadlines. Same results as the functions above. */
struct stream_below;
struct stream_below *stream_below(struct stream *s);
ssize_t stream_below_read(struct stream_below *b, char *p, size_t n, struct err *err);
ssize_t stream_below_write(struct stream_below *b, const char *p, size_t n, struct err *err);

/* How a line ended. The engine decides what that means: on a socket only CRLF ends an SMTP line, while a terminal or
 * pipe may end one with LF. */
enum line_end {
	LINE_CRLF,
	LINE_LF,       /* a bare LF ended it */
	LINE_TOO_LONG, /* the whole overlong line was read up to its LF and thrown away; text is its first max bytes */
	LINE_EOF,      /* end of file; text is what came without a line end, often empty */
	LINE_TIMEOUT,  /* or, with stream_err's sys == EINTR, the process is asked to stop (stream_interrupt_fd) */
	LINE_ERROR,
};
struct line {
	struct span text; /* without its line end */
	enum line_end end;
	bool has_nul;
	bool has_bare_cr; /* a CR that no LF follows stands in it */
	bool bare_lf;     /* ended by a LF alone, also when too long */
};
/* Reads up to and including the next LF, at most max bytes of text. Returns line->end. Of a line that is too long no
 * more than STREAM_LINE_MOST bytes are thrown away: then it is an error, ERR_PROTO. */
enum {
	STREAM_LINE_MOST = 1 << 20
};
enum line_end stream_line(struct stream *s, size_t max, struct line *line);

/* At least one unread byte, without consuming it: 1 with *out (all that is buffered), 0 end of file, -1 error. */
int stream_peek(struct stream *s, struct span *out);
void stream_consume(struct stream *s, size_t n);
/* Up to n bytes; 0 end of file, -1 error. stream_read_full: exactly n, or -1 with ERR_PROTO at an early end. */
ssize_t stream_read(struct stream *s, char *p, size_t n);
int stream_read_full(struct stream *s, char *p, size_t n);
/* Bytes that were read ahead and not yet consumed (pipelined commands, or an injection before STARTTLS). */
bool stream_has_input(struct stream *s);

/* Buffered; 0, or -1 once the stream has failed. */
int stream_write(struct stream *s, const char *p, size_t n);
int stream_span(struct stream *s, struct span data);
int stream_puts(struct stream *s, const char *text);
int stream_printf(struct stream *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int stream_flush(struct stream *s);

/* Milliseconds from now for each single wait for the peer (default 5 minutes), and an absolute end for everything
 * until it is set anew (0: none). Whichever comes first gives a timeout: LINE_TIMEOUT, or -1 with errno ETIMEDOUT. */
void stream_set_timeout(struct stream *s, int64_t ms);
void stream_set_deadline(struct stream *s, int64_t ms);
/* From now until it is set to 0: after grace_ms, fewer than bytes_per_second on average is a timeout. */
void stream_set_min_rate(struct stream *s, size_t bytes_per_second, int64_t grace_ms);

/* Set by who knows that there are more peers than can be served (io/listen/listen.h); NULL: never. */
extern bool (*stream_is_stressed)(void);
/* While it says so, all is over in ms from now; with a rate not before the bytes that came and went are fewer than
 * bytes_per_second on average. Until it is set anew (0: none). */
void stream_set_hurry(struct stream *s, int64_t ms, size_t bytes_per_second);

/* Waits until input can be read, or other_fd (-1: none) is readable, or ms pass (-1: for ever). Flushes first. The
 * bits below; 0 when the time is over; -1 when interrupted or failed (stream_err). */
enum {
	STREAM_READY = 1,
	STREAM_OTHER = 2
};
int stream_wait(struct stream *s, int other_fd, int64_t ms);

/* The sticky error; class ERR_NONE while all is well. A timeout has sys == ETIMEDOUT. */
const struct err *stream_err(const struct stream *s);
/* The descriptor that is read from, -1 for memory. For getpeername and poll, not for reading. */
int stream_fd(const struct stream *s);
/* Lines may end with LF alone: the descriptor is a terminal, pipe or file rather than a socket. */
bool stream_is_local(const struct stream *s);
/* For a pipe that stands for a network connection (UCSPI), and for tests. */
void stream_set_local(struct stream *s, bool local);

/* A descriptor that becomes readable when the process is asked to stop (io/listen/listen.h makes it); -1: none. It ends
 * stream_wait, and a stream_line of which no byte has come yet: commands, and data in transfer, are finished. */
extern int stream_interrupt_fd;
/* false: it does not end a wait on this stream, where an answer is to come that must not be missed. */
void stream_set_stoppable(struct stream *s, bool stoppable);
/* Called once when a read has waited for its peer for STREAM_IDLE_MS; NULL: nothing to do then. io/durable/durable.h
 * sets it. */
extern void (*stream_on_idle)(void);
enum {
	STREAM_IDLE_MS = 2000
};

#endif
