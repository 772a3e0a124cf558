/* SPDX-License-Identifier: ISC
 *
 * Any bytes as a queue file: the head and each line behind the content. What was understood is written again and must
 * be understood as the same.
 */
#include <stdlib.h>

#include "mta-relay/spool/spool_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool so)
{
	if (!so)
		abort();
}

static void same_again(const struct spool_file *f)
{
	struct arena *a = arena_new();
	struct spool_file again;
	struct buf out;
	buf_init(&out, SPOOL_ENVELOPE_MAX * 4);
	spool_format_head(&f->env, &out);
	must(spool_parse_head(buf_span(&out), a, &again, NULL) == 0);
	must(again.env.n_rcpt == f->env.n_rcpt && again.env.arrived == f->env.arrived);
	must(span_eq(again.env.auth, f->env.auth) && span_eq(again.env.next_hop, f->env.next_hop));
	must(again.env.has_priority == f->env.has_priority && again.env.priority == f->env.priority);
	must(again.env.hold_until == f->env.hold_until && again.env.by_mode == f->env.by_mode);
	must(!f->env.by_mode || (again.env.by_time == f->env.by_time && again.env.by_trace == f->env.by_trace));
	must(again.env.binary == f->env.binary && again.env.requiretls == f->env.requiretls);
	must(span_eq(again.env.from, f->env.from) && span_eq(again.env.envid, f->env.envid));
	for (size_t i = 0; i < f->env.n_rcpt; i++) {
		must(span_eq(again.env.rcpt[i].addr, f->env.rcpt[i].addr));
		must(span_eq(again.env.rcpt[i].orcpt, f->env.rcpt[i].orcpt));
		must(span_eq(again.env.rcpt[i].original, f->env.rcpt[i].original));
	}
	for (size_t i = 0; i < f->env.n_rcpt; i++) {
		if (f->state[i].last.state == SPOOL_PENDING)
			continue;
		buf_reset(&out);
		spool_format_outcome(i, &f->state[i].last, &out);
		must(span_ends(buf_span(&out), " ;\n") && span_chr(buf_span(&out), '\n') == (ptrdiff_t)out.len - 1);
		spool_parse_line(span_slice(buf_span(&out), 0, out.len - 1), a, &again);
		must(again.state[i].last.state == f->state[i].last.state);
	}
	buf_free(&out);
	arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = span_of((const char *)data, size);
	struct arena *a = arena_new();
	struct spool_file f;
	struct err err;
	if (spool_parse_head(text, a, &f, &err) == 0) {
		struct span rest = span_from(text, f.content_at);
		rest = span_from(rest, f.size < rest.n ? (size_t)f.size : rest.n);
		while (rest.n)
			spool_parse_line(span_cut(&rest, '\n'), a, &f);
		same_again(&f);
	}
	arena_free(a);
	return 0;
}
