/* SPDX-License-Identifier: ISC */
#include "mta-relay/hop/handoff.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "io/net.h"
#include "io/spawn.h"
#include "io/trace.h"
#include "mta-relay/hop/reencode.h"
#include "mta-relay/hop/resend.h"

enum {
	CHILD_GRACE = 5000, /* ms to end after QUIT */
	LEAVING = 8,        /* children that were told to end and have not yet */
};

struct mda {
	char *spec;
	bool smtp;
	int (*before)(void *arg, struct smtp_client *c, struct err *err);
	void *before_arg;
	const char *unix_path, *command; /* into spec */
	char *host;
	uint16_t port;
	const char *helo;
	int64_t timeout;
	struct mda_limits limits;
	int64_t end; /* of the budget, ms of CLOCK_MONOTONIC; 0: none */
	const struct broker *broker;
	int index; /* of the command, there */
	struct child leaving[LEAVING];
	struct child child;         /* pid 0: none */
	struct smtp_client *client; /* NULL: no conversation */
	bool used;                  /* the conversation has carried a message before */
	/* The message in hand */
	bool reached; /* there was a conversation for it */
	bool begun;   /* its content was asked for: from then on the MDA may have taken it */
	void (*rewind)(void *arg);
	struct trace_talk *talk; /* the conversation's place in the trace while it rests; NULL: none */
};

static bool parse_host(struct mda *m, struct span s)
{
	ptrdiff_t colon = span_rchr(s, ':');
	uint64_t port;
	if (colon <= 0 || !span_u64(span_from(s, (size_t)colon + 1), 65535, &port) || !port)
		return false;
	struct span host = span_slice(s, 0, (size_t)colon);
	if (span_starts(host, "[") && span_ends(host, "]"))
		host = span_slice(host, 1, host.n - 1);
	m->host = xstrndup(host.p, host.n);
	m->port = (uint16_t)port;
	return host.n > 0;
}

static struct mda *make(const char *spec, bool filter, const char *helo, int64_t timeout_ms)
{
	struct mda *m = xcalloc(1, sizeof *m);
	m->spec = xstrdup(spec);
	m->helo = helo;
	m->timeout = timeout_ms;
	struct span s = span_str(m->spec), rest = span_from(s, 5);
	m->smtp = filter && span_starts(s, "smtp:");
	bool ok = (m->smtp || span_starts(s, "lmtp:")) && rest.n;
	if (ok && span_starts(rest, "unix:"))
		m->unix_path = rest.p + 5;
	else if (ok && span_starts(rest, "|") && !filter)
		m->command = rest.p + 1;
	else if (ok)
		ok = parse_host(m, rest);
	if (ok)
		return m;
	mda_free(m);
	return NULL;
}

struct mda *mda_new(const char *spec, const char *helo, int64_t timeout_ms, struct err *err)
{
	struct mda *m = make(spec, false, helo, timeout_ms);
	if (!m)
		err_set(err, ERR_USAGE, "mda: '%s' is none of lmtp:unix:PATH, lmtp:HOST:PORT, lmtp:|COMMAND", spec);
	return m;
}

struct mda *mda_new_filter(const char *spec, const char *helo, int64_t timeout_ms, struct err *err)
{
	struct mda *m = make(spec, true, helo, timeout_ms);
	if (!m)
		err_set(err, ERR_USAGE,
		    "'%s' is none of smtp:HOST:PORT, smtp:unix:PATH, lmtp:HOST:PORT, lmtp:unix:PATH", spec);
	return m;
}

void mda_before(struct mda *m, int (*before)(void *arg, struct smtp_client *c, struct err *err), void *arg)
{
	m->before = before;
	m->before_arg = arg;
}

const char *mda_name(const struct mda *m)
{
	return m->spec;
}

void mda_start_by(struct mda *m, const struct broker *b, int index)
{
	m->broker = b;
	m->index = index;
}

const char *mda_command(const struct mda *m)
{
	return m->command;
}

void mda_rules(const struct mda *m, struct confine_rules *r)
{
	if (!m->host)
		return;
	confine_allow_names(r);
	confine_allow_connect(r, m->port);
}

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The time for one wait: no more than is left of the budget. */
static int64_t patience(const struct mda *m)
{
	int64_t left = m->end ? m->end - now_ms() : m->timeout;
	return left >= m->timeout ? m->timeout : left > 0 ? left : 1;
}

void mda_limit(struct mda *m, const struct mda_limits *l)
{
	m->limits = *l;
}

