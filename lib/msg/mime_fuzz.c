/* SPDX-License-Identifier: ISC */
#include <stdlib.h>

#include "msg/charset.h"
#include "msg/mime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool within(struct span inner, struct span outer)
{
	return inner.p >= outer.p && inner.p + inner.n <= outer.p + outer.n;
}

static void check(struct mime_part *p, struct span msg)
{
	struct buf out;
	buf_init(&out, 8 * msg.n + 100);
	struct span outer = p->parent ? p->parent->body : msg;
	if (!within(p->header, outer) || !within(p->body, outer) || p->header.p + p->header.n != p->body.p)
		abort();
	if (p->next && p->next->header.p < p->body.p + p->body.n)
		abort();
	mime_content(p, true, &out);
	buf_addc(&out, '\n');
	mime_filename(p, &out);
	if (out.bad || !utf8_valid(buf_span(&out)))
		abort();
	for (size_t i = 0; i < p->params.n; i++)
		if (!utf8_valid(p->params.v[i].value))
			abort();
	buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new();
	struct span msg = span_of((const char *)data, size);
	struct mime_part *root = mime_parse(a, msg);
	mime_best_text(root);
	for (struct mime_part *p = root; p; p = mime_next(p))
		check(p, msg);
	arena_free(a);
	return 0;
}
