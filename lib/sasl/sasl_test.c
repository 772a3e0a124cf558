/* SPDX-License-Identifier: ISC
 *
 * Both sides of each mechanism: RFC 7677's example, the refusals, and the two sides against each other.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "sasl/mech.h"
#include "sasl/prep.h"

/* RFC 7677 3: user "user", password "pencil". */
#define CLIENT_NONCE "rOprNGfwEbeRWgbNEkqO"
#define SERVER_NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define CLIENT_FIRST "n,,n=user,r=" CLIENT_NONCE
#define SERVER_FIRST "r=" CLIENT_NONCE SERVER_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define CLIENT_FINAL "c=biws,r=" CLIENT_NONCE SERVER_NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define SERVER_FINAL "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
#define PENCIL                                                                                                         \
	"{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"                   \
	"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

static enum users_result lookup(void *arg, struct span name, struct user *out, struct err *err)
{
	(void)err;
	(void)arg;
	*out = (struct user){ .name = span_str("user"), .secret = span_str(PENCIL) };
	if (span_ieqs(name, "user"))
		return USERS_OK;
	if (span_eqs(name, "plain") || span_eqs(name, "a,b=c")) {
		out->name = span_str(span_eqs(name, "plain") ? "plain" : "a,b=c");
		out->secret = span_str("{PLAIN}sesame");
		return USERS_OK;
	}
	if (span_eqs(name, "retired")) {
		*out = (struct user){ .name = name, .secret = span_str("{PLAIN}sesame"), .nologin = true };
		return USERS_OK;
	}
	return span_eqs(name, "broken") ? USERS_ERROR : USERS_UNKNOWN;
}
static const struct sasl_server_ops ops = { .lookup = lookup };

static void mechanisms(void **state)
{
	(void)state;
	struct stream *s = stream_from_mem(SPAN(""), 0);
	struct buf names;
	buf_init(&names, 1000);
	sasl_server_mechs(s, true, &ops, NULL, &names);
	assert_string_equal(names.p, "PLAIN LOGIN SCRAM-SHA-256");
	buf_reset(&names);
	sasl_server_mechs(s, false, &ops, NULL, &names);
	assert_string_equal(names.p, "SCRAM-SHA-256");
	sasl_server_offer_scram(false);
	buf_reset(&names);
	sasl_server_mechs(s, true, &ops, NULL, &names);
	assert_string_equal(names.p, "PLAIN LOGIN");
	assert_null(sasl_server_new(SPAN("SCRAM-SHA-256"), s, true, &ops, NULL));
	sasl_server_offer_scram(true);
	assert_null(sasl_server_new(SPAN("PLAIN"), s, false, &ops, NULL));
	assert_null(sasl_server_new(SPAN("SCRAM-SHA-256-PLUS"), s, true, &ops, NULL));
	assert_null(sasl_server_new(SPAN("CRAM-MD5"), s, true, &ops, NULL));
	buf_free(&names);
	stream_close(s);
}

static void set_nonce(char *at, const char *nonce)
{
	memcpy(at, nonce, strlen(nonce) + 1);
}

/* The RFC's server nonce is longer than ours: the struct has room for the example's tail only, so the client's side
 * checks the whole and the server's side checks our own nonce's place. */
static void rfc7677_client(void **state)
{
	(void)state;
	struct stream *s = stream_from_mem(SPAN(""), 0);
	struct sasl_client_config c = { .user = "user", .password = "pencil" };
	struct sasl_client *x = sasl_client_new(&c, SPAN("PLAIN SCRAM-SHA-256 LOGIN"), s, NULL);
	struct buf out;
	struct err err = { 0 };
	buf_init(&out, 4096);
	assert_non_null(x);
	assert_string_equal(sasl_client_mech(x), "SCRAM-SHA-256");
	assert_true(sasl_client_first(x));
	set_nonce(x->nonce, CLIENT_NONCE);
	assert_int_equal(sasl_client_step(x, SPAN(""), &out, &err), SASL_CONTINUE);
	assert_string_equal(out.p, CLIENT_FIRST);
	buf_reset(&out);
	assert_int_equal(sasl_client_step(x, SPAN(SERVER_FIRST), &out, &err), SASL_CONTINUE);
	assert_string_equal(out.p, CLIENT_FINAL);
	assert_false(sasl_client_done(x));
	buf_reset(&out);
	assert_int_equal(sasl_client_step(x, SPAN(SERVER_FINAL), &out, &err), SASL_OK);
	assert_int_equal(out.len, 0);
	assert_true(sasl_client_done(x));
	sasl_client_free(x);
	buf_free(&out);
	stream_close(s);
}

