/* SPDX-License-Identifier: ISC
 *
 * Which content-transfer-encoding serves a content best (RFC 2045 6), and the content in it. The content is what a
 * reader gets back, byte for byte; a text's line ends, LF or CRLF, are line ends and not data.
 */
#ifndef WP_MSG_TRANSFER_H
#define WP_MSG_TRANSFER_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/span.h"
#include "msg/codec.h"

/* Quoted-printable for text that stays readable in it, base64 else. */
enum codec transfer_choose(bool text, struct span content);
/* "quoted-printable", "base64". */
const char *transfer_name(enum codec codec);
/* Appends the content in lines that end in eol. */
void transfer_encode(enum codec codec, bool text, struct span content, const char *eol, struct buf *out);

#endif
