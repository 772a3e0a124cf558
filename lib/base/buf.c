/* SPDX-License-Identifier: ISC */
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/xalloc.h"

/* What p points at before the first allocation; cap == 0 tells that it is not ours to write or free. */
static char empty[1];

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){ .p = empty, .max = max };
}

void buf_free(struct buf *b)
{
	if (b->cap)
		free(b->p);
	buf_init(b, b->max);
}

void buf_reset(struct buf *b)
{
	b->bad = false;
	buf_truncate(b, 0);
}

char *buf_room(struct buf *b, size_t n)
{
	if (n > b->max - b->len) {
		b->bad = true;
		return NULL;
	}
	size_t need = b->len + n + 1;
	if (need > b->cap) {
		size_t cap = b->cap ? b->cap : 64;
		while (cap < need)
			cap += cap / 2 + 64;
		b->p = xrealloc(b->cap ? b->p : NULL, cap);
		b->cap = cap;
		b->p[b->len] = '\0';
	}
	return b->p + b->len;
}

void buf_grew(struct buf *b, size_t n)
{
	b->len += n;
	b->p[b->len] = '\0';
}

void buf_add(struct buf *b, const void *p, size_t n)
{
	if (!n)
		return;
	char *at = buf_room(b, n);
	if (!at)
		return;
	memcpy(at, p, n);
	buf_grew(b, n);
}

void buf_adds(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_addspan(struct buf *b, struct span s)
{
	buf_add(b, s.p, s.n);
}

void buf_addc(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void buf_addv(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	char *at = n >= 0 ? buf_room(b, (size_t)n) : NULL;
	if (at) {
		vsnprintf(at, (size_t)n + 1, fmt, again);
		buf_grew(b, (size_t)n);
	} else {
		b->bad = true;
	}
	va_end(again);
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	buf_addv(b, fmt, ap);
	va_end(ap);
}

void buf_drop(struct buf *b, size_t n)
{
	if (n >= b->len) {
		buf_truncate(b, 0);
		return;
	}
	memmove(b->p, b->p + n, b->len - n + 1);
	b->len -= n;
}

void buf_truncate(struct buf *b, size_t n)
{
	if (n >= b->len)
		return;
	b->len = n;
	b->p[n] = '\0';
}

const char *buf_cstr(const struct buf *b)
{
	return b->bad || memchr(b->p, 0, b->len) ? NULL : b->p;
}

char *buf_steal(struct buf *b)
{
	char *p = b->cap ? b->p : xstrdup("");
	buf_init(b, b->max);
	return p;
}
