/* SPDX-License-Identifier: ISC
 *
 * The IMAP client against scripted servers over memory streams, whole and one byte at a time.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/buf.h"
#include "imap/client.h"

/* ---- what the sink got ---- */

struct taken {
	struct buf log; /* "begin 5|hello|end 7 flags 1\n" */
	int open;
};

static int begin(void *arg, uint64_t size, struct err *err)
{
	struct taken *t = arg;
	(void)err;
	assert_int_equal(t->open++, 0);
	buf_addf(&t->log, "begin %d|", (int)size);
	return 0;
}

static int data(void *arg, struct span piece, struct err *err)
{
	struct taken *t = arg;
	(void)err;
	assert_int_equal(t->open, 1);
	buf_addspan(&t->log, piece);
	return 0;
}

static int end(void *arg, const struct imap_fetched *m, struct err *err)
{
	struct taken *t = arg;
	(void)err;
	assert_int_equal(t->open--, 1);
	buf_addf(&t->log, "|end %u flags %u date %lld\n", (unsigned)m->uid, m->flags, (long long)m->date);
	return 0;
}

static void give_up(void *arg)
{
	struct taken *t = arg;
	assert_int_equal(t->open--, 1);
	buf_adds(&t->log, "|abort\n");
}

/* ---- opening ---- */

static const struct sasl_client_config auth = { .user = "joe", .password = "pa\"ss", .allow_plaintext = true };

static struct tls_ctx *tls;

struct session {
	struct stream *s; /* belongs to c while that lives */
	struct imap_client *c;
	struct err err;
};

static struct session start(const char *script, size_t chunk, enum imap_tls policy)
{
	struct session x = { .s = stream_from_mem(span_str(script), chunk) };
	struct imap_client_config c = { .policy = policy, .tls = tls, .host = "mail.example", .auth = &auth };
	x.c = imap_client_open(x.s, &c, &x.err);
	return x;
}

static const struct open_row {
	const char *name, *script;
	enum imap_tls policy;
	enum err_class class;
	const char *text; /* of the error, its start */
} open_rows[] = {
	{ "login", "* OK hi\r\n* CAPABILITY IMAP4rev1\r\na1 OK\r\na2 OK in\r\n* CAPABILITY IMAP4rev1 IDLE\r\na3 OK\r\n",
	    IMAP_TLS_NEVER, ERR_NONE, "" },
	{ "plain with initial response", "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] hi\r\na1 OK in\r\na2 OK\r\n",
	    IMAP_TLS_NEVER, ERR_NONE, "" },
	{ "plain after a challenge", "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\r\n+ \r\na1 OK in\r\na2 OK\r\n",
	    IMAP_TLS_NEVER, ERR_NONE, "" },
	{ "preauth", "* PREAUTH [CAPABILITY IMAP4rev1] hi\r\na1 OK\r\n", IMAP_TLS_NEVER, ERR_NONE, "" },
	{ "preauth instead of TLS", "* PREAUTH hi\r\n", IMAP_TLS_REQUIRE, ERR_ACCESS,
	    "the server greets with PREAUTH" },
	{ "no STARTTLS", "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\r\n", IMAP_TLS_REQUIRE, ERR_TEMP,
	    "the server offers no STARTTLS" },
	{ "STARTTLS refused", "* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\na1 NO not now\r\n", IMAP_TLS_REQUIRE,
	    ERR_PERM, "STARTTLS: the server says: not now" },
	{ "wrong password", "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hi\r\na1 NO [AUTHENTICATIONFAILED] no\r\n",
	    IMAP_TLS_NEVER, ERR_ACCESS, "authentication failed: the server says: [AUTHENTICATIONFAILED] no" },
	{ "server in trouble", "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hi\r\na1 NO [UNAVAILABLE] later\r\n",
	    IMAP_TLS_NEVER, ERR_TEMP, "authentication failed" },
	{ "LOGINDISABLED", "* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] hi\r\n", IMAP_TLS_NEVER, ERR_ACCESS,
	    "authentication failed: the server offers no way to log in" },
	{ "refused at once", "* BYE go away\r\n", IMAP_TLS_NEVER, ERR_TEMP, "the server refuses: go away" },
	{ "not IMAP", "220 mx.example ESMTP\r\n", IMAP_TLS_NEVER, ERR_PROTO, "the server broke the protocol" },
	{ "closed", "", IMAP_TLS_NEVER, ERR_TEMP, "the server closed the connection" },
	{ "another command's answer", "* OK [CAPABILITY IMAP4rev1] hi\r\na7 OK in\r\n", IMAP_TLS_NEVER, ERR_PROTO,
	    "authentication failed: the server broke the protocol: a response that belongs to no command" },
	{ "bare LF", "* OK hi\n", IMAP_TLS_NEVER, ERR_PROTO, "the server broke the protocol: a line without CRLF" },
	{ "endless challenges",
	    "* OK [CAPABILITY IMAP4rev1 AUTH=LOGIN] hi\r\n+ \r\n+ \r\n+ \r\n+ \r\n+ \r\n+ \r\n+ \r\n+ \r\n+ \r\n+ "
	    "\r\n+ \r\n+ \r\n",
	    IMAP_TLS_NEVER, ERR_PROTO, "authentication failed" },
};

