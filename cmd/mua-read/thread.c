/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <stdlib.h>

#include "base/xalloc.h"
#include "msg/header.h"
#include "msg/subject.h"
#include "msg/thread.h"
#include "mua-read/mua.h"
#include "mua-read/summary.h"

struct threads {
	struct arena *arena;
	struct summary *summary;
	struct thread_msg *msg;
	size_t n;
};

static void base_subject(struct arena *a, struct span subject, struct thread_msg *out)
{
	struct buf base;
	buf_init(&base, subject.n + 16);
	out->reply = subject_base(subject, &base);
	out->subject = arena_span(a, buf_span(&base));
	buf_free(&base);
}

/* RFC 5256 3, REFERENCES (1): References, else the first id of In-Reply-To. */
static void references(struct arena *a, struct span msg, struct thread_msg *out)
{
	struct header_field f;
	if (header_find(msg, "References", &f))
		thread_ids(a, f.value, &out->refs, &out->n_refs);
	if (!out->n_refs && header_find(msg, "In-Reply-To", &f)) {
		thread_ids(a, f.value, &out->refs, &out->n_refs);
		out->n_refs = out->n_refs ? 1 : 0;
	}
}

static void add(struct threads *t, struct box *b, size_t number, struct span msg)
{
	struct summary *s = &t->summary[t->n];
	struct thread_msg *m = &t->msg[t->n++];
	const struct span *ids;
	size_t n;
	summary_read(t->arena, b, number, msg, s);
	*m = (struct thread_msg){ .id = SPAN(""), .date = s->date };
	thread_ids(t->arena, s->id, &ids, &n);
	if (n)
		m->id = ids[0];
	references(t->arena, msg, m);
	base_subject(t->arena, s->subject, m);
}

static int read_all(struct threads *t, struct box *b, struct err *err)
{
	for (size_t i = 1; i <= b->n; i++) {
		struct span msg;
		struct err why;
		if (box_content(b, i, &msg, &why) == 0) {
			add(t, b, i, msg);
		} else if (why.sys != ENOENT) {
			*err = why;
			return -1;
		}
	}
	return 0;
}

static int write_all(const struct threads *t, struct mua *m, struct err *err)
{
	struct thread_node *nodes;
	struct lister l;
	size_t n;
	thread_references(t->arena, t->msg, t->n, &nodes, &n);
	lister_begin(&l, &m->term, m->options->json, m->box.n);
	for (size_t i = 0; i < n; i++) {
		if (nodes[i].msg == THREAD_NONE) {
			lister_missing(&l, nodes[i].depth);
			continue;
		}
		t->summary[nodes[i].msg].indent = nodes[i].depth;
		lister_row(&l, &t->summary[nodes[i].msg]);
	}
	return lister_end(&l) < 0 ? err_sys(err, "standard output") : 0;
}

int command_thread(struct mua *m, struct err *err)
{
	struct threads t = { .arena = arena_new() };
	t.summary = xcalloc(m->box.n, sizeof *t.summary);
	t.msg = xcalloc(m->box.n, sizeof *t.msg);
	int rc = read_all(&t, &m->box, err);
	if (rc == 0)
		rc = write_all(&t, m, err);
	free(t.summary);
	free(t.msg);
	arena_free(t.arena);
	return rc;
}
