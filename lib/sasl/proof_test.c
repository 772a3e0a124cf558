/* SPDX-License-Identifier: ISC
 *
 * Mechanisms by which something else than the server's own check of a password tells who it is: tokens, certificates;
 * CRAM-MD5; the choice of what is offered.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/limits.h"
#include "io/broker.h"
#include "sasl/certs.h"
#include "sasl/mech.h"
#include "sasl/settings.h"

static enum users_result lookup(void *arg, struct span name, struct user *out, struct err *err)
{
	(void)arg;
	(void)err;
	*out = (struct user){ .name = SPAN("Alice"), .secret = SPAN("{PLAIN}tanstaaftanstaaf") };
	if (span_ieqs(name, "alice") || span_eqs(name, "tim"))
		return USERS_OK;
	*out = (struct user){ .name = SPAN("hashed"), .secret = SPAN("$6$x$y") };
	if (span_eqs(name, "hashed"))
		return USERS_OK;
	out->nologin = true;
	return span_eqs(name, "retired") ? USERS_OK : span_eqs(name, "broken") ? USERS_ERROR : USERS_UNKNOWN;
}

static struct sasl_token seen;
static char seen_text[4][64];

static const char *keep(int i, struct span s)
{
	snprintf(seen_text[i], sizeof seen_text[i], "%.*s", SPAN_FMT(s));
	return seen_text[i];
}

/* "alice's" is alice's, and so on. */
static int token(void *arg, const struct sasl_token *t, struct buf *user, struct err *err)
{
	(void)arg;
	seen.mech = t->mech;
	keep(0, t->bearer);
	keep(1, t->user);
	keep(2, t->host);
	keep(3, t->port);
	if (span_eqs(t->bearer, "later"))
		return err_set(err, ERR_TEMP, "the command is not there");
	if (!span_ends(t->bearer, "-s"))
		return err_set(err, ERR_ACCESS, "the token was refused");
	buf_add(user, t->bearer.p, t->bearer.n - 2);
	return 0;
}

static const char *cert_name;
static bool certificate(void *arg, struct buf *user)
{
	(void)arg;
	if (cert_name)
		buf_adds(user, cert_name);
	return cert_name;
}

static const struct sasl_server_ops ops = { .lookup = lookup, .token = token, .certificate = certificate };

static void offered(const struct sasl_server_ops *o, bool clear_ok, const char *want)
{
	struct stream *s = stream_from_mem(SPAN(""), 0);
	struct buf names;
	buf_init(&names, 500);
	sasl_server_mechs(s, clear_ok, o, NULL, &names);
	assert_string_equal(names.p, want);
	buf_free(&names);
	stream_close(s);
}

static void what_is_offered(void **state)
{
	(void)state;
	struct err err = { 0 };
	static const struct sasl_server_ops only_token = { .token = token }, only_cert = { .certificate = certificate };
	cert_name = NULL;
	offered(&ops, true, "PLAIN LOGIN SCRAM-SHA-256 OAUTHBEARER XOAUTH2");
	offered(&ops, false, "SCRAM-SHA-256");
	offered(&only_token, true, "OAUTHBEARER XOAUTH2");
	offered(&only_cert, true, "");
	cert_name = "alice";
	offered(&only_cert, false, "EXTERNAL");
	assert_int_equal(sasl_server_choose("external, CRAM-MD5  xoauth2", &err), 0);
	offered(&ops, true, "XOAUTH2 EXTERNAL CRAM-MD5");
	offered(&ops, false, "EXTERNAL CRAM-MD5");
	assert_int_equal(sasl_server_choose("SCRAM-SHA-256", &err), 0);
	sasl_server_offer_scram(false);
	offered(&ops, true, "SCRAM-SHA-256"); /* as it was asked for */
	sasl_server_offer_scram(true);
	assert_int_equal(sasl_server_choose("PLAIN,SKEY", &err), -1);
	assert_int_equal(err.class, ERR_USAGE);
	assert_int_equal(sasl_server_choose(" , ", &err), -1);
	offered(&ops, true, "SCRAM-SHA-256"); /* errors changed nothing */
}

struct talk {
	struct stream *s;
	struct sasl_server *x;
	struct buf out;
	struct err err;
};

