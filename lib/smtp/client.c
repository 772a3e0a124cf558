/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/limits.h"
#include "base/xalloc.h"
#include "io/trace.h"
#include "smtp/client_int.h"

enum {
	QUIT_WAIT = 5000
};

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void smtp_client_budget(struct smtp_client *c, int64_t ms)
{
	c->end = ms > 0 ? now_ms() + ms : 0;
}

int64_t client_patience(const struct smtp_client *c, int64_t ms)
{
	if (c->config.timeout > 0 && c->config.timeout < ms)
		ms = c->config.timeout;
	int64_t left = c->end ? c->end - now_ms() : ms;
	return left >= ms ? ms : left > 0 ? left : 1; /* 0 would be no limit at all */
}

void client_say(struct smtp_client *c, struct span line, bool secret)
{
	trace_line('>', line, secret);
	stream_span(c->s, line);
	stream_write(c->s, "\r\n", 2);
}

int client_hear(struct smtp_client *c, bool secret, int64_t ms, struct err *err)
{
	ms = client_patience(c, ms);
	stream_set_timeout(c->s, ms);
	stream_set_deadline(c->s, ms);
	int rc = smtp_reply_read(c->s, &c->reply, secret, err);
	stream_set_deadline(c->s, 0);
	/* RFC 5321 3.8: after a 421 the server closes the connection. */
	if (rc < 0 || c->reply.code == 421)
		c->alive = false;
	return rc;
}

int client_command(struct smtp_client *c, struct span line, int64_t ms, struct err *err)
{
	client_say(c, line, false);
	return client_hear(c, false, ms, err);
}

/* A reply that nobody asked for would be taken for the next command's, and one recipient's for another's. Memory
 * streams hold the whole dialogue from the start, so that only descriptors can be asked. */
int client_quiet(struct smtp_client *c, struct err *err)
{
	if (stream_fd(c->s) < 0 || !(stream_wait(c->s, -1, 0) & STREAM_READY))
		return 0;
	if (client_hear(c, false, TIME_SMTP_COMMAND, err) < 0)
		return -1;
	c->alive = false;
	if (c->reply.code / 100 == 4)
		return smtp_reply_err(&c->reply, err);
	return err_set(err, ERR_PROTO, "the server spoke out of turn: %d", c->reply.code);
}

static const struct {
	const char *keyword;
	enum smtp_ext ext;
} keywords[] = {
	{ "PIPELINING", SMTP_PIPELINING },
	{ "SIZE", SMTP_SIZE },
	{ "8BITMIME", SMTP_8BITMIME },
	{ "SMTPUTF8", SMTP_UTF8 },
	{ "CHUNKING", SMTP_CHUNKING },
	{ "BINARYMIME", SMTP_BINARYMIME },
	{ "DSN", SMTP_DSN },
	{ "STARTTLS", SMTP_STARTTLS },
	{ "AUTH", SMTP_AUTH },
	{ "ENHANCEDSTATUSCODES", SMTP_ENHANCED },
	{ "REQUIRETLS", SMTP_REQUIRETLS },
	{ "PRDR", SMTP_PRDR },
	{ "XCLIENT", SMTP_XCLIENT },
	{ "LIMITS", SMTP_LIMITS },
	{ "DELIVERBY", SMTP_DELIVERBY },
	{ "FUTURERELEASE", SMTP_FUTURERELEASE },
	{ "MT-PRIORITY", SMTP_MTPRIORITY },
	{ "XFORWARD", SMTP_XFORWARD },
};

static void take_limits(struct smtp_client *c, struct span rest)
{
	struct span word;
	uint64_t n;
	const struct {
		const char *name;
		unsigned *at;
	} limits[] = { { "RCPTMAX", &c->rcpt_max }, { "MAILMAX", &c->mail_max }, { "RCPTDOMAINMAX", &c->domain_max } };
	while ((word = span_word(&rest)).n) {
		struct span name = span_cut(&word, '=');
		for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
			if (span_ieqs(name, limits[i].name) && span_u64(word, UINT32_MAX, &n))
				*limits[i].at = (unsigned)n;
	}
}

