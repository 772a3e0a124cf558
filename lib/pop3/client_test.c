/* SPDX-License-Identifier: ISC
 *
 * The POP3 client against scripted servers over memory streams, whole and one byte at a time.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/buf.h"
#include "pop3/client.h"

static const struct sasl_client_config auth = { .user = "joe", .password = "secret", .allow_plaintext = true };
static struct tls_ctx *tls;

struct session {
	struct stream *s; /* belongs to c while that lives */
	struct pop3_client *c;
	struct err err;
};

static struct session start(const char *script, size_t chunk, enum pop3_tls policy)
{
	struct session x = { .s = stream_from_mem(span_str(script), chunk) };
	struct pop3_client_config c = { .policy = policy, .tls = tls, .host = "mail.example", .auth = &auth };
	x.c = pop3_client_open(x.s, &c, &x.err);
	return x;
}

static const struct open_row {
	const char *name, *script;
	enum pop3_tls policy;
	enum err_class class;
	const char *text; /* of the error, its start */
} open_rows[] = {
	{ "user and pass", "+OK hi\r\n+OK\r\nUSER\r\nUIDL\r\n.\r\n+OK\r\n+OK in\r\n", POP3_TLS_NEVER, ERR_NONE, "" },
	{ "no CAPA", "+OK hi\r\n-ERR what?\r\n+OK\r\n+OK in\r\n", POP3_TLS_NEVER, ERR_NONE, "" },
	{ "SASL", "+OK hi\r\n+OK\r\nSASL PLAIN LOGIN\r\n.\r\n+OK in\r\n", POP3_TLS_NEVER, ERR_NONE, "" },
	{ "no STLS", "+OK hi\r\n+OK\r\nUSER\r\n.\r\n", POP3_TLS_REQUIRE, ERR_TEMP, "the server offers no STLS" },
	{ "STLS refused", "+OK hi\r\n+OK\r\nSTLS\r\n.\r\n-ERR no\r\n", POP3_TLS_REQUIRE, ERR_PERM,
	    "STLS: the server says: no" },
	{ "wrong password", "+OK hi\r\n-ERR\r\n+OK\r\n-ERR no\r\n", POP3_TLS_NEVER, ERR_ACCESS,
	    "authentication failed: the server says: no" },
	{ "in use", "+OK hi\r\n-ERR\r\n+OK\r\n-ERR [IN-USE] wait\r\n", POP3_TLS_NEVER, ERR_TEMP,
	    "authentication failed" },
	{ "refused by SASL", "+OK hi\r\n+OK\r\nSASL PLAIN\r\n.\r\n-ERR [AUTH] no\r\n", POP3_TLS_NEVER, ERR_ACCESS,
	    "authentication failed: the server says: [AUTH] no" },
	{ "in trouble", "+OK hi\r\n+OK\r\nSASL PLAIN\r\n.\r\n-ERR [SYS/TEMP] later\r\n", POP3_TLS_NEVER, ERR_TEMP,
	    "authentication failed" },
	{ "not POP3", "* OK IMAP\r\n", POP3_TLS_NEVER, ERR_PROTO, "the server broke the protocol" },
	{ "bare LF", "+OK hi\n", POP3_TLS_NEVER, ERR_PROTO, "the server broke the protocol: a line without CRLF" },
	{ "closed", "+OK hi\r\n", POP3_TLS_NEVER, ERR_TEMP, "the server closed the connection" },
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
			pop3_client_close(x.c);
		}
}

static void test_injection(void **state)
{
	(void)state;
	struct session x =
	    start("+OK hi\r\n+OK\r\nSTLS\r\n.\r\n+OK go\r\n+OK\r\nSASL PLAIN\r\n.\r\n", 0, POP3_TLS_REQUIRE);
	assert_null(x.c);
	assert_int_equal(x.err.class, ERR_PROTO);
}

/* ---- after login ---- */

struct taken {
	struct buf log;
	int open;
};

