/* SPDX-License-Identifier: ISC */
#include <openssl/crypto.h>
#include <stdio.h>

#include "base/limits.h"
#include "io/trace.h"
#include "msg/codec.h"
#include "smtp/client_int.h"

enum {
	AUTH_STEPS = 10,
	AUTH_COMMAND = 512, /* RFC 4954 4: with an initial response AUTH obeys the limit of a command line */
};

static void wipe(struct buf *b)
{
	OPENSSL_cleanse(b->p, b->len);
	buf_free(b);
}

static int auth_failed(struct smtp_client *c, struct err *err)
{
	smtp_reply_err(&c->reply, err);
	/* 4xx (RFC 4954 4.7.0, a backend that is down) may pass; everything else is about the credentials. */
	if (err && err->class == ERR_PERM)
		err->class = ERR_ACCESS;
	return err_prefix(err, "authentication failed");
}

/* The first line; with the initial response when there is one and it fits. *said: the response has been given. */
static enum sasl_result begin(
    struct smtp_client *c, struct sasl_client *x, struct buf *raw, bool *said, struct err *err)
{
	struct buf line;
	enum sasl_result r = SASL_CONTINUE;
	buf_init(&line, LIMIT_SMTP_AUTH_LINE);
	buf_addf(&line, "AUTH %s", sasl_client_mech(x));
	size_t bare = line.len;
	*said = false;
	if (sasl_client_first(x)) {
		r = sasl_client_step(x, SPAN(""), raw, err);
		buf_addc(&line, ' ');
		if (raw->len)
			base64_encode(buf_span(raw), NULL, &line);
		else
			buf_addc(&line, '=');
		*said = !line.bad && line.len + 2 <= AUTH_COMMAND;
		if (!*said)
			buf_truncate(&line, bare);
	}
	if (r != SASL_FAIL)
		client_say(c, buf_span(&line), false); /* the tracer hides what follows AUTH's mechanism */
	wipe(&line);
	return r;
}

/* One 334: its challenge decoded, the answer sent. -1: the exchange was cancelled and err says why. */
static int respond(struct smtp_client *c, struct sasl_client *x, struct buf *pending, bool *said, struct err *err)
{
	struct buf challenge, line;
	int rc = -1;
	buf_init(&challenge, LIMIT_SMTP_AUTH_LINE);
	buf_init(&line, LIMIT_SMTP_AUTH_LINE);
	bool decoded = base64_decode_strict(buf_span(&c->reply.text), &challenge);
	/* LOGIN's questions are not always base64 and never matter. */
	bool free_text = span_eqs(span_str(sasl_client_mech(x)), "LOGIN");
	if (!*said && sasl_client_first(x))
		rc = 0; /* pending holds the initial response */
	else if (!decoded && !free_text)
		err_set(err, ERR_PROTO, "a challenge that is not base64");
	else if (buf_reset(pending), sasl_client_step(x, buf_span(&challenge), pending, err) != SASL_FAIL)
		rc = 0;
	*said = true;
	if (rc == 0)
		base64_encode(buf_span(pending), NULL, &line);
	if (rc == 0 && line.bad)
		rc = err_set(err, ERR_LIMIT, "an authentication response too long for a line");
	client_say(c, rc == 0 ? buf_span(&line) : SPAN("*"), rc == 0);
	buf_free(&challenge);
	wipe(&line);
	return rc;
}

/* One challenge answered and the next reply heard. When we can't answer, the exchange is cancelled with "*", to which
 * the server says 501, and err tells why. */
static int next_step(struct smtp_client *c, struct sasl_client *x, struct buf *raw, bool *said, struct err *err)
{
	if (respond(c, x, raw, said, err) < 0) {
		client_hear(c, true, TIME_SMTP_COMMAND, NULL);
		return -1;
	}
	return client_hear(c, true, TIME_SMTP_COMMAND, err);
}

static int exchange(struct smtp_client *c, struct sasl_client *x, struct err *err)
{
	struct buf raw;
	bool said;
	buf_init(&raw, LIMIT_SMTP_AUTH_LINE);
	int rc = begin(c, x, &raw, &said, err) == SASL_FAIL ? -1 : client_hear(c, true, TIME_SMTP_COMMAND, err);
	for (int step = 0; rc == 0 && c->reply.code == 334; step++) {
		if (step == AUTH_STEPS) {
			c->alive = false;
			rc = err_set(err, ERR_PROTO, "the authentication does not end");
		} else {
			rc = next_step(c, x, &raw, &said, err);
		}
	}
	wipe(&raw);
	if (rc < 0)
		return -1;
	if (!client_positive(c))
		return auth_failed(c, err);
	if (!sasl_client_done(x)) {
		c->alive = false;
		return err_set(err, ERR_ACCESS, "the server accepted us without proof that it knows the password");
	}
	return 0;
}

/* What is left of the list when a SCRAM attempt failed. */
static void without_scram(struct span offered, struct buf *out)
{
	struct span word;
	while ((word = span_word(&offered)).n)
		if (!span_istarts(word, "SCRAM-"))
			buf_addf(out, "%s%.*s", out->len ? " " : "", SPAN_FMT(word));
}

static int attempt(struct smtp_client *c, struct span offered, bool *was_scram, struct err *err)
{
	struct sasl_client *x = sasl_client_new(c->config.auth, offered, c->s, err);
	if (!x)
		return -1;
	*was_scram = span_starts(span_str(sasl_client_mech(x)), "SCRAM-");
	int rc = exchange(c, x, err);
	sasl_client_free(x);
	return rc;
}

/* A server offers SCRAM for all although it may hold some users' passwords only as a hash, with which only the plain
 * mechanisms work. Trying those next, under TLS only, shows the password to nobody who could not have had it by not
 * offering SCRAM in the first place. */
int client_auth(struct smtp_client *c, struct err *err)
{
	bool was_scram = false;
	struct err first = { 0 }, second = { 0 };
	if (!(c->exts & SMTP_AUTH))
		return err_set(
		    err, ERR_ACCESS, "the server offers no authentication%s", stream_tls(c->s) ? "" : " without TLS");
	int rc = client_quiet(c, &first) < 0 ? -1 : attempt(c, buf_span(&c->mechs), &was_scram, &first);
	if (rc < 0 && was_scram && c->alive && !c->config.auth->mech && stream_tls(c->s) && c->reply.code / 100 == 5 &&
	    first.code / 100 == 5) {
		struct buf rest;
		buf_init(&rest, LIMIT_SMTP_COMMAND);
		without_scram(buf_span(&c->mechs), &rest);
		if (rest.len)
			rc = attempt(c, buf_span(&rest), &was_scram, &second);
		buf_free(&rest);
	}
	if (rc < 0 && err)
		*err = second.class != ERR_NONE && second.code ? second : first;
	trace_why("auth", rc == 0 ? "ok" : err_result(&first), "4954#4", "%s",
	    rc == 0                    ? "authenticated"
	    : second.class != ERR_NONE ? second.text
				       : first.text);
	return rc;
}
