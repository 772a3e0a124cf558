/* SPDX-License-Identifier: ISC
 *
 * Charsets by iconv(3), with the aliases and mislabellings that mail has (unknown-8bit, ks_c_5601-1987, iso-8859-8-i,
 * iso-8859-1 that is windows-1252).
 */
#ifndef WP_MSG_CHARSET_H
#define WP_MSG_CHARSET_H

#include "base/buf.h"
#include "base/span.h"

/* Appends s, in charset, as valid UTF-8; bytes that can't be converted become U+FFFD. An unknown charset: 0 is not
 * returned but -1, and the text is appended with each non-ASCII byte as U+FFFD (or as is, when it happens to be valid
 * UTF-8). */
int charset_to_utf8(struct span charset, struct span s, struct buf *out);
/* The other way, for terminals: what the charset lacks becomes '?'. */
int charset_from_utf8(const char *charset, struct span s, struct buf *out);
/* Appends one byte of windows-1252. */
void charset_append_1252(struct buf *out, unsigned char byte);
bool utf8_valid(struct span s);
/* Decodes one character at p; returns its length (1 to 4), or 0 when malformed or n == 0. */
size_t utf8_decode(const char *p, size_t n, uint32_t *out);
/* Appends a peer's text for a person or a log: `otherwise` for each control (C0, DEL, and C1, which terminals obey as
 * well) and for each byte that is no UTF-8. */
void utf8_append_shown(struct buf *out, struct span s, char otherwise);
void utf8_append(struct buf *out, uint32_t c);

#endif