/* The users file was replaced and can't be read: no refusal is for good, and who is known comes in. */
static bool yes(void *arg)
{
	(void)arg;
	return true;
}
static void doubtful(void **state)
{
	static const struct sasl_server_ops old = { .lookup = lookup, .doubtful = yes };
	static const struct {
		const char *response;
		enum sasl_result r;
		enum err_class class;
	} t[] = {
		{ "*nobody*pencil", SASL_FAIL, ERR_TEMP },
		{ "*user*new", SASL_FAIL, ERR_TEMP },
		{ "*user", SASL_FAIL, ERR_PROTO },
		{ "*user*pencil", SASL_OK, ERR_NONE },
	};
	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		char response[40];
		size_t n = strlen(t[i].response);
		struct stream *s = stream_from_mem(SPAN(""), 0);
		struct sasl_server *x = sasl_server_new(SPAN("PLAIN"), s, true, &old, NULL);
		struct err err = { 0 };
		struct buf out;
		buf_init(&out, 4096);
		for (size_t k = 0; k <= n; k++)
			response[k] = (char)(t[i].response[k] == '*' ? '\0' : t[i].response[k]);
		assert_int_equal(sasl_server_step(x, true, span_of(response, n), &out, &err), t[i].r);
		assert_int_equal(err.class, t[i].class);
		buf_free(&out);
		sasl_server_free(x);
		stream_close(s);
	}
}

static void rfc7677_server(void **state)
{
	(void)state;
	struct stream *s = stream_from_mem(SPAN(""), 0);
	struct sasl_server *x = sasl_server_new(SPAN("scram-sha-256"), s, false, &ops, NULL);
	struct buf out;
	struct err err = { 0 };
	buf_init(&out, 4096);
	buf_adds(&out, SERVER_NONCE);
	assert_non_null(x);
	assert_int_equal(sasl_server_step(x, true, SPAN(CLIENT_FIRST), &out, &err), SASL_CONTINUE);
	/* The server's nonce is put where the RFC's example has its own, which is longer than ours. */
	buf_reset(&x->full_nonce);
	buf_adds(&x->full_nonce, CLIENT_NONCE SERVER_NONCE);
	buf_reset(&x->messages);
	buf_adds(&x->messages, "n=user,r=" CLIENT_NONCE "," SERVER_FIRST ",");
	buf_reset(&out);
	assert_int_equal(sasl_server_step(x, true, SPAN(CLIENT_FINAL), &out, &err), SASL_OK);
	assert_string_equal(out.p, SERVER_FINAL);
	assert_true(span_eqs(sasl_server_user(x), "user"));
	sasl_server_free(x);
	buf_free(&out);
	stream_close(s);
}

/* One client against one server, without a wire. */
static enum sasl_result talk(const struct sasl_client_config *c, const char *offered, struct err *err, char user[64])
{
	struct stream *s = stream_from_mem(SPAN(""), 0);
	struct sasl_client *cl = sasl_client_new(c, span_str(offered), s, err);
	if (!cl) {
		stream_close(s);
		return SASL_FAIL;
	}
	struct sasl_server *sv = sasl_server_new(span_str(sasl_client_mech(cl)), s, true, &ops, NULL);
	struct buf up, down;
	buf_init(&up, 4096);
	buf_init(&down, 4096);
	bool have = sasl_client_first(cl);
	enum sasl_result r = SASL_CONTINUE, rc = have ? sasl_client_step(cl, SPAN(""), &up, err) : SASL_CONTINUE;
	for (int i = 0; i < 6 && r == SASL_CONTINUE && rc != SASL_FAIL; i++) {
		buf_reset(&down);
		r = sasl_server_step(sv, have, buf_span(&up), &down, err);
		have = true;
		buf_reset(&up);
		if (r == SASL_CONTINUE || (r == SASL_OK && down.len))
			rc = sasl_client_step(cl, buf_span(&down), &up, err);
	}
	if (r == SASL_OK && rc == SASL_OK) {
		assert_true(sasl_client_done(cl));
		struct span who = sasl_server_user(sv);
		memcpy(user, who.p, who.n);
		user[who.n] = '\0';
	}
	sasl_client_free(cl);
	sasl_server_free(sv);
	buf_free(&up);
	buf_free(&down);
	stream_close(s);
	return rc == SASL_FAIL ? SASL_FAIL : r;
}

