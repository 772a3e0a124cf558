/* SPDX-License-Identifier: ISC */
#include "mta-relay/run/run_deliver.h"

#include <errno.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/log.h"
#include "io/trace.h"
#include "msg/addr.h"
#include "msg/header.h"
#include "mta-relay/events/events.h"
#include "mta-relay/hop/resend.h"
#include "mta-relay/policy/generic.h"
#include "mta-relay/run/run_content.h"
#include "mta-relay/run/run_wishes.h"
#include "smtp/reply.h"

enum {
	BATCH = 100,  /* recipients of one transaction: RFC 5321 4.5.3.1.8 promises no more */
	BATCHES = 10, /* in a row, when nobody else waits for the destination */
	HEADER_LOOK = 262144,
	LINES_MAX = 16 * 1024 * 1024,
};

/* One attempt at one message. */
struct attempt {
	struct deliver *d;
	struct spool_msg *m;
	struct deliver_done *out;
	int64_t now, began; /* seconds; microseconds */
	const char *tls;    /* of the conversation in which the outcomes were learnt; NULL: there was none */
	bool ends;          /* what is recorded now is the last of this message */
	bool unrecorded;    /* an outcome was not written */
	struct buf *lines;  /* that would say it */
	struct run_content content;
	const char **written; /* by --generic, the recipients' addresses, by the envelope's rows; NULL: their own */
};

static const char *text_or_null(struct arena *a, struct span s)
{
	return s.n ? arena_str(a, s) : NULL;
}

/* As the addresses are written to the host that this route leads to. */
static int write_otherwise(
    struct attempt *x, const struct route *r, const size_t *rcpt, size_t n, const char **from, struct err *err)
{
	const struct spool_envelope *env = &x->m->file.env;
	bool ours = r->kind == ROUTE_LMTP || env->next_hop.n;
	const struct rewrite_rules *rules = ours ? NULL : routes_generic(x->d->routes);
	struct arena *a = x->m->arena;
	x->written = NULL;
	*from = wishes_address(a, env->from);
	if (run_content_generic(&x->content, rules, err) < 0)
		return -1;
	if (!rules)
		return 0;
	x->written = arena_alloc(a, env->n_rcpt * sizeof(const char *));
	for (size_t i = 0; i < n; i++)
		if (!(x->written[rcpt[i]] = generic_address(rules, a, REWRITE_RECIPIENT, env->rcpt[rcpt[i]].addr, err)))
			return -1;
	if (!(*from = generic_address(rules, a, REWRITE_SENDER, env->from, err)))
		return -1;
	*from = wishes_address(a, span_str(*from));
	return 0;
}

static void fill_message(struct attempt *x, const char *from, struct hop_message *msg)
{
	const struct spool_envelope *env = &x->m->file.env;
	struct arena *a = x->m->arena;
	*msg = (struct hop_message){ .rewind = run_content_rewind,
		.has_eightbit = run_content_has_eightbit,
		.begun = &x->content.begun,
		.suit = run_content_suit };
	msg->m = (struct smtp_message){ .from = from,
		.ret = text_or_null(a, env->ret),
		.envid = text_or_null(a, env->envid),
		.auth = arena_str(a, env->auth),
		.utf8 = run_content_needs_utf8(&x->content) || span_eightbit(span_str(from)),
		.eightbit = env->eightbit,
		.binary = env->binary,
		.has_priority = env->has_priority,
		.priority = env->priority,
		.by = { .seconds = env->by_time - x->now, .mode = env->by_mode, .trace = env->by_trace },
		.size = run_content_size(&x->content),
		.read = run_content_read,
		.arg = &x->content };
}

/* RFC 2852 4.1.4: who wants to know how far it came, or that the promise ends here. */
static bool tells_relay(const struct spool_envelope *env, const struct hop_result *hop)
{
	return env->by_mode && (env->by_trace || !hop->deliver_by);
}

