/* SPDX-License-Identifier: ISC */
#include "msg/thread.h"

#include <stdlib.h>

#include "base/xalloc.h"

enum {
	/* How far up a loop is looked for; a longer chain is cut there. */
	DEPTH_MAX = 1000
};

/* Step 1's containers: one for each id that is mentioned, and for each message without a usable one. */
struct containers {
	size_t n;
	size_t *parent, *msg; /* THREAD_NONE: none */
	/* For those without a message: the nearest ancestor that has one, else the topmost ancestor (or itself). */
	size_t *real, *top;
};

/* Nodes of the result while it is made: the messages, then those without one. */
struct forest {
	const struct thread_msg *msgs;
	size_t n_msgs, n;
	size_t *parent;
	int64_t *date;
	size_t *first; /* of a node without a message: its earliest child */
	bool *dropped;
};

struct occurrence {
	struct span id;
	size_t place;
};

static int by_id(const void *x, const void *y)
{
	const struct occurrence *a = x, *b = y;
	return span_cmp(a->id, b->id);
}

static size_t *filled(size_t n)
{
	size_t *v = xreallocarray(NULL, n + 1, sizeof *v);
	for (size_t i = 0; i < n; i++)
		v[i] = THREAD_NONE;
	return v;
}

/* For each mention of an id, in the order message, its references, next message, ...: its container. */
static size_t *number_ids(const struct thread_msg *msgs, size_t n, size_t *n_ids)
{
	size_t total = n, k = 0;
	for (size_t i = 0; i < n; i++)
		total += msgs[i].n_refs;
	struct occurrence *o = xreallocarray(NULL, total + 1, sizeof *o);
	size_t *container = filled(total);
	for (size_t i = 0; i < n; i++) {
		o[k] = (struct occurrence){ msgs[i].id, k };
		k++;
		for (size_t r = 0; r < msgs[i].n_refs; r++, k++)
			o[k] = (struct occurrence){ msgs[i].refs[r], k };
	}
	qsort(o, total, sizeof *o, by_id);
	*n_ids = 0;
	for (size_t i = 0; i < total; i++) {
		if (!o[i].id.n)
			continue;
		if (i == 0 || !span_eq(o[i].id, o[i - 1].id))
			++*n_ids;
		container[o[i].place] = *n_ids - 1;
	}
	free(o);
	return container;
}

/* Is x among y and its ancestors, or could that not be found out in time? */
static bool above(const struct containers *c, size_t x, size_t y)
{
	for (size_t steps = 0; y != THREAD_NONE; y = c->parent[y])
		if (y == x || ++steps > DEPTH_MAX)
			return true;
	return false;
}

/* RFC 5256 3 (REFERENCES, step 1): links the references in a chain, and the message to the last. */
static void link_message(struct containers *c, size_t own, const size_t *refs, size_t n)
{
	size_t last = THREAD_NONE;
	for (size_t i = 0; i < n; i++) {
		if (refs[i] == THREAD_NONE)
			continue;
		if (last != THREAD_NONE && c->parent[refs[i]] == THREAD_NONE && !above(c, refs[i], last))
			c->parent[refs[i]] = last;
		last = refs[i];
	}
	if (last != THREAD_NONE && !above(c, own, last))
		c->parent[own] = last;
}

static void make_containers(struct containers *c, const struct thread_msg *msgs, size_t n)
{
	size_t n_ids, k = 0, *container = number_ids(msgs, n, &n_ids);
	*c = (struct containers){ .n = n_ids, .parent = filled(n_ids + n), .msg = filled(n_ids + n) };
	for (size_t i = 0; i < n; i++) {
		size_t own = container[k];
		if (own == THREAD_NONE || c->msg[own] != THREAD_NONE)
			own = c->n++;
		c->msg[own] = i;
		link_message(c, own, container + k + 1, msgs[i].n_refs);
		k += 1 + msgs[i].n_refs;
	}
	free(container);
}

/* Finds real and top of a container without a message, and of those on the way up, each once. */
static void look_up(struct containers *c, size_t x)
{
	size_t end = x, real = THREAD_NONE, top = THREAD_NONE;
	for (;;) {
		if (c->top[end] != THREAD_NONE) {
			real = c->real[end];
			top = c->top[end];
			break;
		}
		top = end;
		if (c->parent[end] == THREAD_NONE)
			break;
		end = c->parent[end];
		if (c->msg[end] != THREAD_NONE) {
			real = end;
			break;
		}
	}
	for (; x != THREAD_NONE && c->msg[x] == THREAD_NONE && c->top[x] == THREAD_NONE; x = c->parent[x]) {
		c->real[x] = real;
		c->top[x] = top;
	}
}

