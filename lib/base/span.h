/* SPDX-License-Identifier: ISC
 *
 * A span: bytes that somebody else owns. p is never NULL (an empty span points at ""), content may hold
 * NULs, nothing is terminated. A span is valid only as long as what it points into; a function that keeps
 * one says so. Comparison is by bytes; "i" variants fold ASCII letters only, as protocol keywords need
 * (never the locale's rules).
 */
#ifndef WP_BASE_SPAN_H
#define WP_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
	const char *p;
	size_t n;
};

/* A span over a string literal or a char array's content without its final NUL. */
#define SPAN(lit) ((struct span){ "" lit "", sizeof(lit) - 1 })
/* For printf("%.*s", SPAN_FMT(s)). Only for text that is known to be short. */
#define SPAN_FMT(s) (int)(s).n, (s).p

static inline struct span span_of(const char *p, size_t n)
{
	return (struct span){ p ? p : "", p ? n : 0 };
}

/* A C string's bytes; NULL gives the empty span. */
static inline struct span span_str(const char *s)
{
	return span_of(s, s ? strlen(s) : 0);
}

/* From offset a up to, not including, offset b; both are clamped to the span. */
struct span span_slice(struct span s, size_t a, size_t b);
static inline struct span span_from(struct span s, size_t a)
{
	return span_slice(s, a, s.n);
}

/* FNV-1a, of what came before (SPAN_HASH at first) and s. For tables and names, not against an adversary. */
#define SPAN_HASH UINT64_C(0xcbf29ce484222325)
uint64_t span_hash(uint64_t before, struct span s);
/* Is there a byte above 127? */
bool span_eightbit(struct span s);
bool span_eq(struct span a, struct span b);
bool span_ieq(struct span a, struct span b);
bool span_eqs(struct span a, const char *s);
bool span_ieqs(struct span a, const char *s);
bool span_starts(struct span s, const char *prefix);
bool span_istarts(struct span s, const char *prefix);
bool span_ends(struct span s, const char *suffix);
bool span_iends(struct span s, const char *suffix);
/* memcmp order, the shorter first among equals; span_icmp folds ASCII case. */
int span_cmp(struct span a, struct span b);
int span_icmp(struct span a, struct span b);

/* Offset of the first (span_chr) or last (span_rchr) c, of the first occurrence of needle; -1 when absent. */
ptrdiff_t span_chr(struct span s, char c);
ptrdiff_t span_rchr(struct span s, char c);
ptrdiff_t span_find(struct span s, struct span needle);
ptrdiff_t span_ifind(struct span s, struct span needle);

/* Without leading and trailing SP, HT, CR and LF. */
struct span span_trim(struct span s);
/* Splits at the first c: returns what stands before it and leaves in *rest what stands after. When c is
 * absent the whole of *rest is returned and *rest becomes empty. */
struct span span_cut(struct span *rest, char c);
/* The next run of bytes that are not SP or HT, skipping those before it; empty at the end. */
struct span span_word(struct span *rest);

/* Decimal digits only, all of the span, at most max; false otherwise (empty, sign, blank, too large). */
bool span_u64(struct span s, uint64_t max, uint64_t *out);
/* True when a NUL, CR or LF stands in it: such text must never reach a protocol line or an envelope. */
bool span_has_ctl(struct span s);

static inline char ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}
static inline char ascii_upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
}
static inline bool ascii_isdigit(char c)
{
	return c >= '0' && c <= '9';
}
static inline bool ascii_isalpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
static inline bool ascii_isalnum(char c)
{
	return ascii_isalpha(c) || ascii_isdigit(c);
}
static inline bool ascii_isblank(char c)
{
	return c == ' ' || c == '\t';
}
/* The value of a hexadecimal digit, -1 for another byte. */
static inline int ascii_hex(char c)
{
	if (ascii_isdigit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

#endif
