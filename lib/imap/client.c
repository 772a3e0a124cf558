/* SPDX-License-Identifier: ISC */
#include "imap/client.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/xalloc.h"
#include "imap/client_int.h"
#include "io/trace.h"
#include "sasl/exchange.h"

bool imap_client_has(const struct imap_client *c, const char *capability)
{
	char word[64];
	snprintf(word, sizeof word, " %s ", capability);
	return span_find(buf_span(&c->caps), span_str(word)) >= 0;
}

bool imap_client_alive(const struct imap_client *c)
{
	return c->alive;
}

/* ---- TLS ---- */

static int start_tls(struct imap_client *c, struct err *err)
{
	if (tls_connect(c->s, c->config.tls, c->config.host, err)) {
		trace_why("tls", "temp", NULL, "%s", err ? err->text : "TLS failed");
		return imap_broken(c);
	}
	const struct tls_info *i = stream_tls(c->s);
	char text[128];
	snprintf(text, sizeof text, "%s %s", i->version, i->cipher);
	trace_tls(text);
	trace_why("tls", "ok", NULL, "%s%s", text, i->verified ? ", verified" : "");
	/* RFC 3501 6.2.1: what the server said without TLS is forgotten. */
	buf_reset(&c->caps);
	c->caps_known = false;
	return 0;
}

static int learn_caps(struct imap_client *c, struct err *err)
{
	return c->caps_known ? 0 : imap_command(c, SPAN("CAPABILITY"), err);
}

static int secure(struct imap_client *c, bool preauth, struct err *err)
{
	enum imap_tls policy = c->config.policy;
	if (policy == IMAP_TLS_IMPLICIT || policy == IMAP_TLS_NEVER)
		return 0;
	/* Somebody who answers in the server's place could skip STARTTLS by it (RFC 9051 11.3). */
	if (preauth && policy == IMAP_TLS_REQUIRE)
		return err_set(err, ERR_ACCESS, "the server greets with PREAUTH, so that TLS cannot be started");
	if (preauth)
		return 0;
	if (learn_caps(c, err))
		return -1;
	if (!imap_client_has(c, "STARTTLS"))
		return policy == IMAP_TLS_TRY ? 0 : err_set(err, ERR_TEMP, "the server offers no STARTTLS");
	if (imap_command(c, SPAN("STARTTLS"), err)) {
		if (policy == IMAP_TLS_TRY && c->alive) {
			err_clear(err);
			return 0;
		}
		return err_prefix(err, "STARTTLS");
	}
	return start_tls(c, err);
}

/* ---- authentication ---- */

static void auth_say(void *arg, struct span line, bool secret)
{
	struct imap_client *c = arg;
	if (span_starts(line, "AUTHENTICATE "))
		imap_say(c, line);
	else
		imap_say_line(c, line, secret);
}

static enum sasl_heard auth_hear(void *arg, struct span *challenge, struct err *err)
{
	struct imap_client *c = arg;
	enum imap_status status;
	for (;;) {
		enum imap_kind kind = imap_hear(c, &status, challenge, err);
		if (kind == IMAP_UNTAGGED)
			continue;
		if (kind == IMAP_CONTINUE)
			return SASL_HEARD_CHALLENGE;
		if (kind == IMAP_BROKEN)
			return SASL_HEARD_BROKEN;
		if (status == IMAP_OK)
			return SASL_HEARD_OK;
		/* RFC 5530 3: the server's own trouble says nothing about the password. */
		if (err)
			err->class = span_istarts(*challenge, "[UNAVAILABLE]") ? ERR_TEMP : ERR_ACCESS;
		return SASL_HEARD_NO;
	}
}

static void list_mechs(const struct imap_client *c, struct buf *out)
{
	struct span caps = buf_span(&c->caps), word;
	while ((word = span_word(&caps)).n)
		if (span_starts(word, "AUTH="))
			buf_addf(out, "%s%.*s", out->len ? " " : "", (int)(word.n - 5), word.p + 5);
}

/* One argument of LOGIN: quoted, or as a literal after the server's go-ahead. */
static int login_arg(struct imap_client *c, struct buf *line, const char *text, struct err *err)
{
	struct span s = span_str(text), rest;
	enum imap_status status;
	if (imap_is_quotable(s)) {
		buf_addc(line, '"');
		for (size_t i = 0; i < s.n; i++) {
			if (s.p[i] == '"' || s.p[i] == '\\')
				buf_addc(line, '\\');
			buf_addc(line, s.p[i]);
		}
		buf_addc(line, '"');
		return 0;
	}
	buf_addf(line, "{%zu}", s.n);
	imap_say_line(c, buf_span(line), true);
	buf_reset(line);
	enum imap_kind kind;
	while ((kind = imap_hear(c, &status, &rest, err)) == IMAP_UNTAGGED)
		;
	if (kind == IMAP_BROKEN)
		return -1;
	if (kind == IMAP_TAGGED) {
		if (err)
			err->class = ERR_ACCESS;
		return status == IMAP_OK ? err_set(err, ERR_PROTO, "LOGIN ended before its arguments") : -1;
	}
	buf_addspan(line, s);
	return 0;
}

