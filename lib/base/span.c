/* SPDX-License-Identifier: ISC */
#include "base/span.h"

struct span span_slice(struct span s, size_t a, size_t b)
{
	if (b > s.n)
		b = s.n;
	if (a > b)
		a = b;
	return (struct span){ s.p + a, b - a };
}

uint64_t span_hash(uint64_t before, struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		before = (before ^ (unsigned char)s.p[i]) * UINT64_C(0x100000001b3);
	return before;
}

bool span_eightbit(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] > 127)
			return true;
	return false;
}

bool span_eq(struct span a, struct span b)
{
	return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

static int fold_cmp(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char x = (unsigned char)ascii_lower(a[i]), y = (unsigned char)ascii_lower(b[i]);
		if (x != y)
			return x < y ? -1 : 1;
	}
	return 0;
}

bool span_ieq(struct span a, struct span b)
{
	return a.n == b.n && fold_cmp(a.p, b.p, a.n) == 0;
}

bool span_eqs(struct span a, const char *s)
{
	return span_eq(a, span_str(s));
}

bool span_ieqs(struct span a, const char *s)
{
	return span_ieq(a, span_str(s));
}

bool span_starts(struct span s, const char *prefix)
{
	struct span p = span_str(prefix);
	return s.n >= p.n && memcmp(s.p, p.p, p.n) == 0;
}

bool span_istarts(struct span s, const char *prefix)
{
	struct span p = span_str(prefix);
	return s.n >= p.n && fold_cmp(s.p, p.p, p.n) == 0;
}

bool span_ends(struct span s, const char *suffix)
{
	struct span x = span_str(suffix);
	return s.n >= x.n && memcmp(s.p + s.n - x.n, x.p, x.n) == 0;
}

bool span_iends(struct span s, const char *suffix)
{
	struct span x = span_str(suffix);
	return s.n >= x.n && fold_cmp(s.p + s.n - x.n, x.p, x.n) == 0;
}

static int by_length(int order, size_t a, size_t b)
{
	return order ? order : (a > b) - (a < b);
}

int span_cmp(struct span a, struct span b)
{
	return by_length(memcmp(a.p, b.p, a.n < b.n ? a.n : b.n), a.n, b.n);
}

int span_icmp(struct span a, struct span b)
{
	return by_length(fold_cmp(a.p, b.p, a.n < b.n ? a.n : b.n), a.n, b.n);
}

ptrdiff_t span_chr(struct span s, char c)
{
	const char *at = s.n ? memchr(s.p, c, s.n) : NULL;
	return at ? at - s.p : -1;
}

ptrdiff_t span_rchr(struct span s, char c)
{
	const char *at = s.n ? memrchr(s.p, c, s.n) : NULL;
	return at ? at - s.p : -1;
}

ptrdiff_t span_find(struct span s, struct span needle)
{
	const char *at = memmem(s.p, s.n, needle.p, needle.n);
	return at ? at - s.p : -1;
}

ptrdiff_t span_ifind(struct span s, struct span needle)
{
	for (size_t i = 0; i + needle.n <= s.n; i++)
		if (fold_cmp(s.p + i, needle.p, needle.n) == 0)
			return (ptrdiff_t)i;
	return -1;
}

static bool is_space(char c)
{
	return ascii_isblank(c) || c == '\r' || c == '\n';
}

struct span span_trim(struct span s)
{
	while (s.n && is_space(s.p[0]))
		s = span_from(s, 1);
	while (s.n && is_space(s.p[s.n - 1]))
		s.n--;
	return s;
}

struct span span_cut(struct span *rest, char c)
{
	ptrdiff_t at = span_chr(*rest, c);
	struct span head = at < 0 ? *rest : span_slice(*rest, 0, (size_t)at);
	*rest = span_from(*rest, at < 0 ? rest->n : (size_t)at + 1);
	return head;
}

struct span span_word(struct span *rest)
{
	size_t a = 0;
	while (a < rest->n && ascii_isblank(rest->p[a]))
		a++;
	size_t b = a;
	while (b < rest->n && !ascii_isblank(rest->p[b]))
		b++;
	struct span word = span_slice(*rest, a, b);
	*rest = span_from(*rest, b);
	return word;
}

bool span_u64(struct span s, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;
	if (!s.n)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (!ascii_isdigit(s.p[i]))
			return false;
		if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
			return false;
	}
	if (v > max)
		return false;
	*out = v;
	return true;
}

bool span_has_ctl(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '\0' || s.p[i] == '\r' || s.p[i] == '\n')
			return true;
	return false;
}
