/* SPDX-License-Identifier: ISC
 *
 * The end of a message. Deliver before you promise: when every recipient is local the MDA has the message before the
 * client gets its reply; only what must travel on, or what the MDA cannot take now, is queued. docs/ARCHITECTURE.md has
 * the table of verdicts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "io/trace.h"
#include "mta-relay/received.h"
#include "mta-relay/serve.h"
#include "mta-relay/spool_dir.h"
#include "mta-relay/spool_format.h"
#include "smtp/reply.h"

/* One message's recipients after aliases, each address once. */
struct load {
	struct relay_session *s;
	struct smtp_session *x;
	struct relay_target **v;
	size_t n;
	struct smtp_rcpt *mda; /* the MDA's results, NULL when it was not asked */
	bool *out;             /* rows that the queue need not know; NULL: none */
	struct content_facts facts;
	int64_t now, asked; /* seconds; when the MDA was asked, microseconds */
};

static struct relay_targets *targets_of(const struct smtp_env_rcpt *r)
{
	return r->op;
}

static bool wants_success_report(const struct smtp_env_rcpt *r)
{
	return span_ifind(r->notify, SPAN("SUCCESS")) >= 0;
}

/* Must it go through the queue? A report of success is the queue's work too. */
static bool must_queue(const struct relay_session *s, const struct smtp_session *x)
{
	if (!s->rs->mda)
		return true;
	for (size_t i = 0; i < x->env.n_rcpt; i++) {
		const struct relay_targets *t = targets_of(&x->env.rcpt[i]);
		if (wants_success_report(&x->env.rcpt[i]))
			return true;
		for (size_t k = 0; k < t->n; k++)
			if (!t->v[k].local || t->v[k].owner.n)
				return true;
	}
	return false;
}

static bool open_queue(struct relay_server *rs, struct err *err)
{
	if (!rs->spool)
		rs->spool = spool_open(rs->o.queue, err);
	return rs->spool != NULL;
}

void deliver_prepare(struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	struct err err = { 0 };
	if (!must_queue(s, x) || open_queue(s->rs, &err))
		return;
	log_err("queue error=%s", log_quote(span_str(err.text)));
	smtp_answer(a, 451, "4.3.0", "The queue is not usable now");
}

static int compare_targets(const void *a, const void *b)
{
	const struct relay_target *x = *(struct relay_target *const *)a, *y = *(struct relay_target *const *)b;
	int order = strcmp(x->addr, y->addr);
	return order ? order : span_cmp(x->owner, y->owner);
}

/* All targets, sorted by address, without repetitions. */
static void collect(struct load *l)
{
	const struct smtp_env *env = &l->x->env;
	size_t total = 0, kept = 0;
	for (size_t i = 0; i < env->n_rcpt; i++)
		total += targets_of(&env->rcpt[i])->n;
	l->v = arena_alloc(env->arena, total * sizeof(struct relay_target *));
	for (size_t i = 0; i < env->n_rcpt; i++)
		for (size_t k = 0; k < targets_of(&env->rcpt[i])->n; k++)
			l->v[l->n++] = &targets_of(&env->rcpt[i])->v[k];
	if (l->n < 2)
		return;
	qsort(l->v, l->n, sizeof *l->v, compare_targets);
	for (size_t i = 0; i < l->n; i++)
		if (!i || compare_targets(&l->v[i], &l->v[i - 1]) != 0)
			l->v[kept++] = l->v[i];
	l->n = kept;
}

/* Fields that a submission lacks: RFC 6409 8. */
static void complete_submission(const struct load *l, const char *id)
{
	struct content *c = &l->s->rs->content;
	if (!l->facts.date)
		buf_addf(&c->prefix, "Date: %s\r\n", received_date(l->now));
	if (!l->facts.message_id)
		buf_addf(&c->prefix, "Message-ID: <%s@%s>\r\n", id, l->s->rs->hostname);
	if (!l->facts.froms && l->x->env.from.n)
		buf_addf(&c->prefix, "From: <%.*s>\r\n", SPAN_FMT(l->x->env.from));
}