static enum spool_state state_of(const struct attempt *x, const struct err *result, const struct hop_result *hop)
{
	const struct spool_envelope *env = &x->m->file.env;
	if (result->class == ERR_PERM)
		return SPOOL_FAILED;
	if (result->class != ERR_NONE)
		return SPOOL_DEFERRED;
	if (hop->final)
		return SPOOL_DELIVERED;
	if (tells_relay(env, hop))
		return SPOOL_RELAYED;
	/* With BY "relayed" is told to all who did not forbid it. */
	return hop->dsn || env->by_mode ? SPOOL_HANDED : SPOOL_RELAYED;
}

static void tell(const struct attempt *x, size_t rcpt, const struct spool_outcome *o)
{
	char why[900];
	const struct spool_rcpt *r = &x->m->file.env.rcpt[rcpt];
	struct span to = r->addr;
	struct event deliver = { .kind = EVENT_DELIVER,
		.qid = x->m->id,
		.to = to,
		.orig_to = r->original,
		.relay = o->relay,
		.tls = x->tls && *x->tls ? log_quote(span_str(x->tls)) : "none",
		.delay =
		    x->began < x->m->file.env.arrived ? spool_now() - x->began : spool_now() - x->m->file.env.arrived,
		.tried = spool_now() - x->began,
		.status = spool_state_name(o->state),
		.code = o->code,
		.enh = o->enh,
		.text = o->text };
	event(&deliver);
	snprintf(why, sizeof why, "<%.250s> %s by %.200s%s%.90s: %.400s", to.p, spool_state_name(o->state),
	    o->relay.n ? o->relay.p : "ourselves", x->tls && *x->tls ? ", " : "", x->tls ? x->tls : "", o->text.p);
	struct trace_event e = { .ev = "deliver",
		.code = o->code,
		.why = why,
		.result = o->state == SPOOL_FAILED     ? "perm"
			  : o->state == SPOOL_DEFERRED ? "temp"
						       : "ok" };
	trace_event(&e);
}

static bool taken(enum spool_state st)
{
	return spool_state_final(st) && st != SPOOL_FAILED;
}

/* Are these outcomes the last that were missing, with nobody to be told of any? Then the removal of the file is all
 * that has to be on disk: one sync rather than two. */
static bool settles_all(const struct attempt *x, const struct spool_outcome *o, size_t n)
{
	const struct spool_file *f = &x->m->file;
	size_t open = 0;
	for (size_t i = 0; i < n; i++)
		if (!taken(o[i].state))
			return false;
	for (size_t i = 0; i < f->env.n_rcpt; i++) {
		if (!spool_state_final(f->state[i].last.state)) {
			open++;
			if (bounce_wants_success(f->env.rcpt[i].notify) || f->env.by_mode)
				return false;
		} else if (bounce_due(x->m, i, &x->d->bounce, x->now)) {
			return false;
		}
	}
	return open == n;
}

/* Not on disk, but known until the message is finished: it may still be removed whole. */
static void keep_in_mind(struct attempt *x, struct span lines)
{
	x->unrecorded = true;
	buf_addspan(x->lines, lines);
	while (lines.n)
		spool_parse_line(span_cut(&lines, '\n'), x->m->arena, &x->m->file);
}

static void record_lines(struct attempt *x, struct span lines, bool final)
{
	struct err err = { 0 };
	int rc = final ? spool_record(x->m, lines, &err) : spool_record_lightly(x->m, lines, &err);
	if (rc < 0) {
		log_err("record qid=%s reason=%s", x->m->id, log_quote(span_str(err.text)));
		keep_in_mind(x, lines);
	}
}