/* For servers that offer no AUTHENTICATE mechanism. Only under TLS, or when the user allows it. */
static int login(struct imap_client *c, struct err *err)
{
	const struct sasl_client_config *a = c->config.auth;
	if (imap_client_has(c, "LOGINDISABLED"))
		return err_set(
		    err, ERR_ACCESS, "the server offers no way to log in%s", stream_tls(c->s) ? "" : " without TLS");
	if (!stream_tls(c->s) && !a->allow_plaintext)
		return err_set(err, ERR_ACCESS, "no way to log in that does not show the password: there is no TLS");
	struct buf line;
	buf_init(&line, LIMIT_SECRET * 3);
	buf_addf(&line, "a%u LOGIN ", ++c->tag);
	int rc = login_arg(c, &line, a->user ? a->user : "", err);
	buf_addc(&line, ' ');
	if (rc == 0)
		rc = login_arg(c, &line, a->password ? a->password : "", err);
	if (rc == 0) {
		imap_say_line(c, buf_span(&line), true);
		rc = imap_finish(c, err);
		if (rc && c->alive && err)
			err->class = ERR_ACCESS;
	}
	explicit_bzero(line.p, line.len);
	buf_free(&line);
	return rc;
}

static int authenticate(struct imap_client *c, struct err *err)
{
	struct buf mechs;
	if (learn_caps(c, err))
		return -1;
	buf_init(&mechs, IMAP_CAPS_MAX);
	list_mechs(c, &mechs);
	const struct sasl_talk talk = { .verb = "AUTHENTICATE ",
		.initial = imap_client_has(c, "SASL-IR"),
		.say = auth_say,
		.hear = auth_hear,
		.arg = c };
	int rc;
	c->authenticating = true;
	if (!mechs.len && !c->config.auth->mech)
		rc = login(c, err);
	else
		rc = sasl_exchange(c->config.auth, buf_span(&mechs), c->s, &talk, err);
	c->authenticating = false;
	buf_free(&mechs);
	trace_why("auth", rc ? err_result(err) : "ok", "3501#6.2.2", "%s", rc ? err->text : "logged in");
	if (rc)
		return err_prefix(err, "authentication failed");
	/* RFC 3501 6.2.2, 6.2.3: capabilities may change; OK may have told the new ones. */
	return 0;
}

/* ---- the session ---- */

static int greet(struct imap_client *c, bool *preauth, struct err *err)
{
	enum imap_status status;
	struct span rest;
	if (imap_hear(c, &status, &rest, err) != IMAP_UNTAGGED)
		return c->alive ? err_set(err, ERR_PROTO, "the server's greeting is not IMAP's") : -1;
	struct span text = rest, word = span_cut(&text, ' ');
	if (span_starts(text, "[CAPABILITY ") && span_ieqs(word, "PREAUTH")) {
		struct span code = span_from(text, 12);
		imap_set_caps(c, span_cut(&code, ']'));
	}
	*preauth = span_ieqs(word, "PREAUTH");
	if (span_ieqs(word, "BYE"))
		return err_set(err, ERR_TEMP, "the server refuses: %.*s", (int)(text.n < 300 ? text.n : 300), text.p);
	if (!*preauth && !span_ieqs(word, "OK"))
		return err_set(err, ERR_PROTO, "the server's greeting is not IMAP's");
	return 0;
}

static int open_session(struct imap_client *c, struct err *err)
{
	bool preauth = false;
	if (c->config.policy == IMAP_TLS_IMPLICIT && start_tls(c, err))
		return -1;
	if (greet(c, &preauth, err) || secure(c, preauth, err))
		return -1;
	if (!preauth) {
		if (authenticate(c, err))
			return -1;
		c->caps_known = c->caps_known && c->caps.len > 1;
	}
	/* Some servers tell more after the login; ask once. */
	return imap_command(c, SPAN("CAPABILITY"), err);
}

struct imap_client *imap_client_open(struct stream *s, const struct imap_client_config *config, struct err *err)
{
	struct err local = { 0 };
	struct imap_client *c = xcalloc(1, sizeof *c);
	c->s = s;
	c->config = *config;
	c->alive = true;
	c->arena = arena_new();
	buf_init(&c->resp, IMAP_RESPONSE_MAX);
	buf_init(&c->caps, IMAP_CAPS_MAX);
	if (open_session(c, err ? err : &local) == 0)
		return c;
	imap_client_close(c, false);
	return NULL;
}

void imap_client_close(struct imap_client *c, bool polite)
{
	if (!c)
		return;
	struct err ignored = { 0 };
	if (polite && c->alive)
		imap_command(c, SPAN("LOGOUT"), &ignored);
	if (polite)
		stream_close(c->s);
	else
		stream_abandon(c->s);
	arena_free(c->arena);
	buf_free(&c->resp);
	buf_free(&c->caps);
	free(c);
}