static int begin(void *arg, const struct pop3_item *item, struct err *err)
{
	struct taken *t = arg;
	(void)err;
	assert_int_equal(t->open++, 0);
	buf_addf(&t->log, "begin %s|", item->uidl);
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

static int end(void *arg, const struct pop3_item *item, struct err *err)
{
	struct taken *t = arg;
	(void)err;
	assert_int_equal(t->open--, 1);
	buf_addf(&t->log, "|end %s\n", item->uidl);
	return 0;
}

static void give_up(void *arg)
{
	struct taken *t = arg;
	assert_int_equal(t->open--, 1);
	buf_adds(&t->log, "|abort\n");
}

static void gone(void *arg, const struct pop3_item *item, const struct err *why)
{
	struct taken *t = arg;
	buf_addf(&t->log, "gone %s %s\n", item->uidl, why->text);
}

static struct session session(struct buf *all, bool pipelining, const char *script, size_t chunk)
{
	buf_reset(all);
	buf_addf(
	    all, "+OK hi\r\n+OK\r\nUSER\r\n%s.\r\n+OK\r\n+OK in\r\n%s", pipelining ? "PIPELINING\r\n" : "", script);
	struct session x = start(all->p, chunk, POP3_TLS_NEVER);
	if (!x.c)
		fail_msg("%s", x.err.text);
	return x;
}

static const struct list_row {
	const char *name, *script;
	enum err_class class;
	size_t n;
	bool has_uidl;
} list_rows[] = {
	{ "two", "+OK\r\n1 100\r\n3 5\r\n.\r\n+OK\r\n1 aa\r\n3 b.b\r\n.\r\n", ERR_NONE, 2, true },
	{ "none", "+OK\r\n.\r\n+OK\r\n.\r\n", ERR_NONE, 0, true },
	{ "no UIDL", "+OK\r\n1 100\r\n.\r\n-ERR\r\n", ERR_NONE, 1, false },
	{ "more UIDs than messages", "+OK\r\n1 100\r\n.\r\n+OK\r\n1 a\r\n2 b\r\n.\r\n", ERR_NONE, 1, true },
	{ "fewer", "+OK\r\n1 100\r\n2 1\r\n.\r\n+OK\r\n1 a\r\n.\r\n", ERR_PROTO, 0, false },
	{ "falling numbers", "+OK\r\n2 100\r\n1 1\r\n.\r\n", ERR_PROTO, 0, false },
	{ "no number", "+OK\r\nx 100\r\n.\r\n", ERR_PROTO, 0, false },
	{ "a UIDL with control bytes", "+OK\r\n1 100\r\n.\r\n+OK\r\n1 a\001b\r\n.\r\n", ERR_PROTO, 0, false },
	{ "a UIDL too long",
	    "+OK\r\n1 1\r\n.\r\n+OK\r\n1 "
	    "12345678901234567890123456789012345678901234567890123456789012345678901\r\n.\r\n",
	    ERR_PROTO, 0, false },
	{ "cut off", "+OK\r\n1 100\r\n", ERR_TEMP, 0, false },
};

static void test_list(void **state)
{
	(void)state;
	struct buf all;
	buf_init(&all, 1 << 16);
	for (size_t i = 0; i < sizeof list_rows / sizeof *list_rows; i++)
		for (size_t chunk = 0; chunk < 2; chunk++) {
			const struct list_row *r = &list_rows[i];
			struct pop3_items l;
			struct session x = session(&all, false, r->script, chunk);
			int rc = pop3_client_list(x.c, &l, &x.err);
			if (x.err.class != r->class || rc != (r->class ? -1 : 0) || l.n != r->n ||
			    l.has_uidl != r->has_uidl)
				fail_msg("%s: class %d '%s' n %zu", r->name, (int)x.err.class, x.err.text, l.n);
			if (l.n == 2)
				assert_string_equal(l.v[1].uidl, "b.b");
			free(l.v);
			pop3_client_close(x.c);
		}
	buf_free(&all);
}

static const struct retr_row {
	const char *name, *script, *log;
	enum err_class class;
} retr_rows[] = {
	{ "both", "+OK\r\nA: b\r\n\r\n..dot\r\n.x\r\n.\r\n+OK\r\n.\r\n",
	    "begin a|A: b\r\n\r\n.dot\r\nx\r\n|end a\nbegin c||end c\n", ERR_NONE },
	{ "one gone", "-ERR no such message\r\n+OK\r\nx\r\n.\r\n",
	    "gone a the server says: no such message\nbegin c|x\r\n|end c\n", ERR_NONE },
	{ "cut off", "+OK\r\nx\r\n", "begin a|x\r\n|abort\n", ERR_TEMP },
	{ "a dot alone between bare LFs is content", "+OK\r\nx\n.\ny\r\n.\r\n-ERR\r\n",
	    "begin a|x\n.\ny\r\n|end a\ngone c the server says: \n", ERR_NONE },
	{ "junk for a reply", "+OK\r\nx\r\n.\r\nhello\r\n", "begin a|x\r\n|end a\n", ERR_PROTO },
};

static void test_retr(void **state)
{
	(void)state;
	static const struct pop3_item one = { 1, "a", 5 }, two = { 3, "c", 6 };
	const struct pop3_item *items[] = { &one, &two };
	struct buf all;
	buf_init(&all, 1 << 16);
	for (size_t i = 0; i < sizeof retr_rows / sizeof *retr_rows; i++)
		for (size_t chunk = 0; chunk < 4; chunk++) {
			const struct retr_row *r = &retr_rows[i];
			struct taken t = { .open = 0 };
			struct pop3_sink sink = { begin, data, end, give_up, gone, &t };
			buf_init(&t.log, 1 << 16);
			struct session x = session(&all, chunk % 2 == 0, r->script, chunk / 2);
			int rc = pop3_client_retr(x.c, items, 2, &sink, &x.err);
			if (x.err.class != r->class || rc != (r->class ? -1 : 0) ||
			    !span_eqs(buf_span(&t.log), r->log) || t.open)
				fail_msg("%s: class %d '%s' log '%s'", r->name, (int)x.err.class, x.err.text, t.log.p);
			pop3_client_close(x.c);
			buf_free(&t.log);
		}
	buf_free(&all);
}

static void test_delete_and_quit(void **state)
{
	(void)state;
	struct buf all;
	buf_init(&all, 1 << 16);
	struct session x = session(&all, false, "+OK\r\n-ERR no\r\n-ERR some were not deleted\r\n", 0);
	assert_int_equal(pop3_client_dele(x.c, 1, &x.err), 0);
	assert_int_equal(pop3_client_dele(x.c, 2, &x.err), -1);
	assert_true(pop3_client_alive(x.c));
	assert_string_equal(stream_mem_output(x.s).p, "CAPA\r\nUSER joe\r\nPASS secret\r\nDELE 1\r\nDELE 2\r\n");
	assert_int_equal(pop3_client_quit(x.c, &x.err), -1);
	buf_free(&all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_injection),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_retr),
		cmocka_unit_test(test_delete_and_quit),
	};
	tls = tls_client_new(&(struct tls_client_config){ .verify = TLS_VERIFY_NAME }, NULL);
	int rc = cmocka_run_group_tests(tests, NULL, NULL);
	tls_ctx_free(tls);
	return rc;
}