static void both_sides(void **state)
{
	(void)state;
	static const struct {
		const char *user, *password, *offered, *as;
		enum err_class class;
	} cases[] = {
		{ "user", "pencil", "SCRAM-SHA-256", "user", ERR_NONE },
		{ "USER", "pencil", "SCRAM-SHA-256", "user", ERR_NONE },
		{ "plain", "sesame", "SCRAM-SHA-256", "plain", ERR_NONE },
		{ "a,b=c", "sesame", "SCRAM-SHA-256", "a,b=c", ERR_NONE },
		{ "user", "pencil", "PLAIN", "user", ERR_NONE },
		{ "user", "pencil", "LOGIN", "user", ERR_NONE },
		{ "user", "penci", "SCRAM-SHA-256", NULL, ERR_ACCESS },
		{ "user", "pencil2", "PLAIN", NULL, ERR_ACCESS },
		{ "user", "", "LOGIN", NULL, ERR_ACCESS },
		{ "nobody", "pencil", "SCRAM-SHA-256", NULL, ERR_ACCESS },
		{ "nobody", "", "SCRAM-SHA-256", NULL, ERR_ACCESS },
		{ "nobody", "pencil", "PLAIN", NULL, ERR_ACCESS },
		{ "nobody", "", "PLAIN", NULL, ERR_ACCESS },
		{ "retired", "sesame", "PLAIN", NULL, ERR_ACCESS },
		{ "retired", "sesame", "SCRAM-SHA-256", NULL, ERR_ACCESS },
		{ "broken", "sesame", "SCRAM-SHA-256", NULL, ERR_TEMP },
		{ "broken", "sesame", "LOGIN", NULL, ERR_TEMP },
		{ "us\ner", "pencil", "SCRAM-SHA-256", NULL, ERR_USAGE },
		{ "user", "pen\001cil", "SCRAM-SHA-256", NULL, ERR_USAGE },
		{ "user", "pencil", "CRAM-MD5 GSSAPI", NULL, ERR_ACCESS },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct sasl_client_config c = {
			.user = cases[i].user, .password = cases[i].password, .allow_plaintext = true
		};
		struct err err = { 0 };
		char user[64] = "";
		enum sasl_result r = talk(&c, cases[i].offered, &err, user);
		assert_int_equal(r, cases[i].as ? SASL_OK : SASL_FAIL);
		assert_int_equal(err.class, cases[i].class);
		if (cases[i].as)
			assert_string_equal(user, cases[i].as);
	}
}

static void choosing(void **state)
{
	(void)state;
	static const struct {
		const char *mech, *offered, *want;
		bool plaintext;
		enum err_class class;
	} cases[] = {
		{ NULL, "LOGIN PLAIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", false, 0 },
		{ NULL, "login plain", "PLAIN", true, 0 },
		{ NULL, "LOGIN", "LOGIN", true, 0 },
		{ NULL, "LOGIN PLAIN", NULL, false, ERR_ACCESS },
		{ NULL, "XOAUTH2 OAUTHBEARER EXTERNAL", NULL, true, ERR_ACCESS },
		{ NULL, "", NULL, true, ERR_ACCESS },
		{ NULL, "PLAINX SCRAM-SHA-2567", NULL, true, ERR_ACCESS },
		{ "xoauth2", "XOAUTH2 PLAIN", "XOAUTH2", true, 0 },
		{ "XOAUTH2", "XOAUTH2 PLAIN", NULL, false, ERR_ACCESS },
		{ "EXTERNAL", "EXTERNAL", "EXTERNAL", false, 0 },
		{ "PLAIN", "LOGIN SCRAM-SHA-256", NULL, true, ERR_ACCESS },
		{ "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256-PLUS", NULL, true, ERR_ACCESS },
		{ "NTLM", "NTLM", NULL, true, ERR_USAGE },
	};
	struct stream *s = stream_from_mem(SPAN(""), 0);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct sasl_client_config c = {
			.user = "u", .mech = cases[i].mech, .allow_plaintext = cases[i].plaintext
		};
		struct err err = { 0 };
		struct sasl_client *x = sasl_client_new(&c, span_str(cases[i].offered), s, &err);
		assert_int_equal(err.class, cases[i].class);
		assert_int_equal(x != NULL, cases[i].want != NULL);
		if (x)
			assert_string_equal(sasl_client_mech(x), cases[i].want);
		sasl_client_free(x);
	}
	stream_close(s);
}

