/* SPDX-License-Identifier: ISC */
#include "pop3/client.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/xalloc.h"
#include "io/trace.h"
#include "pop3/client_int.h"
#include "sasl/exchange.h"

bool pop3_client_alive(const struct pop3_client *c)
{
	return c->alive;
}

/* ---- lines ---- */

int pop3_broken(struct pop3_client *c, struct err *err, const char *what)
{
	c->alive = false;
	return what ? err_set(err, ERR_PROTO, "the server broke the protocol: %s", what) : -1;
}

int pop3_stream_broken(struct pop3_client *c, struct err *err)
{
	*err = *stream_err(c->s);
	return pop3_broken(c, err, NULL);
}

int pop3_line(struct pop3_client *c, struct span *out, struct err *err)
{
	struct line l;
	switch (stream_line(c->s, LIMIT_POP3_LINE, &l)) {
	case LINE_CRLF:
		break;
	case LINE_LF:
		if (stream_is_local(c->s))
			break;
		return pop3_broken(c, err, "a line without CRLF");
	case LINE_EOF:
		err_set(err, ERR_TEMP, "the server closed the connection");
		return pop3_broken(c, err, NULL);
	case LINE_TIMEOUT:
	case LINE_ERROR:
		return pop3_stream_broken(c, err);
	default:
		return pop3_broken(c, err, "a line that is too long");
	}
	if (l.has_nul)
		return pop3_broken(c, err, "a NUL in a line");
	trace_line('<', l.text, c->authenticating && span_starts(l.text, "+ "));
	*out = l.text;
	return 0;
}

void pop3_say(struct pop3_client *c, bool secret, const char *fmt, ...)
{
	struct buf line;
	va_list ap;
	buf_init(&line, LIMIT_SECRET * 2);
	va_start(ap, fmt);
	buf_addv(&line, fmt, ap);
	va_end(ap);
	trace_line('>', buf_span(&line), secret);
	stream_span(c->s, buf_span(&line));
	stream_puts(c->s, "\r\n");
	explicit_bzero(line.p, line.len);
	buf_free(&line);
}

/* RFC 2449 8, RFC 3206: codes that tell whose trouble it is. */
static enum err_class class_of(struct span text)
{
	if (span_istarts(text, "[IN-USE]") || span_istarts(text, "[SYS/TEMP]") || span_istarts(text, "[LOGIN-DELAY]"))
		return ERR_TEMP;
	return span_istarts(text, "[AUTH]") ? ERR_ACCESS : ERR_PERM;
}

int pop3_reply(struct pop3_client *c, struct span *text, struct err *err)
{
	struct span line;
	if (!c->alive || pop3_line(c, &line, err))
		return -1;
	struct span rest = line, word = span_cut(&rest, ' ');
	*text = rest;
	if (span_eqs(word, "+OK"))
		return 0;
	if (!span_eqs(word, "-ERR"))
		return pop3_broken(c, err, "a reply that is neither +OK nor -ERR");
	return err_set(err, class_of(rest), "the server says: %.*s", (int)(rest.n < 300 ? rest.n : 300), rest.p);
}

int pop3_tolerate(const struct pop3_client *c, struct err *err)
{
	if (!c->alive)
		return -1;
	err_clear(err);
	return 0;
}

int pop3_command(struct pop3_client *c, const char *command, struct err *err)
{
	struct span text;
	pop3_say(c, false, "%s", command);
	return pop3_reply(c, &text, err);
}

/* One line of a multi-line reply: 1 with *out, 0 at its end. */
int pop3_listed(struct pop3_client *c, struct span *out, struct err *err)
{
	if (pop3_line(c, out, err))
		return -1;
	if (span_eqs(*out, "."))
		return 0;
	if (span_starts(*out, "."))
		*out = span_from(*out, 1);
	return 1;
}

/* ---- capabilities and TLS ---- */

static void capability(struct pop3_client *c, struct span line)
{
	struct span word = span_word(&line);
	if (span_ieqs(word, "STLS"))
		c->stls = true;
	else if (span_ieqs(word, "PIPELINING"))
		c->pipelining = true;
	else if (span_ieqs(word, "USER"))
		c->user = true;
	else if (span_ieqs(word, "SASL"))
		buf_addspan(&c->mechs, line);
}

/* A server without CAPA has USER and UIDL, most likely (RFC 2449 came later). */
static int learn_caps(struct pop3_client *c, struct err *err)
{
	struct span line;
	c->stls = c->pipelining = c->user = false;
	buf_reset(&c->mechs);
	if (pop3_command(c, "CAPA", err)) {
		c->user = true;
		return pop3_tolerate(c, err);
	}
	int r;
	for (unsigned n = 0; (r = pop3_listed(c, &line, err)) > 0; n++) {
		if (n == POP3_CAPS_MAX)
			return pop3_broken(c, err, "no end of capabilities");
		capability(c, line);
	}
	return r;
}

static int start_tls(struct pop3_client *c, struct err *err)
{
	if (tls_connect(c->s, c->config.tls, c->config.host, err)) {
		trace_why("tls", "temp", NULL, "%s", err->text);
		return pop3_broken(c, err, NULL);
	}
	const struct tls_info *i = stream_tls(c->s);
	char text[128];
	snprintf(text, sizeof text, "%s %s", i->version, i->cipher);
	trace_tls(text);
	trace_why("tls", "ok", NULL, "%s%s", text, i->verified ? ", verified" : "");
	return 0;
}

