/* SPDX-License-Identifier: ISC
 *
 * Raw DEFLATE (RFC 1951) in both directions on a stream, for COMPRESS=DEFLATE (RFC 4978), by zlib. A stream_flush
 * ends the deflate block, so that the peer sees everything written so far.
 */
#ifndef WP_IO_DEFLATE_H
#define WP_IO_DEFLATE_H

#include "io/stream.h"

int stream_start_deflate(struct stream *s, struct err *err);

#endif