/* What a server must say no to, and what a client must not believe. */
static void malformed_server(void **state)
{
	(void)state;
	static const struct {
		const char *mech, *first, *second;
		enum err_class class;
	} cases[] = {
		{ "PLAIN", "", NULL, ERR_PROTO },
		{ "PLAIN", "user", NULL, ERR_PROTO },
		{ "SCRAM-SHA-256", "", NULL, ERR_PROTO },
		{ "SCRAM-SHA-256", "n", NULL, ERR_PROTO },
		{ "SCRAM-SHA-256", "n,", NULL, ERR_PROTO },
		{ "SCRAM-SHA-256", "x,,n=user,r=abc", NULL, ERR_PROTO },
		{ "SCRAM-SHA-256", "n,,n=user", NULL, ERR_PROTO },
		{ "SCRAM-SHA-256", "n,,n=user,r=", NULL, ERR_PROTO },
		{ "SCRAM-SHA-256", "n,,n=us=er,r=abc", NULL, ERR_PROTO },
		{ "SCRAM-SHA-256", "n,,m=x,n=user,r=abc", NULL, ERR_PROTO },
		{ "SCRAM-SHA-256", "n,,r=abc,n=user", NULL, ERR_PROTO },
		{ "SCRAM-SHA-256", "p=tls-exporter,,n=user,r=abc", NULL, ERR_PROTO },
		{ "SCRAM-SHA-256", "n,b=x,n=user,r=abc", NULL, ERR_PROTO },
		{ "SCRAM-SHA-256", "n,a=other,n=user,r=abc", NULL, ERR_ACCESS },
		{ "SCRAM-SHA-256", "n,,n=user,r=abc", "", ERR_PROTO },
		{ "SCRAM-SHA-256", "n,,n=user,r=abc", "c=biws", ERR_PROTO },
		{ "SCRAM-SHA-256", "n,,n=user,r=abc", "c=biws,r=abc,p=", ERR_PROTO },
		{ "SCRAM-SHA-256", "n,,n=user,r=abc", "c=biws,r=abcdef,p=AAAA", ERR_ACCESS },
		{ "SCRAM-SHA-256", "n,,n=user,r=abc", "c=eSws,r=abc,p=AAAA", ERR_ACCESS },
		{ "SCRAM-SHA-256", "n,,n=user,r=abc", "c=biws,r=abc,p=AAAA,x=y", ERR_PROTO },
	};
	struct stream *s = stream_from_mem(SPAN(""), 0);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct sasl_server *x = sasl_server_new(span_str(cases[i].mech), s, true, &ops, NULL);
		struct err err = { 0 };
		struct buf out;
		buf_init(&out, 4096);
		enum sasl_result r = sasl_server_step(x, true, span_str(cases[i].first), &out, &err);
		if (cases[i].second) {
			assert_int_equal(r, SASL_CONTINUE);
			r = sasl_server_step(x, true, span_str(cases[i].second), &out, &err);
		}
		assert_int_equal(r, SASL_FAIL);
		assert_int_equal(err.class, cases[i].class);
		sasl_server_free(x);
		buf_free(&out);
	}
	stream_close(s);
}