static struct talk begin(const char *mech)
{
	struct talk t = { .s = stream_from_mem(SPAN(""), 0) };
	struct err err = { 0 };
	assert_int_equal(sasl_server_choose("PLAIN OAUTHBEARER XOAUTH2 EXTERNAL CRAM-MD5", &err), 0);
	t.x = sasl_server_new(span_str(mech), t.s, true, &ops, NULL);
	assert_non_null(t.x);
	buf_init(&t.out, 4096);
	return t;
}

static enum sasl_result step(struct talk *t, struct span in)
{
	buf_reset(&t->out);
	t->err = (struct err){ 0 };
	return sasl_server_step(t->x, true, in, &t->out, &t->err);
}

static void end(struct talk *t)
{
	sasl_server_free(t->x);
	buf_free(&t->out);
	stream_close(t->s);
}

/* Literals hold \1 before letters that would continue an octal or hexadecimal escape: "|" stands for it. */
static struct span soh(const char *text, char *into)
{
	size_t n = strlen(text);
	for (size_t i = 0; i < n; i++)
		into[i] = text[i] == '|' ? '\001' : text[i];
	return span_of(into, n);
}

static void tokens(void **state)
{
	(void)state;
	static const struct {
		const char *mech, *message;
		enum err_class class;
		const char *user, *host, *port; /* what ops->token saw, NULL: it was not asked */
	} cases[] = {
		{ "OAUTHBEARER", "n,a=alice,|host=mx.example|port=587|auth=Bearer alice-s||", ERR_NONE, "alice",
		    "mx.example", "587" },
		{ "OAUTHBEARER", "n,,|auth=bearer alice-s||", ERR_NONE, "", "", "" },
		{ "OAUTHBEARER", "y,a=ALICE,|qs=|auth=Bearer  alice-s||", ERR_NONE, "ALICE", "", "" },
		{ "OAUTHBEARER", "n,a=bob,|auth=Bearer alice-s||", ERR_ACCESS, "bob", "", "" },
		{ "OAUTHBEARER", "n,a=a=2Cb,|auth=Bearer alice-s||", ERR_ACCESS, "a,b", "", "" },
		{ "OAUTHBEARER", "n,,|auth=Bearer nobody-s||", ERR_ACCESS, "", "", "" },
		{ "OAUTHBEARER", "n,,|auth=Bearer retired-s||", ERR_ACCESS, "", "", "" },
		{ "OAUTHBEARER", "n,,|auth=Bearer broken-s||", ERR_TEMP, "", "", "" },
		{ "OAUTHBEARER", "n,,|auth=Bearer later||", ERR_TEMP, "", "", "" },
		{ "OAUTHBEARER", "n,,|auth=Bearer wrong||", ERR_ACCESS, "", "", "" },
		{ "OAUTHBEARER", "n,,|auth=||", ERR_ACCESS, NULL, NULL, NULL },
		{ "OAUTHBEARER", "n,,|user=alice|auth=Bearer alice-s||", ERR_NONE, "", "", "" },
		{ "OAUTHBEARER", "n,,|auth=Basic alice-s||", ERR_PROTO, NULL, NULL, NULL },
		{ "OAUTHBEARER", "n,,|auth=Bearer alice -s||", ERR_PROTO, NULL, NULL, NULL },
		{ "OAUTHBEARER", "n,,|auth=Bearer alice-s|auth=Bearer x||", ERR_PROTO, NULL, NULL, NULL },
		{ "OAUTHBEARER", "p=tls-exporter,,|auth=Bearer alice-s||", ERR_PROTO, NULL, NULL, NULL },
		{ "OAUTHBEARER", "n,b=x,|auth=Bearer alice-s||", ERR_PROTO, NULL, NULL, NULL },
		{ "OAUTHBEARER", "n,a=,|auth=Bearer alice-s||", ERR_PROTO, NULL, NULL, NULL },
		{ "OAUTHBEARER", "n,a=al=ice,|auth=Bearer alice-s||", ERR_PROTO, NULL, NULL, NULL },
		{ "OAUTHBEARER", "n,,|auth=Bearer alice-s|", ERR_PROTO, NULL, NULL, NULL },
		{ "OAUTHBEARER", "n,,|auth=Bearer alice-s", ERR_PROTO, NULL, NULL, NULL },
		{ "OAUTHBEARER", "n,,|auth=Bearer alice-s||more", ERR_PROTO, NULL, NULL, NULL },
		{ "OAUTHBEARER", "n,,|h0st=x|auth=Bearer alice-s||", ERR_PROTO, NULL, NULL, NULL },
		{ "OAUTHBEARER", "n,,|host=a b|auth=Bearer alice-s||", ERR_PROTO, NULL, NULL, NULL },
		{ "OAUTHBEARER", "n,,|host=x||", ERR_PROTO, NULL, NULL, NULL },
		{ "OAUTHBEARER", "|", ERR_PROTO, NULL, NULL, NULL },
		{ "OAUTHBEARER", "", ERR_PROTO, NULL, NULL, NULL },
		{ "XOAUTH2", "user=alice|auth=Bearer alice-s||", ERR_NONE, "alice", "", "" },
		{ "XOAUTH2", "user=bob|auth=Bearer alice-s||", ERR_ACCESS, "bob", "", "" },
		{ "XOAUTH2", "user=al\nice|auth=Bearer alice-s||", ERR_ACCESS, NULL, NULL, NULL },
		{ "XOAUTH2", "auth=Bearer alice-s||", ERR_PROTO, NULL, NULL, NULL },
		{ "XOAUTH2", "user=|auth=Bearer alice-s||", ERR_PROTO, NULL, NULL, NULL },
		{ "XOAUTH2", "user=alice||", ERR_PROTO, NULL, NULL, NULL },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char raw[200];
		struct talk t = begin(cases[i].mech);
		seen.mech = NULL;
		enum sasl_result r = step(&t, soh(cases[i].message, raw));
		if (t.err.class != cases[i].class || (!cases[i].user != !seen.mech))
			fail_msg("%s: class %d, %s", cases[i].message, (int)t.err.class, t.err.text);
		if (cases[i].user) {
			assert_string_equal(seen.mech, cases[i].mech);
			assert_string_equal(seen_text[1], cases[i].user);
			assert_string_equal(seen_text[2], cases[i].host);
			assert_string_equal(seen_text[3], cases[i].port);
		}
		if (cases[i].class == ERR_NONE) {
			assert_int_equal(r, SASL_OK);
			assert_true(span_eqs(sasl_server_user(t.x), "Alice"));
		} else if (cases[i].class == ERR_ACCESS) {
			/* Told why, to be acknowledged; the refusal stands then whatever is said. */
			assert_int_equal(r, SASL_CONTINUE);
			assert_true(sasl_server_refused(t.x));
			assert_true(span_starts(buf_span(&t.out), "{\"status\":\""));
			assert_int_equal(step(&t, soh("n,,|auth=Bearer alice-s||", raw)), SASL_FAIL);
			assert_int_equal(t.err.class, ERR_ACCESS);
		} else {
			assert_int_equal(r, SASL_FAIL);
			assert_false(sasl_server_refused(t.x));
		}
		end(&t);
	}
}