/* Writes the outcomes of these recipients. */
static void record(struct attempt *x, const size_t *rcpt, const struct spool_outcome *o, size_t n)
{
	struct buf lines;
	bool final = false;
	buf_init(&lines, LINES_MAX);
	for (size_t i = 0; i < n; i++) {
		spool_format_outcome(rcpt[i], &o[i], &lines);
		final |= spool_state_final(o[i].state);
		tell(x, rcpt[i], &o[i]);
	}
	if (x->ends && settles_all(x, o, n))
		keep_in_mind(x, buf_span(&lines));
	else
		record_lines(x, buf_span(&lines), final);
	buf_free(&lines);
}

static void outcome(const struct attempt *x, const struct err *result, const char *reply, const struct hop_result *hop,
    struct spool_outcome *o)
{
	struct span text = span_str(*reply ? reply : result->text), word = text;
	uint64_t code;
	*o = (struct spool_outcome){ .state = state_of(x, result, hop), .when = x->now, .code = result->code };
	memcpy(o->enh, result->enh, sizeof o->enh);
	/* RFC 3463 2: what is tried again has not failed for good, whatever the server that we log in to said. */
	if (o->state == SPOOL_DEFERRED && o->enh[0] == '5')
		o->enh[0] = '4';
	/* The code and the status are fields of their own. */
	struct span first = span_word(&word);
	if (first.n == 3 && span_u64(first, 599, &code) && (int)code == o->code)
		text = span_trim(word);
	word = text;
	if (*o->enh && span_eqs(span_word(&word), o->enh))
		text = span_trim(word);
	o->text = text;
	o->relay = span_str(hop->relay);
}

/* Recipients of one transaction, rows of the envelope. */
struct rcpt_batch {
	size_t *v, n;
	size_t left; /* of them, at the end: for another transaction */
};

/* RFC 5321 4.5.3.1.10: those for whom there was no room in this transaction come to the end, for the next. How many;
 * none when there was room for nobody. */
static size_t left_over(struct smtp_rcpt *to, size_t *rcpt, size_t n)
{
	size_t kept = 0;
	for (size_t i = 0; i < n; i++) {
		struct smtp_rcpt one = to[i];
		size_t row = rcpt[i];
		if (resend_too_many(&one))
			continue;
		to[i] = to[kept];
		rcpt[i] = rcpt[kept];
		to[kept] = one;
		rcpt[kept++] = row;
	}
	return kept ? n - kept : 0;
}

/* Why nobody could be reached, as those are told who are not tried: with its status before it (RFC 3463). */
static void put_reason(struct deliver_done *out, const struct err *err)
{
	bool known = *err->enh;
	snprintf(out->why, sizeof out->why, "%s%.10s%s%.370s", known ? "4" : "", known ? err->enh + 1 : "",
	    known ? " " : "", err->text);
}

static void take_reason(const char *why, struct err *err)
{
	struct span text = span_str(why);
	char enh[12] = "4.4.1";
	smtp_take_enhanced(&text, 451, enh);
	err_set(err, ERR_TEMP, "%.*s", SPAN_FMT(text));
	memcpy(err->enh, enh, sizeof enh);
}

/* Of n recipients the outcomes that one server told, or nobody could be reached to tell. */
static void record_from(struct attempt *x, const struct hop_results *hops, unsigned mark, const struct smtp_rcpt *to,
    const struct rcpt_batch *batch, const struct err *failed)
{
	const struct hop_result *hop = &hops->of[mark];
	struct spool_outcome o[BATCH];
	size_t row[BATCH], n = 0;
	for (size_t i = 0; i < batch->n - batch->left; i++) {
		if (to[i].mark != mark)
			continue;
		/* The conversation failed before this one was answered, or it never began. */
		bool unanswered = failed && !*to[i].reply;
		outcome(x, unanswered ? failed : &to[i].result, to[i].reply, hop, &o[n]);
		row[n] = batch->v[i];
		if (o[n].state == SPOOL_HANDED && !hop->dsn && bounce_wants_success(x->m->file.env.rcpt[row[n]].notify))
			o[n].state = SPOOL_RELAYED;
		n++;
	}
	x->tls = hop->tls;
	if (n)
		record(x, row, o, n);
	x->tls = NULL;
}

