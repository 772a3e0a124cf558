/* SPDX-License-Identifier: ISC
 *
 * `mta-relay inject`: a message on stdin into the queue.
 */
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
#include "msg/date.h"
#include "msg/header.h"
#include "mta-relay/content/content.h"
#include "mta-relay/events/events.h"
#include "mta-relay/inject/inject_text.h"
#include "mta-relay/policy/address_options.h"
#include "mta-relay/policy/generic.h"
#include "mta-relay/relay.h"
#include "mta-relay/spool/spool_dir.h"
#include "smtp/param.h"

struct inject_options {
	const char *from, *queue, *hostname, *ret, *envid, *notify, *trace, *log_file;
	int64_t hold_for; /* ms */
	const char *hold_until, *by, *priority, *delimiter;
	bool requiretls, binary;
	struct address_options addresses;
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
	{ "binarymime", 0, OPT_FLAG, AT(binary), NULL, "it is binary MIME, taken to the byte (RFC 3030)", NULL,
	    OPT_NO_CONFIG },
	{ "delimiter", 0, OPT_STR, AT(delimiter), "CHARS", "what sets off detail in user+detail", NULL, 0 },
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

static const struct opt_group groups[] = {
	{ relay_rewrite_options, AT(addresses) },
	{ 0 },
};

static const struct opts program = {
	.prog = "mta-relay inject",
	.synopsis = "[OPTION]... RECIPIENT... <MESSAGE",
	.about = "Accepts the message on stdin into the queue.",
	.table = relay_inject_options,
	.groups = groups,
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
	*env = (struct spool_envelope){ .from = span_str(from),
		.ret = none,
		.envid = none,
		.auth = none,
		.next_hop = none,
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
	    (unsigned long)who, spool_writer_id(w), date_here(spool_now() / 1000000));
	spool_write(w, buf_span(&line));
	buf_free(&line);
}

/* What its header asks of the transport. */
static void look(const struct inject_options *o, struct span header, struct spool_envelope *env)
{
	struct content_facts facts = { 0 };
	struct header_field f;
	while (header_next(&header, &f))
		content_look_field(&f, &facts);
	env->tls_optional = facts.tls_optional && !env->requiretls;
	if (!o->priority && facts.has_priority) {
		env->has_priority = true;
		env->priority = facts.priority;
	}
}

/* As serve writes the addresses of those who may relay; the reports name what was given. */
static int rewrite(const struct address_tables *tables, struct arena *a, struct inject_text *t,
    struct spool_envelope *env, struct err *err)
{
	const struct rewrite_rules *rules = &tables->rewrite;
	if (!tables->rewrites)
		return 0;
	const char *from = generic_address(rules, a, REWRITE_SENDER, env->from, err);
	if (!from)
		return -1;
	env->from = span_str(from);
	for (size_t i = 0; i < env->n_rcpt; i++) {
		struct spool_rcpt *r = &env->rcpt[i];
		const char *to = generic_address(rules, a, REWRITE_RECIPIENT, r->addr, err);
		if (!to)
			return -1;
		if (!span_eqs(r->addr, to))
			r->original = r->addr;
		r->addr = span_str(to);
	}
	return inject_text_rewrite(t, rules, a, err);
}

static int by_address(const void *a, const void *b)
{
	const struct spool_rcpt *x = *(struct spool_rcpt *const *)a, *y = *(struct spool_rcpt *const *)b;
	int order = addr_order(x->addr, y->addr);
	return order ? order : (x > y) - (x < y);
}

/* Who is named twice, or is so as addresses are written, gets it once; those that are left stay in their order. */
static void each_once(struct spool_envelope *env, struct arena *a)
{
	struct spool_rcpt **v = arena_alloc(a, env->n_rcpt * sizeof *v);
	bool *again = arena_alloc(a, env->n_rcpt * sizeof *again);
	size_t n = 0;
	for (size_t i = 0; i < env->n_rcpt; i++) {
		v[i] = &env->rcpt[i];
		again[i] = false;
	}
	qsort(v, env->n_rcpt, sizeof(struct spool_rcpt *), by_address);
	for (size_t i = 1; i < env->n_rcpt; i++)
		again[v[i] - env->rcpt] = addr_order(v[i]->addr, v[i - 1]->addr) == 0;
	for (size_t i = 0; i < env->n_rcpt; i++)
		if (!again[i])
			env->rcpt[n++] = env->rcpt[i];
	env->n_rcpt = n;
}

static int prepare(
    const struct inject_options *o, struct arena *a, struct inject_text *t, struct spool_envelope *env, struct err *err)
{
	struct address_tables tables;
	if (inject_text_read(t, STDIN_FILENO, o->max_size, err) < 0 || inject_text_fit(t, o->binary, env, err) < 0 ||
	    address_tables_open(&tables, &o->addresses, o->delimiter, err) < 0)
		return -1;
	int rc = rewrite(&tables, a, t, env, err);
	address_tables_close(&tables);
	each_once(env, a);
	look(o, t->head, env);
	return rc;
}

static void tell(const char *id, const struct spool_envelope *env, const struct inject_text *t, uid_t who)
{
	struct header_field f;
	bool named = header_find(t->head, "Message-ID", &f);
	trace_qid(id);
	trace_why("queue", "ok", NULL, "accepted from stdin for %zu recipient%s, queued as %s", env->n_rcpt,
	    env->n_rcpt == 1 ? "" : "s", id);
	struct event e = { .kind = EVENT_ACCEPT,
		.qid = id,
		.client = "local",
		.uid = (unsigned)who,
		.from = env->from,
		.rcpts = env->n_rcpt,
		.size = t->head.n + t->body.n,
		.mid = named ? span_trim(f.value) : SPAN(""),
		.how = "injected" };
	event(&e);
}

static int put(
    const struct inject_options *o, const struct inject_text *t, const struct spool_envelope *env, struct err *err)
{
	char id[SPOOL_ID_SIZE];
	uid_t who = getuid(); /* root becomes another one */
	/* One message is not worth a log of its own. */
	spool_durability(o->durability == DURABILITY_LOG ? DURABILITY_LOG : DURABILITY_FILE);
	struct spool *s = spool_as_owner(o->queue, err) < 0 ? NULL : spool_open(o->queue, err);
	struct spool_writer *w = s ? spool_begin(s, env, err) : NULL;
	int rc = -1;
	if (w) {
		write_received(o, who, w);
		spool_write(w, t->head);
		spool_write(w, t->body);
		rc = spool_commit(w, id, err);
	}
	if (rc == 0)
		tell(id, env, t, who);
	spool_close(s);
	return rc;
}

static int inject(const struct inject_options *o, struct arena *a, struct spool_envelope *env, struct err *err)
{
	struct inject_text t;
	int rc = prepare(o, a, &t, env, err);
	if (rc == 0)
		rc = put(o, &t, env, err);
	inject_text_free(&t);
	return rc;
}

int relay_inject(int argc, char **argv)
{
	static struct inject_options o = { .queue = RELAY_DEFAULT_QUEUE,
		.max_size = LIMIT_MESSAGE_DEFAULT,
		.durability = DURABILITY_AUTO,
		.delimiter = "+" };
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
		inject(&o, a, &env, &err) < 0)) {
		relay_complain(own.prog, &err);
		status = err_exit_status(&err);
	}
	arena_free(a);
	return status;
}