static void test_open(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof open_rows / sizeof *open_rows; i++)
		for (size_t chunk = 0; chunk < 2; chunk++) {
			const struct open_row *r = &open_rows[i];
			struct session x = start(r->script, chunk, r->policy);
			if (x.err.class != r->class || !span_starts(span_str(x.err.text), r->text) ||
			    !x.c != (r->class != ERR_NONE))
				fail_msg("%s: class %d '%s'", r->name, (int)x.err.class, x.err.text);
			imap_client_close(x.c, false);
		}
}

/* What comes with the reply to STARTTLS would survive it (RFC 9051 11.3). */
static void test_injection(void **state)
{
	(void)state;
	struct session x = start(
	    "* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\na1 OK go\r\n* CAPABILITY AUTH=PLAIN\r\n", 0, IMAP_TLS_REQUIRE);
	assert_null(x.c);
	assert_int_equal(x.err.class, ERR_PROTO);
	assert_true(span_starts(span_str(x.err.text), "the peer sent data too early"));
}

static const char greeting[] =
    "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN UIDPLUS IDLE] hi\r\na1 OK in\r\na2 OK\r\n";

/* A session that has logged in; what the server says from then on is `script`, commands count from a3. */
static struct session session(struct buf *all, const char *script, size_t chunk)
{
	buf_reset(all);
	buf_adds(all, greeting);
	buf_adds(all, script);
	struct session x = start(all->p, chunk, IMAP_TLS_NEVER);
	if (!x.c)
		fail_msg("%s", x.err.text);
	return x;
}

