/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "mta-relay/spool/spool_format.h"

#define HEAD "waypost-queue 1\nsize: 000000000000003\n"

static void test_heads(void **state)
{
	static const struct {
		const char *name, *text;
		int want;
	} cases[] = {
		{ "nothing yet", "", 1 },
		{ "cut in the magic", "waypost-qu", 1 },
		{ "other magic", "waypost-quX", -1 },
		{ "cut in the envelope", HEAD "from: <a>\nrcpt: <b>\n", 1 },
		{ "least", HEAD "from: <>\nrcpt: <b>\n\n", 0 },
		{ "unknown keys are skipped", HEAD "x: y\nfrom: <>\nrcpt: <b> x=y\n\n", 0 },
		{ "flags, some of them unknown", HEAD "from: <>\nflags: binarymime later 8bitmime\nrcpt: <b>\n\n", 0 },
		{ "wishes", HEAD "from: <>\npriority: -9\nhold: 12 for;3\nby: 5 NT\nrcpt: <b>\n\n", 0 },
		{ "priority is none", HEAD "from: <>\npriority: 10\nrcpt: <b>\n\n", -1 },
		{ "priority is empty", HEAD "from: <>\npriority:\nrcpt: <b>\n\n", -1 },
		{ "hold is no time", HEAD "from: <>\nhold: x for;3\nrcpt: <b>\n\n", -1 },
		{ "by without a mode", HEAD "from: <>\nby: 5\nrcpt: <b>\n\n", -1 },
		{ "by with another mode", HEAD "from: <>\nby: 5 X\nrcpt: <b>\n\n", -1 },
		{ "no reverse-path", HEAD "rcpt: <b>\n\n", -1 },
		{ "two reverse-paths", HEAD "from: <a>\nfrom: <b>\nrcpt: <b>\n\n", -1 },
		{ "no recipient", HEAD "from: <a>\n\n", -1 },
		{ "no brackets", HEAD "from: a\nrcpt: <b>\n\n", -1 },
		{ "no brackets about a recipient", HEAD "from: <a>\nrcpt: b\n\n", -1 },
		{ "size is no number", "waypost-queue 1\nsize: 1x\nfrom: <>\nrcpt: <b>\n\n", -1 },
		{ "size is too large", "waypost-queue 1\nsize: 1000000000000000\nfrom: <>\nrcpt: <b>\n\n", -1 },
		{ "time is no time", HEAD "arrived: 12\nfrom: <>\nrcpt: <b>\n\n", -1 },
		{ "time overflows", HEAD "arrived: 99999999999999.000000\nfrom: <>\nrcpt: <b>\n\n", -1 },
	};
	struct arena *a = arena_new();
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct spool_file f;
		struct err err = { 0 };
		int got = spool_parse_head(span_str(cases[i].text), a, &f, &err);
		if (got != cases[i].want)
			fail_msg("%s: %d", cases[i].name, got);
		assert_int_equal(err.class, got < 0 ? ERR_DATA : ERR_NONE);
	}
	arena_free(a);
}

/* No byte of an address can forge a line: written and read it is the same. */
static void test_bytes_survive(void **state)
{
	char all[256];
	struct arena *a = arena_new();
	struct buf out;
	struct spool_file f;
	(void)state;
	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	struct span odd = span_of(all, sizeof all);
	struct spool_rcpt rcpt[] = { { odd, odd, odd, odd }, { SPAN("%0A"), SPAN(""), SPAN(""), SPAN("<x> y") } };
	struct spool_envelope env = { .from = odd,
		.ret = odd,
		.envid = SPAN("%41"),
		.auth = odd,
		.next_hop = odd,
		.binary = true,
		.requiretls = true,
		.has_priority = true,
		.priority = -4,
		.hold_until = 77,
		.hold = odd,
		.by_time = 99,
		.by_mode = 'R',
		.by_trace = true,
		.client = odd,
		.helo = odd,
		.user = odd,
		.rcpt = rcpt,
		.n_rcpt = 2,
		.arrived = 1 };
	buf_init(&out, SPOOL_ENVELOPE_MAX);
	spool_format_head(&env, &out);
	assert_int_equal(spool_parse_head(buf_span(&out), a, &f, NULL), 0);
	assert_int_equal(f.content_at, out.len);
	assert_int_equal(f.env.n_rcpt, 2);
	assert_int_equal(f.env.arrived, 1);
	assert_true(span_eq(f.env.from, odd) && span_eq(f.env.ret, odd) && span_eq(f.env.client, odd));
	assert_true(span_eq(f.env.auth, odd) && span_eq(f.env.next_hop, odd));
	assert_true(span_eqs(f.env.envid, "%41") && span_eq(f.env.helo, odd) && span_eq(f.env.user, odd));
	assert_true(f.env.binary && f.env.requiretls && !f.env.tls_optional && !f.env.utf8 && f.env.has_priority);
	assert_int_equal(f.env.priority, -4);
	assert_true(f.env.hold_until == 77 && span_eq(f.env.hold, odd));
	assert_true(f.env.by_time == 99 && f.env.by_mode == 'R' && f.env.by_trace);
	assert_int_equal(spool_began(&f.env), 77);
	assert_true(span_eq(f.env.rcpt[0].addr, odd) && span_eq(f.env.rcpt[0].notify, odd));
	assert_true(span_eq(f.env.rcpt[0].orcpt, odd) && span_eq(f.env.rcpt[0].original, odd));
	assert_true(span_eqs(f.env.rcpt[1].addr, "%0A") && span_eqs(f.env.rcpt[1].original, "<x> y"));
	buf_free(&out);
	arena_free(a);
}