_Atomic int64_t *mda_shared(struct err *err)
{
	void *p = mmap(NULL, sizeof(_Atomic int64_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p != MAP_FAILED)
		return p;
	err_sys(err, "shared memory");
	return NULL;
}

bool mda_worth_a_try(struct mda *m)
{
	int64_t until = m->limits.down ? atomic_load(m->limits.down) : 0, now = now_ms();
	if (!until)
		return true;
	/* Whoever finds the pause over first prolongs it for the others, until he knows. */
	return now >= until &&
	       atomic_compare_exchange_strong(m->limits.down, &until, now + m->limits.pause + m->limits.budget);
}

static void note_health(struct mda *m, bool up)
{
	if (!m->limits.down || !m->limits.pause)
		return;
	bool was_up = atomic_load(m->limits.down) == 0;
	if (up && was_up)
		return;
	atomic_store(m->limits.down, up ? 0 : now_ms() + m->limits.pause);
	if (up)
		log_info("mda up again spec=%s", log_quote(span_str(m->spec)));
	else if (was_up)
		log_warn(
		    "mda down spec=%s pause=%lld", log_quote(span_str(m->spec)), (long long)m->limits.pause / 1000);
}

/* Those that have ended meanwhile are forgotten; the others have had their time. */
static void reap(struct mda *m)
{
	for (size_t i = 0; i < LEAVING; i++) {
		struct child *c = &m->leaving[i];
		if (!spawn_ended(c))
			spawn_kill(c, SIGKILL);
	}
}

/* It may hang, on a disk even beyond the reach of SIGKILL: nobody waits for it. */
static void let_go(struct mda *m)
{
	size_t i = 0;
	spawn_kill(&m->child, SIGTERM);
	reap(m);
	while (i < LEAVING - 1 && m->leaving[i].pid > 0)
		i++;
	m->leaving[i] = m->child;
}

static void hang_up(struct mda *m, bool polite)
{
	struct err err;
	if (m->client) {
		trace_enter(m->talk);
		smtp_client_close(m->client, polite);
		trace_end();
	}
	m->talk = NULL;
	m->client = NULL;
	m->used = false;
	if (m->child.pid > 0 && polite)
		spawn_wait(&m->child, CHILD_GRACE, &err);
	else if (m->child.pid > 0)
		let_go(m);
	m->child.pid = 0;
}

void mda_free(struct mda *m)
{
	if (!m)
		return;
	hang_up(m, true);
	reap(m);
	free(m->spec);
	free(m->host);
	free(m);
}

static struct stream *start_child(struct mda *m, struct err *err)
{
	/* Under inetd fd 2 may be the client's socket: nothing of a child's may go there. */
	struct spawn sp = { .command = m->command,
		.broker = m->broker,
		.index = m->index,
		.in = SPAWN_SOCKETPAIR,
		.out = SPAWN_SOCKETPAIR,
		.errfd = log_where() == LOG_TO_SYSLOG ? SPAWN_NULL : SPAWN_INHERIT };
	if (spawn_start(&sp, &m->child, err) < 0) {
		m->child.pid = 0;
		return NULL;
	}
	return stream_from_fds(m->child.in, m->child.out);
}

static struct stream *reach(struct mda *m, struct err *err)
{
	struct net_addr got;
	if (m->command)
		return start_child(m, err);
	int fd = m->unix_path ? net_connect_unix(m->unix_path, patience(m), err)
			      : net_connect_host(m->host, m->port, patience(m), &got, err);
	return fd < 0 ? NULL : stream_from_fds(fd, fd);
}

/* For the trace: of a command the program's name is enough. */
static void peer_name(const struct mda *m, char *out, size_t n)
{
	struct span rest = span_str(m->command ? m->command : ""), program = span_word(&rest);
	if (span_eqs(program, "exec"))
		program = span_word(&rest);
	program = span_from(program, (size_t)(span_rchr(program, '/') + 1));
	if (program.n)
		snprintf(out, n, "lmtp:|%.*s", SPAN_FMT(program));
	else
		snprintf(out, n, "%s", m->spec);
}

static int begin(struct mda *m, struct err *err)
{
	struct smtp_client_config c = { .lmtp = !m->smtp,
		.helo = m->helo,
		.starttls = STARTTLS_NEVER,
		.host = m->host ? m->host : "localhost",
		.timeout = m->timeout };
	char peer[200];
	reap(m);
	struct stream *s = reach(m, err);
	if (s) {
		c.budget = m->end ? patience(m) : 0;
		stream_set_timeout(s, m->timeout);
		peer_name(m, peer, sizeof peer);
		trace_begin(peer);
		trace_event(
		    &(struct trace_event){ .ev = "conn.open", .dir = '>', .result = "ok", .why = "to the MDA" });
		m->client = smtp_client_open(s, &c, err);
		if (m->client)
			m->talk = trace_leave();
		else
			trace_end();
	}
	if (m->client)
		return 0;
	hang_up(m, false);
	/* Whatever it says before a message was offered is about itself, and no verdict. */
	err->class = ERR_TEMP;
	err->code = 0;
	err->enh[0] = '\0';
	return err_prefix(err, "%s", m->spec);
}

/* Notes whether the content was asked for. */
struct content {
	struct mda *m;
	struct smtp_message *msg;
};

static int content_read(void *arg, struct span *out, struct err *err)
{
	struct content *c = arg;
	c->m->begun = true;
	return c->msg->read(c->msg->arg, out, err);
}

static void content_rewind(void *arg)
{
	struct content *c = arg;
	c->m->begun = false;
	c->m->rewind(c->msg->arg);
}

/* Nobody was asked. */
static int fail_all(struct smtp_message *msg, const struct err *err)
{
	for (size_t i = 0; i < msg->n_rcpt; i++)
		msg->rcpt[i].result = *err;
	return -1;
}

/* An MDA of ours takes 8-bit lines whatever it announces; binary MIME only when it says so. */
static int transact(struct mda *m, struct smtp_message *msg, struct err *err)
{
	struct reencoded x;
	struct err why = { 0 };
	unsigned binary = SMTP_BINARYMIME | SMTP_CHUNKING;
	if (!msg->binary || (smtp_client_exts(m->client) & binary) == binary)
		return smtp_client_send(m->client, msg, err);
	if (reencode(msg, content_rewind, MSG_FROM_BINARY | MSG_KEEP_8BIT, &x, &why) == 0) {
		x.m.eightbit = x.m.eightbit && smtp_client_exts(m->client) & SMTP_8BITMIME;
		trace_why("route", "ok", "3030#3", "the MDA has no BINARYMIME: the content was re-encoded");
	} else if (why.class == ERR_TEMP) { /* not read: that says nothing about the content */
		*err = why;
		reencode_free(&x);
		return fail_all(msg, err);
	}
	int rc = smtp_client_send(m->client, &x.m, err);
	reencode_free(&x);
	return rc;
}

static int send_once(struct mda *m, struct smtp_message *msg, struct err *err)
{
	if (!m->client && begin(m, err) < 0) {
		m->reached = false;
		return fail_all(msg, err);
	}
	m->used = m->reached = true;
	trace_enter(m->talk);
	smtp_client_budget(m->client, m->end ? patience(m) : 0);
	int rc = m->before ? m->before(m->before_arg, m->client, err) : 0;
	rc = rc < 0 ? rc : transact(m, msg, err);
	smtp_client_budget(m->client, 0);
	m->talk = trace_leave();
	if (rc < 0 || !smtp_client_alive(m->client))
		hang_up(m, false);
	return rc;
}

static int send_again(void *mda, struct smtp_message *rest, struct err *err)
{
	return send_once(mda, rest, err);
}

static bool any_answered(const struct smtp_message *msg)
{
	for (size_t i = 0; i < msg->n_rcpt; i++)
		if (!resend_unanswered(&msg->rcpt[i]))
			return true;
	return false;
}

int mda_send(struct mda *m, struct smtp_message *msg, void (*rewind)(void *arg), struct err *err)
{
	if (m->client && !smtp_client_alive(m->client))
		hang_up(m, false);
	m->end = m->limits.budget ? now_ms() + m->limits.budget : 0;
	bool reused = m->client && m->used;
	struct content c = { m, msg };
	m->rewind = rewind;
	m->begun = false;
	struct smtp_message first = *msg;
	first.read = content_read;
	first.arg = &c;
	int rc = send_once(m, &first, err);
	/* It had ended while it rested: nothing was said about this message. */
	bool left = reused && resend_left(&first);
	if (left || (rc < 0 && reused && !m->begun && err->sys != ETIMEDOUT)) {
		hang_up(m, false);
		content_rewind(&c);
		rc = resend_rest(&first, send_again, m, err);
	}
	m->end = 0;
	/* A message that kills it says nothing about the next one; silence does. */
	if (any_answered(msg))
		note_health(m, true);
	else if (rc < 0 && (!m->reached || err->sys == ETIMEDOUT))
		note_health(m, false);
	if (rc < 0)
		err->class = ERR_TEMP;
	return rc;
}

static int ask_once(struct mda *m, const struct smtp_question *q, struct err *result, struct err *err)
{
	if (!m->client && begin(m, err) < 0)
		return -1;
	m->used = true;
	trace_enter(m->talk);
	smtp_client_budget(m->client, m->end ? patience(m) : 0);
	int rc = smtp_client_ask(m->client, q, result, err);
	smtp_client_budget(m->client, 0);
	m->talk = trace_leave();
	if (rc < 0 || !smtp_client_alive(m->client))
		hang_up(m, false);
	return rc;
}

int mda_ask(struct mda *m, const struct smtp_question *q, struct err *result, struct err *err)
{
	if (m->client && !smtp_client_alive(m->client))
		hang_up(m, false);
	m->end = m->limits.budget ? now_ms() + m->limits.budget : 0;
	bool reused = m->client && m->used;
	int rc = ask_once(m, q, result, err);
	bool left = rc == 0 && result->code == 421;
	if (reused && (left || (rc < 0 && err->sys != ETIMEDOUT))) {
		if (left)
			hang_up(m, false);
		err_clear(result);
		rc = ask_once(m, q, result, err);
	}
	m->end = 0;
	note_health(m, rc == 0);
	return rc;
}