/* What is put before the content when it goes on as `id`. */
static void make_prefix(const struct load *l, const char *id)
{
	struct relay_server *rs = l->s->rs;
	buf_reset(&rs->content.prefix);
	received_field(l->x, rs->hostname, id, l->now, &rs->content.prefix);
	if (rs->o.role == ROLE_MSA)
		complete_submission(l, id);
	if (l->facts.headless)
		buf_adds(&rs->content.prefix, "\r\n");
	content_rewind(&rs->content);
}

/* A name for a message that never sees the queue. */
static void make_id(char *id, size_t size)
{
	static unsigned counter;
	static pid_t pid; /* workers fork nothing that gets here */
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	if (!pid)
		pid = getpid();
	snprintf(id, size, "%08llX%05lX%04X%03X", (unsigned long long)now.tv_sec, (unsigned long)now.tv_nsec / 1000,
	    (unsigned)pid & 0xffff, counter++ & 0xfff);
}

/* The queue. */

/* The MDA's words without the codes before them, which are kept apart. */
static struct span words_of(struct span text, const char *enh)
{
	if (text.n > 4 && ascii_isdigit(text.p[0]) && ascii_isdigit(text.p[2]) && text.p[3] == ' ')
		text = span_from(text, 4);
	if (enh[0] && span_starts(text, enh))
		text = span_trim(span_from(text, strlen(enh)));
	return text;
}

static void fill_outcome(const struct load *l, size_t i, struct spool_outcome *o)
{
	const struct smtp_rcpt *m = &l->mda[i];
	const struct err *r = &m->result;
	bool ok = r->class == ERR_NONE;
	*o = (struct spool_outcome){ .state = ok               ? SPOOL_DELIVERED
					      : r->code >= 500 ? SPOOL_FAILED
							       : SPOOL_DEFERRED,
		.when = l->now,
		.code = ok ? 250 : r->code,
		.relay = span_str(mda_name(l->s->rs->mda)) };
	snprintf(o->enh, sizeof o->enh, "%s", ok ? "2.0.0" : r->enh);
	o->text = words_of(span_str(m->reply[0] ? m->reply : r->text), o->enh);
}

/* A 421 is about the MDA itself. */
static bool answered(const struct smtp_rcpt *m)
{
	return m->result.class == ERR_NONE || (m->result.code && m->result.code != 421);
}

/* The MDA's answers, so that nothing is delivered twice. */
static void record_outcomes(const struct load *l, struct spool_writer *w, const size_t *rows, size_t n)
{
	for (size_t i = 0; l->mda && i < n; i++) {
		struct spool_outcome o;
		fill_outcome(l, rows[i], &o);
		if (answered(&l->mda[rows[i]]))
			spool_outcome(w, i, &o);
	}
}

static void fill_envelope(const struct load *l, struct span owner, struct spool_envelope *env)
{
	const struct smtp_env *e = &l->x->env;
	*env = (struct spool_envelope){ .from = owner.n && e->from.n ? owner : e->from,
		.ret = e->ret,
		.envid = e->envid,
		.utf8 = e->utf8,
		.eightbit = e->eightbit,
		.client = span_str(l->x->peer_ip),
		.helo = l->x->helo,
		.user = l->x->user };
}

/* Rows of the envelope: the targets of one sender, from l->v[first] on; *rows tells which. Marks are in `done`. */
static size_t pick_rows(const struct load *l, size_t first, bool *done, struct spool_rcpt *rcpt, size_t *rows)
{
	size_t n = 0;
	for (size_t i = first; i < l->n; i++) {
		const struct relay_target *t = l->v[i];
		if (done[i] || !span_eq(t->owner, l->v[first]->owner))
			continue;
		done[i] = true;
		rows[n] = i;
		rcpt[n++] = (struct spool_rcpt){ span_str(t->addr), t->notify, t->orcpt, t->original };
	}
	return n;
}

/* 1: the queue file failed, and commit tells why. */
static int write_content(struct content *c, struct spool_writer *w, struct err *err)
{
	struct span piece;
	int rc;
	while ((rc = content_read(c, &piece, err)) > 0)
		if (spool_write(w, piece) < 0)
			return 1;
	return rc;
}

