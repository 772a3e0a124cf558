/* SPDX-License-Identifier: ISC */
#include <stdio.h>

#include "base/limits.h"
#include "io/trace.h"
#include "msg/codec.h"
#include "smtp/server_int.h"

enum {
	AUTH_TRIES = 3,
	CLAIMED = 256 /* bytes of a refused name that are kept */
};

static void trace_tls_layer(const struct server *sv)
{
	const struct tls_info *info = stream_tls(sv->x->s);
	char text[128];
	if (!info)
		return;
	snprintf(text, sizeof text, "%s %s", info->version, info->cipher);
	trace_tls(text);
	server_event("tls", 220, text);
}

static int begin_tls(struct server *sv)
{
	stream_set_hurry(sv->x->s, sv->c->stress_ms, 0);
	if (tls_accept(sv->x->s, sv->c->tls, sv->err) < 0)
		return -1;
	/* RFC 3207 4.2 */
	server_reset(sv);
	server_enter(sv, ST_NEW);
	sv->x->tls = true;
	sv->x->esmtp = false;
	sv->x->helo = sv->x->user = SPAN("");
	trace_tls_layer(sv);
	return 0;
}

static void starttls(struct server *sv)
{
	if (sv->x->tls) {
		server_reply(sv, 503, "5.5.1", "TLS is already active");
		return;
	}
	/* Who one is would have to be told anew; there is no need to have been anybody in the clear. */
	if (sv->x->user.n) {
		server_reply(sv, 503, "5.5.1", "Not after AUTH");
		return;
	}
	/* Also where early input is tolerated: what came in the clear must not live on inside TLS. */
	if (stream_has_input(sv->x->s)) {
		server_reply(sv, 554, "5.5.0", "Input after STARTTLS");
		sv->closing = true;
		return;
	}
	server_reply(sv, 220, "2.0.0", "Ready to start TLS");
	if (stream_flush(sv->x->s) < 0 || begin_tls(sv) < 0)
		sv->closing = true;
}

static bool plaintext_ok(const struct server *sv)
{
	return sv->x->tls || sv->c->auth_without_tls;
}

static void mechs(const struct server *sv, struct buf *b)
{
	bool hidden = sv->c->require_tls && !sv->x->tls;
	if (!hidden)
		sasl_server_mechs(sv->x->s, plaintext_ok(sv), sv->ops->sasl, sv->x->arg, b);
}

/* One message of the client's, base64 in a line (RFC 4954 4), into `in`. False after a reply. */
static bool auth_message(struct server *sv, struct span text, struct buf *in)
{
	buf_reset(in);
	if (span_eqs(text, "*"))
		server_reply(sv, 501, "5.7.0", "Authentication cancelled");
	else if (!base64_decode_strict(text, in))
		server_reply(sv, 501, "5.5.2", "That is no base64");
	else
		return true;
	return false;
}

static bool auth_read(struct server *sv, struct buf *in)
{
	struct line line;
	sv->in_auth = true;
	bool ok = server_line(sv, &line);
	sv->in_auth = false;
	if (!ok)
		return false;
	trace_line('<', line.text, true);
	return auth_message(sv, line.text, in);
}

static void challenge(struct server *sv, const struct buf *out)
{
	struct buf b64;
	buf_init(&b64, LIMIT_SMTP_AUTH_LINE);
	base64_encode(buf_span(out), NULL, &b64);
	stream_printf(sv->x->s, "334 %s\r\n", b64.p);
	trace_line('>', SPAN("334 ***"), true);
	buf_free(&b64);
}

static void auth_reply(struct server *sv, const struct err *why)
{
	if (why->class == ERR_TEMP || why->class == ERR_CONFIG)
		server_reply(sv, 454, "4.7.0", "Temporary authentication failure");
	else if (why->class == ERR_PROTO)
		server_reply(sv, 501, "5.5.2", "Malformed authentication message");
	else
		server_reply(sv, 535, "5.7.8", "Authentication credentials invalid");
}

