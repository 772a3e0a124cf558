/* SPDX-License-Identifier: ISC */
#include "mta-relay/run/run_content.h"

#include "msg/header.h"
#include "msg/priority.h"
#include "mta-relay/policy/generic.h"

enum {
	HEADER_LOOK = 262144,
};

int run_content_read(void *content, struct span *out, struct err *err)
{
	struct run_content *c = content;
	bool first = !c->begun;
	c->begun = true;
	if (first && c->sent.changed) {
		c->at = c->sent.instead;
		*out = c->sent.text;
		return 1;
	}
	ssize_t n = spool_read(c->m, c->at, c->piece, RUN_PIECE, err);
	if (n <= 0)
		return (int)n;
	c->at += (uint64_t)n;
	*out = span_of(c->piece, (size_t)n);
	return 1;
}

void run_content_rewind(void *content)
{
	struct run_content *c = content;
	c->at = 0;
	c->begun = false;
}

bool run_content_has_eightbit(void *content)
{
	struct run_content *c = content;
	struct span piece = { 0 };
	struct err err;
	bool found = false;
	run_content_rewind(c);
	while (!found && run_content_read(c, &piece, &err) > 0)
		found = span_eightbit(piece);
	run_content_rewind(c);
	return found;
}

uint64_t run_content_size(const struct run_content *c)
{
	return c->m->file.size - c->sent.instead + (c->sent.changed ? c->sent.text.n : 0);
}

bool run_content_needs_utf8(const struct run_content *c)
{
	struct span head, body;
	struct err err;
	return c->m->file.env.utf8 && spool_read_head(c->m, HEADER_LOOK, &head, &err) == 0 &&
	       span_eightbit(header_of(head, &body));
}

int run_content_generic(struct run_content *c, const struct rewrite_rules *rules, struct err *err)
{
	struct run_head *h = &c->written;
	*h = (struct run_head){ 0 };
	int rc = rules ? generic_head(rules, c->m, &h->text, &h->instead, err) : 0;
	h->changed = rc > 0;
	c->sent = *h;
	return rc < 0 ? -1 : 0;
}

/* The whole header; false when it is longer than what is looked at. Most are in the first few kilobytes. */
static int find_header(const struct run_content *c, struct span *header, struct err *err)
{
	static const size_t looks[] = { 8192, HEADER_LOOK };
	struct span head, body;
	for (size_t i = 0; i < 2; i++) {
		if (spool_read_head(c->m, looks[i], &head, err) < 0)
			return -1;
		*header = header_of(head, &body);
		if (header->n < head.n || head.n == c->m->file.size)
			return 1;
	}
	return 0;
}

/* RFC 6758 3.3. A header that is too long stays as it is. */
static int tell_priority(struct run_content *c, struct err *err)
{
	const struct spool_envelope *env = &c->m->file.env;
	struct run_head *h = &c->sent;
	struct span header = h->text;
	struct buf text;
	int rc = h->changed ? 1 : find_header(c, &header, err);
	if (rc <= 0 || (!env->has_priority && !priority_in(header)))
		return rc < 0 ? -1 : 0;
	buf_init(&text, header.n + 100);
	/* A field that did not count, of somebody who may not ask for it, says 0 from here on. */
	priority_replace(header, env->priority, &text);
	if (!h->changed)
		h->instead = header.n;
	h->text = arena_span(c->m->arena, buf_span(&text));
	h->changed = true;
	buf_free(&text);
	return 0;
}

int run_content_suit(struct smtp_message *m, unsigned exts, struct err *err)
{
	struct run_content *c = m->arg;
	c->sent = c->written;
	if (!(exts & SMTP_MTPRIORITY) && tell_priority(c, err) < 0)
		return -1;
	m->size = run_content_size(c);
	return 0;
}