static void external(void **state)
{
	(void)state;
	cert_name = "alice";
	struct talk t = begin("EXTERNAL");
	assert_int_equal(sasl_server_step(t.x, false, SPAN(""), &t.out, &t.err), SASL_CONTINUE);
	assert_int_equal(t.out.len, 0);
	assert_int_equal(step(&t, SPAN("")), SASL_OK);
	assert_true(span_eqs(sasl_server_user(t.x), "Alice"));
	end(&t);
	static const struct {
		const char *cert, *authzid;
		enum err_class class;
	} cases[] = { { "alice", "alice", ERR_NONE }, { "tim", "ALICE", ERR_NONE }, { "alice", "bob", ERR_ACCESS },
		{ "nobody", "", ERR_ACCESS }, { "nobody", "alice", ERR_ACCESS }, { "broken", "", ERR_TEMP } };
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		cert_name = cases[i].cert;
		t = begin("EXTERNAL");
		enum sasl_result r = step(&t, span_str(cases[i].authzid));
		assert_int_equal(r, cases[i].class ? SASL_FAIL : SASL_OK);
		assert_int_equal(t.err.class, cases[i].class);
		end(&t);
	}
	t = begin("EXTERNAL");
	assert_int_equal(step(&t, SPAN("a\0b")), SASL_FAIL);
	assert_int_equal(t.err.class, ERR_PROTO);
	end(&t);
}

