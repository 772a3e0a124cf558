/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/config.h"
#include "mta-relay/spool/spool_dir.h"
#include "mta-relay/spool/spool_format.h"
#include "mta-relay/spool/spool_msg.h"

struct fixture {
	char dir[64];
	struct spool *s;
	struct arena *a;
	struct err err;
};

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof *x);
	snprintf(x->dir, sizeof x->dir, "/tmp/spool_test.XXXXXX");
	if (!mkdtemp(x->dir))
		return -1;
	x->s = spool_open_node(x->dir, "node", &x->err);
	x->a = arena_new();
	*state = x;
	return x->s ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *x = *state;
	char command[128];
	spool_close(x->s);
	arena_free(x->a);
	snprintf(command, sizeof command, "rm -rf '%s'", x->dir);
	int rc = system(command);
	free(x);
	return rc;
}

static struct spool_envelope envelope(struct spool_rcpt *rcpt, size_t n)
{
	return (struct spool_envelope){
		.from = SPAN("a@example.org"),
		.ret = SPAN("HDRS"),
		.envid = SPAN("id+2B1"),
		.utf8 = true,
		.eightbit = true,
		.client = SPAN("192.0.2.1"),
		.helo = SPAN("client.example"),
		.user = span_of(NULL, 0),
		.arrived = INT64_C(1795317901123456),
		.rcpt = rcpt,
		.n_rcpt = n,
	};
}

static void queue_file(struct fixture *x, const char *id, struct buf *out)
{
	char *path = spool_path(x->s, "msg", id);
	buf_init(out, 1 << 20);
	assert_int_equal(config_slurp(path, out, &x->err), 0);
	free(path);
}

static void test_file_can_be_read(void **state)
{
	struct fixture *x = *state;
	struct spool_rcpt rcpt[] = {
		{ SPAN("b@example.net"), SPAN("SUCCESS,FAILURE"), SPAN("rfc822;b@x"), SPAN("alias@example.net") },
		{ SPAN("\"odd one\"@example.com"), SPAN(""), SPAN(""), SPAN("") },
	};
	struct spool_envelope env = envelope(rcpt, 2);
	struct spool_writer *w = spool_begin(x->s, &env, &x->err);
	struct buf got;
	char id[SPOOL_ID_SIZE];
	assert_non_null(w);
	spool_write(w, SPAN("Subject: x\n\nbody"));
	spool_outcome(w, 1,
	    &(struct spool_outcome){ .state = SPOOL_DELIVERED,
		.when = 1795317902,
		.code = 250,
		.enh = "2.0.0",
		.relay = SPAN("lmtp:unix:/x y"),
		.text = SPAN("OK; 100%\nmore") });
	assert_int_equal(spool_commit(w, id, &x->err), 0);
	queue_file(x, id, &got);
	assert_string_equal(got.p,
	    "waypost-queue 1\n"
	    "size: 000000000000018\n"
	    "arrived: 1795317901.123456\n"
	    "from: <a@example.org>\n"
	    "ret: HDRS\n"
	    "envid: id+2B1\n"
	    "flags: smtputf8 8bitmime\n"
	    "client: 192.0.2.1\n"
	    "helo: client.example\n"
	    "rcpt: <b@example.net> notify=SUCCESS,FAILURE orcpt=rfc822;b@x original=alias@example.net\n"
	    "rcpt: <\"odd%20one\"@example.com>\n"
	    "\n"
	    "Subject: x\r\n\r\nbody\n"
	    "1 delivered 1795317902 250 2.0.0 lmtp:unix:/x%20y OK%3B 100%25%0Amore ;\n");
	buf_free(&got);
}

/* A name that was made before, and a message that nobody tries before it is let go. */
static void test_held(void **state)
{
	struct fixture *x = *state;
	struct spool_rcpt rcpt = { SPAN("b"), SPAN(""), SPAN(""), SPAN("") };
	struct spool_envelope env = envelope(&rcpt, 1);
	char mine[SPOOL_ID_SIZE], id[SPOOL_ID_SIZE];
	struct spool_msg *m;
	spool_make_id(mine);
	env.id = mine;
	env.held = true;
	struct spool_writer *w = spool_begin(x->s, &env, &x->err);
	assert_non_null(w);
	assert_string_equal(spool_writer_id(w), mine);
	spool_write(w, SPAN("Subject: x\r\n\r\n"));
	assert_int_equal(spool_commit(w, id, &x->err), 0);
	assert_string_equal(id, mine);
	assert_int_equal(spool_get(x->s, id, SPOOL_UNLOCKED, &m, &x->err), 0);
	assert_true(m->held);
	spool_put(m);
}

