/* SPDX-License-Identifier: ISC
 *
 * RESP2, the protocol of Redis and Valkey, from the client's side: commands into a buf, replies out of bytes. Values
 * are read one at a time and flat: an array is its own value, and its elements are the next ones; so nothing is nested
 * and nothing allocated. Total: any bytes give values, RESP_MORE or RESP_BAD. Spans point into the input.
 */
#ifndef WP_IO_RESP_H
#define WP_IO_RESP_H

#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

enum resp_type {
	RESP_MORE,  /* the value is not all there: nothing was taken */
	RESP_BAD,   /* that is none */
	RESP_TEXT,  /* +OK */
	RESP_ERROR, /* -ERR ... */
	RESP_INT,
	RESP_BULK,
	RESP_NIL,   /* also the null array */
	RESP_ARRAY, /* n values follow */
};
enum {
	RESP_LINE_MAX = 512,
	RESP_BULK_MAX = 65536,
	RESP_ARRAY_MAX = 65536,
};
struct resp {
	enum resp_type type;
	struct span text; /* TEXT, ERROR, BULK */
	int64_t n;        /* INT, ARRAY */
};
/* The next value, which leaves *in; its type. */
enum resp_type resp_next(struct span *in, struct resp *out);
/* Appends a command: an array of bulk strings. */
void resp_command(struct buf *out, const struct span *args, size_t n);

#endif
