/* SPDX-License-Identifier: ISC
 *
 * Mailbox names, and the commands that list them: LIST, LSUB, NAMESPACE, SUBSCRIBE, UNSUBSCRIBE (RFC 3501 6.3).
 */
#include <stdlib.h>

#include "base/limits.h"
#include "imap_session.h"
#include "store/mutf7.h"

enum {
	PATTERN_MAX = 1000
};

static struct span canonical(struct span name)
{
	return span_ieqs(name, "INBOX") ? SPAN("INBOX") : name;
}

static bool to_utf8(struct imap *s, struct span raw, struct span *out)
{
	struct buf b;
	buf_init(&b, LIMIT_IMAP_LINE);
	bool ok = raw.n && raw.n < LIMIT_IMAP_LINE && mutf7_decode(raw, &b) && !b.bad;
	*out = canonical(arena_span(s->arena, buf_span(&b)));
	buf_free(&b);
	return ok;
}

bool imap_mailbox(struct imap *s, struct span *out)
{
	struct span raw;
	*out = span_of("", 0);
	return imap_astring(&s->in, &raw) && imap_mailbox_name(s, raw, out);
}

bool imap_mailbox_name(struct imap *s, struct span raw, struct span *out)
{
	if (to_utf8(s, raw, out))
		return true;
	/* Such a mailbox can't be there; the grammar does not forbid to ask for it. */
	imap_no(s, "CANNOT", "the mailbox name is empty or no modified UTF-7");
	return false;
}

/* ---- patterns: * is anything, % anything but the separator */

/* All places of the pattern that the name so far may have reached, carried along: cost is name times pattern whatever
 * the wildcards are. */
static bool matches(struct span pattern, struct span name)
{
	bool at[PATTERN_MAX + 1] = { true }, next[PATTERN_MAX + 1];
	for (size_t k = 0; k < pattern.n; k++)
		at[k + 1] = at[k] && (pattern.p[k] == '*' || pattern.p[k] == '%');
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];
		next[0] = false;
		for (size_t k = 0; k < pattern.n; k++) {
			char w = pattern.p[k];
			bool wild = w == '*' || w == '%', eats = w == '*' || (w == '%' && c != '/');
			next[k + 1] = wild ? next[k] || (at[k + 1] && eats) : at[k] && w == c;
		}
		memcpy(at, next, pattern.n + 1);
	}
	return at[pattern.n];
}

/* INBOX is one name in any case (RFC 3501 5.1). */
static bool matches_mailbox(struct span pattern, struct span name)
{
	char folded[PATTERN_MAX];
	if (matches(pattern, name))
		return true;
	if (!span_eqs(name, "INBOX"))
		return false;
	for (size_t i = 0; i < pattern.n; i++)
		folded[i] = ascii_upper(pattern.p[i]);
	return matches(span_of(folded, pattern.n), name);
}

/* ---- the tree of names */

struct node {
	struct span name;
	bool real; /* false: only implied by a name below it */
};
struct tree {
	struct node *v;
	size_t n;
};

/* Children directly after their parent: the separator sorts before all else. */
static int by_tree(const void *a, const void *b)
{
	const struct node *x = a, *y = b;
	size_t n = x->name.n < y->name.n ? x->name.n : y->name.n;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)x->name.p[i], d = (unsigned char)y->name.p[i];
		if (c != d)
			return c == '/' ? -1 : d == '/' ? 1 : c < d ? -1 : 1;
	}
	if (x->name.n != y->name.n)
		return x->name.n < y->name.n ? -1 : 1;
	return x->real == y->real ? 0 : x->real ? -1 : 1; /* the real one first: it stays */
}

static size_t levels_above(struct span name)
{
	size_t n = 0;
	for (size_t i = 0; i < name.n; i++)
		n += name.p[i] == '/';
	return n;
}

static struct tree make_tree(struct arena *a, const struct span *names, size_t n)
{
	size_t room = n, kept = 0;
	struct tree t = { 0 };
	for (size_t i = 0; i < n; i++)
		room += levels_above(names[i]);
	t.v = arena_alloc(a, (room + 1) * sizeof *t.v);
	for (size_t i = 0; i < n; i++) {
		t.v[t.n++] = (struct node){ names[i], true };
		for (size_t k = 1; k < names[i].n; k++)
			if (names[i].p[k] == '/')
				t.v[t.n++] = (struct node){ span_slice(names[i], 0, k), false };
	}
	if (t.n)
		qsort(t.v, t.n, sizeof *t.v, by_tree);
	for (size_t i = 0; i < t.n; i++)
		if (kept == 0 || !span_eq(t.v[kept - 1].name, t.v[i].name))
			t.v[kept++] = t.v[i];
	t.n = kept;
	return t;
}