static void log_taken(const struct load *l, const char *id, struct span from, size_t rcpts, const char *how)
{
	char own[300];
	struct event e = { .kind = EVENT_ACCEPT,
		.qid = id,
		.from = from,
		.rcpts = rcpts,
		.size = content_size(&l->s->rs->content),
		.mid = l->facts.mid,
		.how = how };
	if (l->s->rs->o.role == ROLE_MSA && !l->facts.message_id) {
		snprintf(own, sizeof own, "<%s@%s>", id, l->s->rs->hostname);
		e.mid = span_str(own);
	}
	talk_fill(l->x, &l->s->talk, &e);
	event(&e);
}

/* What the MDA said of these recipients, as of a message with this id. */
static void log_outcomes(const struct load *l, const char *id, const size_t *rows, size_t n)
{
	for (size_t i = 0; l->mda && i < n; i++) {
		struct spool_outcome o;
		const struct relay_target *t = l->v[rows[i]];
		fill_outcome(l, rows[i], &o);
		struct event e = { .kind = EVENT_DELIVER,
			.qid = id,
			.client = l->x->peer_ip,
			.to = span_str(t->addr),
			.orig_to = t->original,
			.relay = o.relay,
			.status = spool_state_name(o.state),
			.code = o.code,
			.enh = o.enh,
			.text = o.text,
			.delay = spool_now() - l->asked,
			.tried = spool_now() - l->asked };
		event(&e);
	}
}

/* All of it, when it is on disk. */
static void log_queued(const struct load *l, const char *id, const struct spool_envelope *env, const size_t *rows)
{
	log_taken(l, id, env->from, env->n_rcpt, "queued");
	log_outcomes(l, id, rows, env->n_rcpt);
}

/* now: a full disk is to be met at once. */
static struct spool_writer *write_message(
    const struct load *l, const struct spool_envelope *env, bool now, struct err *err)
{
	struct relay_server *rs = l->s->rs;
	struct spool_writer *w = spool_begin(rs->spool, env, err);
	if (!w)
		return NULL;
	make_prefix(l, spool_writer_id(w));
	int rc = write_content(&rs->content, w, err);
	if (rc == 0 && !(now && spool_push(w) < 0))
		return w;
	if (rc < 0)
		spool_abort(w);
	else
		spool_commit(w, NULL, err);
	return NULL;
}

/* One queue file for each sender: a list's owner gets its errors. */
struct sheet {
	struct spool_envelope env;
	size_t *rows; /* in l->v, of the envelope's recipients */
};

/* All of them, none promised yet; *n counts those that are open. */
static int write_sheets(
    const struct load *l, struct sheet *sheets, struct spool_writer **writers, size_t *n, struct err *err)
{
	struct arena *a = l->x->env.arena;
	bool *done = arena_alloc(a, l->n);
	size_t *rows = arena_alloc(a, l->n * sizeof *rows);
	struct spool_rcpt *rcpt = arena_alloc(a, l->n * sizeof *rcpt);
	if (l->out)
		memcpy(done, l->out, l->n * sizeof *done);
	for (size_t first = 0; first < l->n; first++) {
		struct sheet *sheet = &sheets[*n];
		if (done[first])
			continue;
		fill_envelope(l, l->v[first]->owner, &sheet->env);
		sheet->env.rcpt = rcpt;
		sheet->rows = rows;
		sheet->env.n_rcpt = pick_rows(l, first, done, rcpt, rows);
		rcpt += sheet->env.n_rcpt;
		rows += sheet->env.n_rcpt;
		struct spool_writer *w = write_message(l, &sheet->env, false, err);
		if (!w)
			return -1;
		record_outcomes(l, w, sheet->rows, sheet->env.n_rcpt);
		writers[(*n)++] = w;
	}
	return 0;
}