/* At most BATCH recipients in one transaction. */
static int send_batch(struct attempt *x, const struct route *r, struct hop_message *msg, struct rcpt_batch *batch)
{
	size_t *rcpt = batch->v, n = batch->n;
	struct smtp_rcpt to[BATCH] = { 0 };
	struct hop_results hops;
	struct err err = { 0 };
	struct arena *a = x->m->arena;
	bool utf8 = msg->m.utf8;
	for (size_t i = 0; i < n; i++) {
		struct span own = x->m->file.env.rcpt[rcpt[i]].addr;
		to[i].address = wishes_address(a, x->written ? span_str(x->written[rcpt[i]]) : own);
		msg->m.utf8 |= span_eightbit(span_str(to[i].address));
	}
	for (size_t i = 0; i < n; i++) {
		const struct spool_rcpt *e = &x->m->file.env.rcpt[rcpt[i]];
		to[i].notify = text_or_null(a, e->notify);
		to[i].orcpt = wishes_orcpt(a, e, msg->m.utf8);
	}
	msg->m.rcpt = to;
	msg->m.n_rcpt = n;
	run_content_rewind(&x->content);
	int rc = hop_send(x->d->hop, r, msg, &hops, &err);
	msg->m.utf8 = utf8;
	batch->left = rc < 0 ? 0 : left_over(to, rcpt, n);
	for (unsigned i = 0; i < hops.n; i++)
		record_from(x, &hops, i, to, batch, rc < 0 ? &err : NULL);
	x->out->unreachable |= hops.of[0].unreachable;
	x->out->reached |= !hops.of[0].unreachable;
	memcpy(x->out->site, hops.of[hops.n - 1].site, sizeof x->out->site);
	if (rc < 0)
		put_reason(x->out, &err);
	return hops.of[0].unreachable ? -1 : 0;
}

/* The same outcome for all, without a transaction. */
static void settle_all(struct attempt *x, const struct err *result, const size_t *rcpt, size_t n)
{
	static const struct hop_result nowhere;
	struct spool_outcome *o = arena_alloc(x->m->arena, (n + 1) * sizeof *o);
	for (size_t i = 0; i < n; i++)
		outcome(x, result, "", &nowhere, &o[i]);
	record(x, rcpt, o, n);
}

/* finish: the last of these recipients are the last of the message. */
static void send_all(struct attempt *x, const struct route *r, size_t *rcpt, size_t n, bool finish)
{
	struct hop_message msg;
	struct err err = { 0 };
	const char *from;
	size_t done = 0;
	/* A single recipient's outcome is told by the file's removal, or may be forgotten. */
	bool refused = r->kind == ROUTE_ERROR;
	if (refused || (x->m->file.env.n_rcpt > 1 && spool_reserve(x->m, n, &err) < 0)) {
		settle_all(x, refused ? &r->error : &err, rcpt, n);
		return;
	}
	if (write_otherwise(x, r, rcpt, n, &from, &err) < 0) {
		settle_all(x, &err, rcpt, n);
		return;
	}
	fill_message(x, from, &msg);
	r = wishes_route(x->m->arena, &x->m->file.env, r);
	msg.m.requiretls = r->s.requiretls;
	while (done < n) {
		struct rcpt_batch batch = { .v = rcpt + done, .n = n - done < BATCH ? n - done : BATCH };
		x->ends = finish && done + batch.n == n;
		int rc = send_batch(x, r, &msg, &batch);
		done += batch.n - batch.left;
		if (rc < 0)
			break;
	}
	if (done < n) {
		take_reason(x->out->why, &err);
		settle_all(x, &err, rcpt + done, n - done);
	}
}

/* At most max of the unsettled recipients whose route has this key, from `from` on; the route in *out. When some are
 * left they are told as more. */
