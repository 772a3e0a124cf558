/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/xalloc.h"
#include "mta-relay/content/content.h"

static void read_all(struct content *c, struct buf *out)
{
	struct span piece;
	struct err err = { 0 };
	int rc;
	buf_reset(out);
	content_rewind(c);
	while ((rc = content_read(c, &piece, &err)) > 0)
		buf_addspan(out, piece);
	assert_int_equal(rc, 0);
}

/* Pieces of odd sizes, on both sides of what stays in memory, come out as they went in, twice. */
static void test_spill(void **state)
{
	static const size_t sizes[] = { 0, 1, CONTENT_MEMORY - 1, CONTENT_MEMORY, CONTENT_MEMORY + 1,
		3 * CONTENT_MEMORY + 17 };
	struct content c;
	struct buf out;
	char *data = xmalloc(sizes[5]);
	(void)state;
	for (size_t i = 0; i < sizes[5]; i++)
		data[i] = (char)(i * 2654435761u >> 13);
	content_init(&c);
	buf_init(&out, 8 * CONTENT_MEMORY);
	for (size_t k = 0; k < 6; k++) {
		for (size_t at = 0; at < sizes[k]; at += 40009)
			assert_int_equal(content_add(&c, span_slice(span_of(data, sizes[k]), at, at + 40009)), 0);
		buf_adds(&c.prefix, "Received: x\r\n");
		assert_int_equal(content_size(&c), sizes[k] + 13);
		for (int turn = 0; turn < 2; turn++) {
			read_all(&c, &out);
			assert_int_equal(out.len, sizes[k] + 13);
			assert_memory_equal(out.p + 13, data, sizes[k]);
		}
		content_reset(&c);
	}
	content_free(&c);
	buf_free(&out);
	free(data);
}

static void test_look(void **state)
{
	struct content c;
	struct content_facts f;
	(void)state;
	content_init(&c);
	content_add(&c, SPAN("received: a\r\nReceived: b\r\n\tc\r\nMessage-ID: <1@x> \r\nBcc: secret@x,\r\n other@x\r\n"
			     "From: a@x\r\n\r\nReceived: not\r\nDate: not\r\n"));
	content_look(&c, &f);
	assert_int_equal(f.received, 2);
	assert_true(span_eqs(f.mid, "<1@x>"));
	assert_true(f.bcc && f.froms == 1 && f.message_id && !f.date && !f.headless);
	content_drop_bcc(&c);
	assert_null(strstr(c.mem.p, "secret"));
	assert_null(strstr(c.mem.p, "other"));
	assert_non_null(strstr(c.mem.p, "From: a@x\r\n\r\nReceived: not\r\nDate: not\r\n"));
	content_reset(&c);
	content_add(&c, SPAN("just text\r\n"));
	content_look(&c, &f);
	assert_true(f.headless);
	content_reset(&c);
	content_add(&c, SPAN("\r\nbody\r\n"));
	content_look(&c, &f);
	assert_false(f.headless);
	content_reset(&c);
	content_add(&c, SPAN(" From: a@x\r\nFrom: b@x\r\nBcc: c@x\r\nDate: d\r\n\r\n"));
	content_look(&c, &f);
	assert_true(f.headless && !f.froms && !f.bcc && !f.date);
	content_free(&c);
}

/* What a mailbox puts above a message; nothing else is one. */
static void test_from_line(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "From a@x Mon Nov 30 20:00:00 2026\r\nSubject: s\r\n\r\nb\r\n", "Subject: s\r\n\r\nb\r\n" },
		{ ">>From a@x\r\nSubject: s\r\n", "Subject: s\r\n" },
		{ "From a@x\r\nFrom b@x\r\n", "From b@x\r\n" },
		{ "From: a@x\r\n", "From: a@x\r\n" },
		{ "From : a@x\r\n", "From : a@x\r\n" },
		{ "from a@x\r\n\r\n", "from a@x\r\n\r\n" },
		{ "Subject: s\r\nFrom b@x\r\n", "Subject: s\r\nFrom b@x\r\n" },
		{ "", "" },
	};
	struct content c;
	(void)state;
	content_init(&c);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		content_add(&c, span_str(cases[i].text));
		content_drop_from_line(&c);
		assert_true(span_eqs(buf_span(&c.mem), cases[i].want));
		content_reset(&c);
	}
	content_free(&c);
}

/* RFC 6758 3.1 4a: one field, and a valid one. */
static void test_priority(void **state)
{
	static const struct {
		const char *header;
		bool has;
		int priority;
	} cases[] = {
		{ "MT-Priority: -3 (low)\r\n\r\n", true, -3 },
		{ "MT-Priority: 10\r\n\r\n", false, 0 },
		{ "MT-Priority: 1\r\nMT-Priority: 2\r\n\r\n", false, 0 },
		{ "MT-Priority: x\r\nMT-Priority: 2\r\n\r\n", false, 0 },
		{ "A: b\r\n\r\nMT-Priority: 2\r\n", false, 0 },
	};
	struct content c;
	struct content_facts f;
	(void)state;
	content_init(&c);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		content_add(&c, span_str(cases[i].header));
		content_look(&c, &f);
		assert_int_equal(f.has_priority, cases[i].has);
		if (f.has_priority)
			assert_int_equal(f.priority, cases[i].priority);
		content_reset(&c);
	}
	content_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_spill), cmocka_unit_test(test_look),
		cmocka_unit_test(test_from_line), cmocka_unit_test(test_priority) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
