/* SPDX-License-Identifier: ISC */
#include <stdlib.h>

#include "io/durable/commitlog_plan.h"
#include "io/durable/commitlog_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	NONCE = 42,
	OUT_MAX = 1 << 22,
};

/* What is read is written as the same bytes and read again as the same record. */
static void check_round_trip(const struct commitlog_record *r, uint64_t place)
{
	struct commitlog_record again;
	struct buf b;
	buf_init(&b, OUT_MAX);
	buf_room(&b, place);
	while (b.len < place)
		buf_addc(&b, '\0');
	commitlog_record_encode(r, NONCE, place, &b);
	if (b.bad || !commitlog_record_decode(buf_span(&b), NONCE, place, &again) || again.kind != r->kind ||
	    again.at != r->at || again.file != r->file || !span_eq(again.path, r->path) ||
	    !span_eq(again.data, r->data))
		abort();
	buf_free(&b);
}

/* The bytes as a segment of their own, as a replay reads it. */
static void read_segment(struct span bytes)
{
	struct commitlog_record r;
	struct commitlog_plan plan;
	struct span boot;
	uint64_t nonce, place = COMMITLOG_HEADER;
	if (!commitlog_header_decode(bytes, &nonce, &boot))
		return;
	commitlog_plan_init(&plan);
	for (; commitlog_record_decode(bytes, nonce, place, &r); place += commitlog_record_size(&r))
		commitlog_plan_add(&plan, &r);
	commitlog_plan_free(&plan);
}

static struct span take(struct span *s, size_t n)
{
	struct span taken = span_slice(*s, 0, n);
	*s = span_from(*s, n);
	return taken;
}

/* The bytes as a program of records over few names and identities, so that they meet: kind, file, name, name or data.
 */
static void plan_program(struct span s)
{
	static const char *const names[] = { "a", "b", "q/1", "m/new/u", "m/cur/u:2,", "m/cur/u:2,S", "new/u",
		"x/new/" };
	struct commitlog_plan plan;
	commitlog_plan_init(&plan);
	for (uint64_t place = COMMITLOG_HEADER; s.n >= 4;) {
		struct span op = take(&s, 4);
		struct commitlog_record r = { .kind = COMMITLOG_PUT + (unsigned char)op.p[0] % 4,
			.mode = 0600,
			.at = (unsigned char)op.p[3] % 8,
			.file = (unsigned char)op.p[1] % 5,
			.path = span_str(names[(unsigned char)op.p[2] % 8]) };
		r.data = r.kind == COMMITLOG_RENAME ? span_str(names[(unsigned char)op.p[3] % 8])
						    : take(&s, (unsigned char)op.p[3] % 16);
		check_round_trip(&r, place);
		commitlog_plan_add(&plan, &r);
	}
	for (size_t i = 0; i < plan.n_files; i++)
		if (!plan.files[i].n_names || !commitlog_plan_name(&plan.files[i]).n)
			abort();
	commitlog_plan_free(&plan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span s = span_of((const char *)data, size);
	struct commitlog_record r;
	read_segment(s);
	/* At the beginning too, with the nonce that the seeds have. */
	if (commitlog_record_decode(s, NONCE, 0, &r))
		check_round_trip(&r, 0);
	plan_program(s);
	return 0;
}