static size_t select_rcpts(
    struct attempt *x, const struct deliver_job *job, size_t max, size_t *rcpt, struct route *out)
{
	size_t n = 0;
	for (size_t i = job->from; i < x->m->file.env.n_rcpt; i++) {
		struct route r;
		if (spool_state_final(x->m->file.state[i].last.state))
			continue;
		wishes_find(x->d->routes, x->m->arena, &x->m->file.env, i, &r);
		if (strcmp(r.key, job->key) != 0)
			continue;
		if (n == max) {
			x->out->more = (uint32_t)i;
			break;
		}
		if (!n)
			*out = r;
		rcpt[n++] = i;
	}
	return n;
}

static void expire_one(struct attempt *x, size_t rcpt)
{
	const struct spool_envelope *env = &x->m->file.env;
	const struct spool_outcome *last = &x->m->file.state[rcpt].last;
	struct spool_outcome o = *last;
	char text[SPOOL_TEXT_MAX], how_long[60];
	int64_t limit = wishes_by_over(env, x->now) ? env->by_time - env->arrived / 1000000 : x->d->bounce.expire;
	if (limit % 3600)
		snprintf(how_long, sizeof how_long, "%lld seconds", (long long)limit);
	else
		snprintf(how_long, sizeof how_long, "%lld hours", (long long)(limit / 3600));
	snprintf(text, sizeof text, "not delivered within %s%s%.*s", how_long,
	    last->text.n ? "; the last reason was: " : "", (int)(last->text.n < 800 ? last->text.n : 800),
	    last->text.n ? last->text.p : "");
	o.state = SPOOL_FAILED;
	o.when = x->now;
	o.text = span_str(text);
	memcpy(o.enh, "5.4.7", 6);
	struct event expired = { .kind = EVENT_EXPIRE, .qid = x->m->id, .from = env->from, .to = env->rcpt[rcpt].addr };
	event(&expired);
	record(x, &rcpt, &o, 1);
}

/* With BY those too that were never tried. */
static void expire(struct attempt *x)
{
	const struct spool_envelope *env = &x->m->file.env;
	if (!deliver_expired(x->d, env, x->now))
		return;
	for (size_t i = 0; i < env->n_rcpt; i++) {
		enum spool_state state = x->m->file.state[i].last.state;
		if (state == SPOOL_DEFERRED || (state == SPOOL_PENDING && wishes_by_over(env, x->now)))
			expire_one(x, i);
	}
}

static bool all_done(const struct attempt *x)
{
	for (size_t i = 0; i < x->m->file.env.n_rcpt; i++)
		if (!spool_state_final(x->m->file.state[i].last.state))
			return false;
	return true;
}

static void set_due(struct attempt *x)
{
	struct err err = { 0 };
	x->out->left = true;
	x->out->due = deliver_next_due(x->d, &x->m->file.env, x->now);
	if (spool_postpone(x->m, x->out->due, &err) < 0)
		log_err("due qid=%s reason=%s", x->m->id, log_quote(span_str(err.text)));
}

static void drop_file(struct attempt *x)
{
	struct err err = { 0 };
	if ((x->unrecorded ? spool_remove(x->m, &err) : spool_remove_done(x->m, &err)) == 0) {
		event(&(struct event){ .kind = EVENT_REMOVE, .qid = x->m->id });
		return;
	}
	log_err("remove qid=%s reason=%s", x->m->id, log_quote(span_str(err.text)));
	/* It must not be delivered again. */
	if (x->lines->len && spool_record(x->m, buf_span(x->lines), &err) < 0)
		log_err("record qid=%s reason=%s", x->m->id, log_quote(span_str(err.text)));
	set_due(x);
}

