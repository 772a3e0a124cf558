/* SPDX-License-Identifier: ISC
 *
 * Commands that a message is piped through. The exit status decides, in sysexits.h's terms; what is not a clear no is
 * taken for a failure, and the client keeps the message.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "io/trace.h"
#include "mta-relay/content/content_edit.h"
#include "mta-relay/hooks/filter.h"
#include "mta-relay/serve/serve_check.h"
#include "smtp/reply.h"

enum {
	EXIT_DISCARD = 99,
	ENV_MAX = 16,
	ENV_RCPTS = 16384, /* bytes of recipients that an environment is burdened with */
	ROOM = 65536       /* that a filter may add to the largest message */
};

static const char *const variables[] = { "SENDER", "RECIPIENTS", "RECIPIENT", "RECIPIENT_COUNT", "QUEUE_ID",
	"CLIENT_ADDRESS", "CLIENT_NAME", "CLIENT_HELO", "SASL_USERNAME", "ENVID", "SIZE", NULL };

struct env {
	const char *v[ENV_MAX];
	size_t n;
	struct arena *arena;
};

/* A value's control characters but LF would only be trouble. */
static void set(struct env *e, const char *name, struct span value)
{
	char *text = arena_printf(e->arena, "%s=%.*s", name, SPAN_FMT(value));
	for (char *p = text; *p; p++)
		if (((unsigned char)*p < 32 && *p != '\n') || *p == 127)
			*p = '?';
	e->v[e->n++] = text;
}

static void set_recipients(struct env *e, const struct smtp_env *env)
{
	struct buf b;
	buf_init(&b, ENV_RCPTS);
	for (size_t i = 0; i < env->n_rcpt; i++) {
		if (i)
			buf_addc(&b, '\n');
		buf_addspan(&b, env->rcpt[i].text);
	}
	if (!b.bad)
		set(e, "RECIPIENTS", buf_span(&b));
	if (env->n_rcpt == 1)
		set(e, "RECIPIENT", env->rcpt[0].text);
	set(e, "RECIPIENT_COUNT", span_str(arena_printf(e->arena, "%zu", env->n_rcpt)));
	buf_free(&b);
}

static void fill(struct env *e, const struct relay_session *s, const struct smtp_session *x)
{
	set(e, "SENDER", x->env.from);
	set_recipients(e, &x->env);
	set(e, "QUEUE_ID", span_str(s->id));
	set(e, "CLIENT_ADDRESS", span_str(x->peer_ip));
	set(e, "CLIENT_NAME", span_str(x->peer_name));
	set(e, "CLIENT_HELO", x->helo);
	set(e, "SASL_USERNAME", x->user);
	set(e, "ENVID", x->env.envid);
	set(e, "SIZE", span_str(arena_printf(e->arena, "%llu", (unsigned long long)content_size(&s->rs->content))));
	e->v[e->n] = NULL;
}

/* Those that say no to the message for good, with the words that are said when stderr has none. */
static const struct {
	int status;
	int code;
	const char *enh, *text;
} refusals[] = {
	{ EX_DATAERR, 554, "5.6.0", "The message was refused by a filter" },
	{ EX_NOUSER, 550, "5.1.1", "No such user" },
	{ EX_UNAVAILABLE, 554, "5.7.1", "The message was refused by a filter" },
	{ EX_NOPERM, 554, "5.7.1", "Not allowed" },
};

/* "5.7.1 words", "550 5.7.1 words" or words: the first line of stderr. */
static void refuse(size_t i, struct span said, struct smtp_answer *a)
{
	struct span line = span_trim(span_cut(&said, '\n')), rest = line;
	uint64_t n;
	int code = refusals[i].code;
	char enh[12];
	if (span_u64(span_word(&rest), 599, &n) && n >= 500) {
		code = (int)n;
		line = span_trim(rest);
	}
	snprintf(enh, sizeof enh, "%s", refusals[i].enh);
	smtp_take_enhanced(&line, code, enh);
	smtp_answer(a, code, enh, "%.*s", SPAN_FMT(line.n ? span_slice(line, 0, 300) : span_str(refusals[i].text)));
}

