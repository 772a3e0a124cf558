/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "base/xalloc.h"
#include "mta-relay/hooks/filter.h"

struct fixture {
	struct content in, out;
	struct buf said, text;
	struct err err;
};

static int set_up(void **state)
{
	struct fixture *x = xcalloc(1, sizeof *x);
	content_init(&x->in);
	content_init(&x->out);
	buf_init(&x->said, FILTER_SAID_MAX);
	buf_init(&x->text, 16 << 20);
	*state = x;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *x = *state;
	content_free(&x->in);
	content_free(&x->out);
	buf_free(&x->said);
	buf_free(&x->text);
	free(x);
	return 0;
}

static int run(struct fixture *x, const char *command, uint64_t max)
{
	static const char *const env[] = { "SENDER=a b;'$(x)", NULL };
	const struct filter f = { .command = command, .env = env, .timeout = 600000, .max_size = max };
	return filter_run(&f, &x->in, &x->out, &x->said, &x->err);
}

static const char *output(struct fixture *x)
{
	struct span piece;
	buf_reset(&x->text);
	content_rewind(&x->out);
	while (content_read(&x->out, &piece, &x->err) > 0)
		buf_addspan(&x->text, piece);
	return x->text.p;
}

static void test_text(void **state)
{
	struct fixture *x = *state;
	content_add(&x->in, SPAN("Subject: x\r\n\r\nbody\r\n"));
	assert_int_equal(run(x, "tr -d '\\r' | sed 's/^body$/BODY/'; printf %s \"$SENDER\"; echo words >&2", 0), 0);
	assert_string_equal(output(x), "Subject: x\r\n\r\nBODY\r\na b;'$(x)\r\n");
	assert_string_equal(x->said.p, "words\n");
}

static void test_status(void **state)
{
	struct fixture *x = *state;
	content_add(&x->in, SPAN("Subject: x\r\n\r\n"));
	assert_int_equal(run(x, "exit 65", 0), 65);
	assert_int_equal(run(x, "kill -9 $$", 0), 128 + 9);
	assert_int_equal(run(x, "/nonexistent/program", 0), 127);
	assert_int_equal(run(x, "head -c 5000 /dev/zero | tr '\\0' x >&2; exit 3", 0), 3);
	assert_int_equal(x->said.len, FILTER_SAID_MAX);
	assert_false(x->said.bad);
}

/* More than pipes and memory hold, both ways at once. */
static void test_large(void **state)
{
	struct fixture *x = *state;
	for (int i = 0; i < 60000; i++)
		content_add(&x->in, SPAN("0123456789012345678901234567890123456789012345678\r\n"));
	assert_int_equal(run(x, "cat", 0), 0);
	output(x);
	assert_int_equal(x->text.len, 60000 * 51);
	assert_int_equal(content_size(&x->in), 60000 * 51);
	/* It may stop reading. */
	content_reset(&x->out);
	assert_int_equal(run(x, "head -n 1; exec 0<&-", 0), 0);
	output(x);
	assert_int_equal(x->text.len, 51);
}

static void test_limits(void **state)
{
	struct fixture *x = *state;
	const struct filter slow = { .command = "sleep 100", .env = (const char *const[]){ NULL }, .timeout = 200 };
	content_add(&x->in, SPAN("Subject: x\r\n\r\n"));
	assert_int_equal(run(x, "yes", 100000), -1);
	assert_int_equal(x->err.class, ERR_LIMIT);
	assert_int_equal(filter_run(&slow, &x->in, &x->out, &x->said, &x->err), -1);
	assert_int_equal(x->err.sys, ETIMEDOUT);
	/* One that closes its stdout and goes on is waited for no longer. */
	const struct filter on = {
		.command = "exec >&-; sleep 100", .env = (const char *const[]){ NULL }, .timeout = 300
	};
	assert_int_equal(filter_run(&on, &x->in, &x->out, &x->said, &x->err), -1);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = { CASE(test_text), CASE(test_status), CASE(test_large), CASE(test_limits) };
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