/* RFC 2195 2's example. */
static void cram(void **state)
{
	(void)state;
	char hex[CRAM_DIGEST + 1];
	assert_true(cram_digest(SPAN("tanstaaftanstaaf"), SPAN("<1896.697170952@postoffice.reston.mci.net>"), hex));
	assert_string_equal(hex, "b913a602c7eda7a495b4e6e7334d3890");
	static const struct {
		const char *user, *password;
		enum err_class class;
	} cases[] = { { "tim", "tanstaaftanstaaf", ERR_NONE }, { "tim", "x", ERR_ACCESS }, { "tim", "", ERR_ACCESS },
		{ "nobody", "decoy", ERR_ACCESS }, { "hashed", "decoy", ERR_ACCESS },
		{ "hashed", "$6$x$y", ERR_ACCESS }, { "retired", "decoy", ERR_ACCESS }, { "broken", "x", ERR_TEMP },
		{ "", "x", ERR_PROTO }, { "a b", "decoy", ERR_ACCESS }, { "a\nb", "decoy", ERR_ACCESS } };
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct talk t = begin("CRAM-MD5");
		struct sasl_client_config c = {
			.user = cases[i].user, .password = cases[i].password, .mech = "CRAM-MD5"
		};
		struct sasl_client *cl = sasl_client_new(&c, SPAN("PLAIN CRAM-MD5"), t.s, NULL);
		struct buf up;
		buf_init(&up, 500);
		assert_false(sasl_client_first(cl));
		assert_int_equal(sasl_server_step(t.x, false, SPAN(""), &t.out, &t.err), SASL_CONTINUE);
		assert_true(t.out.len > 32 && t.out.p[0] == '<');
		assert_int_equal(sasl_client_step(cl, buf_span(&t.out), &up, NULL), SASL_OK);
		assert_true(sasl_client_done(cl));
		assert_int_equal(step(&t, buf_span(&up)), cases[i].class ? SASL_FAIL : SASL_OK);
		assert_int_equal(t.err.class, cases[i].class);
		assert_int_equal(sasl_client_step(cl, SPAN("<x>"), &up, NULL), SASL_FAIL);
		sasl_client_free(cl);
		buf_free(&up);
		end(&t);
	}
	struct talk t = begin("CRAM-MD5");
	assert_int_equal(step(&t, SPAN("tim 00")), SASL_FAIL);
	assert_int_equal(t.err.class, ERR_PROTO);
	end(&t);
}

/* By default no client offers what only some ask for. */
static void cram_on_request(void **state)
{
	(void)state;
	struct stream *s = stream_from_mem(SPAN(""), 0);
	struct sasl_client_config c = { .user = "tim", .password = "x" };
	struct err err = { 0 };
	assert_null(sasl_client_new(&c, SPAN("CRAM-MD5"), s, &err));
	assert_true(sasl_client_knows(SPAN("cram-md5")));
	assert_false(sasl_client_knows(SPAN("CRAM")));
	assert_int_equal(err.class, ERR_ACCESS);
	stream_close(s);
}

static void command(void **state)
{
	(void)state;
	static const struct {
		const char *command;
		enum err_class class;
	} cases[] = {
		{ "cat >/dev/null; printf 'alice@example\\nmore'", ERR_NONE },
		{ "grep -qx token=tok && echo alice@example", ERR_NONE },
		{ "grep -qx user=alice && echo alice@example", ERR_NONE },
		{ "test \"$(tr '\\n' ' ')\" = "
		  "'token=tok user=alice host=mx port=25 mech=XOAUTH2 client=192.0.2.1 ' && echo alice@example",
		    ERR_NONE },
		{ "exit 1", ERR_ACCESS },
		{ "echo alice@example; exit 1", ERR_ACCESS },
		{ "exit 2", ERR_TEMP },
		{ "exit 75", ERR_TEMP },
		{ "true", ERR_TEMP },
		{ "echo", ERR_TEMP },
		{ "kill -9 $$", ERR_TEMP },
		{ "/nonexistent/command", ERR_TEMP },
		{ "yes", ERR_TEMP }, /* is cut off */
		{ "echo alice@example; exec sleep 100", ERR_TEMP },
	};
	const struct sasl_token t = { "XOAUTH2", SPAN("tok"), SPAN("alice"), SPAN("mx"), SPAN("25") };
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		bool endless = i + 2 >= sizeof cases / sizeof *cases;
		struct sasl_oauth o = { .command = cases[i].command, .timeout_ms = endless ? 200 : 60000 };
		struct err err = { 0 };
		struct buf user;
		buf_init(&user, LIMIT_SMTP_PATH);
		int rc = sasl_oauth_ask(&o, &t, "192.0.2.1", &user, &err);
		if (err.class != cases[i].class || rc != (err.class ? -1 : 0))
			fail_msg("%s: %d %s", cases[i].command, (int)err.class, err.text);
		if (rc == 0)
			assert_string_equal(user.p, "alice@example");
		else
			assert_int_equal(user.len, 0);
		buf_free(&user);
	}
}