/* said: the exchange's end was answered already. */
static void auth_failed(
    struct server *sv, struct span mech, const struct sasl_server *x, const struct err *why, bool said)
{
	sv->x->claimed = arena_span(sv->session, span_slice(sasl_server_user(x), 0, CLAIMED));
	server_event("auth", 535, why->text);
	if (sv->ops->authenticated)
		sv->ops->authenticated(sv->x, mech, why);
	if (!said)
		auth_reply(sv, why);
	if (++sv->auth_tries >= AUTH_TRIES && !sv->closing)
		server_reply(sv, 421, "4.7.0", "%s: too many failures", sv->c->hostname);
}

static void auth_done(struct server *sv, struct span mech, struct sasl_server *x)
{
	sv->x->user = arena_span(sv->session, sasl_server_user(x));
	server_event("auth", 235, "the client authenticated");
	if (sv->ops->authenticated)
		sv->ops->authenticated(sv->x, mech, NULL);
	server_reply(sv, 235, "2.7.0", "Authentication successful");
}

/* The exchange after the initial response; false when it failed. *said: that was answered, why tells of a refusal
 * before. */
static bool exchange(
    struct server *sv, struct sasl_server *x, bool have_in, struct buf *in, bool *said, struct err *why)
{
	struct buf out;
	bool ok = false;
	enum sasl_result rc;
	buf_init(&out, LIMIT_SMTP_AUTH_LINE);
	for (;;) {
		buf_reset(&out);
		rc = sasl_server_step(x, have_in, buf_span(in), &out, why);
		have_in = true;
		if (rc == SASL_FAIL)
			break;
		if (rc == SASL_OK && !out.len) {
			ok = true;
			break;
		}
		challenge(sv, &out);
		*said = !auth_read(sv, in);
		if (*said)
			break;
		if (rc == SASL_OK) {
			/* RFC 4954 4: additional data with success is acknowledged by an empty line. */
			ok = !in->len;
			if (!ok)
				err_set(why, ERR_PROTO, "data after the last challenge");
			break;
		}
	}
	buf_free(&out);
	return ok;
}

static void run_auth(struct server *sv, struct span mech, struct sasl_server *x, struct span initial)
{
	struct buf in;
	struct err why = { 0 };
	bool have_in = initial.n > 0, ok = true, said = false;
	buf_init(&in, LIMIT_SMTP_AUTH_LINE);
	if (have_in && !span_eqs(initial, "="))
		ok = auth_message(sv, initial, &in);
	if (ok && exchange(sv, x, have_in, &in, &said, &why))
		auth_done(sv, mech, x);
	else if (why.class != ERR_NONE)
		auth_failed(sv, mech, x, &why, said);
	buf_free(&in);
}

/* False after a reply. */
static bool may_try(struct server *sv, struct span mech)
{
	struct smtp_answer a = { 0 };
	if (sv->ops->auth)
		sv->ops->auth(sv->x, mech, &a);
	if (a.code)
		server_answer(sv, &a);
	return !a.code;
}

static void refuse_mech(struct server *sv, struct span mech)
{
	static const char *const plaintext[] = { "PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2" };
	for (size_t i = 0; !plaintext_ok(sv) && i < sizeof plaintext / sizeof *plaintext; i++) {
		if (span_ieqs(mech, plaintext[i])) {
			server_reply(sv, 538, "5.7.11", "Encryption required for this mechanism");
			return;
		}
	}
	server_reply(sv, 504, "5.5.4", "Unrecognized authentication type");
}

static void authenticate(struct server *sv, struct span arg)
{
	struct buf line;
	if (sv->x->user.n) {
		server_reply(sv, 503, "5.5.1", "Already authenticated");
		return;
	}
	/* The line's bytes go with the next read. */
	buf_init(&line, LIMIT_SMTP_AUTH_LINE);
	buf_addspan(&line, arg);
	struct span rest = buf_span(&line), mech = span_word(&rest), initial = span_trim(rest);
	struct sasl_server *x = sasl_server_new(mech, sv->x->s, plaintext_ok(sv), sv->ops->sasl, sv->x->arg);
	if (!x)
		refuse_mech(sv, mech);
	else if (may_try(sv, mech))
		run_auth(sv, mech, x, initial);
	sasl_server_free(x);
	buf_free(&line);
}

const struct smtp_server_security smtp_server_security = { begin_tls, starttls, authenticate, mechs };
