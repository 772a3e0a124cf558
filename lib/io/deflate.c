/* SPDX-License-Identifier: ISC */
#include "io/deflate.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/xalloc.h"

enum {
	IO_SIZE = 16384,
	WINDOW_BITS = -15, /* raw, the largest window: RFC 4978 4 */
};

struct deflate {
	struct stream_below *below;
	z_stream in, out;
	bool dirty;      /* written since the last flush */
	bool have_ahead; /* one byte was decoded to see whether there is any */
	char ahead;
	unsigned char in_buf[IO_SIZE], out_buf[IO_SIZE];
};

/* Decodes what is here into p. The number of bytes, or -1. */
static ssize_t decode(struct deflate *d, char *p, size_t n, struct err *err)
{
	uInt room = n > IO_SIZE * 4 ? IO_SIZE * 4 : (uInt)n;
	d->in.next_out = (unsigned char *)p;
	d->in.avail_out = room;
	int r = inflate(&d->in, Z_SYNC_FLUSH);
	if (r != Z_OK && r != Z_BUF_ERROR)
		return err_set(err, ERR_PROTO, "the peer's compressed data is broken: %s",
		    d->in.msg           ? d->in.msg
		    : r == Z_STREAM_END ? "it ended"
					: "no reason known");
	return (ssize_t)(room - d->in.avail_out);
}

static ssize_t layer_read(void *ctx, char *p, size_t n, struct err *err)
{
	struct deflate *d = ctx;
	if (d->have_ahead) {
		d->have_ahead = false;
		*p = d->ahead;
		return 1;
	}
	for (;;) {
		ssize_t got = decode(d, p, n, err);
		if (got)
			return got;
		got = stream_below_read(d->below, (char *)d->in_buf, sizeof d->in_buf, err);
		if (got <= 0)
			return got;
		d->in.next_in = d->in_buf;
		d->in.avail_in = (uInt)got;
	}
}

static int write_out(struct deflate *d, struct err *err)
{
	const char *p = (const char *)d->out_buf;
	size_t n = sizeof d->out_buf - d->out.avail_out;
	d->out.next_out = d->out_buf;
	d->out.avail_out = sizeof d->out_buf;
	while (n) {
		ssize_t put = stream_below_write(d->below, p, n, err);
		if (put < 0)
			return -1;
		p += put; /* UNSAFE: a write moves at most n */
		n -= (size_t)put;
	}
	return 0;
}

/* Feeds the encoder; with Z_SYNC_FLUSH until it holds nothing back. */
static int encode(struct deflate *d, int flush, struct err *err)
{
	for (;;) {
		int r = deflate(&d->out, flush);
		if (r != Z_OK && r != Z_BUF_ERROR)
			return err_set(err, ERR_BUG, "deflate failed");
		if (d->out.avail_out)
			return 0;
		if (write_out(d, err))
			return -1;
	}
}

static ssize_t layer_write(void *ctx, const char *p, size_t n, struct err *err)
{
	struct deflate *d = ctx;
	if (n > IO_SIZE)
		n = IO_SIZE;
	/* zlib does not write there; its interface is older than const. */
	d->out.next_in = (unsigned char *)(uintptr_t)p;
	d->out.avail_in = (uInt)n;
	d->dirty = true;
	return encode(d, Z_NO_FLUSH, err) ? -1 : (ssize_t)n;
}

static int layer_flush(void *ctx, struct err *err)
{
	struct deflate *d = ctx;
	if (!d->dirty)
		return 0;
	d->dirty = false;
	d->out.avail_in = 0;
	return encode(d, Z_SYNC_FLUSH, err) || write_out(d, err) ? -1 : 0;
}

static bool layer_pending(void *ctx)
{
	struct deflate *d = ctx;
	if (!d->have_ahead)
		d->have_ahead = decode(d, &d->ahead, 1, NULL) == 1;
	return d->have_ahead;
}

static void layer_finish(void *ctx, bool speak)
{
	struct deflate *d = ctx;
	(void)speak; /* RFC 4978 has no end of its own: the connection's is enough */
	inflateEnd(&d->in);
	deflateEnd(&d->out);
	free(d);
}

static const struct stream_layer layer = { layer_read, layer_write, layer_flush, layer_pending, layer_finish };

int stream_start_deflate(struct stream *s, struct err *err)
{
	if (stream_find_layer(s, &layer))
		return err_set(err, ERR_PROTO, "the stream is compressed already");
	struct deflate *d = xcalloc(1, sizeof *d);
	d->below = stream_below(s);
	int r = -1;
	if (inflateInit2(&d->in, WINDOW_BITS) != Z_OK ||
	    deflateInit2(&d->out, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW_BITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		err_set(err, ERR_TEMP, "no memory for compression");
	else
		r = stream_push(s, &layer, d, err);
	d->out.next_out = d->out_buf;
	d->out.avail_out = sizeof d->out_buf;
	if (r)
		layer_finish(d, false);
	return r;
}
