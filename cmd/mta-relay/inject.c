/* SPDX-License-Identifier: ISC
 *
 * `mta-relay inject`: a message on stdin into the queue.
 */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "io/trace.h"
#include "msg/addr.h"
#include "msg/header.h"
#include "mta-relay/content.h"
#include "mta-relay/events.h"
#include "mta-relay/received.h"
#include "mta-relay/relay.h"
#include "mta-relay/spool_dir.h"
#include "smtp/param.h"

enum {
	PIECE = 65536
};

struct inject_options {
	const char *from, *queue, *hostname, *ret, *envid, *notify, *trace, *log_file;
	int64_t hold_for; /* ms */
	const char *hold_until, *by, *priority;
	bool requiretls;
	int log;
	uint64_t max_size;
	int durability; /* enum durability */
};

#define AT(member) offsetof(struct inject_options, member)
const struct opt relay_inject_options[] = {
	{ "from", 'f', OPT_STR, AT(from), "ADDRESS", "reverse-path, '' for the null one (default: USER@HOSTNAME)", NULL,
	    OPT_NO_CONFIG },
	{ "queue", 0, OPT_STR, AT(queue), "DIR", "the queue (default " RELAY_DEFAULT_QUEUE ")", NULL, 0 },
	{ "durability", 0, OPT_CHOICE, AT(durability), NULL, "by a file of its own, a shared log, or as fits",
	    DURABILITY_CHOICES, 0 },
	{ "hostname", 0, OPT_STR, AT(hostname), "NAME", "our name in the Received field", NULL, 0 },
	{ "max-size", 0, OPT_SIZE, AT(max_size), "SIZE", "largest message (default 100M)", NULL, 0 },
	{ "ret", 0, OPT_STR, AT(ret), "FULL|HDRS", "what a report of failure returns (RFC 3461)", NULL, OPT_NO_CONFIG },
	{ "envid", 0, OPT_STR, AT(envid), "TEXT", "what reports call this message", NULL, OPT_NO_CONFIG },
	{ "notify", 0, OPT_STR, AT(notify), "LIST", "NEVER, or some of SUCCESS,FAILURE,DELAY", NULL, OPT_NO_CONFIG },
	{ "requiretls", 0, OPT_FLAG, AT(requiretls), NULL, "only over TLS, on all hops (RFC 8689)", NULL,
	    OPT_NO_CONFIG },
	{ "hold-for", 0, OPT_DURATION, AT(hold_for), "TIME", "not to be sent before that", NULL, OPT_NO_CONFIG },
	{ "hold-until", 0, OPT_STR, AT(hold_until), "DATE", "the same, as 2026-11-30T08:00:00Z", NULL, OPT_NO_CONFIG },
	{ "by", 0, OPT_STR, AT(by), "SECONDS;R|N", "else return it, or notify (RFC 2852)", NULL, OPT_NO_CONFIG },
	{ "priority", 0, OPT_STR, AT(priority), "N", "-9 to 9: before or after others (RFC 6710)", NULL,
	    OPT_NO_CONFIG },
	{ "trace", 0, OPT_STR, AT(trace), "FILE", "append events to FILE", NULL, 0 },
	{ "log", 0, OPT_CHOICE, AT(log), NULL, "whose lines the log has", "native|postfix", 0 },
	{ "log-file", 0, OPT_STR, AT(log_file), "FILE", "append the log to FILE", NULL, 0 },
	{ NULL, 0, 0, 0, NULL, NULL, NULL, 0 },
};

static const struct opts program = {
	.prog = "mta-relay inject",
	.synopsis = "[OPTION]... RECIPIENT... <MESSAGE",
	.about = "Accepts the message on stdin into the queue.",
	.table = relay_inject_options,
};

static int check_address(const char *text, struct arena *a, struct err *err)
{
	struct addr parsed;
	if (addr_parse_mailbox(span_str(text), true, true, &parsed, a))
		return 0;
	return err_set(err, ERR_USAGE, "%s is not an address", log_quote(span_str(text)));
}

static const char *sender(const struct inject_options *o, struct arena *a)
{
	const struct passwd *pw = getpwuid(getuid());
	char number[32];
	if (o->from)
		return strcmp(o->from, "<>") ? o->from : "";
	snprintf(number, sizeof number, "uid%lu", (unsigned long)getuid());
	return arena_printf(a, "%s@%s", pw ? pw->pw_name : number, relay_hostname(o->hostname));
}

static void add_param(struct smtp_args *args, const char *name, const char *value)
{
	if (value)
		args->v[args->n++] = (struct smtp_param){ span_str(name), span_str(value), true };
}