static void test_commands(void **state)
{
	(void)state;
	static const char script[] =
	    "* 3 EXISTS\r\n* OK [UIDVALIDITY 77] x\r\n* OK [UIDNEXT 10] x\r\na3 OK [READ-ONLY] done\r\n"
	    "* 2 FETCH (UID 7 RFC822.SIZE 20)\r\n* 1 FETCH (RFC822.SIZE 10 UID 5)\r\n"
	    "* 1 FETCH (FLAGS (\\Seen))\r\n* 3 FETCH (UID 7 RFC822.SIZE 20)\r\na4 OK\r\n"
	    "a5 OK\r\na6 OK\r\na7 OK bye\r\n";
	struct buf all, want;
	buf_init(&all, 1 << 16);
	buf_init(&want, 1 << 16);
	for (size_t chunk = 0; chunk < 2; chunk++) {
		struct session x = session(&all, script, chunk);
		struct imap_mailbox box;
		struct imap_items l;
		bool expunged;
		assert_int_equal(imap_client_select(x.c, SPAN("In box"), true, &box, &x.err), 0);
		assert_int_equal(box.exists, 3);
		assert_int_equal(box.uidvalidity, 77);
		assert_int_equal(imap_client_list(x.c, 5, &l, &x.err), 0);
		assert_int_equal(l.n, 2);
		assert_int_equal(l.v[0].uid, 5);
		assert_int_equal(l.v[1].uid, 7);
		assert_int_equal(l.v[1].size, 20);
		free(l.v);
		assert_int_equal(
		    imap_client_delete(x.c, (const uint32_t[]){ 1, 2, 3, 7, 9, 10 }, 6, &expunged, &x.err), 0);
		assert_true(expunged);
		buf_reset(&want);
		buf_adds(&want,
		    "a1 AUTHENTICATE PLAIN AGpvZQBwYSJzcw==\r\na2 CAPABILITY\r\na3 EXAMINE \"In box\"\r\n"
		    "a4 UID FETCH 5:* (UID RFC822.SIZE)\r\na5 UID STORE 1:3,7,9:10 +FLAGS.SILENT (\\Deleted)\r\n"
		    "a6 UID EXPUNGE 1:3,7,9:10\r\n");
		assert_string_equal(stream_mem_output(x.s).p, want.p);
		imap_client_close(x.c, true);
	}
	buf_free(&all);
	buf_free(&want);
}

static const struct fetch_row {
	const char *name, *script, *log;
	enum err_class class;
} fetch_rows[] = {
	{ "two messages",
	    "* 1 FETCH (UID 5 FLAGS (\\Seen \\Flagged $x) INTERNALDATE \"01-Jan-1970 00:01:00 +0000\" BODY[] "
	    "{5}\r\nhello)\r\n"
	    "* 2 FETCH (BODY[] {4}\r\na\r\nb UID 7)\r\na3 OK\r\n",
	    "begin 5|hello|end 5 flags 5 date 60\nbegin 4|a\r\nb|end 7 flags 0 date 0\n", ERR_NONE },
	{ "a body that looks like a response",
	    "* 1 FETCH (UID 5 BODY[] {25}\r\n)\r\na3 OK\r\n* 2 FETCH (UID )\r\na3 OK\r\n",
	    "begin 25|)\r\na3 OK\r\n* 2 FETCH (UID |end 5 flags 0 date 0\n", ERR_NONE },
	{ "short bodies as strings", "* 1 FETCH (UID 5 BODY[] \"x\\\"y\")\r\n* 2 FETCH (UID 7 BODY[] NIL)\r\na3 OK\r\n",
	    "begin 3|x\"y|end 5 flags 0 date 0\nbegin 0||end 7 flags 0 date 0\n", ERR_NONE },
	{ "literal8", "* 1 FETCH (UID 5 BODY[] ~{3}\r\nabc)\r\na3 OK\r\n", "begin 3|abc|end 5 flags 0 date 0\n",
	    ERR_NONE },
	{ "other news between",
	    "* 9 EXISTS\r\n* 4 FETCH (FLAGS (\\Seen) MODSEQ (12) X-NEW (a (b \"c\" NIL) {1}\r\n) d))\r\n* 1 FETCH (UID "
	    "5 BODY[] {1}\r\nx)\r\n"
	    "* OK still here\r\na3 OK\r\n",
	    "begin 1|x|end 5 flags 0 date 0\n", ERR_NONE },
	{ "gone meanwhile", "a3 OK\r\n", "", ERR_NONE },
	{ "refused", "a3 NO [SERVERBUG] sorry\r\n", "", ERR_PERM },
	{ "cut off", "* 1 FETCH (UID 5 BODY[] {5}\r\nhel", "begin 5|hel|abort\n", ERR_TEMP },
	{ "cut off behind", "* 1 FETCH (UID 5 BODY[] {5}\r\nhello", "begin 5|hello|abort\n", ERR_TEMP },
	{ "not asked for", "* 1 FETCH (UID 6 BODY[] {1}\r\nx)\r\na3 OK\r\n", "begin 1|x|abort\n", ERR_PROTO },
	{ "twice", "* 1 FETCH (UID 5 BODY[] {1}\r\nx)\r\n* 1 FETCH (UID 5 BODY[] {1}\r\nx)\r\na3 OK\r\n",
	    "begin 1|x|end 5 flags 0 date 0\nbegin 1|x|abort\n", ERR_PROTO },
	{ "no UID", "* 1 FETCH (BODY[] {1}\r\nx)\r\na3 OK\r\n", "begin 1|x|abort\n", ERR_PROTO },
	{ "two bodies", "* 1 FETCH (UID 5 BODY[] {1}\r\nx BODY[] {1}\r\ny)\r\na3 OK\r\n",
	    "begin 1|x|end 5 flags 0 date 0\n", ERR_NONE },
	{ "body in another response", "* LIST (BODY[] {1}\r\nx)\r\na3 OK\r\n", "begin 1|x|abort\n", ERR_PROTO },
	{ "malformed", "* 1 FETCH (UID 5 BODY[] {1}\r\nx\r\n", "begin 1|x|abort\n", ERR_PROTO },
	{ "a header only", "* 1 FETCH (UID 5 BODY[HEADER] {1}\r\nx)\r\na3 OK\r\n", "", ERR_NONE },
	{ "huge literal", "* 1 FETCH (UID 5 X {9999999}\r\nx)\r\na3 OK\r\n", "", ERR_PROTO },
	{ "a continuation", "+ go on\r\n", "", ERR_PROTO },
};

