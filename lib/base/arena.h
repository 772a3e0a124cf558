/* SPDX-License-Identifier: ISC
 *
 * An arena: many small allocations with one lifetime and one reset. Three exist in every program: the
 * process's (configuration), the session's, the transaction's. Nothing in an arena owns a file descriptor
 * or other memory, so a reset is always complete.
 */
#ifndef WP_BASE_ARENA_H
#define WP_BASE_ARENA_H

#include <stddef.h>

#include "base/span.h"

struct arena;

struct arena *arena_new(void);
/* Everything allocated so far becomes invalid; the first block is kept. */
void arena_reset(struct arena *a);
void arena_free(struct arena *a);

/* Zeroed, aligned for any type. Dies with 75 when memory is gone. */
void *arena_alloc(struct arena *a, size_t n);
/* Copies, NUL-terminated behind its last byte. */
struct span arena_span(struct arena *a, struct span s);
char *arena_str(struct arena *a, struct span s);
__attribute__((format(printf, 2, 3))) char *arena_printf(struct arena *a, const char *fmt, ...);
/* Bytes handed out since the start or the last reset: what a peer has made us keep. */
size_t arena_used(const struct arena *a);

#endif
