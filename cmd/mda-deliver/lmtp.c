/* SPDX-License-Identifier: ISC
 *
 * LMTP (RFC 2033): the functions that lib/smtp's server calls.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/pid.h"
#include "io/listen/listen.h"
#include "io/trace.h"
#include "mda-deliver/content.h"
#include "mda-deliver/mda.h"
#include "msg/downgrade.h"
#include "smtp/server.h"
#include "store/maildir.h"

/* While others wait for a free worker: a relay keeps its conversation for the next message, and begins another one when
 * it has ended; who is in the middle of a message has some time. */
enum {
	YIELD_MS = 50,
	STRESS_MS = 10 * 1000,
};

struct lmtp {
	struct mda *m;
	struct content content;
	struct buf lines; /* of a binary message, as text */
	char id[40];      /* of the present message */
};

/* The reply for what went wrong: trouble of ours is temporary whatever its class, so that no configuration error
 * bounces mail. */
static void answer_err(const struct err *err, struct smtp_answer *a)
{
	static const struct {
		int code;
		const char *enh;
	} by_class[] = {
		[ERR_TEMP] = { 451, "4.3.0" },
		[ERR_PERM] = { 554, "5.3.0" },
		[ERR_PROTO] = { 554, "5.5.0" },
		[ERR_LIMIT] = { 552, "5.3.4" },
		[ERR_USAGE] = { 451, "4.3.5" },
		[ERR_CONFIG] = { 451, "4.3.5" },
		[ERR_DATA] = { 554, "5.6.0" },
		[ERR_NOUSER] = { 550, "5.1.1" },
		[ERR_NOHOST] = { 451, "4.3.0" },
		[ERR_ACCESS] = { 451, "4.2.0" },
		[ERR_BUG] = { 451, "4.3.0" },
	};
	int code = err->code ? err->code : by_class[err->class].code;
	const char *enh = err->code && err->enh[0] ? err->enh : by_class[err->class].enh;
	/* Paths and uids of this host are for its log. */
	bool ours = !err->code && err->class != ERR_NOUSER && err->class != ERR_DATA && err->class != ERR_LIMIT;
	smtp_answer(a, code, enh, "%s", ours ? "The message could not be delivered now" : err->text);
}

/* What is out of our reach may be a place that is new. */
static void check_place(const struct mda *m, struct err *err)
{
	if (m->confine && mda_confine_outdated(m, err))
		mda_confine_retire(err);
}

static void op_rcpt(struct smtp_session *x, struct smtp_env_rcpt *r, struct smtp_answer *a)
{
	struct lmtp *l = x->arg;
	struct err err = { 0 };
	struct target *t = arena_alloc(x->env.arena, sizeof *t);
	int rc = target_find(l->m, x->env.arena, r->text, t, &err);
	/* Full already, or with what MAIL's SIZE declares: told before the content is sent. */
	if (rc == 0 && t->kind == LOCATION_MAILDIR && t->uid == (uid_t)-1 && !t->command) {
		struct maildir *box = boxes_get(l->m->boxes, t->path, &err);
		if (box) {
			maildir_limit(box, t->user.quota);
			rc = maildir_quota_check(box, x->env.size, &err);
		} else {
			rc = -1;
		}
	}
	r->op = t;
	if (rc == 0)
		return;
	log_warn("refused rcpt=%s sender=%s result=%s why=%s", log_quote(r->text), log_quote(x->env.from),
	    err_result(&err), log_quote(span_str(err.text)));
	check_place(l->m, &err);
	answer_err(&err, a);
}

static void op_data(struct smtp_session *x, struct smtp_answer *a)
{
	static unsigned long count;
	struct lmtp *l = x->arg;
	(void)a;
	content_reset(&l->content);
	snprintf(l->id, sizeof l->id, "%lx.%lx.%lx", (unsigned long)time(NULL), (unsigned long)own_pid(), ++count);
	trace_qid(l->id);
}

static int op_chunk(struct smtp_session *x, struct span piece)
{
	struct lmtp *l = x->arg;
	return content_add(&l->content, piece);
}

static void answer_all(struct smtp_answer *answers, size_t n, const struct err *err)
{
	for (size_t i = 0; i < n; i++)
		answer_err(err, &answers[i]);
}

/* What a store keeps is lines of text: parts of a binary message become base64 (RFC 3030 3). */
static int get_content(struct lmtp *l, bool binary, struct span *out, struct err *err)
{
	if (content_get(&l->content, out, err) < 0)
		return -1;
	if (!binary)
		return 0;
	if (msg_downgrade(*out, MSG_FROM_BINARY | MSG_KEEP_8BIT, &l->lines, err) < 0)
		return -1;
	*out = buf_span(&l->lines);
	return 0;
}

