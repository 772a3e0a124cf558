/* SPDX-License-Identifier: ISC */
#include "mta-relay/serve/serve_talk.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "io/trace.h"
#include "mta-relay/serve/serve_client.h"

static int64_t now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void talk_fill(const struct smtp_session *x, const struct serve_talk *t, struct event *e)
{
	e->client = x->peer_ip;
	e->name = x->peer_name;
	e->helo = x->helo;
	e->user = x->user;
	e->mech = span_str(t->mech);
	e->orig_client = client_forwarded(x);
	e->proto = x->esmtp ? "ESMTP" : "SMTP";
}

void talk_begin(struct serve_talk *t, const struct smtp_session *x)
{
	static unsigned counter;
	char own[40];
	struct event e = { .kind = EVENT_CONNECT, .port = t->port };
	t->began = now_us();
	/* The trace's id where there is one, so that the two can be joined. */
	snprintf(own, sizeof own, "%llx.%x.%x", (unsigned long long)t->began, (unsigned)getpid(), counter++);
	log_session(*trace_conv() ? trace_conv() : own);
	talk_fill(x, t, &e);
	event(&e);
}

void talk_refused(struct serve_talk *t, const struct smtp_session *x, const char *stage, struct span rcpt,
    const struct smtp_answer *a)
{
	struct event e = { .kind = EVENT_REFUSE,
		.stage = stage,
		.code = a->code,
		.enh = a->enh,
		.check = t->check,
		.text = span_str(a->text),
		.from = x->env.from.n ? x->env.from : span_str(t->from),
		.to = rcpt };
	talk_fill(x, t, &e);
	event(&e);
	t->told = true;
	t->check = NULL;
	t->refused++;
}

static struct talk_count *count_of(struct serve_talk *t, const char *verb)
{
	for (size_t i = 0; i < t->verbs; i++)
		if (!strcmp(t->count[i].verb, verb))
			return &t->count[i];
	if (t->verbs == TALK_VERBS)
		return NULL;
	t->count[t->verbs].verb = verb;
	return &t->count[t->verbs++];
}

/* The address of "RCPT TO:<a@b> PARAMETER": between the first < and the last >. */
static struct span path_of(struct span line)
{
	ptrdiff_t a = span_chr(line, '<');
	size_t end = line.n;
	while (end > 0 && line.p[end - 1] != '>')
		end--;
	return a >= 0 && end > (size_t)a + 1 ? span_slice(line, (size_t)a + 1, end - 1) : SPAN("");
}

/* A refused command that no op has told of. A failed authentication is an event of its own. */
static void engine_refused(struct serve_talk *t, const struct smtp_session *x, const struct smtp_command *c)
{
	struct smtp_answer a = { .code = c->code };
	bool rcpt = !strcmp(c->verb, "RCPT");
	if (c->code == 535)
		return;
	snprintf(a.enh, sizeof a.enh, "%s", c->enh);
	snprintf(a.text, sizeof a.text, "%s", c->answer);
	talk_refused(t, x, c->verb, rcpt ? path_of(c->line) : SPAN(""), &a);
}

void talk_command(struct serve_talk *t, const struct smtp_session *x, const struct smtp_command *c)
{
	struct talk_count *n = count_of(t, c->verb);
	bool ok = c->code < 400 && c->code != 354;
	t->last = c->verb;
	if (n) {
		n->all++;
		n->ok += ok;
	}
	if (!strcmp(c->verb, "MAIL"))
		snprintf(t->from, sizeof t->from, "%.*s", SPAN_FMT(path_of(c->line)));
	if (c->code >= 400 && !t->told)
		engine_refused(t, x, c);
	t->told = false;
	t->quit = c->code == 221 || c->code == 421;
}

/* "ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4", as Postfix. */
static void counts_text(const struct serve_talk *t, struct buf *b)
{
	unsigned ok = 0, all = 0;
	for (size_t i = 0; i < t->verbs; i++) {
		const struct talk_count *n = &t->count[i];
		ok += n->ok;
		all += n->all;
		for (const char *p = n->verb; *p; p++)
			buf_addc(b, ascii_lower(*p));
		buf_addf(b, n->ok == n->all ? "=%u " : "=%u/%u ", n->ok, n->all);
	}
	if (t->verbs)
		buf_addf(b, ok == all ? "commands=%u" : "commands=%u/%u", ok, all);
}

void talk_end(struct serve_talk *t, const struct smtp_session *x, const struct err *err)
{
	struct buf counts;
	buf_init(&counts, 1024);
	if (!t->began)
		talk_begin(t, x); /* TLS failed before the greeting */
	counts_text(t, &counts);
	struct event e = { .kind = EVENT_DISCONNECT,
		.counts = buf_span(&counts),
		.stage = t->last,
		.lost = !t->quit,
		.timeout = err->sys == ETIMEDOUT || span_starts(span_str(err->text), "timeout"),
		.text = span_str(err->text),
		.messages = t->messages,
		.refused = t->refused,
		.seconds = (now_us() - t->began) / 1000000,
		.client = x->peer_ip,
		.name = x->peer_name }; /* the rest of x is gone */
	event(&e);
	log_session(NULL);
	buf_free(&counts);
}
