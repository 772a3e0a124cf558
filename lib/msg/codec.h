/* SPDX-License-Identifier: ISC
 *
 * Content-transfer-encodings (RFC 2045 6.7, 6.8), also used for SASL and encoded words. Streaming: state carries what a
 * chunk's end cuts. Decoding is total: characters that don't belong are skipped, as RFC 2045 asks.
 */
#ifndef WP_MSG_CODEC_H
#define WP_MSG_CODEC_H

#include "base/buf.h"
#include "base/span.h"

enum codec {
	CODEC_IDENTITY /* 7bit, 8bit, binary */,
	CODEC_BASE64,
	CODEC_QP,
	CODEC_UUENCODE,
	CODEC_UNKNOWN
};
enum codec codec_of(struct span content_transfer_encoding);

struct decoder {
	enum codec codec;
	unsigned state, bits; /* the codec's own */
	unsigned char held[80];
	unsigned n_held;
};
void decoder_init(struct decoder *d, enum codec codec);
void decoder_feed(struct decoder *d, struct span in, struct buf *out);
void decoder_end(struct decoder *d, struct buf *out);
/* Whole. */
void codec_decode(enum codec codec, struct span in, struct buf *out);

/* In lines of 76 characters when eol is not NULL; each of them, the last too, ends in eol. */
void base64_encode(struct span in, const char *eol, struct buf *out);
/* Strict, for SASL: canonical, padded, nothing else; false otherwise. */
bool base64_decode_strict(struct span in, struct buf *out);
/* Text with LF or CRLF lines to quoted-printable with lines of at most 76 that end in eol. binary: line ends are data
 * too. */
void qp_encode(struct span in, bool binary, const char *eol, struct buf *out);

#endif
