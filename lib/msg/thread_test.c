/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <time.h>

#include "base/limits.h"
#include "msg/subject.h"
#include "msg/thread.h"

static void subjects(void **state)
{
	static const struct {
		const char *in, *want;
		bool reply;
	} cases[] = {
		{ "", "", false },
		{ " plain  text\t here ", "plain text here", false },
		{ "Re: x", "x", true },
		{ "RE : fw: Fwd:x", "x", true },
		{ "Re [2]: x", "x", true },
		{ "[list] x", "x", false },
		{ "[list] Re: [a] [b] x", "x", true },
		{ "x (fwd) ", "x", true },
		{ "x (FWD)(fwd)", "x", true },
		{ "[fwd: Re: x]", "x", true },
		{ "[Fwd: x", "[Fwd: x", false },
		{ "[only]", "[only]", false },
		{ "Re: [only]", "[only]", true },
		{ "Regarding: x", "Regarding: x", false },
		{ "Re", "Re", false },
		{ "Re:", "", true },
		{ "a Re: x", "a Re: x", false },
		{ "[a[b] x", "[a[b] x", false },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf out;
		buf_init(&out, 100);
		bool reply = subject_base(span_str(cases[i].in), &out);
		if (reply != cases[i].reply || !span_eqs(buf_span(&out), cases[i].want))
			fail_msg("%s: \"%s\" %d", cases[i].in, out.p, reply);
		buf_free(&out);
	}
}

static void ids(void **state)
{
	struct arena *a = arena_new();
	const struct span *v;
	struct buf many;
	size_t n;
	(void)state;
	thread_ids(a, SPAN(" <a@b>\r\n (comment) <\"c\"@ d><e@f> junk"), &v, &n);
	assert_int_equal(n, 3);
	assert_true(span_eqs(v[0], "<a@b>") && span_eqs(v[1], "<c@d>") && span_eqs(v[2], "<e@f>"));
	thread_ids(a, SPAN("no ids > here <"), &v, &n);
	assert_int_equal(n, 0);
	buf_init(&many, 100000);
	for (int i = 0; i < 1000; i++)
		buf_addf(&many, "<%d>", i);
	thread_ids(a, buf_span(&many), &v, &n);
	assert_int_equal(n, THREAD_REFS);
	assert_true(span_eqs(v[n - 1], "<999>") && span_eqs(v[0], "<800>"));
	buf_free(&many);
	arena_free(a);
}

/* Messages as "id refs,refs subject", dates in the order given; the result as "(a (b c) d)", "-" for a missing one. */
struct case_msg {
	const char *id, *refs, *subject;
	int64_t date;
};

static void fill(struct arena *a, const struct case_msg *m, struct thread_msg *t, int64_t date)
{
	struct buf base;
	size_t n;
	const struct span *one;
	buf_init(&base, 100);
	*t = (struct thread_msg){ .id = SPAN(""), .date = m->date ? m->date : date };
	thread_ids(a, span_str(m->id), &one, &n);
	if (n)
		t->id = one[0];
	thread_ids(a, span_str(m->refs), &t->refs, &t->n_refs);
	t->reply = subject_base(span_str(m->subject), &base);
	t->subject = arena_span(a, buf_span(&base));
	buf_free(&base);
}

static void describe(const struct thread_node *v, size_t n, struct buf *out)
{
	size_t depth = 0;
	for (size_t i = 0; i < n; i++) {
		for (; depth > v[i].depth; depth--)
			buf_addc(out, ')');
		if (i && v[i].depth > v[i - 1].depth) {
			buf_addc(out, '(');
			depth++;
		} else if (i) {
			buf_addc(out, v[i].depth ? ' ' : '\n');
		}
		if (v[i].parent != THREAD_NONE)
			assert_int_equal(v[v[i].parent].depth + 1, v[i].depth);
		if (v[i].msg == THREAD_NONE)
			buf_addc(out, '-');
		else
			buf_addf(out, "%zu", v[i].msg);
	}
	for (; depth; depth--)
		buf_addc(out, ')');
}

