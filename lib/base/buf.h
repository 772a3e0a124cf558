/* SPDX-License-Identifier: ISC
 *
 * A buf: bytes that we own, growing up to a maximum given at its start. Invariants: p is never NULL,
 * p[len] == 0, len <= max; content may hold NULs. An addition that would pass max adds nothing and sets
 * the sticky `bad`, which is checked once, at the boundary (before the content is used or sent), instead
 * of after every call. buf_free releases; a freed or zero buf must be initialised before use.
 */
#ifndef WP_BASE_BUF_H
#define WP_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

struct buf {
	char *p;
	size_t len, cap, max;
	bool bad;
};

/* max in bytes; one of limits.h's names. Nothing is allocated until the first addition. */
void buf_init(struct buf *b, size_t max);
void buf_free(struct buf *b);
/* Empties, keeps the memory, clears bad. */
void buf_reset(struct buf *b);

void buf_add(struct buf *b, const void *p, size_t n);
void buf_adds(struct buf *b, const char *s);
void buf_addspan(struct buf *b, struct span s);
void buf_addc(struct buf *b, char c);
void buf_addv(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
void buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Room for at least n more bytes at p + len; NULL (and bad) when that passes max. The caller writes there
 * and then calls buf_grew with what it wrote. */
char *buf_room(struct buf *b, size_t n);
void buf_grew(struct buf *b, size_t n);
/* Removes n bytes from the front, or keeps only the first n. */
void buf_drop(struct buf *b, size_t n);
void buf_truncate(struct buf *b, size_t n);

static inline struct span buf_span(const struct buf *b)
{
	return (struct span){ b->p, b->len };
}
/* The content as a C string for a system call; NULL when it is bad or holds a NUL. */
const char *buf_cstr(const struct buf *b);
/* Takes the content out as an allocated, terminated string that the caller frees; the buf is empty then. */
char *buf_steal(struct buf *b);

#endif