static void test_fetch(void **state)
{
	(void)state;
	struct buf all;
	buf_init(&all, 1 << 16);
	for (size_t i = 0; i < sizeof fetch_rows / sizeof *fetch_rows; i++)
		for (size_t chunk = 0; chunk < 2; chunk++) {
			const struct fetch_row *r = &fetch_rows[i];
			struct taken t = { .open = 0 };
			struct imap_sink sink = { begin, data, end, give_up, &t };
			buf_init(&t.log, 1 << 16);
			struct session x = session(&all, r->script, chunk);
			int rc = imap_client_fetch(x.c, (const uint32_t[]){ 5, 7 }, 2, &sink, &x.err);
			if (x.err.class != r->class || rc != (r->class ? -1 : 0) ||
			    !span_eqs(buf_span(&t.log), r->log) || t.open)
				fail_msg("%s, chunk %zu: class %d '%s' log '%s'", r->name, chunk, (int)x.err.class,
				    x.err.text, t.log.p);
			imap_client_close(x.c, false);
			buf_free(&t.log);
		}
	buf_free(&all);
}

static void test_idle(void **state)
{
	(void)state;
	static const char script[] = "* 1 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\na3 OK\r\n"
				     "+ idling\r\n* OK still here\r\n* 1 FETCH (FLAGS ())\r\n* 2 EXISTS\r\na4 OK\r\n"
				     "+ idling\r\n* 1 EXPUNGE\r\n* 1 EXISTS\r\n* 2 EXISTS\r\na5 OK\r\n"
				     "a6 BAD what?\r\n";
	struct buf all;
	struct imap_mailbox box;
	buf_init(&all, 1 << 16);
	for (size_t chunk = 0; chunk < 2; chunk++) {
		struct session x = session(&all, script, chunk);
		assert_int_equal(imap_client_select(x.c, SPAN("INBOX"), true, &box, &x.err), 0);
		assert_int_equal(imap_client_idle(x.c, 1000, 1000, &x.err), 1);
		assert_int_equal(imap_client_idle(x.c, 1000, 1000, &x.err), 1);
		assert_int_equal(imap_client_idle(x.c, 1000, 1000, &x.err), -1);
		assert_true(imap_client_alive(x.c));
		imap_client_close(x.c, false);
	}
	buf_free(&all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_injection),
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_fetch),
		cmocka_unit_test(test_idle),
	};
	tls = tls_client_new(&(struct tls_client_config){ .verify = TLS_VERIFY_NAME }, NULL);
	int rc = cmocka_run_group_tests(tests, NULL, NULL);
	tls_ctx_free(tls);
	return rc;
}