static size_t add_node(struct forest *f)
{
	f->parent[f->n] = f->first[f->n] = THREAD_NONE;
	f->date[f->n] = INT64_MAX;
	f->dropped[f->n] = false;
	return f->n++;
}

/* Steps 2 and 3: containers without a message vanish, but for a root that keeps two or more children together. */
static void prune(struct containers *c, struct forest *f)
{
	size_t *count = xcalloc(c->n + 1, sizeof *count), *node = filled(c->n);
	c->real = filled(c->n);
	c->top = filled(c->n);
	for (int pass = 0; pass < 2; pass++)
		for (size_t x = 0; x < c->n; x++) {
			size_t i = c->msg[x], up = c->parent[x];
			if (i == THREAD_NONE || up == THREAD_NONE)
				continue;
			if (c->msg[up] == THREAD_NONE)
				look_up(c, up);
			size_t real = c->msg[up] != THREAD_NONE ? up : c->real[up], top = c->top[up];
			if (real != THREAD_NONE)
				f->parent[i] = c->msg[real];
			else if (pass == 0)
				count[top]++;
			else if (count[top] > 1)
				f->parent[i] = node[top] = node[top] == THREAD_NONE ? add_node(f) : node[top];
		}
	free(count);
	free(node);
	free(c->real);
	free(c->top);
}

/* A node without a message has its earliest child's date. */
static void date_nodes(struct forest *f)
{
	for (size_t i = f->n_msgs; i < f->n; i++)
		f->date[i] = INT64_MAX;
	for (size_t i = 0; i < f->n; i++) {
		size_t up = f->parent[i];
		if (up == THREAD_NONE || up < f->n_msgs || f->dropped[i])
			continue;
		if (f->first[up] == THREAD_NONE || f->date[i] < f->date[up]) {
			f->date[up] = f->date[i];
			f->first[up] = i;
		}
	}
}

static const struct thread_msg *speaker(const struct forest *f, size_t node)
{
	return &f->msgs[node < f->n_msgs ? node : f->first[node]];
}

struct root {
	const struct forest *f;
	size_t node;
};

static int by_date(const void *x, const void *y)
{
	const struct root *a = x, *b = y;
	int64_t s = a->f->date[a->node], t = b->f->date[b->node];
	if (s != t)
		return s < t ? -1 : 1;
	return a->node < b->node ? -1 : a->node > b->node;
}

static int by_subject(const void *x, const void *y)
{
	const struct root *a = x, *b = y;
	int order = span_icmp(speaker(a->f, a->node)->subject, speaker(b->f, b->node)->subject);
	return order ? order : by_date(x, y);
}

/* Step 5 (B): which root of a subject the others join. */
static size_t choose(const struct forest *f, const struct root *v, size_t n)
{
	size_t table = v[0].node;
	for (size_t i = 1; i < n && table < f->n_msgs; i++) {
		bool dummy = v[i].node >= f->n_msgs;
		if (dummy || (speaker(f, table)->reply && !speaker(f, v[i].node)->reply))
			table = v[i].node;
	}
	return table;
}

/* Step 5 (C). alias: of a root without a message that goes up in another one, that other; its children follow later,
 * all in one pass. */
static void join(struct forest *f, const struct root *v, size_t n, size_t *alias)
{
	size_t table = choose(f, v, n);
	for (size_t i = 0; i < n; i++) {
		size_t now = v[i].node;
		if (now == table)
			continue;
		if (table >= f->n_msgs && now >= f->n_msgs) {
			alias[now] = table;
			f->dropped[now] = true;
		} else if (table >= f->n_msgs || (speaker(f, now)->reply && !speaker(f, table)->reply)) {
			f->parent[now] = table;
		} else {
			size_t both = add_node(f);
			f->parent[table] = f->parent[now] = both;
			f->first[both] = table;
			table = both;
		}
	}
}

static size_t list_roots(const struct forest *f, struct root *v)
{
	size_t n = 0;
	for (size_t i = 0; i < f->n; i++)
		if (f->parent[i] == THREAD_NONE && !f->dropped[i])
			v[n++] = (struct root){ f, i };
	return n;
}