/* The same by somebody else, who was told of the command before. */
static void command_by_broker(void **state)
{
	(void)state;
	struct err err = { 0 };
	struct sasl_proofs p;
	struct sasl_settings o = { .oauth_command = "grep -qx token=tok && echo alice@example",
		.oauth_timeout = 20000 };
	struct sasl_token t = { "XOAUTH2", SPAN("tok"), SPAN("alice"), SPAN(""), SPAN("") };
	struct broker *b = broker_new();
	struct buf user;
	buf_init(&user, LIMIT_SMTP_PATH);
	assert_int_equal(sasl_proofs_set_up(&p, &o, false, &err), 0);
	const struct broker_command c = { .command = p.oauth.command };
	p.oauth.index = broker_add(b, &c, &err);
	assert_true(p.oauth.index >= 0);
	p.oauth.broker = b;
	assert_int_equal(broker_launch(b, &err), 0);
	p.oauth.command = "exit 1"; /* of no account now */
	assert_int_equal(sasl_proofs_token(&p, &t, "192.0.2.1", &user, &err), 0);
	assert_string_equal(user.p, "alice@example");
	t.bearer = SPAN("other");
	assert_int_equal(sasl_proofs_token(&p, &t, "192.0.2.1", &user, &err), -1);
	assert_int_equal(err.class, ERR_ACCESS);
	broker_free(b);
	sasl_proofs_clean_up(&p);
	buf_free(&user);
}

#define PRINT "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct cert_table *table_of(const char *text, struct err *err)
{
	char path[] = "/tmp/certsXXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
	struct cert_table *t = cert_table_read(path, err);
	unlink(path);
	return t;
}

static void certs(void **state)
{
	(void)state;
	struct err err = { 0 };
	struct buf user;
	struct cert_table *t = table_of("# who\n\n" PRINT " alice@example\n" PRINT " bob\n", &err);
	struct tls_info info = { .peer_cn = "carol", .peer_email = "carol@example", .peer_fingerprint = PRINT };
	buf_init(&user, 100);
	assert_non_null(t);
	assert_true(cert_user(t, CERT_NAME_CN, &info, &user));
	assert_string_equal(user.p, "alice@example");
	buf_reset(&user);
	assert_false(cert_user(NULL, CERT_NAME_CN, &info, &user)); /* nobody has verified it */
	info.verified = true;
	assert_true(cert_user(NULL, CERT_NAME_CN, &info, &user));
	assert_string_equal(user.p, "carol");
	buf_reset(&user);
	assert_true(cert_user(NULL, CERT_NAME_EMAIL, &info, &user));
	assert_string_equal(user.p, "carol@example");
	info.peer_email = "";
	assert_false(cert_user(NULL, CERT_NAME_EMAIL, &info, &user));
	info.peer_fingerprint = "";
	assert_false(cert_user(t, CERT_NAME_CN, &info, &user));
	assert_false(cert_user(t, CERT_NAME_CN, NULL, &user));
	cert_table_free(t);
	t = table_of(
	    "01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF x", &err);
	assert_non_null(t);
	info.peer_fingerprint = PRINT;
	buf_reset(&user);
	assert_true(cert_user(t, CERT_NAME_CN, &info, &user));
	assert_string_equal(user.p, "x");
	cert_table_free(t);
	static const char *const bad[] = { PRINT, (PRINT "0 alice"), "0123 alice", ("alice " PRINT) };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_null(table_of(bad[i], &err));
		assert_int_equal(err.class, ERR_CONFIG);
	}
	assert_null(cert_table_read("/nonexistent/table", &err));
	buf_free(&user);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_offered),
		cmocka_unit_test(tokens),
		cmocka_unit_test(external),
		cmocka_unit_test(cram),
		cmocka_unit_test(cram_on_request),
		cmocka_unit_test(command),
		cmocka_unit_test(command_by_broker),
		cmocka_unit_test(certs),
	};
	signal(SIGPIPE, SIG_IGN); /* a command need not read */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