static void finish(struct attempt *x)
{
	struct err err = { 0 };
	size_t untold = 0;
	expire(x);
	if (bounce_report(x->m, &x->d->bounce, x->now, &untold, &err) < 0) {
		log_err("notify qid=%s reason=%s", x->m->id, log_quote(span_str(err.text)));
		set_due(x);
	} else if (!all_done(x)) {
		set_due(x);
	} else {
		struct event drop = { .kind = EVENT_DROP,
			.qid = x->m->id,
			.rcpts = untold,
			.text = SPAN("a bounce that can't be delivered") };
		if (untold)
			event(&drop);
		drop_file(x);
	}
}

/* What stands in bad/ is not lost: somebody has to look at it. */
static void cannot_open(struct deliver *d, const char *id, const struct err *why, struct deliver_done *out)
{
	struct err err = { 0 };
	if (why->sys == ENOENT)
		return;
	log_err("open qid=%s reason=%s", id, log_quote(span_str(why->text)));
	if (why->class == ERR_DATA && spool_set_aside(d->s, id, &err) == 0)
		return;
	out->left = true;
	out->due = spool_now() / 1000000 + d->retry_min;
}

static void trace_message(struct spool_msg *m)
{
	struct span head;
	struct err err;
	struct header_field f;
	if (!trace_on())
		return;
	trace_qid(m->id);
	trace_env(m->file.env.envid);
	bool found = spool_read_head(m, HEADER_LOOK, &head, &err) == 0 && header_find(head, "Message-ID", &f);
	trace_mid(found ? span_trim(f.value) : span_of(NULL, 0));
}

static struct attempt *begin(struct deliver *d, const char *id, struct deliver_done *out)
{
	static struct attempt x;
	static char piece[RUN_PIECE];
	static struct buf lines;
	struct err err = { 0 };
	*out = (struct deliver_done){ 0 };
	buf_init(&lines, LINES_MAX);
	x = (struct attempt){ .d = d, .out = out, .began = spool_now(), .content.piece = piece, .lines = &lines };
	x.now = x.began / 1000000;
	if (spool_get(d->s, id, SPOOL_SHARED, &x.m, &err) < 0) {
		cannot_open(d, id, &err, out);
		return NULL;
	}
	x.content.m = x.m;
	if (x.m->held) {
		spool_put(x.m);
		return NULL;
	}
	trace_message(x.m);
	return &x;
}

static void end(struct attempt *x, bool and_finish)
{
	if (and_finish)
		finish(x);
	buf_free(x->lines);
	spool_put(x->m);
	trace_qid("");
	trace_mid(span_of(NULL, 0));
	trace_env(span_of(NULL, 0));
}

void deliver_send(struct deliver *d, const struct deliver_job *job, struct deliver_done *out)
{
	struct attempt *x = begin(d, job->id, out);
	struct route r = { 0 };
	if (!x)
		return;
	size_t max = job->share ? BATCH : BATCH * BATCHES;
	size_t *rcpt =
	    arena_alloc(x->m->arena, (max < x->m->file.env.n_rcpt ? max : x->m->file.env.n_rcpt) * sizeof *rcpt);
	size_t n = wishes_by_over(&x->m->file.env, x->now) ? 0 : select_rcpts(x, job, max, rcpt, &r);
	bool last = job->finish && !out->more;
	if (n)
		send_all(x, &r, rcpt, n, last);
	end(x, last);
}

void deliver_defer(struct deliver *d, const struct deliver_job *job, const char *why, struct deliver_done *out)
{
	struct attempt *x = begin(d, job->id, out);
	struct route r = { 0 };
	struct err err = { 0 };
	if (!x)
		return;
	size_t *rcpt = arena_alloc(x->m->arena, x->m->file.env.n_rcpt * sizeof *rcpt);
	size_t n = select_rcpts(x, job, SIZE_MAX, rcpt, &r);
	take_reason(why, &err);
	settle_all(x, &err, rcpt, n);
	end(x, job->finish);
}

void deliver_finish(struct deliver *d, const char *id, struct deliver_done *out)
{
	struct attempt *x = begin(d, id, out);
	if (x)
		end(x, true);
}
