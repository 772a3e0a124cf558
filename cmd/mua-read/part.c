/* SPDX-License-Identifier: ISC */
#include "mua-read/part.h"

#include "base/limits.h"

/* As deep as the tree at most: LIMIT_MIME_DEPTH. */
void part_name(const struct mime_part *p, struct buf *out)
{
	const struct mime_part *up = p->parent;
	unsigned number = p->number;
	if (up && up->kind == MIME_MESSAGE) {
		/* A message's own multipart has no number: its parts stand right below the message. */
		part_name(up, out);
		if (p->kind == MIME_MULTIPART)
			return;
		number = 1;
	} else if (up) {
		part_name(up, out);
	} else if (p->kind == MIME_MULTIPART) {
		return;
	} else {
		number = 1;
	}
	if (out->len)
		buf_addc(out, '.');
	buf_addf(out, "%u", number);
}

static const struct mime_part *child(const struct mime_part *p, uint64_t number)
{
	for (p = p->children; p && p->number != number; p = p->next)
		continue;
	return p;
}

const struct mime_part *part_find(const struct mime_part *root, const char *name)
{
	struct span rest = span_str(name);
	const struct mime_part *p = root;
	bool whole = true; /* p is a message as a whole, whose body has the number 1 unless it is a multipart */
	if (!rest.n)
		return NULL;
	while (p && rest.n) {
		uint64_t number;
		if (!span_u64(span_cut(&rest, '.'), LIMIT_MIME_PARTS, &number))
			return NULL;
		if (!whole && p->kind == MIME_MESSAGE) {
			p = p->children;
			whole = true;
		}
		if (p->kind == MIME_MULTIPART)
			p = child(p, number);
		else if (!whole || number != 1)
			return NULL;
		whole = false;
	}
	return p;
}
