/* SPDX-License-Identifier: ISC
 *
 * What a message needs from a transport, and how it is made to need nothing: leaves of its MIME tree that hold 8-bit
 * bytes, NULs, bare CRs or overlong lines are re-encoded to quoted-printable or base64 (RFC 6152 3, RFC 2045 6), header
 * fields to encoded words and RFC 2231 parameters. What is inside stays the same bytes; only the encoding changes.
 * Everything that needs no change is copied. Binary MIME (RFC 3030 3) becomes lines in the same way.
 */
#ifndef WP_MSG_DOWNGRADE_H
#define WP_MSG_DOWNGRADE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

struct msg_needs {
	bool eightbit; /* a byte above 127, in the body or the header */
	bool eightbit_header;
	bool nul, bare_cr; /* what RFC 5321 2.3.8 keeps out of every message */
	bool long_line;    /* a line over RFC 5321 4.5.3.1.6's 998 bytes */
};
void msg_scan(struct span msg, struct msg_needs *out);
/* Does every CR stand before a LF, and every LF behind a CR? */
bool msg_is_crlf(struct span text);
/* The size with CRLF line ends, as SIZE= counts it (RFC 1870 3). */
size_t msg_wire_size(struct span msg);

enum msg_how {
	MSG_KEEP_8BIT = 1,   /* for who takes 8-bit lines: they stay, in the header too */
	MSG_FROM_BINARY = 2, /* line ends in a body are data; a LF alone ends no line */
};
/* Appends msg as 7-bit lines of at most 998 bytes (overlong header lines excepted). -1 with err 554 5.6.3 when that
 * can't be done without harm: a multipart/signed would be broken, or bytes that are no lines belong to no part; 550
 * 5.6.7 when an address in the header is not ASCII. */
int msg_downgrade(struct span msg, unsigned how, struct buf *out, struct err *err);

#endif