static int queue_message(const struct load *l, char *id, struct err *err)
{
	struct arena *a = l->x->env.arena;
	struct sheet *sheets = arena_alloc(a, l->n * sizeof *sheets);
	struct spool_writer **writers = arena_alloc(a, l->n * sizeof(struct spool_writer *));
	char(*ids)[SPOOL_ID_SIZE] = arena_alloc(a, l->n * sizeof *ids);
	size_t n = 0;
	if (!open_queue(l->s->rs, err))
		return -1;
	if (write_sheets(l, sheets, writers, &n, err) < 0) {
		while (n > 0)
			spool_abort(writers[--n]);
		return -1;
	}
	if (n > 0 && spool_commit_all(writers, n, ids, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		memcpy(id, ids[i], SPOOL_ID_SIZE);
		log_queued(l, id, &sheets[i].env, sheets[i].rows);
	}
	return 0;
}

static void queue_failed(const struct err *err, struct smtp_answer *a)
{
	log_err("queue error=%s", log_quote(span_str(err->text)));
	smtp_answer(a, 451, "4.3.0", "The message could not be queued");
}

static void queued(const struct load *l, const char *id, const char *why, struct smtp_answer *a)
{
	trace_qid(id);
	trace_why("queue", "ok", "5321#4.2.5", "on disk for %zu recipient%s%s%s", l->n, l->n == 1 ? "" : "s",
	    *why ? ": " : "", why);
	smtp_answer(a, 250, "2.0.0", "Ok: queued as %s", id);
}

static void into_queue(const struct load *l, const char *why, struct smtp_answer *a)
{
	char id[SPOOL_ID_SIZE] = "";
	struct err err = { 0 };
	if (queue_message(l, id, &err) < 0)
		queue_failed(&err, a);
	else
		queued(l, id, why, a);
}

/* With several recipients the MDA may take the message for some only, and then the rest must find room: the queue file
 * is begun before the MDA is asked, so that a full disk is met while nobody has the message and nothing comes twice. It
 * costs no sync unless it is needed. */
static struct spool_writer *reserve(const struct load *l, struct err *err)
{
	struct arena *a = l->x->env.arena;
	struct spool_envelope env;
	if (!open_queue(l->s->rs, err))
		return NULL;
	fill_envelope(l, SPAN(""), &env);
	env.rcpt = arena_alloc(a, l->n * sizeof *env.rcpt);
	env.n_rcpt = pick_rows(l, 0, arena_alloc(a, l->n), env.rcpt, arena_alloc(a, l->n * sizeof(size_t)));
	return write_message(l, &env, true, err);
}

/* The rest goes on from the file that was begun; the rows are l->v's. */
static void queue_rest(const struct load *l, struct spool_writer *w, struct smtp_answer *a)
{
	char id[SPOOL_ID_SIZE] = "";
	struct err err = { 0 };
	size_t *rows = arena_alloc(l->x->env.arena, l->n * sizeof *rows);
	for (size_t i = 0; i < l->n; i++)
		rows[i] = i;
	record_outcomes(l, w, rows, l->n);
	struct spool_envelope env = { .from = l->x->env.from, .n_rcpt = l->n };
	if (spool_commit(w, id, &err) < 0) {
		queue_failed(&err, a);
		return;
	}
	log_queued(l, id, &env, rows);
	queued(l, id, "the MDA did not take it for all", a);
}

/* The MDA. */

static int ask_mda(struct load *l, struct err *err)
{
	struct relay_server *rs = l->s->rs;
	const struct smtp_env *env = &l->x->env;
	l->mda = arena_alloc(env->arena, l->n * sizeof *l->mda);
	for (size_t i = 0; i < l->n; i++)
		l->mda[i].address = l->v[i]->addr;
	struct smtp_message m = { .from = arena_str(env->arena, env->from),
		.rcpt = l->mda,
		.n_rcpt = l->n,
		.utf8 = env->utf8,
		.eightbit = env->eightbit,
		.size = content_size(&rs->content),
		.exact = true, /* as the decoder gave it, and the prefix is ours */
		.read = content_read,
		.arg = &rs->content };
	return mda_send(rs->mda, &m, content_rewind, err);
}

/* What the MDA said about some of l->v. */
struct tally {
	size_t n, ok, temp, perm, silent; /* silent: never answered */
	size_t first_temp, first_perm;    /* rows */
};

static void count(const struct load *l, size_t i, struct tally *t)
{
	const struct err *r = &l->mda[i].result;
	t->n++;
	if (r->class == ERR_NONE) {
		t->ok++;
	} else if (!answered(&l->mda[i])) {
		t->silent++;
	} else if (r->code >= 500) {
		if (!t->perm++)
			t->first_perm = i;
	} else if (!t->temp++) {
		t->first_temp = i;
	}
}

static size_t row_of(const struct load *l, const struct relay_target *t)
{
	struct relay_target **at = bsearch(&t, l->v, l->n, sizeof *l->v, compare_targets);
	return (size_t)(at - l->v);
}

/* What became of the addresses that a RCPT led to, added to *t: in the client's order, so that the first is his. */
static void tally_rcpt(const struct load *l, size_t rcpt, struct tally *t)
{
	const struct relay_targets *to = targets_of(&l->x->env.rcpt[rcpt]);
	for (size_t k = 0; k < to->n; k++)
		count(l, row_of(l, &to->v[k]), t);
}

/* The MDA's own words: the first temporary refusal's while there is one, for then it may be tried again. Nobody has the
 * message and nobody may have it, so that the client may keep it for all. */
static void pass_refusal(const struct load *l, const struct tally *t, struct smtp_answer *a)
{
	size_t i = t->temp ? t->first_temp : t->first_perm;
	const struct err *r = &l->mda[i].result;
	const struct relay_target *to = l->v[i];
	struct span words = words_of(span_str(r->text), r->enh);
	char text[sizeof a->text];
	if (t->n > 1)
		smtp_about(to->original.n ? to->original : span_str(to->addr), words, text, sizeof text);
	else
		snprintf(text, sizeof text, "%.*s", SPAN_FMT(words));
	smtp_answer(a, r->code, r->enh[0] ? r->enh : r->code >= 500 ? "5.0.0" : "4.0.0", "%s", text);
}

static bool refused_by_all(const struct tally *t)
{
	return t->temp + t->perm == t->n;
}

/* The whole life of a message, or of a part of it, that never sees the queue: those whose addresses the MDA took. */
static void log_delivered(const struct load *l, const char *id)
{
	struct event gone = { .kind = EVENT_REMOVE, .qid = id, .client = l->x->peer_ip };
	size_t *rows = arena_alloc(l->x->env.arena, l->n * sizeof *rows), n = 0;
	for (size_t i = 0; i < l->n; i++)
		if (l->mda[i].result.class == ERR_NONE && (!l->out || l->out[i]))
			rows[n++] = i;
	log_taken(l, id, l->x->env.from, n, "delivered");
	log_outcomes(l, id, rows, n);
	event(&gone);
}

/* One answer for all recipients. */
static void answer_all(const struct load *l, const char *id, struct spool_writer *room, struct smtp_answer *a)
{
	struct tally t = { 0 };
	for (size_t i = 0; i < l->x->env.n_rcpt; i++)
		tally_rcpt(l, i, &t);
	if (t.ok != t.n && !refused_by_all(&t)) {
		/* Some are done and some are not, or nobody is there: who is left is tried again, or told, by the
		 * queue. */
		if (room)
			queue_rest(l, room, a);
		else
			into_queue(l, "the MDA did not answer", a);
		return;
	}
	spool_abort(room);
	if (t.ok == t.n) {
		log_delivered(l, id);
		smtp_answer(a, 250, "2.0.0", "Ok: delivered as %s", id);
	} else {
		pass_refusal(l, &t, a);
	}
}

/* PRDR: an answer for each RCPT, by what became of the addresses that it led to. */

/* Is a RCPT's verdict neither yes nor no? What its addresses lack is the queue's, and theirs only. */
static bool mark_for_queue(const struct load *l, size_t rcpt)
{
	const struct relay_targets *to = targets_of(&l->x->env.rcpt[rcpt]);
	struct tally t = { 0 };
	tally_rcpt(l, rcpt, &t);
	if (t.ok == t.n || refused_by_all(&t))
		return false;
	for (size_t k = 0; k < to->n; k++) {
		size_t row = row_of(l, &to->v[k]);
		if (l->mda[row].result.class != ERR_NONE)
			l->out[row] = false;
	}
	return true;
}

static void answer_each(struct load *l, const char *id, struct smtp_answer *answers, size_t n)
{
	struct smtp_answer rest = { 0 };
	bool any = false;
	l->out = arena_alloc(l->x->env.arena, l->n * sizeof *l->out);
	memset(l->out, true, l->n * sizeof *l->out);
	for (size_t i = 0; i < n; i++)
		any |= mark_for_queue(l, i);
	if (any)
		into_queue(l, "the MDA did not take it for all", &rest);
	size_t taken = 0;
	for (size_t i = 0; i < n; i++) {
		struct tally t = { 0 };
		tally_rcpt(l, i, &t);
		taken += t.ok == t.n;
		if (t.ok == t.n)
			continue;
		if (refused_by_all(&t))
			pass_refusal(l, &t, &answers[i]);
		else
			answers[i] = rest;
	}
	if (taken)
		log_delivered(l, id);
	if (taken == n)
		smtp_answer(&answers[n], 250, "2.0.0", "Ok: delivered as %s", id);
}

static void to_mda(struct load *l, struct smtp_answer *answers, size_t n)
{
	char id[32];
	struct err err = { 0 };
	bool each = l->x->env.prdr;
	struct spool_writer *room = NULL;
	if (l->n > 1 && !each && !(room = reserve(l, &err))) {
		queue_failed(&err, &answers[0]);
		return;
	}
	if (room)
		snprintf(id, sizeof id, "%s", spool_writer_id(room));
	else
		make_id(id, sizeof id);
	trace_qid(id);
	make_prefix(l, id);
	l->asked = spool_now();
	if (ask_mda(l, &err) < 0)
		log_warn("mda error=%s", log_quote(span_str(err.text)));
	if (each)
		answer_each(l, id, answers, n);
	else
		answer_all(l, id, room, &answers[0]);
}

static bool loops(const struct load *l, struct smtp_answer *a)
{
	if (l->facts.received < LIMIT_RECEIVED_HOPS)
		return false;
	/* RFC 5321 6.3 */
	smtp_answer(a, 554, "5.4.6", "Too many hops: the message loops");
	return true;
}

/* RFC 6409 6.1: the From field names who is logged in, too: one field, each of its addresses. */
static bool from_forged(const struct load *l, struct smtp_answer *a)
{
	struct addr_list list;
	bool asked = l->s->rs->o.own_sender && l->x->user.n && l->facts.froms;
	if (!asked)
		return false;
	addr_parse_list(l->x->env.arena, l->facts.from_value, &list);
	bool good = l->facts.froms == 1 && list.n && !list.skipped;
	for (size_t i = 0; i < list.n && good; i++)
		good = sender_allowed(l->s, l->x, &list.v[i]);
	if (good)
		return false;
	smtp_answer(a, 550, "5.7.1", "The address in From is not yours");
	return true;
}

void deliver_message(struct relay_session *s, struct smtp_session *x, struct smtp_answer *answers, size_t n)
{
	struct load l = { .s = s, .x = x, .now = time(NULL) };
	struct content *c = &s->rs->content;
	answers[0].whole = true; /* what is not about one recipient */
	if (c->err.class != ERR_NONE) {
		log_err("content client=%s error=%s", x->peer_ip, log_quote(span_str(c->err.text)));
		smtp_answer(&answers[0], 451, "4.3.0", "The message could not be stored");
		return;
	}
	content_look(c, &l.facts);
	trace_mid(l.facts.mid);
	if (loops(&l, &answers[0]) || from_forged(&l, &answers[0]))
		return;
	if (s->rs->o.role == ROLE_MSA && l.facts.bcc)
		content_drop_bcc(c);
	collect(&l);
	if (must_queue(s, x)) {
		into_queue(&l, "", &answers[0]);
	} else if (!mda_worth_a_try(s->rs->mda)) {
		into_queue(&l, "the MDA failed a moment ago", &answers[0]);
	} else {
		answers[0].whole = false;
		to_mda(&l, answers, n);
	}
}