static void take_times(const struct smtp_mail_params *p, struct arena *a, struct spool_envelope *env)
{
	int64_t now = spool_now() / 1000000;
	env->has_priority = p->has_priority;
	env->priority = p->priority;
	env->by_mode = p->by.mode;
	env->by_trace = p->by.trace;
	env->by_time = p->by.mode ? now + p->by.seconds : 0;
	env->hold_until = p->hold_for ? now + p->hold_for : p->hold_until;
	env->hold = p->hold;
	if (p->hold.n)
		env->hold = span_str(arena_printf(a, "%s;%.*s", p->hold_for ? "for" : "until", SPAN_FMT(p->hold)));
}

static int check_params(const struct inject_options *o, struct arena *a, struct spool_envelope *env, struct err *err)
{
	struct smtp_args args = { .n = 0 };
	struct smtp_mail_params mail;
	struct smtp_rcpt_params rcpt;
	struct buf xtext;
	if (o->hold_for)
		add_param(&args, "HOLDFOR", arena_printf(a, "%lld", (long long)(o->hold_for + 999) / 1000));
	add_param(&args, "HOLDUNTIL", o->hold_until);
	add_param(&args, "BY", o->by);
	add_param(&args, "MT-PRIORITY", o->priority);
	buf_init(&xtext, LIMIT_SMTP_COMMAND);
	add_param(&args, "RET", o->ret);
	if (o->envid) {
		xtext_encode(span_str(o->envid), &xtext);
		args.v[args.n++] = (struct smtp_param){ SPAN("ENVID"), arena_span(a, buf_span(&xtext)), true };
	}
	buf_free(&xtext);
	if (smtp_mail_params(&args, &mail, err) < 0)
		return -1;
	env->ret = mail.ret;
	env->envid = mail.envid;
	env->requiretls = o->requiretls;
	take_times(&mail, a, env);
	if (env->hold_until && env->by_mode && env->hold_until > env->by_time)
		return err_set(err, ERR_USAGE, "it would be held longer than until it is to be delivered");
	args.n = 0;
	add_param(&args, "NOTIFY", o->notify);
	if (smtp_rcpt_params(&args, false, &rcpt, err) < 0)
		return -1;
	for (size_t i = 0; i < env->n_rcpt; i++)
		env->rcpt[i].notify = rcpt.notify;
	return 0;
}

static int make_envelope(
    const struct inject_options *o, char **rcpt, size_t n, struct arena *a, struct spool_envelope *env, struct err *err)
{
	struct span none = span_of(NULL, 0);
	const char *from = sender(o, a);
	/* Whether it has 8-bit content is not known yet: that 7-bit content may be said to be 8BITMIME hurts nobody. */
	*env = (struct spool_envelope){ .from = span_str(from),
		.ret = none,
		.envid = none,
		.auth = none,
		.client = SPAN("local"),
		.helo = none,
		.user = none,
		.n_rcpt = n };
	if (*from && check_address(from, a, err) < 0)
		return -1;
	if (n == 0)
		return err_set(err, ERR_USAGE, "no recipient");
	env->rcpt = arena_alloc(a, n * sizeof *env->rcpt);
	env->utf8 = addr_needs_utf8(env->from);
	for (size_t i = 0; i < n; i++) {
		if (check_address(rcpt[i], a, err) < 0)
			return -1;
		env->rcpt[i] = (struct spool_rcpt){ span_str(rcpt[i]), none, none, none };
		env->utf8 |= addr_needs_utf8(env->rcpt[i].addr);
	}
	if (check_params(o, a, env, err) < 0) {
		err->class = ERR_USAGE;
		return -1;
	}
	return 0;
}

static void write_received(const struct inject_options *o, uid_t who, struct spool_writer *w)
{
	struct buf line;
	buf_init(&line, LIMIT_SMTP_COMMAND);
	buf_addf(&line, "Received: by %s (waypost, from uid %lu)\r\n\tid %s; %s\r\n", relay_hostname(o->hostname),
	    (unsigned long)who, spool_writer_id(w), received_date(spool_now() / 1000000));
	spool_write(w, buf_span(&line));
	buf_free(&line);
}

/* A "From " line that a mailbox put before the message is no part of it. */
static struct span without_from_line(struct span first)
{
	if (span_starts(first, "From ") && span_chr(first, '\n') >= 0)
		span_cut(&first, '\n');
	return first;
}

struct seen {
	uint64_t size;
	char mid[400];
};

static void look(struct span first, struct seen *seen)
{
	struct header_field f;
	if (header_find(first, "Message-ID", &f))
		snprintf(seen->mid, sizeof seen->mid, "%.*s", SPAN_FMT(span_trim(f.value)));
}