static void take_keyword(struct smtp_client *c, struct span line)
{
	struct span word = span_word(&line);
	if (span_istarts(word, "AUTH=")) {
		/* An old form that some servers still give beside the right one. */
		line = span_from(word, 5);
		word = span_slice(word, 0, 4);
	}
	enum smtp_ext ext = 0;
	for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
		if (span_ieqs(word, keywords[i].keyword))
			ext = keywords[i].ext;
	c->exts |= ext;
	if (ext == SMTP_SIZE && !span_u64(span_trim(line), UINT64_MAX, &c->max_size))
		c->max_size = 0;
	if (ext == SMTP_XFORWARD)
		c->forwards = client_forwards(line);
	if (ext == SMTP_LIMITS)
		take_limits(c, line);
	uint64_t by;
	if (ext == SMTP_DELIVERBY && span_u64(span_trim(line), INT32_MAX, &by))
		c->by_min = (int64_t)by;
	if (ext == SMTP_AUTH)
		buf_addf(&c->mechs, "%s%.*s", c->mechs.len ? " " : "", SPAN_FMT(line));
}

/* RFC 5321 4.1.1.1: the first word of the reply to EHLO or HELO. */
static void take_name(struct smtp_client *c)
{
	struct span text = buf_span(&c->reply.text), line = span_cut(&text, '\n'), name = span_word(&line);
	snprintf(c->server, sizeof c->server, "%.*s", SPAN_FMT(name));
}

/* What was learnt before is forgotten: RFC 3207 4.2. */
static void take_extensions(struct smtp_client *c)
{
	struct span rest = buf_span(&c->reply.text);
	c->exts = 0;
	c->max_size = 0;
	c->forwards = c->rcpt_max = c->mail_max = c->domain_max = 0;
	c->by_min = 0;
	buf_reset(&c->mechs);
	span_cut(&rest, '\n'); /* the first line is the server's name */
	while (rest.n)
		take_keyword(c, span_cut(&rest, '\n'));
}

/* The handshake. -1 with err 4.7.5; prefix says when it was. */
static int start_tls(struct smtp_client *c, const char *prefix, struct err *err)
{
	struct err why = { 0 };
	char text[120];
	if (tls_connect_again(c->s, c->config.tls, c->config.host, c->config.tls_server, &why) == 0) {
		const struct tls_info *i = stream_tls(c->s);
		snprintf(text, sizeof text, "%s %s", i->version, i->cipher);
		trace_tls(text);
		trace_why("tls", "ok", NULL, "%s, %s%s", text,
		    i->verified ? "the certificate was verified" : "the certificate was not verified",
		    i->resumed ? ", the session was resumed" : "");
		return 0;
	}
	c->alive = false;
	err_prefix(&why, "%s", prefix);
	why.class = ERR_TEMP;
	snprintf(why.enh, sizeof why.enh, "4.7.5");
	trace_why("tls", "temp", NULL, "%s", why.text);
	if (err)
		*err = why;
	return -1;
}

static int greeting(struct smtp_client *c, struct err *err)
{
	if (c->config.implicit_tls && start_tls(c, "TLS", err) < 0)
		return -1;
	if (client_hear(c, false, TIME_SMTP_GREETING, err) < 0)
		return -1;
	if (c->reply.code == 220)
		return 0;
	if (client_positive(c) || c->reply.code / 100 == 3) {
		c->alive = false;
		return err_set(err, ERR_PROTO, "not an SMTP greeting: %d", c->reply.code);
	}
	return smtp_reply_err(&c->reply, err);
}

static int say_verb_and_name(struct smtp_client *c, const char *verb, struct err *err)
{
	char line[LIMIT_DOMAIN + 16];
	snprintf(line, sizeof line, "%s %s", verb, c->config.helo);
	return client_command(c, span_str(line), TIME_SMTP_COMMAND, err);
}