static const struct {
	const char *name;
	struct case_msg msgs[8];
	const char *want;
} threads[] = {
	{ "alone", { { "<a>", "", "x", 0 }, { "<b>", "", "y", 0 } }, "0\n1" },
	{ "chain", { { "<a>", "", "x", 0 }, { "<b>", "<a>", "Re: x", 0 }, { "<c>", "<a><b>", "Re: x", 0 } },
	    "0(1(2))" },
	{ "siblings by date", { { "<a>", "", "x", 0 }, { "<b>", "<a>", "y", 9 }, { "<c>", "<a>", "z", 5 } }, "0(2 1)" },
	{ "reply before its parent", { { "<b>", "<a>", "Re: x", 2 }, { "<a>", "", "x", 1 } }, "1(0)" },
	{ "missing parent of one", { { "<b>", "<a>", "Re: x", 0 } }, "0" },
	{ "missing parent of two", { { "<b>", "<a>", "p", 0 }, { "<c>", "<a>", "q", 0 } }, "-(0 1)" },
	{ "missing in the middle", { { "<a>", "", "x", 0 }, { "<c>", "<a><b>", "y", 0 }, { "<d>", "<a><b>", "z", 0 } },
	    "0(1 2)" },
	{ "missing above missing", { { "<c>", "<a><b>", "y", 0 }, { "<d>", "<a><e>", "z", 0 } }, "-(0 1)" },
	{ "loop", { { "<a>", "<b>", "x", 0 }, { "<b>", "<a>", "y", 0 } }, "1(0)" },
	{ "its own parent", { { "<a>", "<a>", "x", 0 } }, "0" },
	{ "same id twice", { { "<a>", "", "x", 0 }, { "<a>", "", "y", 0 }, { "<b>", "<a>", "z", 0 } }, "0(2)\n1" },
	{ "no ids", { { "", "", "x", 0 }, { "", "", "y", 0 } }, "0\n1" },
	{ "no ids, empty subjects", { { "", "", "", 0 }, { "", "", "", 0 } }, "0\n1" },
	{ "subject: reply joins", { { "<a>", "", "x", 0 }, { "<b>", "", "Re: X", 0 } }, "0(1)" },
	{ "subject: reply first", { { "<a>", "", "Re: x", 1 }, { "<b>", "", "x", 2 } }, "1(0)" },
	{ "subject: equals", { { "<a>", "", "x", 0 }, { "<b>", "", "x", 0 }, { "<c>", "", "Re: x", 0 } }, "-(0 1 2)" },
	{ "subject: two without parents",
	    { { "<a>", "<m>", "x", 0 }, { "<b>", "<m>", "x", 0 }, { "<c>", "<n>", "x", 0 }, { "<d>", "<n>", "x", 0 },
		{ "<e>", "", "Re: x", 0 } },
	    "-(0 1 2 3 4)" },
	{ "roots by date", { { "<a>", "", "x", 9 }, { "<b>", "", "y", 3 }, { "<c>", "<a>", "z", 1 } }, "1\n0(2)" },
};

static void trees(void **state)
{
	struct arena *a = arena_new();
	(void)state;
	for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
		struct thread_msg msgs[8];
		struct thread_node *nodes;
		struct buf out;
		size_t n = 0, n_nodes;
		buf_init(&out, 1000);
		for (; n < 8 && threads[i].msgs[n].id; n++)
			fill(a, &threads[i].msgs[n], &msgs[n], (int64_t)n + 1);
		thread_references(a, msgs, n, &nodes, &n_nodes);
		describe(nodes, n_nodes, &out);
		if (!span_eqs(buf_span(&out), threads[i].want))
			fail_msg("%s: %s", threads[i].name, out.p);
		buf_free(&out);
	}
	arena_free(a);
}

/* Each message once, parents before children, whatever the references say. */
static void check_forest(struct arena *a, const struct thread_msg *msgs, size_t n)
{
	struct thread_node *nodes;
	size_t n_nodes, seen = 0;
	unsigned char *met = arena_alloc(a, n);
	thread_references(a, msgs, n, &nodes, &n_nodes);
	for (size_t i = 0; i < n_nodes; i++) {
		assert_true(nodes[i].parent == THREAD_NONE || nodes[i].parent < i);
		if (nodes[i].msg == THREAD_NONE)
			continue;
		assert_false(met[nodes[i].msg]++);
		seen++;
	}
	assert_int_equal(seen, n);
}

static void adversarial(void **state)
{
	enum {
		N = 50000
	};
	struct arena *a = arena_new();
	struct thread_msg *msgs = arena_alloc(a, N * sizeof *msgs);
	struct span *refs = arena_alloc(a, N * 3 * sizeof *refs);
	uint32_t x = 1;
	clock_t start = clock();
	(void)state;
	for (int shape = 0; shape < 4; shape++) {
		for (size_t i = 0; i < N; i++) {
			x = x * 1664525u + 1013904223u;
			/* a chain downwards, one upwards, random references, one subject for all */
			size_t to = shape == 0 ? (i ? i - 1 : 0) : shape == 1 ? (i + 1) % N : x % N;
			refs[3 * i] = span_str(arena_printf(a, "<%zu>", to));
			refs[3 * i + 1] = span_str(arena_printf(a, "<%zu>", shape == 2 ? (x >> 8) % N : to));
			refs[3 * i + 2] = span_str(arena_printf(a, "<m%u>", x % 1000));
			msgs[i] = (struct thread_msg){ .id = span_str(arena_printf(a, "<%zu>", i)),
				.refs = refs + 3 * i,
				.n_refs = shape == 3   ? 0
					  : shape == 2 ? 3
						       : 1,
				.subject = shape == 3 ? SPAN("x") : SPAN(""),
				.reply = x & 1,
				.date = (int64_t)(x % 1000) };
		}
		check_forest(a, msgs, N);
	}
	assert_true((clock() - start) / CLOCKS_PER_SEC < 20);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(subjects),
		cmocka_unit_test(ids),
		cmocka_unit_test(trees),
		cmocka_unit_test(adversarial),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