static bool has_children(const struct tree *t, size_t i)
{
	struct span name = t->v[i].name;
	return i + 1 < t->n && t->v[i + 1].name.n > name.n + 1 && t->v[i + 1].name.p[name.n] == '/' &&
	       span_eq(span_slice(t->v[i + 1].name, 0, name.n), name);
}

static void put_entry(struct imap *s, const char *verb, const char *attributes, struct span name)
{
	stream_printf(s->s, "* %s (%s) \"/\" ", verb, attributes);
	imap_put_mailbox(s->s, name);
	stream_puts(s->s, "\r\n");
}

static void put_list(struct imap *s, struct span pattern, const struct tree *t)
{
	for (size_t i = 0; i < t->n; i++) {
		if (!matches_mailbox(pattern, t->v[i].name))
			continue;
		bool children = has_children(t, i);
		const char *attributes =
		    t->v[i].real ? (children ? "\\HasChildren" : "\\HasNoChildren") : "\\Noselect \\HasChildren";
		put_entry(s, "LIST", attributes, t->v[i].name);
	}
}

static void put_lsub(struct imap *s, struct span pattern, const struct tree *t)
{
	/* RFC 3501 6.3.9: a parent that is not subscribed itself is told only because of %. */
	bool parents = span_chr(pattern, '%') >= 0;
	for (size_t i = 0; i < t->n; i++)
		if ((t->v[i].real || parents) && matches_mailbox(pattern, t->v[i].name))
			put_entry(s, "LSUB", t->v[i].real ? "" : "\\Noselect", t->v[i].name);
}

/* Reference and pattern joined (RFC 3501 6.3.8); false when they are malformed or too long. */
static bool read_pattern(struct imap *s, struct span *out)
{
	struct span ref, pattern;
	if (!imap_sp(&s->in) || !imap_astring(&s->in, &ref) || !imap_sp(&s->in) ||
	    !imap_list_mailbox(&s->in, &pattern) || !imap_end(&s->in))
		return false;
	if (ref.n + pattern.n > PATTERN_MAX) {
		imap_no(s, "LIMIT", "pattern too long");
		return false;
	}
	/* The wildcards stand outside of shifted text, so that the whole can be decoded at once. */
	struct span joined = span_str(arena_printf(s->arena, "%.*s%.*s", SPAN_FMT(ref), SPAN_FMT(pattern)));
	*out = span_of("", 0);
	/* One that is no modified UTF-7 matches nothing. */
	if (joined.n && !to_utf8(s, joined, out))
		*out = SPAN("/");
	return true;
}

typedef int names_fn(struct maildir *m, struct arena *a, struct span **names, size_t *n, struct err *err);

static void list_with(struct imap *s, const char *verb, names_fn *fn,
    void (*put)(struct imap *s, struct span pattern, const struct tree *t))
{
	struct span pattern, *names;
	size_t n;
	struct err err;
	if (!read_pattern(s, &pattern))
		return;
	if (!pattern.n) {
		/* An empty pattern asks for the separator. */
		put_entry(s, verb, "\\Noselect", span_of("", 0));
		return;
	}
	if (fn(s->x->store, s->arena, &names, &n, &err) < 0) {
		imap_no_err(s, &err);
		return;
	}
	struct tree t = make_tree(s->arena, names, n);
	put(s, pattern, &t);
}

void imap_cmd_list(struct imap *s)
{
	list_with(s, "LIST", maildir_list, put_list);
}

void imap_cmd_lsub(struct imap *s)
{
	list_with(s, "LSUB", maildir_subscriptions, put_lsub);
}

void imap_cmd_namespace(struct imap *s)
{
	if (imap_end(&s->in))
		imap_untagged(s, "NAMESPACE ((\"\" \"/\")) NIL NIL");
}

static void subscribe(struct imap *s, bool on)
{
	struct span name;
	struct err err;
	if (!imap_sp(&s->in) || !imap_mailbox(s, &name) || !imap_end(&s->in))
		return;
	if (maildir_subscribe(s->x->store, name, on, &err) < 0)
		imap_no_err(s, &err);
}

void imap_cmd_subscribe(struct imap *s)
{
	subscribe(s, true);
}

void imap_cmd_unsubscribe(struct imap *s)
{
	subscribe(s, false);
}