static struct spool_file *two_recipients(struct arena *a)
{
	struct spool_file *f = arena_alloc(a, sizeof *f);
	assert_int_equal(spool_parse_head(SPAN(HEAD "from: <a>\nrcpt: <b>\nrcpt: <c>\n\n"), a, f, NULL), 0);
	return f;
}

static void test_outcome_survives(void **state)
{
	struct arena *a = arena_new();
	struct spool_file *f = two_recipients(a);
	struct buf out;
	struct spool_outcome o = { .state = SPOOL_FAILED,
		.when = 12,
		.code = 550,
		.enh = "5.1.1",
		.relay = SPAN("-"),
		.text = SPAN("no ; such\r\n0 delivered 1 250 - - x ;\n\xc3\xa4 %0A") };
	(void)state;
	buf_init(&out, 4096);
	spool_format_outcome(1, &o, &out);
	assert_int_equal(span_chr(buf_span(&out), '\n'), out.len - 1);
	spool_parse_line(span_slice(buf_span(&out), 0, out.len - 1), a, f);
	assert_int_equal(f->state[0].last.state, SPOOL_PENDING);
	const struct spool_outcome *got = &f->state[1].last;
	assert_int_equal(got->state, SPOOL_FAILED);
	assert_int_equal(got->when, 12);
	assert_int_equal(got->code, 550);
	assert_string_equal(got->enh, "5.1.1");
	assert_true(span_eq(got->relay, o.relay) && span_eq(got->text, o.text));
	buf_free(&out);
	arena_free(a);
}

static void test_lines(void **state)
{
	static const struct {
		const char *line;
		enum spool_state want;
	} cases[] = {
		{ "0 delivered 5 250 2.0.0 mx OK ;", SPOOL_DELIVERED },
		{ "0 handed 5 250 - - ;", SPOOL_HANDED },
		{ "0 relayed 5 0 - - a b ;", SPOOL_RELAYED },
		{ "0 deferred 5 451 4.0.0 - later ;", SPOOL_DEFERRED },
		{ "0 delivered 5 250 2.0.0 mx OK", SPOOL_PENDING }, /* torn */
		{ "0 delivered 5 250 2.0.0 ;", SPOOL_PENDING },
		{ "0 delivered 5 2500 2.0.0 mx OK ;", SPOOL_PENDING },
		{ "0 delivered x 250 2.0.0 mx OK ;", SPOOL_PENDING },
		{ "2 delivered 5 250 2.0.0 mx OK ;", SPOOL_PENDING },
		{ "-1 delivered 5 250 2.0.0 mx OK ;", SPOOL_PENDING },
		{ "0 delivered 5 250 2.0.0.0.0.0.0.0 mx OK ;", SPOOL_PENDING },
		{ "0 pending 5 250 2.0.0 mx OK ;", SPOOL_PENDING },
		{ "0 flown 5 250 2.0.0 mx OK ;", SPOOL_PENDING },
		{ "", SPOOL_PENDING },
		{ " ;", SPOOL_PENDING },
	};
	struct arena *a = arena_new();
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct spool_file *f = two_recipients(a);
		spool_parse_line(span_str(cases[i].line), a, f);
		if (f->state[0].last.state != cases[i].want || f->state[1].last.state != SPOOL_PENDING)
			fail_msg("%s", cases[i].line);
	}
	arena_free(a);
}

static void test_final_outcome_stays(void **state)
{
	struct arena *a = arena_new();
	struct spool_file *f = two_recipients(a);
	(void)state;
	spool_parse_line(SPAN("0 deferred 1 451 - - a ;"), a, f);
	spool_parse_line(SPAN("0 deferred 2 451 - - b ;"), a, f);
	spool_parse_line(SPAN("0 warned 2 X ;"), a, f);
	assert_int_equal(f->state[0].attempts, 2);
	assert_true(f->state[0].warned && !f->state[0].reported);
	spool_parse_line(SPAN("0 failed 3 550 - - c ;"), a, f);
	spool_parse_line(SPAN("0 deferred 4 451 - - d ;"), a, f);
	spool_parse_line(SPAN("0 delivered 5 250 - - e ;"), a, f);
	assert_int_equal(f->state[0].last.state, SPOOL_FAILED);
	assert_true(span_eqs(f->state[0].last.text, "c"));
	spool_parse_line(SPAN("0 reported 6 Y ;"), a, f);
	assert_true(f->state[0].reported);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_heads),
		cmocka_unit_test(test_bytes_survive),
		cmocka_unit_test(test_outcome_survives),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_final_outcome_stays),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