/* EHLO or LHLO; HELO for a server that knows no EHLO, where nothing that only EHLO can tell is needed. */
static int hello(struct smtp_client *c, struct err *err)
{
	if (client_quiet(c, err) < 0 || say_verb_and_name(c, c->config.lmtp ? "LHLO" : "EHLO", err) < 0)
		return -1;
	if (client_positive(c)) {
		take_name(c);
		take_extensions(c);
		return 0;
	}
	int code = c->reply.code;
	bool unknown = code == 500 || code == 501 || code == 502 || code == 504 || code == 550;
	if (!unknown || c->config.lmtp || c->config.auth)
		return smtp_reply_err(&c->reply, err);
	if (say_verb_and_name(c, "HELO", err) < 0)
		return -1;
	c->exts = 0;
	buf_reset(&c->mechs);
	take_name(c);
	return client_positive(c) ? 0 : smtp_reply_err(&c->reply, err);
}

static int tls_wanted(struct err *err, const char *enh, const char *text)
{
	err_set(err, ERR_TEMP, "%s", text);
	if (err)
		snprintf(err->enh, sizeof err->enh, "%s", enh);
	return -1;
}

static int secure(struct smtp_client *c, struct err *err)
{
	bool required = c->config.starttls == STARTTLS_REQUIRE;
	if (c->config.starttls == STARTTLS_NEVER || c->config.implicit_tls)
		return 0;
	if (!(c->exts & SMTP_STARTTLS))
		return required ? tls_wanted(err, "4.7.4", "the server does not offer STARTTLS, which is required") : 0;
	if (client_quiet(c, err) < 0 || client_command(c, SPAN("STARTTLS"), TIME_SMTP_COMMAND, err) < 0)
		return -1;
	if (c->reply.code != 220)
		return required || !c->alive
			   ? tls_wanted(err, "4.7.4", "the server refuses STARTTLS, which is required")
			   : 0;
	/* Nothing that came with the reply in the clear may survive: the stream refuses the layer then. */
	return start_tls(c, "STARTTLS", err) < 0 ? -1 : hello(c, err);
}

static struct smtp_client *client_new(struct stream *s, const struct smtp_client_config *config)
{
	struct smtp_client *c = xcalloc(1, sizeof *c);
	*c = (struct smtp_client){ .s = s, .config = *config, .alive = true };
	smtp_client_budget(c, config->budget);
	smtp_reply_init(&c->reply);
	buf_init(&c->mechs, LIMIT_SMTP_COMMAND);
	return c;
}

static int check_config(const struct smtp_client_config *config, struct err *err)
{
	struct span helo = span_str(config->helo);
	for (size_t i = 0; i < helo.n; i++)
		if (helo.p[i] <= ' ' || helo.p[i] == 0x7f)
			helo.n = 0;
	if (!helo.n || helo.n > LIMIT_DOMAIN)
		return err_set(err, ERR_CONFIG, "no usable name for EHLO");
	return 0;
}

struct smtp_client *smtp_client_open(struct stream *s, const struct smtp_client_config *config, struct err *err)
{
	struct smtp_client *c = client_new(s, config);
	if (check_config(config, err) == 0 && greeting(c, err) == 0 && hello(c, err) == 0 && secure(c, err) == 0 &&
	    (!config->auth || client_auth(c, err) == 0)) {
		c->authenticated = config->auth;
		return c;
	}
	smtp_client_close(c, true);
	return NULL;
}

void smtp_client_close(struct smtp_client *c, bool polite)
{
	if (!c)
		return;
	/* RFC 5321 4.1.1.10: the client waits for the reply, though not for ever. */
	if (polite && c->alive && stream_err(c->s)->class == ERR_NONE)
		client_command(c, SPAN("QUIT"), QUIT_WAIT, NULL);
	if (c->alive)
		stream_close(c->s);
	else
		stream_abandon(c->s);
	smtp_reply_free(&c->reply);
	buf_free(&c->mechs);
	free(c);
}

const char *smtp_client_server(const struct smtp_client *c)
{
	return c->server;
}

unsigned smtp_client_exts(const struct smtp_client *c)
{
	return c->exts;
}

uint64_t smtp_client_max_size(const struct smtp_client *c)
{
	return c->max_size;
}

unsigned smtp_client_max_mail(const struct smtp_client *c)
{
	return c->mail_max;
}

unsigned smtp_client_max_domains(const struct smtp_client *c)
{
	return c->domain_max;
}

struct stream *smtp_client_stream(struct smtp_client *c)
{
	return c->s;
}

bool smtp_client_alive(const struct smtp_client *c)
{
	return c->alive;
}