/* Binary MIME: a LF is data. */
static void test_binary_stays(void **state)
{
	struct fixture *x = *state;
	struct spool_rcpt rcpt = { SPAN("b"), SPAN(""), SPAN(""), SPAN("") };
	struct spool_envelope env = envelope(&rcpt, 1);
	const struct span content = SPAN("A: b\r\n\r\nx\n\0\ry\r\n\n");
	struct spool_file f;
	struct buf got;
	char id[SPOOL_ID_SIZE];
	env.binary = true;
	struct spool_writer *w = spool_begin(x->s, &env, &x->err);
	assert_non_null(w);
	for (size_t at = 0; at < content.n; at++)
		spool_write(w, span_slice(content, at, at + 1));
	assert_int_equal(spool_commit(w, id, &x->err), 0);
	queue_file(x, id, &got);
	assert_int_equal(spool_parse_head(buf_span(&got), x->a, &f, &x->err), 0);
	assert_true(f.env.binary);
	assert_true(span_eq(span_slice(buf_span(&got), f.content_at, f.content_at + f.size), content));
	buf_free(&got);
}

static void written_as(struct fixture *x, struct span in, size_t piece, const char *want)
{
	struct spool_rcpt rcpt = { SPAN("b"), SPAN(""), SPAN(""), SPAN("") };
	struct spool_envelope env = envelope(&rcpt, 1);
	struct spool_writer *w = spool_begin(x->s, &env, &x->err);
	struct spool_file f;
	struct buf got;
	char id[SPOOL_ID_SIZE];
	assert_non_null(w);
	for (size_t at = 0; at < in.n; at += piece)
		spool_write(w, span_slice(in, at, at + piece));
	assert_int_equal(spool_commit(w, id, &x->err), 0);
	queue_file(x, id, &got);
	assert_int_equal(spool_parse_head(buf_span(&got), x->a, &f, &x->err), 0);
	struct span content = span_slice(buf_span(&got), f.content_at, f.content_at + f.size);
	assert_true(span_eqs(content, want));
	assert_int_equal(got.len, f.content_at + f.size + 1);
	buf_free(&got);
}

static void test_line_ends(void **state)
{
	static const struct {
		struct span in;
		const char *want;
	} cases[] = {
		{ SPAN(""), "" },
		{ SPAN("\n"), "\r\n" },
		{ SPAN("\r\n"), "\r\n" },
		{ SPAN("\n\n\r\n\n"), "\r\n\r\n\r\n\r\n" },
		{ SPAN("a\nb\r\nc\rd\r\r\ne"), "a\r\nb\r\nc\rd\r\r\ne" },
		{ SPAN("waypost-queue 1\n\n.\r\n..\n\r"), "waypost-queue 1\r\n\r\n.\r\n..\r\n\r" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (size_t piece = 1; piece <= cases[i].in.n + 1; piece++)
			written_as(*state, cases[i].in, piece, cases[i].want);
}

static void test_abort_leaves_nothing(void **state)
{
	struct fixture *x = *state;
	struct spool_rcpt rcpt = { SPAN("b"), SPAN(""), SPAN(""), SPAN("") };
	struct spool_envelope env = envelope(&rcpt, 1);
	struct spool_writer *w = spool_begin(x->s, &env, &x->err);
	char *tmp = spool_path(x->s, "tmp", spool_writer_id(w)), *msg = spool_path(x->s, "msg", spool_writer_id(w));
	assert_int_equal(access(tmp, F_OK), 0);
	spool_abort(w);
	assert_int_equal(access(tmp, F_OK), -1);
	assert_int_equal(access(msg, F_OK), -1);
	free(tmp);
	free(msg);
}

static void test_envelope_limits(void **state)
{
	struct fixture *x = *state;
	struct spool_envelope env = envelope(NULL, 0);
	assert_null(spool_begin(x->s, &env, &x->err));
	assert_int_equal(x->err.class, ERR_LIMIT);
	char *big = malloc(SPOOL_ENVELOPE_MAX);
	memset(big, 'x', SPOOL_ENVELOPE_MAX);
	struct spool_rcpt rcpt = { span_of(big, SPOOL_ENVELOPE_MAX), SPAN(""), SPAN(""), SPAN("") };
	env = envelope(&rcpt, 1);
	assert_null(spool_begin(x->s, &env, &x->err));
	assert_int_equal(x->err.class, ERR_LIMIT);
	free(big);
}

static void test_ids_differ_and_sort(void **state)
{
	struct fixture *x = *state;
	struct spool_rcpt rcpt = { SPAN("b"), SPAN(""), SPAN(""), SPAN("") };
	struct spool_envelope env = envelope(&rcpt, 1);
	char last[SPOOL_ID_SIZE] = "";
	for (int i = 0; i < 100; i++) {
		struct spool_writer *w = spool_begin(x->s, &env, &x->err);
		assert_non_null(w);
		assert_true(strcmp(spool_writer_id(w), last) > 0);
		memcpy(last, spool_writer_id(w), sizeof last);
		spool_abort(w);
	}
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_file_can_be_read),
		CASE(test_binary_stays),
		CASE(test_held),
		CASE(test_line_ends),
		CASE(test_abort_leaves_nothing),
		CASE(test_envelope_limits),
		CASE(test_ids_differ_and_sort),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