static void failed(const struct relay_session *s, const char *command, struct span why, struct smtp_answer *a)
{
	log_warn("filter command=%s qid=%s error=%s", log_quote(span_str(command)), s->id, log_quote(why));
	trace_why("filter", "temp", NULL, "%s: %.*s", command, SPAN_FMT(span_slice(why, 0, 200)));
	smtp_answer(a, 451, "4.3.0", "The message could not be filtered");
}

/* What it wrote is the message from now on. */
static void accept_output(
    struct relay_session *s, struct smtp_session *x, const char *command, struct content *out, struct smtp_answer *a)
{
	struct content *c = &s->rs->content;
	if (!content_size(out)) {
		failed(s, command, SPAN("it ended well and wrote nothing"), a);
		return;
	}
	content_swap(c, out);
	/* It may have put in what was not there. */
	x->env.eightbit = true;
	content_look(c, &s->facts);
}

static void decide(struct relay_session *s, struct smtp_session *x, const char *command, int status, struct span said,
    struct smtp_answer *a)
{
	if (status == EXIT_DISCARD) {
		change_discard(s, x, command, said);
		return;
	}
	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
		if (refusals[i].status != status)
			continue;
		refuse(i, said, a);
		log_info("filter command=%s qid=%s status=%d said=%s", log_quote(span_str(command)), s->id, status,
		    log_quote(said));
		return;
	}
	failed(s, command, span_str(arena_printf(x->env.arena, "exit status %d: %.*s", status, SPAN_FMT(said))), a);
}

static int filter_set_up(struct relay_server *rs, struct err *err)
{
	const struct opt_list *l = &rs->o.hooks.filters;
	rs->hooks.filter_index = l->n ? xcalloc(l->n, sizeof *rs->hooks.filter_index) : NULL;
	for (size_t i = 0; i < l->n; i++)
		if ((rs->hooks.filter_index[i] = serve_command(rs, l->v[i], variables, err)) < 0)
			return -1;
	return 0;
}

static void filter_clean_up(struct relay_server *rs)
{
	free(rs->hooks.filter_index);
	rs->hooks.filter_index = NULL;
}

static void one_filter(struct relay_session *s, struct smtp_session *x, size_t i, struct smtp_answer *a)
{
	const char *command = s->rs->o.hooks.filters.v[i];
	struct env env = { .arena = x->env.arena };
	struct content out;
	struct buf said;
	struct err err = { 0 };
	uint64_t max = s->rs->o.max_size;
	fill(&env, s, x);
	content_init(&out);
	buf_init(&said, FILTER_SAID_MAX);
	const struct filter f = { .command = command,
		.env = env.v,
		.broker = s->rs->broker,
		.index = s->rs->hooks.filter_index[i],
		.timeout = s->rs->o.hooks.filter_timeout,
		.max_size = max ? max + ROOM : 0 };
	int status = filter_run(&f, &s->rs->content, &out, &said, &err);
	if (status < 0)
		failed(s, command, span_str(err.text), a);
	else if (status == 0)
		accept_output(s, x, command, &out, a);
	else
		decide(s, x, command, status, span_trim(buf_span(&said)), a);
	content_free(&out);
	buf_free(&said);
}

static void filter_message(struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	const struct opt_list *l = &s->rs->o.hooks.filters;
	/* Its lines are not text's: no filter could tell what it may change. */
	if (l->n && x->env.binary)
		smtp_answer(a, 554, "5.6.1", "BINARYMIME cannot be filtered");
	for (size_t i = 0; i < l->n && !a->code && !s->change.discard; i++)
		one_filter(s, x, i, a);
}

const struct serve_check filter_check = {
	.name = "filter",
	.set_up = filter_set_up,
	.clean_up = filter_clean_up,
	.message = filter_message,
};