/* RFC 3848; RFC 6531 4.3. */
static const char *protocol(const struct smtp_session *x)
{
	return x->env.utf8 ? (x->tls ? "UTF8LMTPS" : "UTF8LMTP") : x->tls ? "LMTPS" : "LMTP";
}

static void op_done(struct smtp_session *x, struct smtp_answer *answers, size_t n)
{
	struct lmtp *l = x->arg;
	struct err err = { 0 };
	struct span content;
	struct letter letter;
	if (get_content(l, x->env.binary, &content, &err) < 0) {
		answer_all(answers, n, &err);
		return;
	}
	struct target *targets = arena_alloc(x->env.arena, n * sizeof *targets);
	letter_read(&letter, x->env.arena, content);
	trace_mid(letter.message_id);
	for (size_t i = 0; i < n; i++) {
		targets[i] = *(struct target *)x->env.rcpt[i].op;
		letter_check_loop(&letter, targets[i].rcpt, &targets[i].err);
	}
	struct filing f = {
		.m = l->m, .a = x->env.arena, .letter = &letter, .when = (int64_t)time(NULL), .target = targets, .n = n
	};
	f.top = (struct letter_trace){ .sender = x->env.from,
		.helo = x->helo,
		.peer = x->peer_ip,
		.hostname = l->m->o.hostname,
		.protocol = protocol(x),
		.id = l->id };
	filing_run(&f);
	for (size_t i = 0; i < n; i++) {
		check_place(l->m, &targets[i].err);
		target_report(&targets[i], x->env.from);
		if (targets[i].err.class == ERR_NONE)
			smtp_answer(&answers[i], 250, "2.1.5", "<%.*s> Ok, id %s", SPAN_FMT(targets[i].rcpt), l->id);
		else
			answer_err(&targets[i].err, &answers[i]);
	}
}

static void op_reset(struct smtp_session *x)
{
	struct lmtp *l = x->arg;
	content_reset(&l->content);
	buf_free(&l->lines);
}

static const struct smtp_server_ops ops = {
	.rcpt = op_rcpt,
	.data = op_data,
	.chunk = op_chunk,
	.done = op_done,
	.reset = op_reset,
};

static int converse(struct conn *c, void *arg)
{
	struct mda *m = arg;
	struct lmtp l = { .m = m };
	struct err err = { 0 };
	struct smtp_server_config config = {
		.lmtp = true,
		.binary = true,
		.hostname = m->o.hostname,
		.max_size = m->o.max_size,
		.max_rcpt = m->o.max_rcpt,
		.bare_lf_ok = stream_is_local(c->s),
		.data_is_last = !stream_is_local(c->s),
		.stopping = &serve_stopping,
		.stress_ms = STRESS_MS,
		.yield_ms = YIELD_MS,
	};
	struct smtp_session x = { .s = c->s, .peer_ip = c->peer_ip, .peer_name = "", .arg = &l };
	content_init(&l.content, m->o.tmp, 0);
	l.content.spare = m->spare;
	buf_init(&l.lines, LIMIT_REENCODED);
	int rc = smtp_server_run(&config, &ops, &x, &err);
	content_free(&l.content);
	buf_free(&l.lines);
	/* One that has made room for others is as good as ended. */
	bool made_room = err.sys == ETIMEDOUT && stream_is_stressed && stream_is_stressed();
	if (rc < 0 && !made_room)
		log_warn("conversation broke peer=%s why=%s", c->peer_ip, log_quote(span_str(err.text)));
	return rc < 0 ? err_exit_status(&err) : 0;
}

static int worker_start(void *arg)
{
	struct err err = { 0 };
	if (mda_confine_worker(arg, &err) == 0)
		return 0;
	log_err("%s", err.text);
	return err_exit_status(&err);
}

static int reload(void *arg)
{
	struct err err = { 0 };
	if (mda_confine_reload(arg, &err) < 0)
		log_err("reload error=%s", log_quote(span_str(err.text)));
	return 0;
}

static bool stale(void *arg, int64_t now)
{
	(void)now;
	return mda_confine_stale(arg);
}

int lmtp_serve(struct mda *m, struct err *err)
{
	if (mda_confine_set_up(m, err) < 0)
		return err_exit_status(err);
	struct serve_options o = {
		.worker_start = worker_start,
		.reload = reload,
		.stale = stale,
		.listen = m->o.listen,
		.workers = m->o.workers,
		.max_clients = m->o.max_clients,
		.ready_file = m->o.ready_file,
	};
	int status = serve(&o, converse, m, err);
	mda_confine_clean_up(m);
	return status;
}