/* What its header asks of the transport belongs to the envelope, which is written before it. */
static void look_ahead(const struct inject_options *o, struct span first, struct spool_envelope *env)
{
	struct content_facts facts = { 0 };
	struct header_field f;
	while (header_next(&first, &f))
		content_look_field(&f, &facts);
	env->tls_optional = facts.tls_optional && !env->requiretls;
	if (!o->priority && facts.has_priority) {
		env->has_priority = true;
		env->priority = facts.priority;
	}
}

/* As much as fits, so that the first piece has the header however it was written. 1 with a piece, 0 at the end, -1 with
 * err. */
static int read_piece(struct span *out, struct err *err)
{
	static char piece[PIECE];
	size_t len = 0;
	ssize_t n = 1;
	while (n > 0 && len < sizeof piece) {
		n = read(STDIN_FILENO, piece + len, sizeof piece - len);
		if (n < 0 && errno != EINTR)
			return err_sys(err, "stdin");
		len += n > 0 ? (size_t)n : 0;
		n = n < 0 ? 1 : n;
	}
	*out = span_of(piece, len);
	return len > 0;
}

/* first: what was read already. */
static int copy_message(
    const struct inject_options *o, struct span first, struct spool_writer *w, struct seen *seen, struct err *err)
{
	struct span s = without_from_line(first);
	uint64_t total = 0;
	int rc = 1;
	look(s, seen);
	for (size_t n = first.n; rc > 0; n = s.n) {
		spool_write(w, s);
		total += n;
		if (total > o->max_size)
			return err_set(
			    err, ERR_LIMIT, "the message is larger than %llu bytes", (unsigned long long)o->max_size);
		rc = read_piece(&s, err);
	}
	seen->size = total;
	return rc;
}

static struct spool_writer *begin(
    const struct inject_options *o, struct spool *s, struct span first, struct spool_envelope *env, struct err *err)
{
	look_ahead(o, without_from_line(first), env);
	return spool_begin(s, env, err);
}

static int inject(const struct inject_options *o, struct spool_envelope *env, struct err *err)
{
	char id[SPOOL_ID_SIZE];
	struct seen seen = { 0 };
	uid_t who = getuid(); /* root becomes another one */
	/* One message is not worth a log of its own. */
	spool_durability(o->durability == DURABILITY_LOG ? DURABILITY_LOG : DURABILITY_FILE);
	struct span first;
	int got = read_piece(&first, err);
	if (got <= 0)
		return got < 0 ? -1 : err_set(err, ERR_DATA, "the message is empty");
	struct spool *s = spool_as_owner(o->queue, err) < 0 ? NULL : spool_open(o->queue, err);
	struct spool_writer *w = s ? begin(o, s, first, env, err) : NULL;
	int rc = -1;
	if (w) {
		write_received(o, who, w);
		rc = copy_message(o, first, w, &seen, err);
		if (rc == 0)
			rc = spool_commit(w, id, err);
		else
			spool_abort(w);
	}
	if (rc == 0) {
		trace_qid(id);
		trace_why("queue", "ok", NULL, "accepted from stdin for %zu recipient%s, queued as %s", env->n_rcpt,
		    env->n_rcpt == 1 ? "" : "s", id);
		struct event e = { .kind = EVENT_ACCEPT,
			.qid = id,
			.client = "local",
			.uid = (unsigned)who,
			.from = env->from,
			.rcpts = env->n_rcpt,
			.size = seen.size,
			.mid = span_str(seen.mid),
			.how = "injected" };
		event(&e);
	}
	spool_close(s);
	return rc;
}

int relay_inject(int argc, char **argv)
{
	static struct inject_options o = {
		.queue = RELAY_DEFAULT_QUEUE, .max_size = LIMIT_MESSAGE_DEFAULT, .durability = DURABILITY_AUTO
	};
	struct opts own = program;
	struct spool_envelope env;
	struct err err = { 0 };
	struct arena *a = arena_new();
	int first, status;
	own.values = &o;
	if (relay_options(argc, argv, &own, &first, &status) == OPTS_OK &&
	    (events_open((enum event_format)o.log, "pickup", o.log_file, &err) < 0 ||
		trace_open("mta-relay", "mta", o.trace, false, &err) < 0 ||
		make_envelope(&o, argv + first, (size_t)(argc - first), a, &env, &err) < 0 ||
		inject(&o, &env, &err) < 0)) {
		relay_complain(own.prog, &err);
		status = err_exit_status(&err);
	}
	arena_free(a);
	return status;
}