static void merge_subjects(struct forest *f)
{
	struct root *v = xreallocarray(NULL, f->n + 1, sizeof *v);
	size_t n = list_roots(f, v), *alias = filled(2 * f->n + 1);
	qsort(v, n, sizeof *v, by_subject);
	for (size_t i = 0, end; i < n; i = end) {
		struct span subject = speaker(f, v[i].node)->subject;
		for (end = i + 1; end < n && span_icmp(speaker(f, v[end].node)->subject, subject) == 0;)
			end++;
		if (subject.n && end - i > 1)
			join(f, v + i, end - i, alias);
	}
	for (size_t i = 0; i < f->n; i++)
		if (f->parent[i] != THREAD_NONE && f->parent[i] >= f->n_msgs && alias[f->parent[i]] != THREAD_NONE)
			f->parent[i] = alias[f->parent[i]];
	free(alias);
	free(v);
}

/* Step 6, and the walk in preorder. */
static void list_nodes(struct arena *a, struct forest *f, struct thread_node **nodes, size_t *n_nodes)
{
	struct root *v = xreallocarray(NULL, f->n + 1, sizeof *v);
	size_t *child = filled(f->n), *next = filled(f->n), *place = filled(f->n), first = THREAD_NONE, n = 0;
	for (size_t i = 0; i < f->n; i++)
		v[i] = (struct root){ f, i };
	qsort(v, f->n, sizeof *v, by_date);
	for (size_t i = f->n; i-- > 0;) {
		size_t node = v[i].node, up = f->parent[node];
		size_t *head = up == THREAD_NONE ? &first : &child[up];
		if (f->dropped[node])
			continue;
		next[node] = *head;
		*head = node;
	}
	*nodes = arena_alloc(a, (f->n + 1) * sizeof **nodes);
	for (size_t node = first; node != THREAD_NONE;) {
		size_t up = f->parent[node];
		struct thread_node *t = &(*nodes)[n];
		t->msg = node < f->n_msgs ? node : THREAD_NONE;
		t->parent = up == THREAD_NONE ? THREAD_NONE : place[up];
		t->depth = up == THREAD_NONE ? 0 : (*nodes)[place[up]].depth + 1;
		place[node] = n++;
		size_t down = child[node];
		while (down == THREAD_NONE && node != THREAD_NONE) {
			down = next[node];
			node = f->parent[node];
		}
		node = down;
	}
	*n_nodes = n;
	free(child);
	free(next);
	free(place);
	free(v);
}

void thread_references(
    struct arena *a, const struct thread_msg *msgs, size_t n, struct thread_node **nodes, size_t *n_nodes)
{
	struct containers c;
	/* Each step that adds nodes adds fewer than there are messages: at most one for two roots. */
	size_t most = 3 * n + 1;
	struct forest f = { .msgs = msgs, .n_msgs = n, .n = n, .parent = filled(most), .first = filled(most) };
	f.date = xcalloc(most, sizeof *f.date);
	f.dropped = xcalloc(most, sizeof *f.dropped);
	for (size_t i = 0; i < n; i++)
		f.date[i] = msgs[i].date;
	make_containers(&c, msgs, n);
	prune(&c, &f);
	date_nodes(&f);
	merge_subjects(&f);
	date_nodes(&f);
	list_nodes(a, &f, nodes, n_nodes);
	free(c.parent);
	free(c.msg);
	free(f.parent);
	free(f.first);
	free(f.date);
	free(f.dropped);
}

/* "<...>" without blanks and without quotes that change nothing (RFC 5256 3 normalises them). */
static struct span normal_id(struct arena *a, struct span s)
{
	char *p = arena_alloc(a, s.n + 1);
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (c == '"' || ascii_isblank(c) || c == '\r' || c == '\n')
			continue;
		if (c == '\\' && i + 1 < s.n)
			c = s.p[++i];
		p[n++] = c;
	}
	return span_of(p, n);
}

void thread_ids(struct arena *a, struct span value, const struct span **ids, size_t *n)
{
	struct span found[THREAD_REFS];
	size_t first = value.n;
	*n = 0;
	/* From the end, so that only as many as count are read. */
	while (*n < THREAD_REFS) {
		ptrdiff_t end = span_rchr(span_slice(value, 0, first), '>');
		ptrdiff_t start = end < 0 ? -1 : span_rchr(span_slice(value, 0, (size_t)end), '<');
		if (start < 0)
			break;
		found[(*n)++] = normal_id(a, span_slice(value, (size_t)start, (size_t)end + 1));
		first = (size_t)start;
	}
	struct span *v = arena_alloc(a, *n * sizeof *v);
	for (size_t i = 0; i < *n; i++)
		v[i] = found[*n - 1 - i];
	*ids = v;
}
