/* SPDX-License-Identifier: ISC */
#include "sasl/exchange.h"

#include <openssl/crypto.h>

#include "base/limits.h"
#include "io/tls/tls.h"
#include "msg/codec.h"

enum {
	STEPS = 10
};

static void wipe(struct buf *b)
{
	OPENSSL_cleanse(b->p, b->len);
	buf_free(b);
}

/* The first line. *pending: the initial response was made but could not be said yet. */
static enum sasl_result begin(
    struct sasl_client *x, const struct sasl_talk *t, struct buf *raw, bool *pending, struct err *err)
{
	struct buf line;
	enum sasl_result r = SASL_CONTINUE;
	buf_init(&line, LIMIT_SECRET * 2);
	buf_addf(&line, "%s%s", t->verb, sasl_client_mech(x));
	size_t bare = line.len;
	*pending = false;
	if (sasl_client_first(x)) {
		r = sasl_client_step(x, SPAN(""), raw, err);
		*pending = true;
		if (t->initial) {
			buf_addc(&line, ' ');
			base64_encode(buf_span(raw), NULL, &line);
			if (!raw->len) /* RFC 4959 3 */
				buf_addc(&line, '=');
			*pending = line.bad || (t->first_max && line.len > t->first_max);
		}
		if (*pending)
			buf_truncate(&line, bare);
	}
	if (r != SASL_FAIL)
		t->say(t->arg, buf_span(&line), false); /* the tracer hides what follows the mechanism */
	wipe(&line);
	return r;
}

/* Makes the answer to one challenge in raw. */
static int answer(struct sasl_client *x, struct span challenge, struct buf *raw, struct err *err)
{
	struct buf plain;
	int rc = -1;
	buf_init(&plain, LIMIT_SECRET);
	bool decoded = base64_decode_strict(challenge, &plain);
	buf_reset(raw);
	/* LOGIN's questions are not always base64 and never matter. */
	if (!decoded && !span_eqs(span_str(sasl_client_mech(x)), "LOGIN"))
		err_set(err, ERR_PROTO, "a challenge that is not base64");
	else if (sasl_client_step(x, buf_span(&plain), raw, err) != SASL_FAIL)
		rc = 0;
	buf_free(&plain);
	return rc;
}

static void say_response(const struct sasl_talk *t, const struct buf *raw)
{
	struct buf line;
	buf_init(&line, LIMIT_SECRET * 2);
	base64_encode(buf_span(raw), NULL, &line);
	t->say(t->arg, buf_span(&line), true);
	wipe(&line);
}

static enum sasl_heard converse(struct sasl_client *x, const struct sasl_talk *t, struct buf *raw, struct err *err)
{
	bool pending;
	struct span challenge;
	if (begin(x, t, raw, &pending, err) == SASL_FAIL)
		return SASL_HEARD_BROKEN;
	enum sasl_heard heard = t->hear(t->arg, &challenge, err);
	for (int step = 0; heard == SASL_HEARD_CHALLENGE; step++) {
		if (step == STEPS) {
			err_set(err, ERR_PROTO, "the authentication does not end");
			return SASL_HEARD_BROKEN;
		}
		if (!pending && answer(x, challenge, raw, err)) {
			t->say(t->arg, SPAN("*"), false);
			t->hear(t->arg, &challenge, NULL);
			return SASL_HEARD_BROKEN;
		}
		pending = false;
		say_response(t, raw);
		heard = t->hear(t->arg, &challenge, err);
	}
	if (heard == SASL_HEARD_OK && !sasl_client_done(x)) {
		err_set(err, ERR_ACCESS, "the server accepted us without proof that it knows the password");
		return SASL_HEARD_BROKEN;
	}
	return heard;
}

static enum sasl_heard attempt(const struct sasl_client_config *c, struct span offered, const struct stream *s,
    const struct sasl_talk *t, bool *was_scram, struct err *err)
{
	struct sasl_client *x = sasl_client_new(c, offered, s, err);
	if (!x)
		return SASL_HEARD_BROKEN;
	struct buf raw;
	buf_init(&raw, LIMIT_SECRET);
	*was_scram = span_starts(span_str(sasl_client_mech(x)), "SCRAM-");
	enum sasl_heard heard = converse(x, t, &raw, err);
	wipe(&raw);
	sasl_client_free(x);
	return heard;
}

static void without_scram(struct span offered, struct buf *out)
{
	struct span word;
	while ((word = span_word(&offered)).n)
		if (!span_istarts(word, "SCRAM-"))
			buf_addf(out, "%s%.*s", out->len ? " " : "", SPAN_FMT(word));
}

int sasl_exchange(const struct sasl_client_config *c, struct span offered, const struct stream *s,
    const struct sasl_talk *talk, struct err *err)
{
	bool was_scram = false;
	enum sasl_heard heard = attempt(c, offered, s, talk, &was_scram, err);
	if (heard == SASL_HEARD_NO && was_scram && !c->mech && stream_tls(s) && (!err || err->class == ERR_ACCESS)) {
		/* The password is a hash there, perhaps, with which only the plain mechanisms work; a server that is
		 * not to see it could have got it by not offering SCRAM in the first place. */
		struct buf rest;
		struct err second = { 0 };
		buf_init(&rest, LIMIT_SECRET);
		without_scram(offered, &rest);
		heard = attempt(c, buf_span(&rest), s, talk, &was_scram, &second);
		buf_free(&rest);
		if (err && second.class != ERR_NONE && heard != SASL_HEARD_OK)
			*err = second;
	}
	if (heard != SASL_HEARD_OK)
		return -1;
	err_clear(err);
	return 0;
}
