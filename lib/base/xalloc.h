/* SPDX-License-Identifier: ISC
 *
 * Allocation that does not return failure. When memory is gone the process dies with EX_TEMPFAIL (75):
 * the queue's and the store's protocols make that safe at any instant, and no peer can cause it because
 * everything that a peer fills has a maximum (limits.h). The caller frees with free().
 */
#ifndef WP_BASE_XALLOC_H
#define WP_BASE_XALLOC_H

#include <stddef.h>

void *xmalloc(size_t n);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *p, size_t n);
/* nmemb * size with overflow check: an overflow is treated as memory being gone. */
void *xreallocarray(void *p, size_t nmemb, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
__attribute__((format(printf, 1, 2))) char *xasprintf(const char *fmt, ...);

#endif