static void plain_messages(void **state)
{
	(void)state;
	static const struct {
		struct span in;
		enum sasl_result want;
	} cases[] = {
		{ SPAN("\0user\0pencil"), SASL_OK },
		{ SPAN("user\0user\0pencil"), SASL_OK },
		{ SPAN("USER\0user\0pencil"), SASL_OK },
		{ SPAN("other\0user\0pencil"), SASL_FAIL },
		{ SPAN("\0user\0pencil\0"), SASL_FAIL },
		{ SPAN("\0user\0"), SASL_FAIL },
		{ SPAN("\0\0pencil"), SASL_FAIL },
		{ SPAN("\0us\ner\0pencil"), SASL_FAIL },
		{ SPAN("\0user"), SASL_FAIL },
	};
	struct stream *s = stream_from_mem(SPAN(""), 0);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct sasl_server *x = sasl_server_new(SPAN("PLAIN"), s, true, &ops, NULL);
		struct err err = { 0 };
		struct buf out;
		buf_init(&out, 4096);
		assert_int_equal(sasl_server_step(x, false, SPAN(""), &out, &err), SASL_CONTINUE);
		assert_int_equal(out.len, 0);
		assert_int_equal(sasl_server_step(x, true, cases[i].in, &out, &err), cases[i].want);
		sasl_server_free(x);
		buf_free(&out);
	}
	stream_close(s);
}

static void malformed_client(void **state)
{
	(void)state;
	static const struct {
		const char *first, *final;
		enum err_class class;
	} cases[] = {
		{ "", NULL, ERR_PROTO },
		{ "r=" CLIENT_NONCE, NULL, ERR_PROTO },
		{ "r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", NULL, ERR_PROTO },
		{ "r=" CLIENT_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", NULL,
		    ERR_PROTO }, /* nothing of the server's */
		{ "r=" CLIENT_NONCE "xyzzyx,s=!!!,i=4096", NULL, ERR_PROTO },
		{ "r=" CLIENT_NONCE "xyzzyx,s=,i=4096", NULL, ERR_PROTO },
		{ "r=" CLIENT_NONCE "xyzzyx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1", NULL, ERR_ACCESS },
		{ "r=" CLIENT_NONCE "xyzzyx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4294967295", NULL, ERR_ACCESS },
		{ "r=" CLIENT_NONCE "xyzzyx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=-1", NULL, ERR_PROTO },
		{ SERVER_FIRST, "v=AAAA", ERR_ACCESS },
		{ SERVER_FIRST, "", ERR_ACCESS },
		{ SERVER_FIRST, "e=invalid-proof", ERR_ACCESS },
		{ SERVER_FIRST, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=", ERR_ACCESS },
	};
	struct stream *s = stream_from_mem(SPAN(""), 0);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct sasl_client_config c = { .user = "user", .password = "pencil" };
		struct sasl_client *x = sasl_client_new(&c, SPAN("SCRAM-SHA-256"), s, NULL);
		struct err err = { 0 };
		struct buf out;
		buf_init(&out, 4096);
		set_nonce(x->nonce, CLIENT_NONCE "1234");
		if (span_starts(span_str(cases[i].first), SERVER_FIRST))
			set_nonce(x->nonce, CLIENT_NONCE);
		sasl_client_step(x, SPAN(""), &out, &err);
		x->nonce[sizeof CLIENT_NONCE - 1] = '\0';
		enum sasl_result r = sasl_client_step(x, span_str(cases[i].first), &out, &err);
		if (cases[i].final) {
			assert_int_equal(r, SASL_CONTINUE);
			r = sasl_client_step(x, span_str(cases[i].final), &out, &err);
		}
		assert_int_equal(r, SASL_FAIL);
		assert_int_equal(err.class, cases[i].class);
		assert_false(sasl_client_done(x));
		sasl_client_free(x);
		buf_free(&out);
	}
	stream_close(s);
}