static int secure(struct pop3_client *c, struct err *err)
{
	enum pop3_tls policy = c->config.policy;
	if (learn_caps(c, err))
		return -1;
	if (policy == POP3_TLS_IMPLICIT || policy == POP3_TLS_NEVER)
		return 0;
	if (!c->stls)
		return policy == POP3_TLS_TRY ? 0 : err_set(err, ERR_TEMP, "the server offers no STLS");
	if (pop3_command(c, "STLS", err))
		return policy == POP3_TLS_TRY && pop3_tolerate(c, err) == 0 ? 0 : err_prefix(err, "STLS");
	/* RFC 2595 4: what the server said without TLS is forgotten. */
	return start_tls(c, err) ? -1 : learn_caps(c, err);
}

/* ---- authentication ---- */

static void auth_say(void *arg, struct span line, bool secret)
{
	pop3_say(arg, secret, "%.*s", (int)line.n, line.p);
}

static enum sasl_heard auth_hear(void *arg, struct span *challenge, struct err *err)
{
	struct pop3_client *c = arg;
	struct span line, rest;
	struct err local;
	if (!err)
		err = &local;
	if (!c->alive || pop3_line(c, &line, err))
		return SASL_HEARD_BROKEN;
	rest = line;
	struct span word = span_cut(&rest, ' ');
	*challenge = rest;
	if (span_eqs(word, "+"))
		return SASL_HEARD_CHALLENGE;
	if (span_eqs(word, "+OK"))
		return SASL_HEARD_OK;
	if (!span_eqs(word, "-ERR")) {
		pop3_broken(c, err, "a reply that is neither + nor +OK nor -ERR");
		return SASL_HEARD_BROKEN;
	}
	enum err_class class = class_of(rest);
	err_set(err, class == ERR_TEMP ? ERR_TEMP : ERR_ACCESS, "the server says: %.*s",
	    (int)(rest.n < 300 ? rest.n : 300), rest.p);
	return SASL_HEARD_NO;
}

/* RFC 1939 7. Only under TLS, or when the user allows it. */
static int user_pass(struct pop3_client *c, struct err *err)
{
	const struct sasl_client_config *a = c->config.auth;
	const char *user = a->user ? a->user : "", *password = a->password ? a->password : "";
	struct span text;
	if (!stream_tls(c->s) && !a->allow_plaintext)
		return err_set(err, ERR_ACCESS, "no way to log in that does not show the password: there is no TLS");
	if (span_has_ctl(span_str(user)) || span_has_ctl(span_str(password)))
		return err_set(err, ERR_USAGE, "a user name or password with a line end in it");
	pop3_say(c, false, "USER %s", user);
	int rc = pop3_reply(c, &text, err);
	if (rc == 0) {
		pop3_say(c, false, "PASS %s", password); /* the tracer hides it */
		rc = pop3_reply(c, &text, err);
	}
	if (rc && c->alive && err->class == ERR_PERM)
		err->class = ERR_ACCESS;
	return rc;
}

static int authenticate(struct pop3_client *c, struct err *err)
{
	/* RFC 5034 4: with an initial response the line obeys RFC 2449's 255 octets. */
	const struct sasl_talk talk = {
		.verb = "AUTH ", .initial = true, .first_max = 253, .say = auth_say, .hear = auth_hear, .arg = c
	};
	int rc;
	c->authenticating = true;
	if (!c->mechs.len && !c->config.auth->mech)
		rc = user_pass(c, err);
	else
		rc = sasl_exchange(c->config.auth, buf_span(&c->mechs), c->s, &talk, err);
	c->authenticating = false;
	trace_why("auth", rc ? err_result(err) : "ok", "1939#7", "%s", rc ? err->text : "logged in");
	return rc ? err_prefix(err, "authentication failed") : 0;
}

/* ---- the session ---- */

static int open_session(struct pop3_client *c, struct err *err)
{
	struct span text;
	if (c->config.policy == POP3_TLS_IMPLICIT && start_tls(c, err))
		return -1;
	if (pop3_reply(c, &text, err))
		return -1;
	return secure(c, err) || authenticate(c, err) ? -1 : 0;
}

struct pop3_client *pop3_client_open(struct stream *s, const struct pop3_client_config *config, struct err *err)
{
	struct pop3_client *c = xcalloc(1, sizeof *c);
	c->s = s;
	c->config = *config;
	c->alive = true;
	buf_init(&c->mechs, LIMIT_POP3_LINE);
	if (open_session(c, err) == 0)
		return c;
	pop3_client_close(c);
	return NULL;
}

static void free_client(struct pop3_client *c)
{
	buf_free(&c->mechs);
	free(c);
}

void pop3_client_close(struct pop3_client *c)
{
	if (!c)
		return;
	stream_abandon(c->s);
	free_client(c);
}

int pop3_client_quit(struct pop3_client *c, struct err *err)
{
	int rc = pop3_command(c, "QUIT", err);
	stream_close(c->s);
	free_client(c);
	return rc;
}