static void tokens(void **state)
{
	(void)state;
	static const struct {
		const char *mech, *first, *ack;
	} cases[] = {
		{ "XOAUTH2", "user=me@example.com\001auth=Bearer tok\001\001", "" },
		{ "OAUTHBEARER", "n,a=me@example.com,\001host=mail.example\001port=587\001auth=Bearer tok\001\001",
		    "\001" },
	};
	struct stream *s = stream_from_mem(SPAN(""), 0);
	for (size_t i = 0; i < 2; i++) {
		struct sasl_client_config c = { .user = "me@example.com",
			.password = "tok",
			.host = "mail.example",
			.port = 587,
			.mech = cases[i].mech,
			.allow_plaintext = true };
		struct sasl_client *x = sasl_client_new(&c, span_str(cases[i].mech), s, NULL);
		struct buf out;
		buf_init(&out, 4096);
		assert_int_equal(sasl_client_step(x, SPAN(""), &out, NULL), SASL_OK);
		assert_string_equal(out.p, cases[i].first);
		assert_true(sasl_client_done(x));
		buf_reset(&out);
		assert_int_equal(sasl_client_step(x, SPAN("{\"status\":\"401\"}"), &out, NULL), SASL_CONTINUE);
		assert_string_equal(out.p, cases[i].ack);
		assert_false(sasl_client_done(x));
		assert_int_equal(sasl_client_step(x, SPAN("again"), &out, NULL), SASL_FAIL);
		sasl_client_free(x);
		buf_free(&out);
	}
	stream_close(s);
}

static void first_answer(const char *name, struct buf *out)
{
	struct stream *s = stream_from_mem(SPAN(""), 0);
	struct sasl_server *x = sasl_server_new(SPAN("SCRAM-SHA-256"), s, false, &ops, NULL);
	char text[100];
	snprintf(text, sizeof text, "n,,n=%s,r=abc", name);
	buf_reset(out);
	assert_int_equal(sasl_server_step(x, true, span_str(text), out, NULL), SASL_CONTINUE);
	buf_drop(out, (size_t)span_find(buf_span(out), SPAN(",s=")));
	sasl_server_free(x);
	stream_close(s);
}

static void unknown_users_look_real(void **state)
{
	(void)state;
	struct buf a, b;
	buf_init(&a, 4096);
	buf_init(&b, 4096);
	first_answer("nobody", &a);
	first_answer("Nobody", &b);
	assert_string_equal(a.p, b.p); /* the same salt each time */
	first_answer("noone", &b);
	assert_string_not_equal(a.p, b.p);
	first_answer("plain", &b);
	assert_int_equal(a.len, b.len); /* a real one has the same form */
	first_answer("plain", &a);
	assert_string_equal(a.p, b.p);
	sasl_server_secret(SPAN("another machine"));
	first_answer("plain", &a);
	assert_string_not_equal(a.p, b.p);
	sasl_server_secret_file("/nowhere/to/be/found");
	first_answer("plain", &b);
	assert_string_not_equal(a.p, b.p);
	buf_free(&a);
	buf_free(&b);
}

static void prepared(void **state)
{
	(void)state;
	/* RFC 4013 3's examples, where they need no normalisation, and more. */
	static const struct {
		const char *in, *want;
	} cases[] = {
		{ "I\xc2\xadX", "IX" },
		{ "user", "user" },
		{ "USER", "USER" },
		{ "a\xc2\xa0"
		  "b",
		    "a b" },
		{ "\xe3\x80\x80", " " },
		{ "p\xc3\xa4ss", "p\xc3\xa4ss" },
		{ "", "" },
		{ "\x07", NULL },
		{ "a\x7f", NULL },
		{ "\xc2\x85", NULL },
		{ "\xe2\x80\xae"
		  "abc",
		    NULL },               /* right-to-left override */
		{ "\xee\x80\x80", NULL }, /* private use */
		{ "\xef\xbf\xbd", NULL },
		{ "\xff", NULL },
		{ "\xed\xa0\x80", NULL },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf out;
		buf_init(&out, 100);
		assert_int_equal(sasl_prep(span_str(cases[i].in), &out), cases[i].want != NULL);
		if (cases[i].want)
			assert_string_equal(out.p, cases[i].want);
		buf_free(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mechanisms),
		cmocka_unit_test(rfc7677_client),
		cmocka_unit_test(rfc7677_server),
		cmocka_unit_test(doubtful),
		cmocka_unit_test(both_sides),
		cmocka_unit_test(choosing),
		cmocka_unit_test(malformed_server),
		cmocka_unit_test(malformed_client),
		cmocka_unit_test(plain_messages),
		cmocka_unit_test(tokens),
		cmocka_unit_test(unknown_users_look_real),
		cmocka_unit_test(prepared),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
